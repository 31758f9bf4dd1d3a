"""An adaptive binary range coder. Pure, integer arithmetic only.

The coder keeps an interval [low, high] of 32-bit numbers. A decision splits it in proportion to
the probability of its two answers and keeps the part of the answer given; leading bytes on which
both ends agree are written. Whoever knows the same probabilities follows the same splits.

Probabilities are learned: each slot holds how likely "yes" is (1 to 65,535 of 65,536) and how
often it was asked. The first answers move it far, later ones less and less, down to 1/128.

Source: arithmetic coding after J. Rissanen (1976); the carry-free interval with byte output is
the form of G. N. N. Martin (1979). Rates are the project's own, measured on recorded trips.
"""

from collections.abc import Sequence

from telemetry.codec.errors import CodecError

ONE = 1 << 16
_MASK = 0xFFFFFFFF
_SLOWEST = 128
# after n answers a slot moves by 1 / (n + 1.6), as the mean of n answers does, and never slower
# than 1 / 128, so that it follows a vehicle that changes its ways
RATES = tuple(ONE * 10 // (10 * asked + 16) for asked in range(_SLOWEST - 1))
_LAST = len(RATES) - 1
# no slot ever gets surer than 1 - 127/65536: an answer costs at least 0.0028 bits
MAX_ANSWERS_PER_BYTE = 2_900
SUREST = ONE - _SLOWEST  # where learning may start at most


class Slots:
    """Learned probabilities, and where learning starts."""

    __slots__ = ("asked", "chances")

    def __init__(self, chances: Sequence[int], asked: Sequence[int]) -> None:
        self.chances = list(chances)  # of "yes", in 1/65536
        self.asked = list(asked)  # how often, up to the index of the slowest rate


class Encoder:
    """Takes decisions, gives bytes."""

    def __init__(self) -> None:
        self._low = 0
        self._high = _MASK
        self._out = bytearray()

    def put(self, slots: Slots, slot: int, answer: int) -> None:
        """Write one decision (1 or 0) with what ``slots[slot]`` has learned, and let it learn."""
        chance, asked = slots.chances[slot], slots.asked[slot]
        middle = self._low + ((self._high - self._low) * chance >> 16)
        if answer:
            self._high = middle
            slots.chances[slot] = chance + ((ONE - chance) * RATES[asked] >> 16)
        else:
            self._low = middle + 1
            slots.chances[slot] = chance - (chance * RATES[asked] >> 16)
        if asked < _LAST:
            slots.asked[slot] = asked + 1
        if not (self._low ^ self._high) >> 24:
            self._shift()

    def put_bits(self, value: int, count: int) -> None:
        """Write the low ``count`` bits of ``value``, each as likely as not."""
        for at in range(count - 1, -1, -1):
            middle = self._low + ((self._high - self._low) >> 1)
            if value >> at & 1:
                self._high = middle
            else:
                self._low = middle + 1
            if not (self._low ^ self._high) >> 24:
                self._shift()

    def finish(self) -> bytes:
        """Return all bytes; the coder is used up."""
        return bytes(self._out) + _shortest(self._low, self._high)

    def _shift(self) -> None:
        while not (self._low ^ self._high) >> 24:
            self._out.append(self._high >> 24)
            self._low = self._low << 8 & _MASK
            self._high = self._high << 8 & _MASK | 0xFF


class Decoder:
    """Takes bytes, gives the decisions back. Missing bytes read as zeros until ``finish``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4
        self._low = 0
        self._high = _MASK
        self._code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    def get(self, slots: Slots, slot: int) -> int:
        """Return one decision, and let ``slots[slot]`` learn it."""
        chance, asked = slots.chances[slot], slots.asked[slot]
        middle = self._low + ((self._high - self._low) * chance >> 16)
        if self._code <= middle:
            answer = 1
            self._high = middle
            slots.chances[slot] = chance + ((ONE - chance) * RATES[asked] >> 16)
        else:
            answer = 0
            self._low = middle + 1
            slots.chances[slot] = chance - (chance * RATES[asked] >> 16)
        if asked < _LAST:
            slots.asked[slot] = asked + 1
        if not (self._low ^ self._high) >> 24:
            self._shift()
        return answer

    def get_bits(self, count: int) -> int:
        """Return the next ``count`` bits, first one highest."""
        value = 0
        for _ in range(count):
            middle = self._low + ((self._high - self._low) >> 1)
            value <<= 1
            if self._code <= middle:
                value |= 1
                self._high = middle
            else:
                self._low = middle + 1
            if not (self._low ^ self._high) >> 24:
                self._shift()
        return value

    def finish(self) -> None:
        """Check that the data ends exactly where the encoder ended.

        Raises:
            CodecError: Bytes are missing, or follow.
        """
        shifted = self._at - 4
        missing = len(self._data) < shifted
        if missing or self._data[shifted:] != _shortest(self._low, self._high):
            raise CodecError(
                "columns: the coded bytes do not end where they should",
                code="codec.truncated" if missing else "codec.columns",
            )

    def _shift(self) -> None:
        while not (self._low ^ self._high) >> 24:
            following = self._data[self._at] if self._at < len(self._data) else 0
            self._at += 1
            self._low = self._low << 8 & _MASK
            self._high = self._high << 8 & _MASK | 0xFF
            self._code = self._code << 8 & _MASK | following


def _shortest(low: int, high: int) -> bytes:
    """Return the fewest bytes that name a number in [low, high] when zeros follow."""
    for count in range(4):
        unit = 1 << 8 * (4 - count)
        number = -(-low // unit) * unit
        if number <= high:
            return number.to_bytes(5, "big")[1 : 1 + count]
    return low.to_bytes(4, "big")
