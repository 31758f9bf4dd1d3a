"""How one column asks its questions: what is missing, which prediction, how far it was off.

The distance between a value and its prediction is told as decisions: how many binary digits,
starting from what is usual for the class and going up or down; negative? the two digits below the
first; the rest as it is. Each question has a slot per *class*. The class comes from how far the
last predictions were off and from what other columns do at this moment, in half octaves, so that
a calm stretch and a wild one each learn their own odds. Whether a distance is zero, and its sign,
also depend on the fraction that rounding took from the prediction, in quarters.

Slots of one column::

    0          some rows are missing
    1, 2       this row is missing; the row before was not, was
    3 .. 5     not the first, second, third predictor
    6 ..       per class: zero for each quarter, negative for each quarter,
               "more digits than n" for n = 1 .. 21
    then       the second and third binary digit, per number of digits
    last two   this gap is an invalid reading; the gap before was missing, was invalid (format 3)
"""

from functools import cache, lru_cache
from typing import Any

from telemetry.codec.errors import CodecError
from telemetry.codec.rangecoder import Decoder, Slots, Step, raw_step

CALM_CLASSES = 20  # half octaves: usual distances of 1/8 to 128
FIRST_VALUE = 20  # the class of a column's first value: nothing is known yet
QUARTERS = 4
MAX_DIGITS = 66  # a prediction from 64-bit values is off by less than 2**66
ANY_MISSING, MISSING, PREDICTOR, CLASSES = 0, 1, 3, 6
DIGIT_SLOTS = 21
PER_CLASS = 2 * QUARTERS + DIGIT_SLOTS
TAILS = CLASSES + (FIRST_VALUE + 1) * PER_CLASS
PER_TAIL = 3
SLOTS = TAILS + (DIGIT_SLOTS + 1) * PER_TAIL
INVALID_GAP = SLOTS  # and one more; not among those that training writes down
GAP_SLOTS = 2
_USUAL_OF_FIRST = 4
SMALL = 128  # decisions about distances below are kept at hand
_LEARNED_DIGITS = 3  # the first is always 1; two are learned

CALM_SHIFT = 11  # from 1/65536 to 1/32
_CALM_STEPS = 32 << 7


def _half_octave(thirty_seconds: int) -> int:
    """Return the class for a usual distance in 1/32: 0 up to 3/16, two for each doubling."""
    digits = (thirty_seconds | 1).bit_length()
    second = thirty_seconds >> digits - 2 & 1 if digits > 1 else 0
    return max(0, min(2 * digits + second - 6, CALM_CLASSES - 1))


# the class for a usual distance in 1/32, for all that are not of the last class anyway
CALM = tuple(_half_octave(at) for at in range(_CALM_STEPS))
USUAL_DIGITS = (*(max(0, (calm - 6) // 2) for calm in range(CALM_CLASSES)), _USUAL_OF_FIRST)

# a question: slot, what follows "yes", what follows "no";
# an answer: -1 (positive) or -2 (negative), leading digits, how many raw digits follow;
# too large for the table: -3
Node = tuple[int, Any, Any]
POSITIVE, NEGATIVE = -1, -2
TOO_LARGE: Node = (-3, 0, 0)


@cache
def tree(calm: int, quarter: int) -> Node:
    """Return the questions about a distance in class ``calm``; the slots are absolute."""
    base = CLASSES + calm * PER_CLASS
    usual = USUAL_DIGITS[calm]
    ends = [_sign(base, quarter, digits) for digits in range(DIGIT_SLOTS + 1)]
    up: Node = TOO_LARGE
    for digits in range(DIGIT_SLOTS, usual, -1):
        up = (_more_slot(base, quarter, digits), up, ends[digits])
    down = ends[0]
    for digits in range(usual):
        down = (_more_slot(base, quarter, digits), ends[digits + 1], down)
    return (_more_slot(base, quarter, usual), up, down if usual else ends[0])


def _more_slot(base: int, quarter: int, digits: int) -> int:
    return base + (quarter if digits == 0 else 2 * QUARTERS + min(digits, DIGIT_SLOTS) - 1)


def _sign(base: int, quarter: int, digits: int) -> Node:
    if digits == 0:
        return (POSITIVE, 0, 0)
    return (base + QUARTERS + quarter, _tail(digits, NEGATIVE), _tail(digits, POSITIVE))


@cache
def _tail(digits: int, sign: int) -> Node:
    base = TAILS + min(digits, DIGIT_SLOTS) * PER_TAIL
    if digits == 1:
        return (sign, 1, 0)
    if digits == 2:  # noqa: PLR2004 (binary digits)
        return (base, (sign, 3, 0), (sign, 2, 0))
    raw = digits - _LEARNED_DIGITS
    return (
        base,
        (base + 2, (sign, 7, raw), (sign, 6, raw)),
        (base + 1, (sign, 5, raw), (sign, 4, raw)),
    )


def any_steps(calm: int, quarter: int, residual: int) -> tuple[Step, ...]:
    """Return the decisions that tell how far off a prediction was."""
    distance = abs(residual)
    raw = max(0, distance.bit_length() - _LEARNED_DIGITS)
    steps = _learned_steps(calm, quarter, residual < 0, distance >> raw, raw)
    return (*steps, raw_step(distance, raw)) if raw else steps


@lru_cache(maxsize=1 << 14)
def _learned_steps(
    calm: int,
    quarter: int,
    negative: bool,  # noqa: FBT001 (a cache key, called in one place)
    lead: int,
    raw: int,
) -> tuple[Step, ...]:
    """Return the decisions about the digits ``lead`` in front of ``raw`` others."""
    base = CLASSES + calm * PER_CLASS
    digits, usual = lead.bit_length() + raw, USUAL_DIGITS[calm]
    asked = [*range(usual, digits + 1)] if digits > usual else [*range(usual, digits - 2, -1)]
    steps = [_more_slot(base, quarter, at) << 1 | (digits > at) for at in asked if at >= 0]
    if digits:
        steps.append(base + QUARTERS + quarter << 1 | negative)
    tails = TAILS + min(digits, DIGIT_SLOTS) * PER_TAIL
    if digits > 1:
        second = lead >> lead.bit_length() - 2 & 1
        steps.append(tails << 1 | second)
        if lead.bit_length() == _LEARNED_DIGITS:
            steps.append(tails + 1 + second << 1 | lead & 1)
    return tuple(steps)


def large_residual(coder: Decoder, slots: Slots, calm: int, quarter: int) -> int:
    """Return a distance of more digits than have slots, asked from where the tree ends.

    Raises:
        CodecError: Further than any 64-bit value can be.
    """
    base = CLASSES + calm * PER_CLASS
    digits = DIGIT_SLOTS + 1
    while coder.get(slots, base + 2 * QUARTERS + DIGIT_SLOTS - 1):
        digits += 1
        if digits > MAX_DIGITS:
            raise CodecError("columns: a value beyond 64 bits", code="codec.range")
    negative = coder.get(slots, base + QUARTERS + quarter)
    tails = TAILS + DIGIT_SLOTS * PER_TAIL
    second = coder.get(slots, tails)
    third = coder.get(slots, tails + 1 + second)
    raw = digits - _LEARNED_DIGITS
    distance = (4 | second << 1 | third) << raw | coder.get_raw(raw)
    return -distance if negative else distance
