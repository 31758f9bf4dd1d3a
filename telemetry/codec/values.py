"""The two loops in which coding spends its time: values to steps, bits to values."""

from collections.abc import Sequence
from dataclasses import dataclass

from telemetry.codec.errors import CodecError
from telemetry.codec.models import Calm
from telemetry.codec.rangecoder import LAST_RATE, ONE, RATES, TOP, Decoder, Slots, Step
from telemetry.codec.residuals import (
    CALM,
    CALM_CLASSES,
    CALM_SHIFT,
    FIRST_VALUE,
    NEGATIVE,
    SMALL,
    TOO_LARGE,
    Node,
    any_steps,
    large_residual,
    tree,
)

MAX_VALUE = 2**63 - 1
_LAST_CLASS = CALM_CLASSES - 1
_CALM_END = len(CALM) << CALM_SHIFT
_QUARTER_SHIFT = 14
_MASK = 0xFFFFFFFF


_TREES: dict[int, Node] = {}  # by class and quarter; at most 84, each planted at first use


_STEPS: dict[int, tuple[Step, ...]] = {}  # of distances below SMALL, each at its first use
_KEY_BITS = 7  # class and quarter


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """From what the values of one column are predicted: the chosen predictor, worked out."""

    own: tuple[int, int, int]
    base: list[int]  # row by row, everything but the own values, in 1/65536
    first: int
    rise: int
    calm: Calm
    calm_base: list[int]  # row by row, how far off it will be but for the own distances


def value_steps(column: Sequence[int | None], how: Prediction) -> list[Step]:
    """Return the decisions that tell the values of ``column``."""
    steps: list[Step] = []
    weight1, weight2, weight3 = how.own
    calm1, calm2, calm3 = how.calm.own
    last = before = third = 0  # values
    off1 = off2 = off3 = how.calm.start  # distances
    began = False
    for value, base, calm_base in zip(column, how.base, how.calm_base, strict=True):
        if value is None:
            if began:
                before, third = last, before
        elif began:
            exact = weight1 * last + weight2 * before + weight3 * third + base
            calm = calm1 * off1 + calm2 * off2 + calm3 * off3 + calm_base
            residual = value - (exact >> 16)
            calm = CALM[calm >> CALM_SHIFT] if calm < _CALM_END else _LAST_CLASS
            quarter = exact >> _QUARTER_SHIFT & 3
            key = residual << _KEY_BITS | calm << 2 | quarter
            steps += _STEPS.get(key) or _tell(calm, quarter, residual, key)
            off1, off2, off3 = abs(residual), off1, off2
            last, before, third = value, last, before
        else:
            began = True
            steps += any_steps(FIRST_VALUE, 0, value - how.first)
            last, before, third = value, value - how.rise, value - 2 * how.rise
    return steps


def read_values(  # noqa: C901, PLR0912, PLR0915 (one loop with everything at hand, for speed)
    coder: Decoder, slots: Slots, gaps: Sequence[int], how: Prediction
) -> list[int | None]:
    """Return the values of one column; None where ``gaps`` is not 0.

    Raises:
        CodecError: A value beyond 64 bits.
    """
    weight1, weight2, weight3 = how.own
    calm1, calm2, calm3 = how.calm.own
    low, high, code, at, data = coder.low, coder.high, coder.code, coder.at, coder.data
    chances, counts, rates = slots.chances, slots.asked, RATES
    last = before = third = exact = 0
    off1 = off2 = off3 = how.calm.start
    began = False
    column: list[int | None] = []
    for is_gap, base, calm_base in zip(gaps, how.base, how.calm_base, strict=True):
        if is_gap:
            column.append(None)
            if began:
                before, third = last, before
            continue
        if began:
            exact = weight1 * last + weight2 * before + weight3 * third + base
            calm = calm1 * off1 + calm2 * off2 + calm3 * off3 + calm_base
            calm = CALM[calm >> CALM_SHIFT] if calm < _CALM_END else _LAST_CLASS
            quarter = exact >> _QUARTER_SHIFT & 3
        else:
            exact = how.first << 16
            calm, quarter = FIRST_VALUE, 0
        node = _TREES.get(calm << 2 | quarter) or _plant(calm, quarter)
        slot, yes, no = node
        while slot >= 0:
            chance, asked = chances[slot], counts[slot]
            middle = low + ((high - low) * chance >> 16)
            if code <= middle:
                high = middle
                chances[slot] = chance + ((ONE - chance) * rates[asked] >> 16)
                node = yes
            else:
                low = middle + 1
                chances[slot] = chance - (chance * rates[asked] >> 16)
                node = no
            if asked < LAST_RATE:
                counts[slot] = asked + 1
            while (low ^ high) < TOP:
                following = data[at] if at < len(data) else 0
                at += 1
                low = low << 8 & _MASK
                high = high << 8 & _MASK | 0xFF
                code = code << 8 & _MASK | following
            slot, yes, no = node
        residual: int = yes
        if no or node is TOO_LARGE:
            coder.low, coder.high, coder.code, coder.at = low, high, code, at
            if node is TOO_LARGE:
                residual = large_residual(coder, slots, calm, quarter)
            else:
                residual = residual << no | coder.get_raw(no)
            low, high, code, at = coder.low, coder.high, coder.code, coder.at
        if slot == NEGATIVE:
            residual = -residual
        value = residual + (exact >> 16)
        if began:
            off1, off2, off3 = abs(residual), off1, off2
            last, before, third = value, last, before
        else:
            began = True
            last, before, third = value, value - how.rise, value - 2 * how.rise
        if not -MAX_VALUE <= value <= MAX_VALUE:
            raise CodecError("columns: a value beyond 64 bits", code="codec.range")
        column.append(value)
    coder.low, coder.high, coder.code, coder.at = low, high, code, at
    return column


def _tell(calm: int, quarter: int, residual: int, key: int) -> tuple[Step, ...]:
    steps = any_steps(calm, quarter, residual)
    if -SMALL < residual < SMALL:
        _STEPS[key] = steps
    return steps


def _plant(calm: int, quarter: int) -> Node:
    node = _TREES[calm << 2 | quarter] = tree(calm, quarter)
    return node
