"""An adaptive binary range coder. Pure, integer arithmetic only.

The coder keeps an interval [low, high] of 32-bit numbers. A decision splits it in proportion to
the probability of its two answers and keeps the part of the answer given; leading bytes on which
both ends agree are written. Whoever knows the same probabilities follows the same splits.

Probabilities are learned: each slot holds how likely "yes" is (1 to 65,535 of 65,536) and how
often it was asked. The first answers move it far, later ones less and less, down to 1/128.

Source: arithmetic coding after J. Rissanen (1976); the carry-free interval with byte output is
the form of G. N. N. Martin (1979). Rates are the project's own, measured on recorded trips.
"""

from collections.abc import Iterable, Sequence

from telemetry.codec.errors import CodecError

ONE = 1 << 16
_MASK = 0xFFFFFFFF
TOP = 1 << 24  # below it, both ends of the interval agree on the first byte
_RAW_AT_ONCE = 16  # bits
_SLOWEST = 128
# after n answers a slot moves by 1 / (n + 1.6), as the mean of n answers does, and never slower
# than 1 / 128, so that it follows a vehicle that changes its ways
RATES = tuple(ONE * 10 // (10 * asked + 16) for asked in range(_SLOWEST - 1))
LAST_RATE = len(RATES) - 1
# no slot ever gets surer than 1 - 127/65536: an answer costs at least 0.0028 bits
MAX_ANSWERS_PER_BYTE = 2_900
SUREST = ONE - _SLOWEST  # where learning may start at most

Step = int  # slot << 1 | answer; or ~(bits << 7 | count) for bits that are as likely as not
_COUNT_BITS, _COUNT_MASK = 7, 0x7F


class Slots:
    """Learned probabilities, and where learning starts."""

    __slots__ = ("asked", "chances")

    def __init__(self, chances: Sequence[int], asked: Sequence[int]) -> None:
        self.chances = list(chances)  # of "yes", in 1/65536
        self.asked = list(asked)  # how often, up to the index of the slowest rate


def raw_step(bits: int, count: int) -> Step:
    """Return the step that writes the low ``count`` bits of ``bits``, at most 127 of them."""
    return ~((bits & (1 << count) - 1) << _COUNT_BITS | count)


class Encoder:
    """Takes decisions, gives bytes."""

    def __init__(self) -> None:
        self._low = 0
        self._high = _MASK
        self._out = bytearray()

    def put(self, slots: Slots, steps: Iterable[Step]) -> None:
        """Write decisions, each with what its slot has learned, and let the slots learn."""
        # one loop with everything at hand: this is where encoding spends its time
        low, high, out, rates = self._low, self._high, self._out, RATES
        chances, counts = slots.chances, slots.asked
        for step in steps:
            if step < 0:
                self._low, self._high = low, high
                self._put_raw(~step >> _COUNT_BITS, ~step & _COUNT_MASK)
                low, high = self._low, self._high
                continue
            slot = step >> 1
            chance, asked = chances[slot], counts[slot]
            middle = low + ((high - low) * chance >> 16)
            if step & 1:
                high = middle
                chances[slot] = chance + ((ONE - chance) * rates[asked] >> 16)
            else:
                low = middle + 1
                chances[slot] = chance - (chance * rates[asked] >> 16)
            if asked < LAST_RATE:
                counts[slot] = asked + 1
            while (low ^ high) < TOP:
                out.append(high >> 24)
                low = low << 8 & _MASK
                high = high << 8 & _MASK | 0xFF
        self._low, self._high = low, high

    def _put_raw(self, bits: int, count: int) -> None:
        while count > 0:
            part = min(count, raw_part(self._high - self._low))
            count -= part
            share = (self._high - self._low + 1) >> part
            self._low += (bits >> count & (1 << part) - 1) * share
            self._high = self._low + share - 1
            while (self._low ^ self._high) < TOP:
                self._out.append(self._high >> 24)
                self._low = self._low << 8 & _MASK
                self._high = self._high << 8 & _MASK | 0xFF

    def finish(self) -> bytes:
        """Return all bytes; the coder is used up."""
        return bytes(self._out) + shortest(self._low, self._high)


class Decoder:
    """Takes bytes, gives the decisions back. Missing bytes read as zeros until ``finish``."""

    __slots__ = ("at", "code", "data", "high", "low")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 4  # of the next byte
        self.low = 0
        self.high = _MASK
        self.code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")

    def get(self, slots: Slots, slot: int) -> int:
        """Return one decision, and let ``slots[slot]`` learn it."""
        chance, asked = slots.chances[slot], slots.asked[slot]
        middle = self.low + ((self.high - self.low) * chance >> 16)
        if self.code <= middle:
            answer = 1
            self.high = middle
            slots.chances[slot] = chance + ((ONE - chance) * RATES[asked] >> 16)
        else:
            answer = 0
            self.low = middle + 1
            slots.chances[slot] = chance - (chance * RATES[asked] >> 16)
        if asked < LAST_RATE:
            slots.asked[slot] = asked + 1
        self._shift()
        return answer

    def get_raw(self, count: int) -> int:
        """Return the next ``count`` bits, first one highest.

        Raises:
            CodecError: Not written by an encoder.
        """
        value = 0
        while count > 0:
            part = min(count, raw_part(self.high - self.low))
            count -= part
            share = (self.high - self.low + 1) >> part
            bits = (self.code - self.low) // share
            if bits >> part:
                raise CodecError("columns: bits that no encoder writes", code="codec.columns")
            value = value << part | bits
            self.low += bits * share
            self.high = self.low + share - 1
            self._shift()
        return value

    def finish(self) -> None:
        """Check that the data ends exactly where the encoder ended.

        Raises:
            CodecError: Bytes are missing, or follow.
        """
        check_end(self.data, self.at - 4, self.low, self.high)

    def _shift(self) -> None:
        while (self.low ^ self.high) < TOP:
            following = self.data[self.at] if self.at < len(self.data) else 0
            self.at += 1
            self.low = self.low << 8 & _MASK
            self.high = self.high << 8 & _MASK | 0xFF
            self.code = self.code << 8 & _MASK | following


def raw_part(width: int) -> int:
    """Return how many raw bits an interval of ``width`` + 1 numbers takes at once, 1 or more."""
    return max(1, min(_RAW_AT_ONCE, (width + 1).bit_length() - 9))


def check_end(data: bytes, shifted: int, low: int, high: int) -> None:
    """Check that ``data`` ends as an encoder in this state ends, ``shifted`` bytes written.

    Raises:
        CodecError: Bytes are missing, or follow.
    """
    missing = len(data) < shifted
    if missing or data[shifted:] != shortest(low, high):
        raise CodecError(
            "columns: the coded bytes do not end where they should",
            code="codec.truncated" if missing else "codec.columns",
        )


def shortest(low: int, high: int) -> bytes:
    """Return the fewest bytes that name a number in [low, high] when zeros follow."""
    for count in range(4):
        unit = 1 << 8 * (4 - count)
        number = -(-low // unit) * unit
        if number <= high:
            return number.to_bytes(5, "big")[1 : 1 + count]
    return low.to_bytes(4, "big")
