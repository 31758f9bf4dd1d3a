"""The column decoder compiled: the decisions of telemetry.codec, bit for bit, many times faster.

One loop over 64-bit integers, compiled by numba; no floating point. 64 bits are exact as long as
values stay within 31 bits and weights within 32: a block that leaves this range, and every block
that is not as an encoder writes it, is left to the plain decoder, which has the last word. Without
numba the same loop would run in plain Python, so ``IS_COMPILED`` says whether it is worth it.
"""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from telemetry.codec.columns import PLAIN_FORMAT, check_format, parse_block
from telemetry.codec.models import GRID_BITS, GRID_ONE, Calm, Grid, Model, Predictor, fresh_slots
from telemetry.codec.rangecoder import LAST_RATE, ONE, RATES, TOP, Decoder, Slots, check_end
from telemetry.codec.residuals import (
    ANY_MISSING,
    CALM,
    CALM_CLASSES,
    CALM_SHIFT,
    CLASSES,
    DIGIT_SLOTS,
    FIRST_VALUE,
    INVALID_GAP,
    MISSING,
    PER_CLASS,
    PER_TAIL,
    PREDICTOR,
    QUARTERS,
    TAILS,
    USUAL_DIGITS,
)

IS_COMPILED = importlib.util.find_spec("numba") is not None
MAX_EXACT = (1 << 31) - 1  # values beyond are left to the plain decoder
_MAX_WEIGHTS = 1 << 31  # sum of a predictor's; times MAX_EXACT it stays within 62 bits
_MASK = 0xFFFFFFFF
_RAW_AT_ONCE, _RAW_SPARE = 16, 9  # as rangecoder.raw_part
_CALM = np.array(CALM, np.int64)
_USUAL = np.array(USUAL_DIGITS, np.int64)
_RATES = np.array(RATES, np.int64)

Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
_F = TypeVar("_F", bound=Callable[..., Any])


class TooWideError(Exception):
    """The block is not for 64 bits, or not as an encoder writes it: ask the plain decoder."""


@dataclass(frozen=True, slots=True)
class Table:
    """Decoded columns: values (gaps repeat the one before), which are gaps, and which invalid."""

    values: list[Integers]
    gaps: list[Flags]
    invalid: list[Flags]  # of the gaps


def _compiled(function: _F) -> _F:
    """Compile ``function``, which may not allocate: then no array it touches is counted.

    Counting references to the arrays, an atomic operation at every decision, took four fifths of
    the time of these loops (measured, ADR 0023).
    """
    if not IS_COMPILED:
        return function
    numba = importlib.import_module("numba")
    try:
        return cast("_F", numba.njit(cache=True, _nrt=False)(function))
    except RuntimeError:  # no folder in which compiled code may be kept
        return cast("_F", numba.njit(_nrt=False)(function))


def _inlined(function: _F) -> _F:
    """Compile ``function`` into its callers: passing arrays costs more than these loops do."""
    if not IS_COMPILED:
        return function
    return cast("_F", importlib.import_module("numba").njit(inline="always")(function))


def decode_table(
    data: bytes,
    *,
    max_rows: int,
    max_columns: int,
    model: Model | None,
    format_: int | None = None,
) -> Table:
    """Return the columns in ``data``, as ``telemetry.codec.columns.decode_columns`` does.

    Raises:
        CodecError: As there.
        TooWideError: The plain decoder must answer.
    """
    check_format(data, format_)
    rows, fitting, coded = parse_block(
        data, max_rows=max_rows, max_columns=max_columns, model=model
    )
    count = len(fitting.columns)
    none = np.zeros(0, np.bool_)
    table = Table([np.zeros(0, np.int64)] * count, [none] * count, [none] * count)
    are_told = data[0] != PLAIN_FORMAT
    coder = Decoder(coded)
    state = np.array([coder.low, coder.high, coder.code, coder.at], np.int64)
    source = np.frombuffer(coded + bytes(4), np.uint8)
    for at in fitting.order if rows else ():
        _read_column(source, state, fitting, at, table, rows, are_told=are_told)
    low, high, _, end = state.tolist()
    check_end(coded, end - 4, low, high)
    return table


def _read_column(  # noqa: PLR0913, PLR0917 (what a column is read from and goes to)
    source: Bytes,
    state: Integers,
    model: Model,
    at: int,
    table: Table,
    rows: int,
    *,
    are_told: bool,
) -> None:
    how = model.columns[at]
    chances, asked = (start.copy() for start in _start(model.odds[at]))
    gaps, invalid = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_)
    first = int(_external(how.first, table.values, rows)[0]) >> 16
    choice = _read_head(source, state, chances, asked, gaps, invalid, are_told, len(how.predictors))
    predictor = how.predictors[choice]
    values = np.empty(rows, np.int64)
    numbers = (*predictor.own, *how.calm.own, how.calm.start, first, how.rise)
    if max(map(abs, numbers)) > MAX_EXACT:
        raise TooWideError
    base, calm_base = _external(predictor, table.values, rows), _calm(how.calm, table.values, rows)
    fits = _read_values(
        source, state, chances, asked, gaps, base, calm_base,
        np.array(numbers, np.int64), values,
    )  # fmt: skip
    if not fits:
        raise TooWideError
    table.values[at], table.gaps[at], table.invalid[at] = values, gaps, invalid


