"""What is known about columns before the first one is read: predictions and learned odds.

A model belongs to a schema id and never changes: bytes written with it can be read with it only.
Weights are integers in 1/65536, so that every machine predicts the same.
"""

import base64
import zlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from telemetry.codec.rangecoder import ONE, Slots
from telemetry.codec.residuals import GAP_SLOTS, SLOTS
from telemetry.codec.trained_generic import ODDS as GENERIC_ODDS

Filled = Sequence[int]  # a column with its missing rows filled in
GRID_BITS = 8
GRID_ONE = 1 << GRID_BITS


@dataclass(frozen=True, slots=True)
class Term:
    """One external input of a prediction: weight times a value of columns already known.

    The value of ``column`` is taken ``lag`` rows earlier (negative: later); with ``times`` it is
    multiplied by that column's value of the same row and shifted right by ``shift`` bits.
    """

    weight: int
    column: int
    lag: int = 0
    times: int | None = None
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Grid:
    """A map over two columns: a height at each crossing of knots, straight lines in between.

    Values are taken ``lag`` rows earlier; outside the knots the edge goes on. Heights are in
    1/65536 of a step, row after row of ``y``.
    """

    x: int  # column
    y: int  # column
    lag: int
    x_knots: tuple[int, ...]  # rising
    y_knots: tuple[int, ...]  # rising
    heights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Predictor:
    """A linear prediction: own last three values, a constant, external terms, maps."""

    own: tuple[int, int, int] = (ONE, 0, 0)
    constant: int = 0
    terms: tuple[Term, ...] = ()
    grids: tuple[Grid, ...] = ()


PREVIOUS = Predictor()
LINEAR = Predictor(own=(2 * ONE, -ONE, 0))


@dataclass(frozen=True, slots=True)
class Move:
    """How much another column moves between two rows, or how large it is if ``other`` is None."""

    weight: int  # not negative
    column: int
    lag: int
    other: int | None


