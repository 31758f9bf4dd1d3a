"""Where bits stand in a frame, as an expression over its four big-endian words. Pure."""

from collections.abc import Iterator

from agent.signals.table import Bits, Field

WORD_BITS = 16
WORDS = 4  # of a classic frame


def width(field: Field) -> int:
    """Return how many bits ``field`` has."""
    return sum(bits.width for bits in field)


def words_in(field: Field) -> set[int]:
    """Return which words, 0 to 3, ``field`` is in."""
    return {bits.byte // 2 for bits in field}


def expression(field: Field) -> str:
    """Return the text of the raw unsigned integer of ``field`` over the words w0 to w3."""
    pieces = list(_word_pieces(field))
    remaining = sum(width for _, _, width in pieces)
    parts = []
    for word, shift, bits in pieces:
        remaining -= bits
        parts.append(_piece(word, shift, bits, remaining))
    return " | ".join(parts)


def _piece(word: int, shift: int, bits: int, up: int) -> str:
    text = f"w{word}" if shift == 0 else f"w{word} >> {shift}"
    if shift + bits < WORD_BITS:
        text = f"{text} & {(1 << bits) - 1}"
    return f"({text}) << {up}" if up else text


def _word_pieces(field: Field) -> Iterator[tuple[int, int, int]]:
    """Merge pieces of bytes that lie side by side in one big-endian word."""
    held: tuple[int, int, int] | None = None
    for piece in field:
        word, shift = in_word(piece)
        bits = piece.width
        if held and held[0] == word and held[1] == shift + bits:
            held = (word, shift, held[2] + bits)
            continue
        if held:
            yield held
        held = (word, shift, bits)
    if held:
        yield held


def in_word(bits: Bits) -> tuple[int, int]:
    """Return the word that ``bits`` are in, and how far above its lowest bit."""
    word, low = divmod(bits.byte, 2)
    return word, bits.shift + (0 if low else 8)