@lru_cache(maxsize=256)
def _start(odds: Slots) -> tuple[Integers, Integers]:
    """Return where a column's learning starts. A model's odds are never changed: kept as arrays."""
    slots = fresh_slots(odds)
    return np.array(slots.chances, np.int64), np.array(slots.asked, np.int64)


# -- predictions, as telemetry.codec.models works them out --------------------------------------


def _external(predictor: Predictor, known: Sequence[Integers], rows: int) -> Integers:
    weights = [predictor.constant, *(term.weight for term in predictor.terms), *predictor.own]
    if sum(map(abs, weights)) > _MAX_WEIGHTS:
        raise TooWideError
    total = np.full(rows, predictor.constant + ONE // 2, np.int64)
    for term in predictor.terms:
        values = known[term.column]
        if term.times is not None:
            values = values * known[term.times] >> term.shift
            if np.abs(values).max() > MAX_EXACT:
                raise TooWideError
        total += term.weight * _lagged(values, term.lag)
    for grid in predictor.grids:
        total += _height(grid, _lagged(known[grid.x], grid.lag), _lagged(known[grid.y], grid.lag))
    return total


def _calm(calm: Calm, known: Sequence[Integers], rows: int) -> Integers:
    if sum(calm.own) + calm.constant + sum(move.weight for move in calm.moves) > _MAX_WEIGHTS >> 2:
        raise TooWideError
    total = np.full(rows, calm.constant, np.int64)
    for move in calm.moves:
        values = _lagged(known[move.column], move.lag)
        if move.other is not None:
            values = values - _lagged(known[move.column], move.other)
        total += move.weight * np.abs(values)
    return total


def _lagged(values: Integers, lag: int) -> Integers:
    if lag == 0:
        return values
    rows, lagged = len(values), np.empty_like(values)
    cut = min(abs(lag), rows)
    if lag > 0:
        lagged[:cut], lagged[cut:] = values[0], values[: rows - cut]
    else:
        lagged[: rows - cut], lagged[rows - cut :] = values[cut:], values[-1]
    return lagged


def _height(grid: Grid, x: Integers, y: Integers) -> Integers:
    heights, width = np.array(grid.heights, np.int64), len(grid.x_knots)
    if np.abs(heights).max() >> 40:
        raise TooWideError
    column, right = _between(np.array(grid.x_knots, np.int64), x)
    row, up = _between(np.array(grid.y_knots, np.int64), y)
    at = row * width + column
    low = heights[at] * (GRID_ONE - right) + heights[at + 1] * right
    high = heights[at + width] * (GRID_ONE - right) + heights[at + width + 1] * right
    height: Integers = low * (GRID_ONE - up) + high * up >> 2 * GRID_BITS
    return height


def _between(knots: Integers, values: Integers) -> tuple[Integers, Integers]:
    values = np.clip(values, knots[0], knots[-1])
    at = np.minimum(np.searchsorted(knots, values, side="right"), len(knots) - 1) - 1
    return at, (values - knots[at]) * GRID_ONE // (knots[at + 1] - knots[at])


# -- the loops; state is low, high, code, and where the next byte is ----------------------------


@_inlined
def _ask(source: Bytes, state: Integers, chances: Integers, asked: Integers, slot: int) -> bool:
    low, high, chance = state[0], state[1], chances[slot]
    middle = low + ((high - low) * chance >> 16)
    answer = bool(state[2] <= middle)
    if answer:
        high = middle
        chances[slot] = chance + ((ONE - chance) * _RATES[asked[slot]] >> 16)
    else:
        low = middle + 1
        chances[slot] = chance - (chance * _RATES[asked[slot]] >> 16)
    if asked[slot] < LAST_RATE:
        asked[slot] += 1
    state[0], state[1] = low, high
    _shift(source, state)
    return answer


@_inlined
def _shift(source: Bytes, state: Integers) -> None:
    while (state[0] ^ state[1]) < TOP:
        following = source[state[3]] if state[3] < len(source) else 0
        state[3] += 1
        state[0] = state[0] << 8 & _MASK
        state[1] = state[1] << 8 & _MASK | 0xFF
        state[2] = state[2] << 8 & _MASK | following


@_inlined
def _raw(source: Bytes, state: Integers, count: int) -> int:
    value = 0
    while count > 0:
        width, part = state[1] - state[0] + 1, min(count, _RAW_AT_ONCE)
        while part > 1 and not width >> part + _RAW_SPARE - 1:
            part -= 1
        count -= part
        share = width >> part
        bits = (state[2] - state[0]) // share
        if bits >> part:
            return -1
        value = value << part | bits
        state[0] += bits * share
        state[1] = state[0] + share - 1
        _shift(source, state)
    return value


@_compiled
def _read_head(  # noqa: PLR0913, PLR0917 (numba passes by position)
    source: Bytes,
    state: Integers,
    chances: Integers,
    asked: Integers,
    gaps: Flags,
    invalid: Flags,
    are_told: bool,  # noqa: FBT001
    predictors: int,
) -> int:
    """Fill ``gaps`` and ``invalid``; return which of so many predictors the column uses."""
    before = kind = 0
    some = _ask(source, state, chances, asked, ANY_MISSING)
    for row in range(len(gaps) if some else 0):
        before = 1 if _ask(source, state, chances, asked, MISSING + before) else 0
        gaps[row] = before == 1
        if before == 1 and are_told:
            kind = 1 if _ask(source, state, chances, asked, INVALID_GAP + kind) else 0
            invalid[row] = kind == 1
    choice = 0
    while choice < predictors - 1 and _ask(source, state, chances, asked, PREDICTOR + choice):
        choice += 1
    return choice


@_inlined
def _digits(  # noqa: PLR0913, PLR0917 (numba passes by position)
    source: Bytes, state: Integers, chances: Integers, asked: Integers, calm: int, quarter: int
) -> int:
    """Return how many binary digits a distance has; -1 if more than this loop is for."""
    usual, base = _USUAL[calm], CLASSES + calm * PER_CLASS
    digits = int(usual)
    more = base + 2 * QUARTERS - 1  # the slot of "more digits than n" is n further
    if _ask(source, state, chances, asked, more + usual if usual else base + quarter):
        digits += 1
        while _ask(source, state, chances, asked, more + min(digits, DIGIT_SLOTS)):
            digits += 1
            if digits > 31:  # noqa: PLR2004 (bits of MAX_EXACT)
                return -1
        return digits
    while digits > 0:
        digits -= 1
        if _ask(source, state, chances, asked, more + digits if digits else base + quarter):
            return digits + 1
    return 0


@_inlined
def _residual(  # noqa: PLR0913, PLR0917 (numba passes by position)
    source: Bytes, state: Integers, chances: Integers, asked: Integers, calm: int, quarter: int
) -> int:
    """Return how far off a prediction was; more than MAX_EXACT if this loop cannot tell."""
    base = CLASSES + calm * PER_CLASS
    digits = _digits(source, state, chances, asked, calm, quarter)
    if digits <= 0:
        return 0 if digits == 0 else MAX_EXACT + 1
    negative = _ask(source, state, chances, asked, base + QUARTERS + quarter)
    tails, distance = TAILS + min(digits, DIGIT_SLOTS) * PER_TAIL, 1
    if digits > 1:
        second = 1 if _ask(source, state, chances, asked, tails) else 0
        distance = 2 + second
        if digits > 2:  # noqa: PLR2004 (binary digits)
            third = 1 if _ask(source, state, chances, asked, tails + 1 + second) else 0
            low = _raw(source, state, digits - 3)
            if low < 0:
                return MAX_EXACT + 1
            distance = (2 * distance + third) << digits - 3 | low
    return -distance if negative else distance


@_compiled
def _read_values(  # noqa: PLR0913, PLR0917 (numba passes by position)
    source: Bytes,
    state: Integers,
    chances: Integers,
    asked: Integers,
    gaps: Flags,
    bases: Integers,
    calm_bases: Integers,
    numbers: Integers,
    values: Integers,
) -> bool:
    """Fill ``values``; return whether all of them are within what 64 bits do exactly."""
    weight1, weight2, weight3, calm1, calm2, calm3, start, first, rise = numbers
    last, before, third, filled = 0, 0, 0, first
    off1, off2, off3 = start, start, start
    began = False
    for row in range(len(values)):
        if gaps[row]:
            if began:
                before, third = last, before
            values[row] = filled
            continue
        if began:
            exact = weight1 * last + weight2 * before + weight3 * third + bases[row]
            calm = calm1 * off1 + calm2 * off2 + calm3 * off3 + calm_bases[row] >> CALM_SHIFT
            calm = _CALM[calm] if calm < len(_CALM) else CALM_CLASSES - 1
            quarter, predicted = exact >> 14 & 3, exact >> 16
        else:
            calm, quarter, predicted = FIRST_VALUE, 0, first
        off = _residual(source, state, chances, asked, calm, quarter)
        value = predicted + off
        if abs(off) > MAX_EXACT or abs(value) > MAX_EXACT:
            return False
        if began:
            off1, off2, off3 = abs(off), off1, off2
            last, before, third = value, last, before
        else:
            began = True
            last, before, third = value, value - rise, value - 2 * rise
        values[row] = filled = value
    return True