@dataclass(frozen=True, slots=True)
class Calm:
    """How far off a prediction will be: from the last three distances and from other columns.

    All weights in 1/65536, none negative; ``start`` stands for the distances before the first.
    """

    own: tuple[int, int, int] = (ONE // 2, ONE // 4, ONE // 4)
    constant: int = ONE // 8
    moves: tuple[Move, ...] = ()
    start: int = 0


@dataclass(frozen=True, slots=True)
class ColumnModel:
    """How one column is predicted: what its first value is like, and which ways to choose from.

    ``first`` predicts the first value (its own weights are not used); ``rise`` is how much the
    column is taken to have risen per row before it began.
    """

    predictors: tuple[Predictor, ...] = (PREVIOUS, LINEAR)
    first: Predictor = PREVIOUS
    rise: int = 0
    calm: Calm = Calm()


@dataclass(frozen=True, slots=True)
class Model:
    """All columns: the order in which they are coded, how, and the odds learning starts from."""

    order: tuple[int, ...]
    columns: tuple[ColumnModel, ...]
    odds: tuple[Slots, ...]  # one for each column

    def slots(self, column: int) -> Slots:
        """Return a fresh copy of a column's odds."""
        return fresh_slots(self.odds[column])


def fresh_slots(odds: Slots) -> Slots:
    """Return a copy of a column's trained ``odds`` to learn in, with those of gaps behind them."""
    return Slots([*odds.chances, *_GAP_CHANCES], [*odds.asked, *_GAP_ASKED])


def trained_model(order: tuple[int, ...], columns: tuple[ColumnModel, ...], odds: str) -> Model:
    """Return a model with the odds that training wrote down.

    Raises:
        ValueError: The odds are not those of so many columns.
    """
    return Model(order=order, columns=columns, odds=unpack_odds(odds, len(columns)))


def generic_model(columns: int) -> Model:
    """Return a model for columns of which nothing is known."""
    return Model(
        order=tuple(range(columns)),
        columns=(ColumnModel(),) * columns,
        odds=(_GENERIC,) * columns,
    )


def pack_odds(odds: Sequence[Slots]) -> str:
    """Return odds as text for a module; the inverse of ``unpack_odds``."""
    chances = b"".join(chance.to_bytes(2, "big") for slots in odds for chance in slots.chances)
    asked = bytes(count for slots in odds for count in slots.asked)
    return base64.b85encode(zlib.compress(chances[::2] + chances[1::2] + asked, 9)).decode()


def unpack_odds(odds: str, columns: int) -> tuple[Slots, ...]:
    """Return the odds of ``columns`` columns; raise ValueError if the text holds others."""
    data = zlib.decompress(base64.b85decode(odds))
    count = columns * SLOTS
    if len(data) != 3 * count:
        raise ValueError(f"expected odds of {columns} columns, got {len(data) / 3 / SLOTS:g}")
    chances = [high << 8 | low for high, low in zip(data[:count], data[count:], strict=False)]
    asked = data[2 * count :]
    starts = range(0, count, SLOTS)
    return tuple(Slots(chances[at : at + SLOTS], asked[at : at + SLOTS]) for at in starts)


_GAP_CHANCES, _GAP_ASKED = [ONE // 2] * GAP_SLOTS, [0] * GAP_SLOTS
_GENERIC = unpack_odds(GENERIC_ODDS, 1)[0]


def external(predictor: Predictor, known: Sequence[Filled], rows: int) -> list[int]:
    """Return, for each row, everything of a prediction but the own values, in 1/65536.

    Rows before the first and behind the last count as the first and the last.
    """
    total = [predictor.constant + ONE // 2] * rows
    terms = [(term.weight, _inputs(term, known, rows)) for term in predictor.terms]
    for (one, first), (two, second) in zip(terms[::2], terms[1::2], strict=False):
        total = [sum_ + one * a + two * b for sum_, a, b in zip(total, first, second, strict=True)]
    for weight, values in terms[len(terms) & ~1 :]:
        total = [sum_ + weight * value for sum_, value in zip(total, values, strict=True)]
    for grid in predictor.grids:
        xs, ys = (_lagged(known[column], grid.lag, rows) for column in (grid.x, grid.y))
        heights = map(_height(grid), xs, ys)
        total = [sum_ + height for sum_, height in zip(total, heights, strict=True)]
    return total


def _inputs(term: Term, known: Sequence[Filled], rows: int) -> Filled:
    values = known[term.column]
    if term.times is not None:
        others = known[term.times]
        values = [a * b >> term.shift for a, b in zip(values, others, strict=True)]
    return _lagged(values, term.lag, rows)


def calm_base(calm: Calm, known: Sequence[Filled], rows: int) -> list[int]:
    """Return, for each row, how far off a prediction will be but for the own distances."""
    total = [calm.constant] * rows
    for move in calm.moves:
        weight = move.weight
        values = _lagged(known[move.column], move.lag, rows)
        if move.other is None:
            total = [sum_ + weight * abs(value) for sum_, value in zip(total, values, strict=True)]
            continue
        others = _lagged(known[move.column], move.other, rows)
        total = [
            sum_ + weight * abs(value - other)
            for sum_, value, other in zip(total, values, others, strict=True)
        ]
    return total


def _height(grid: Grid) -> Callable[[int, int], int]:
    x_knots, y_knots, heights, width = grid.x_knots, grid.y_knots, grid.heights, len(grid.x_knots)

    def height(x: int, y: int) -> int:
        column, right = _between(x_knots, x)
        row, up = _between(y_knots, y)
        at = row * width + column
        low = heights[at] * (GRID_ONE - right) + heights[at + 1] * right
        at += width
        high = heights[at] * (GRID_ONE - right) + heights[at + 1] * right
        return low * (GRID_ONE - up) + high * up >> 2 * GRID_BITS

    return height


def _between(knots: Sequence[int], value: int) -> tuple[int, int]:
    """Return the knot at or before ``value`` and how far it is to the next one, in 1/256."""
    value = min(max(value, knots[0]), knots[-1])
    at = min(bisect_right(knots, value), len(knots) - 1) - 1
    return at, (value - knots[at]) * GRID_ONE // (knots[at + 1] - knots[at])


def _lagged(values: Filled, lag: int, rows: int) -> Filled:
    if lag > 0:
        return [*[values[0]] * min(lag, rows), *values[: max(rows - lag, 0)]]
    if lag < 0:
        return [*values[-lag:], *[values[-1]] * min(-lag, rows)]
    return values
