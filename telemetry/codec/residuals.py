"""How one column asks its questions: what is missing, which prediction, how far it was off.

The distance between a value and its prediction is told as decisions: zero? negative? how many
binary digits? the digits below the first. Each question has a slot per *class*, and the class
comes from how far the last three predictions were off, so that a calm stretch and a wild one each
learn their own odds.

Slots of one column::

    0          some rows are missing
    1, 2       this row is missing; the row before was not, was
    3 .. 5     not the first, second, third predictor
    6 ..       per class: zero, negative, and "more digits than n" for n = 1 .. 21
    then       the second and third binary digit, per number of digits
"""

from telemetry.codec.errors import CodecError
from telemetry.codec.rangecoder import Decoder, Encoder, Slots

CALM_CLASSES = 12  # 0 .. 11 by how far off it was
FIRST_VALUE = 12  # the class of a column's first value: nothing is known yet
MAX_DIGITS = 66  # a prediction from 64-bit values is off by less than 2**66
ANY_MISSING, MISSING, PREDICTOR, _CLASSES = 0, 1, 3, 6
_DIGIT_SLOTS = 21
_PER_CLASS = 2 + _DIGIT_SLOTS
_TAILS = _CLASSES + (FIRST_VALUE + 1) * _PER_CLASS
_PER_TAIL = 3
SLOTS = _TAILS + (_DIGIT_SLOTS + 1) * _PER_TAIL


def class_of(last: int, before: int, third: int) -> int:
    """Return the class after predictions that were off by these distances, latest first."""
    return min((2 * last + before + third + 1).bit_length(), CALM_CLASSES - 1)


def put_residual(coder: Encoder, slots: Slots, calm: int, residual: int) -> None:
    """Write how far off a prediction was; ``calm`` is the class."""
    base = _CLASSES + calm * _PER_CLASS
    coder.put(slots, base, 0 if residual else 1)
    if not residual:
        return
    coder.put(slots, base + 1, 1 if residual < 0 else 0)
    distance = abs(residual)
    digits = distance.bit_length()
    for count in range(1, digits):
        coder.put(slots, base + 1 + min(count, _DIGIT_SLOTS), 1)
    coder.put(slots, base + 1 + min(digits, _DIGIT_SLOTS), 0)
    _put_tail(coder, slots, distance, digits)


def get_residual(coder: Decoder, slots: Slots, calm: int) -> int:
    """Return how far off the prediction was.

    Raises:
        CodecError: Further than any 64-bit value can be.
    """
    base = _CLASSES + calm * _PER_CLASS
    if coder.get(slots, base):
        return 0
    negative = coder.get(slots, base + 1)
    digits = 1
    while coder.get(slots, base + 1 + min(digits, _DIGIT_SLOTS)):
        digits += 1
        if digits > MAX_DIGITS:
            raise CodecError("columns: a value beyond 64 bits", code="codec.range")
    distance = _get_tail(coder, slots, digits)
    return -distance if negative else distance


def _put_tail(coder: Encoder, slots: Slots, distance: int, digits: int) -> None:
    base = _TAILS + min(digits, _DIGIT_SLOTS) * _PER_TAIL
    left = digits - 1
    if left:
        left -= 1
        second = distance >> left & 1
        coder.put(slots, base, second)
        if left:
            left -= 1
            coder.put(slots, base + 1 + second, distance >> left & 1)
            coder.put_bits(distance, left)


def _get_tail(coder: Decoder, slots: Slots, digits: int) -> int:
    base = _TAILS + min(digits, _DIGIT_SLOTS) * _PER_TAIL
    distance = 1
    left = digits - 1
    if left:
        second = coder.get(slots, base)
        distance = 2 | second
        left -= 1
        if left:
            distance = distance << 1 | coder.get(slots, base + 1 + second)
            left -= 1
            distance = distance << left | coder.get_bits(left)
    return distance
