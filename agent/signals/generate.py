"""The source text of one decoding function per frame id. Pure: rules in, text out.

Why generate: a table interpreted for every frame costs several look-ups per signal; the same rule
as straight-line Python costs a shift and a comparison. The text is made from the compiled table
alone (integers, floats and our own names; never a string from a bus or a file), executed once
when a Decoder is made, and every value in it is checked by ``msgspec`` before.

Shape of one function (here a single signal)::

    def make():
        last0 = None                    # raw value that was emitted last; None: emit the next one
        def decode(t, data):
            n = known(data)             # these bytes were right before and changed nothing
            if n is not None: ...
            try: w0, w1, w2, w3 = unpack(data)
            except error: ...           # padded if it is long enough, rejected if not
            if c0[w0] ^ c1[w1] ^ c2[w2] ^ c3[w3]: ...
            seen[0] = t
            r0 = w1 >> 6
            if r0 != last0: ...         # only now: sentinel, range, scaling, a new Signal
        def forget(indexes): ...        # after a rejection the next value is emitted again
        return decode, forget
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

from msgspec import Struct

from agent.signals.table import Bits, Field, FrameRule, Product, SignalRule

STUCK_AFTER: Final = 5  # equal counters in a row; fewer can be a repeat, or lost frames
_WORD_BITS: Final = 16
_FRAME_BYTES: Final = 8
_QUICK_CHECK: Final = "c0[w0] ^ c1[w1] ^ c2[w2] ^ c3[w3]"
_MAX_QUIET: Final = 32  # payloads remembered per frame id; 4 are enough for a rolling counter


Products = Sequence[tuple[int, Product]]  # index and rule


class Slot(Struct, frozen=True):
    """One rule at its place in the decoder: ``index`` counts over the whole vehicle."""

    index: int
    group: int  # which ``seen`` time tells its age
    rule: SignalRule


def frame_source(
    frame: FrameRule,
    slots: Sequence[Slot],
    products: Products,
    *,
    checks: bool,
) -> str:
    """Return the source of ``make(...)`` for ``frame``; see the module for its shape.

    What lives as long as the decoder and never changes is global to the text (``Decoder``
    hands it in): a closure would copy it at every call. What changes is in cells.

    Args:
        frame: The rule; its integrity checks are left out when ``checks`` is false.
        slots: The wanted signals of the frame, each with its index.
        products: The wanted products with their index; both factors are among ``slots``.
        checks: False leaves out everything but scaling, to compare with decoders that check
            nothing (benchmarks/decode.py).
    """
    ordered = sorted(slots, key=lambda slot: slot.rule.sentinel_of is not None)
    state = ", ".join(("due, repeats, calm", *_state(ordered, products)))
    return "\n".join(
        (
            "def make():",
            *_indent(1, (f"{name} = None" for name in _state(ordered, products))),
            "    due, repeats, calm = None, 0, False",
            "    def decode(t, data):",
            f"        nonlocal {state}",
            *_indent(2, _body(frame, ordered, products, checks=checks)),
            "    def forget(indexes):",
            f"        nonlocal {state}",
            "        hush()",
            *_indent(2, _forget(ordered, products)),
            "    return decode, forget",
        )
    )


def _body(
    frame: FrameRule,
    slots: Sequence[Slot],
    products: Products,
    *,
    checks: bool,
) -> Iterator[str]:
    # a multiplexer or a unit from elsewhere: the same bytes do not always mean the same
    is_memorable = not any(slot.rule.selector or slot.rule.scales for slot in slots)
    counting = list(_counting(frame)) if checks else []
    if is_memorable:
        yield "if calm:"  # only then is it likely that these bytes were here before
        yield "    n = known(data)"
        yield "    if n is not None:"
        yield from _indent(2, counting)
        yield from _indent(2, _see(slots) if checks else ())
        yield "        return"
    yield from _unpack(frame, words_of(frame, slots, checks=checks))
    yield from _checking(frame) if checks else ()
    yield f"n = {_expression((frame.counter.bits,)) if frame.counter else '0'}"
    yield from counting
    yield "fresh = refused = False"
    yield from _values(slots, checks=checks)
    yield from _products(slots, products)
    if is_memorable:
        yield "if fresh:"
        yield "    calm = False"
        yield "    if quiet: hush()"
        yield "else:"
        yield "    calm = True"
        yield f"    if not refused and len(quiet) < {_MAX_QUIET}: quiet[data] = n"


def _see(slots: Sequence[Slot]) -> Iterator[str]:
    return (f"seen[{group}] = t" for group in sorted({slot.group for slot in slots}))


def _forget(slots: Sequence[Slot], products: Products) -> Iterator[str]:
    for slot in slots:
        names = _state((slot,), products)
        yield f"if {slot.index} in indexes: {' = '.join(names)} = None"


def _state(slots: Sequence[Slot], products: Products) -> Iterator[str]:
    """Yield the names that outlive one call: last raw values, and the factors of products."""
    factors = _factors(products)
    for slot in slots:
        yield f"last{slot.index}"
        if slot.rule.path in factors:
            yield f"value{slot.index}"


def _factors(products: Products) -> set[str]:
    return {path for _, product in products for path in product.of}


def _indent(levels: int, lines: Sequence[str] | Iterator[str]) -> Iterator[str]:
    return ("    " * levels + line for line in lines)


def words_of(frame: FrameRule, slots: Sequence[Slot], *, checks: bool) -> list[int]:
    """Return which of the four big-endian words of a frame its text reads; never none."""
    if checks and _is_quick(frame):
        return [0, 1, 2, 3]
    fields = [slot.rule.field for slot in slots]
    fields += [slot.rule.selector.field for slot in slots if slot.rule.selector]
    fields += [(frame.counter.bits,)] if frame.counter else []
    return sorted({bits.byte // 2 for field in fields for bits in field})


def _is_quick(frame: FrameRule) -> bool:
    return frame.check == "crc8-85" and frame.length == _FRAME_BYTES


def _unpack(frame: FrameRule, words: Sequence[int]) -> Iterator[str]:
    names = "".join(f"w{word}, " for word in words)
    yield "try:"
    yield f"    {names}= unpack(data)"
    yield "except error:"  # costs nothing as long as it does not happen
    yield f"    if not {frame.length} <= len(data) < {_FRAME_BYTES}:"
    yield "        return short(t)"
    yield f"    {names}= unpack(data.ljust({_FRAME_BYTES}, b'\\0'))"


def _checking(frame: FrameRule) -> Iterator[str]:
    if frame.check:
        yield f"if {_QUICK_CHECK if _is_quick(frame) else 'not check(data)'}:"
        yield "    due = None"  # a counter out of a damaged frame says nothing
        yield "    return damaged(t)"


def _counting(frame: FrameRule) -> Iterator[str]:
    if frame.counter is None:
        return
    modulus = (1 << frame.counter.bits.width) - 1
    yield "if n == due:"
    yield "    repeats = 0"
    yield "elif due is not None:"
    yield f"    if n == due - 1 & {modulus}:"
    yield "        repeats += 1"
    yield f"        if repeats >= {STUCK_AFTER - 1}:"
    yield "            return stuck(t)"
    yield "    else:"
    yield "        repeats = 0"
    yield f"        gap(n - due & {modulus})"
    yield f"due = n + 1 & {modulus}"


def _values(slots: Sequence[Slot], *, checks: bool) -> Iterator[str]:
    seen: set[int] = set()
    for slot in slots:
        lines = list(_value(slot, slots, checks=checks))
        if checks and slot.group not in seen:
            seen.add(slot.group)
            lines.insert(0, f"seen[{slot.group}] = t")
        if slot.rule.selector:
            yield f"if {_expression(slot.rule.selector.field)} == {slot.rule.selector.value}:"
            yield from _indent(1, lines)
        else:
            yield from lines


def _value(slot: Slot, slots: Sequence[Slot], *, checks: bool) -> Iterator[str]:
    i, rule = slot.index, slot.rule
    yield f"r{i} = {_expression(rule.field)}"
    if rule.scales:
        yield f"x{i} = r{i}"
        yield f"k{i} = scale({i}, latest)"
        yield f"r{i} = r{i}, k{i}"
    yield f"if r{i} != last{i}:"
    yield "    fresh = True"
    yield from _indent(1, _changed(slot, slots, checks=checks))


def _changed(slot: Slot, slots: Sequence[Slot], *, checks: bool) -> Iterator[str]:
    i, rule = slot.index, slot.rule
    if rule.is_signed:
        width = _width(rule.field)
        yield f"x{i} = r{i} - {1 << width} if r{i} & {1 << width - 1} else r{i}"
    yield from _judged(slot, slots) if checks else _accepted(slot)


def _number(slot: Slot) -> str:
    """Return the name of the raw number with its sign."""
    return f"{'x' if slot.rule.is_signed or slot.rule.scales else 'r'}{slot.index}"


def _judged(slot: Slot, slots: Sequence[Slot]) -> Iterator[str]:
    i, word = slot.index, "if"
    refusals = (*_refusals(slot, slots),)
    for condition, reason in refusals:
        yield f"{word} {condition}:"
        yield f"    {' = '.join(_dependents(slot, slots))} = value{i} = None"
        yield "    refused = True"
        yield f"    invalid({i}, {reason!r}, t)"
        word = "elif"
    if not refusals:
        yield from _accepted(slot)
        return
    yield "else:"
    yield from _indent(1, _accepted(slot))


def _dependents(slot: Slot, slots: Sequence[Slot]) -> Iterator[str]:
    """Yield whose last value is forgotten when ``slot`` is refused: its own, and of its twins."""
    yield f"last{slot.index}"
    for twin in slots:
        if twin.rule.sentinel_of == slot.rule.path:
            yield f"last{twin.index}"


def _refusals(slot: Slot, slots: Sequence[Slot]) -> Iterator[tuple[str, str]]:
    rule = slot.rule
    number = _number(slot)
    conditions = [f"{number} == {code}" for code in rule.sentinels]
    for twin in slots:
        if twin.rule.path == rule.sentinel_of:
            raw = _expression(twin.rule.field)
            conditions += [f"({raw}) == {code}" for code in twin.rule.sentinels]
    if conditions:
        yield " or ".join(conditions), "not_available"
    if rule.scales:
        yield f"k{slot.index} is None", "missing"
    elif rule.values is not None:
        yield f"{number} not in maps[{slot.index}]", "range"
    else:
        yield from _out_of_range(rule, number)


def _out_of_range(rule: SignalRule, number: str) -> Iterator[tuple[str, str]]:
    """Yield the comparison on raw integers, unless no raw value can leave the range."""
    width = _width(rule.field)
    least = -(1 << width - 1) if rule.is_signed else 0
    most = least + (1 << width) - 1
    factor, offset = exact(rule.factor), exact(rule.offset)
    low, high = sorted((exact(bound) - offset) / factor for bound in (rule.minimum, rule.maximum))
    if low > least or high < most:
        yield f"not {-(-low // 1)} <= {number} <= {high // 1}", "range"


def _accepted(slot: Slot) -> Iterator[str]:
    i = slot.index
    yield f"last{i} = r{i}"
    yield f"value{i} = {_scaled(slot)}"
    yield f"latest[p{i}] = s = new(p{i}, value{i}, ok, t)"
    yield "emit(s)"


def _scaled(slot: Slot) -> str:
    i, rule = slot.index, slot.rule
    if rule.values is not None:
        return f"maps[{i}][{_number(slot)}]"
    if rule.scales:
        return f"{_number(slot)} * k{i}"
    # one division of integers: 926 becomes 92.6 and not 92.60000000000001
    factor, offset = exact(rule.factor), exact(rule.offset)
    divisor = factor.denominator * offset.denominator
    times, plus = (factor * divisor).numerator, (offset * divisor).numerator
    number = _number(slot)
    text = number if times == 1 else f"{number} * {times}"
    text = text if plus == 0 else f"({text} + {plus})"
    return f"{text} / {divisor}"


def exact(number: float) -> Fraction:
    """Return the fraction that ``number`` was written for: 0.1 is 1/10."""
    simple = Fraction(number).limit_denominator(100_000)
    is_close = abs(float(simple) - number) <= 1e-12 * abs(number)
    return simple if is_close else Fraction(number)


def _products(slots: Sequence[Slot], products: Products) -> Iterator[str]:
    by_path = {slot.rule.path: slot.index for slot in slots}
    for i, product in products:
        a, b = (by_path[path] for path in product.of)
        yield "if fresh:"
        yield f"    if value{a} is None or value{b} is None:"
        yield f"        mark({i}, latest[p{a} if value{a} is None else p{b}].quality, t)"
        yield "    else:"
        yield f"        latest[p{i}] = s = new(p{i}, value{a} * value{b}, ok, t)"
        yield "        emit(s)"


def _expression(field: Field) -> str:
    """Return the raw unsigned integer of ``field`` over the words w0 to w3."""
    pieces = list(_word_pieces(field))
    remaining = sum(width for _, _, width in pieces)
    parts = []
    for word, shift, width in pieces:
        remaining -= width
        parts.append(_piece(word, shift, width, remaining))
    return " | ".join(parts)


def _piece(word: int, shift: int, width: int, up: int) -> str:
    text = f"w{word}" if shift == 0 else f"w{word} >> {shift}"
    if shift + width < _WORD_BITS:
        text = f"{text} & {(1 << width) - 1}"
    return f"({text}) << {up}" if up else text


def _word_pieces(field: Field) -> Iterator[tuple[int, int, int]]:
    """Merge pieces of bytes that lie side by side in one big-endian word."""
    held: tuple[int, int, int] | None = None
    for word, shift, width in map(_in_word, field):
        if held and held[0] == word and held[1] == shift + width:
            held = (word, shift, held[2] + width)
            continue
        if held:
            yield held
        held = (word, shift, width)
    if held:
        yield held


def _in_word(bits: Bits) -> tuple[int, int, int]:
    word, low = divmod(bits.byte, 2)
    return word, bits.shift + (0 if low else 8), bits.width


def _width(field: Field) -> int:
    return sum(bits.width for bits in field)
