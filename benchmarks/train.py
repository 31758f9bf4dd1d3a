"""Fit the models that ship with schemas: weights by least squares, odds by counting answers.

Run ``python -m benchmarks.train FOLDER`` with the folder of recorded trips; it rewrites the
``trained_*.py`` modules, which are data: a batch written with one set cannot be read with
another, so after a release a new fit needs a new schema id. Trips A01 to A05 and B02 are for
training only; figures are reported on the others.

``python -m benchmarks.train FOLDER --check`` fits again, writes nothing, and exits with 1 unless
the result is what ships: that no other trip went into it can be seen for oneself.
"""

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.i3 import Table, read_i3
from benchmarks.models import BATTERY, I3, Input, Map, ModelShape, Shape
from telemetry.codec.columns import encode_columns
from telemetry.codec.models import (
    LINEAR,
    PREVIOUS,
    Calm,
    ColumnModel,
    Grid,
    Model,
    Move,
    Predictor,
    Term,
    external,
    generic_model,
    pack_odds,
    unpack_odds,
)
from telemetry.codec.rangecoder import ONE, SUREST, Slots
from telemetry.codec.residuals import SLOTS

_ROOT = Path(__file__).parents[1]
TRAINING = ("A01", "A02", "A03", "A04", "A05", "B02")
MAX_CONFIDENCE = 20  # answers; source: measured, between 8 and 50 nothing changes by 0.2 %
RIDGE = 1e-6
ROUNDS, NEAR = 12, 1.0  # of the fit by distances: rounds, and what counts as no distance
CALM_ROUNDS, LEAST_CALM = 300, 0.05
BATCH_MS, SLICE_MS, BLOCK_MS = 60_000, 300_000, 10_000

Columns = list[list[int]]
Matrix = NDArray[np.floating[Any]]
Vector = NDArray[np.floating[Any]]


class _Tally(list[int]):
    """Chances that count the answers by which they learn."""

    def __init__(self, chances: Sequence[int]) -> None:
        super().__init__(chances)
        self.yes, self.no = [0] * len(chances), [0] * len(chances)

    def __setitem__(self, slot: object, chance: object) -> None:
        if not isinstance(slot, int) or not isinstance(chance, int):
            raise TypeError("expected one chance at a time")
        before = self[slot]
        said_yes = chance > before or (chance == before and before > ONE // 2)
        (self.yes if said_yes else self.no)[slot] += 1
        super().__setitem__(slot, chance)


@dataclass(frozen=True, slots=True)
class _Recording(Model):
    """A model whose slots remember what was asked."""

    tallies: dict[int, list[_Tally]]

    def slots(self, column: int) -> Slots:
        slots = Slots((), self.odds[column].asked)
        slots.chances = tally = _Tally(self.odds[column].chances)
        self.tallies.setdefault(column, []).append(tally)
        return slots


@dataclass(frozen=True, slots=True)
class Fit:
    """One fitted model and the module it belongs to."""

    path: Path
    what: str
    columns: tuple[ColumnModel, ...]
    odds: list[Slots]

    @property
    def is_shipped(self) -> bool:
        """Whether the module that ships holds this, but for the last digits.

        The fit solves equations in floating point, and the library that does adds up in another
        order on another machine: weights may differ by a thousandth, chances by a fiftieth.
        """
        package = ".".join(self.path.relative_to(_ROOT).with_suffix("").parts)
        shipped = importlib.import_module(package)
        columns = tuple(_numbers(getattr(shipped, "COLUMNS", ())))
        odds = unpack_odds(shipped.ODDS, len(self.odds))
        return _are_near(columns, tuple(_numbers(self.columns)), share=1e-3, least=2) and _are_near(
            [chance for slots in odds for chance in slots.chances],
            [chance for slots in self.odds for chance in slots.chances],
            share=0,
            least=ONE // 50,
        )


def _numbers(value: object) -> Iterator[int | None]:
    """Yield every number of a model, in the order of its fields."""
    if is_dataclass(value) and not isinstance(value, type):
        for part in fields(value):
            yield from _numbers(getattr(value, part.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    elif value is None or isinstance(value, int):
        yield value


def _are_near(
    ours: Sequence[int | None], theirs: Sequence[int | None], *, share: float, least: int
) -> bool:
    return len(ours) == len(theirs) and all(
        one == other
        if one is None or other is None
        else abs(one - other) <= max(least, share * abs(one))
        for one, other in zip(ours, theirs, strict=True)
    )


def fit_all(folder: Path) -> list[Fit]:
    """Fit all models on the training trips in ``folder``; takes about ten seconds."""
    trips = [read_i3(folder / f"Trip{name}.csv.gz", rate_hz=1) for name in TRAINING]
    codec = _ROOT / "telemetry" / "codec"
    generic = _fit_generic(trips)
    battery = _fit(BATTERY, trips, _battery_columns, (SLICE_MS, BATCH_MS), generic)
    i3 = _fit(I3, trips, _i3_columns, (BATCH_MS,), generic)
    unknown = "the odds of columns of which nothing is known"
    return [
        Fit(codec / "trained_generic.py", unknown, (), [generic]),
        Fit(codec / "trained_battery_1.py", "the model of the schema battery.1", *battery),
        Fit(_ROOT / "benchmarks" / "trained_i3.py", "the model of the schema bench.i3", *i3),
    ]


def _i3_columns(table: Table) -> Columns:
    return [table.times_ms, *table.columns]


def _battery_columns(table: Table) -> Columns:
    voltage, current, soc, _, temp = table.columns[:5]
    return [table.times_ms, voltage, current, soc, [raw - 40 for raw in temp]]


def _cut(
    trips: Sequence[Table], columns: Callable[[Table], Columns], *lengths_ms: int
) -> Iterator[Columns]:
    for trip in trips:
        for length_ms in lengths_ms:
            for window in trip.windows(length_ms):
                yield columns(window)


def _fit_generic(trips: Sequence[Table]) -> Slots:
    nothing = Slots([ONE // 2] * SLOTS, [0] * SLOTS)
    model = replace(generic_model(13), odds=(nothing,) * 13)
    tallies = _tallies(model, _cut(trips, _i3_columns, BLOCK_MS, BATCH_MS))
    return _odds([tally for column in tallies.values() for tally in column], nothing)


def _fit(
    shape: ModelShape,
    trips: Sequence[Table],
    columns: Callable[[Table], Columns],
    lengths_ms: tuple[int, ...],
    generic: Slots,
) -> tuple[tuple[ColumnModel, ...], list[Slots]]:
    whole = [columns(trip) for trip in trips]
    starts = list(_cut(trips, columns, BATCH_MS))
    fitted = tuple(
        _fit_column(shape.columns.get(at, Shape()), at, whole, starts)
        for at in range(len(shape.order))
    )
    model = Model(order=shape.order, columns=fitted, odds=(generic,) * len(fitted))
    tallies = _tallies(model, _cut(trips, columns, *lengths_ms))
    return fitted, [_odds(tallies[at], generic) for at in range(len(fitted))]


def _fit_column(
    shape: Shape, at: int, whole: Sequence[Columns], starts: Sequence[Columns]
) -> ColumnModel:
    nothing = Shape(inputs=shape.first)
    first = _predictor(nothing, at, [_head(columns) for columns in starts], skip=0)
    if not shape.own:
        predictors: tuple[Predictor, ...] = (PREVIOUS, LINEAR)
    else:
        predictors = (_predictor(shape, at, whole, skip=3), PREVIOUS, LINEAR)
    best = LINEAR if shape.rise else predictors[0]
    calm = _calm(shape, at, best, whole)
    return ColumnModel(predictors=predictors, first=first, rise=shape.rise, calm=calm)


def _head(columns: Columns) -> Columns:
    return [column[:1] for column in columns]


def _predictor(shape: Shape, at: int, tables: Sequence[Columns], *, skip: int) -> Predictor:
    inputs = (*(Input(at, lag) for lag in range(1, shape.own + 1)), *shape.inputs)
    left = np.vstack([_features(inputs, shape.grids, columns)[skip:] for columns in tables])
    right = np.concatenate([np.array(columns[at][skip:], float) for columns in tables])
    weights = [round(weight * ONE) for weight in _least_distances(left, right)]
    count = len(inputs) + 1
    return Predictor(
        own=(*weights[1 : shape.own + 1], *[0] * (3 - shape.own)),
        constant=weights[0],
        terms=tuple(
            Term(weight, one.column, one.lag, one.times, one.shift)
            for weight, one in zip(weights[shape.own + 1 : count], shape.inputs, strict=True)
            if weight
        ),
        grids=tuple(_grids(shape.grids, weights[count:])),
    )


def _grids(maps: Sequence[Map], heights: list[int]) -> Iterator[Grid]:
    for one in maps:
        count = len(one.x_knots) * len(one.y_knots)
        yield Grid(one.x, one.y, one.lag, one.x_knots, one.y_knots, tuple(heights[:count]))
        heights = heights[count:]


def _least_distances(left: Matrix, right: Vector) -> Vector:
    """Fit so that the sum of distances, not of their squares, is least: that is what bits cost."""
    ridge = RIDGE * np.eye(left.shape[1])
    weights: Vector = np.linalg.solve(left.T @ left + ridge, left.T @ right)
    for _ in range(ROUNDS):
        certain = 1 / np.maximum(np.abs(right - left @ weights), NEAR)
        scaled = (left * certain[:, None]).T
        weights = np.linalg.solve(scaled @ left + ridge, scaled @ right)
    return weights


def _features(inputs: Sequence[Input], maps: Sequence[Map], columns: Columns) -> Matrix:
    features: list[Matrix] = [np.ones((len(columns[0]), 1))]
    for one in inputs:
        values = np.array(columns[one.column], np.int64)
        if one.times is not None:
            values = values * np.array(columns[one.times], np.int64) >> one.shift
        features.append(_lagged(values, one.lag)[:, None])
    for one_map in maps:
        x = _hats(_lagged(np.array(columns[one_map.x]), one_map.lag), one_map.x_knots)
        y = _hats(_lagged(np.array(columns[one_map.y]), one_map.lag), one_map.y_knots)
        features.append((y[:, :, None] * x[:, None, :]).reshape(len(x), -1))
    return np.hstack(features)


def _lagged(values: NDArray[np.int64], lag: int) -> Vector:
    rows = len(values)
    return values[np.clip(np.arange(rows) - lag, 0, rows - 1)].astype(float)


def _hats(values: Vector, knots: Sequence[int]) -> Matrix:
    """Return for each value how near it is to each knot: two neighbours share 1."""
    return np.stack([np.interp(values, knots, row) for row in np.eye(len(knots))], axis=1)


def _calm(shape: Shape, at: int, predictor: Predictor, tables: Sequence[Columns]) -> Calm:
    offs, features = [], []
    for columns in tables:
        off = _distances(predictor, at, columns)
        offs.append(off)
        features.append(_calm_features(off, shape.moves, columns))
    right = np.concatenate(offs)
    weights = _never_negative(np.vstack(features), right)
    one, two, three, constant, *moves = (round(weight * ONE) for weight in weights)
    return Calm(
        own=(one, two, three),
        constant=constant,
        moves=tuple(
            Move(weight, move.column, move.lag, move.other)
            for weight, move in zip(moves, shape.moves, strict=True)
            if weight
        ),
        start=round(float(right.mean())),
    )


def _distances(predictor: Predictor, at: int, columns: Columns) -> Vector:
    """Return how far off ``predictor`` is in each row; 0 in the first three."""
    values = columns[at]
    one, two, three = predictor.own
    base = external(predictor, columns, len(values))
    exact = [
        one * last + two * before + three * third + rest >> 16
        for third, before, last, rest in zip(values, values[1:], values[2:], base[3:], strict=False)
    ]
    off = [abs(value - there) for value, there in zip(values[3:], exact, strict=False)]
    return np.array([0, 0, 0, *off], float)


def _calm_features(off: Vector, moves: Sequence[Move], columns: Columns) -> Matrix:
    own = [np.concatenate([np.zeros(lag), off[:-lag]]) for lag in (1, 2, 3)]
    outer = []
    for move in moves:
        values = np.array(columns[move.column])
        moved = _lagged(values, move.lag)
        outer.append(np.abs(moved if move.other is None else moved - _lagged(values, move.other)))
    return np.stack([*own, np.ones(len(off)), *outer], axis=1)


def _never_negative(left: Matrix, right: Vector) -> Vector:
    """Fit weights of which none is negative, by ratios of distances: D. Lee, H. Seung (2001)."""
    weights = np.full(left.shape[1], 0.1)
    for _ in range(CALM_ROUNDS):
        found = left @ weights + LEAST_CALM
        scaled = (left / found[:, None] ** 2).T
        weights *= scaled @ right / (scaled @ (left @ weights) + 1e-9)
    return weights


def _tallies(model: Model, tables: Iterator[Columns]) -> dict[int, list[_Tally]]:
    recording = _Recording(model.order, model.columns, model.odds, {})
    for columns in tables:
        encode_columns(columns, model=recording)
    return recording.tallies


def _odds(tallies: Sequence[_Tally], fallback: Slots) -> Slots:
    chances, asked = [], []
    for slot in range(SLOTS):
        yes = sum(tally.yes[slot] for tally in tallies)
        count = yes + sum(tally.no[slot] for tally in tallies)
        chance = round(ONE * (yes + 0.4) / (count + 0.8)) if count else fallback.chances[slot]
        chances.append(max(ONE - SUREST, min(SUREST, chance)))
        asked.append(min(count, MAX_CONFIDENCE) if count else fallback.asked[slot])
    return Slots(chances, asked)


def _write(fit: Fit) -> None:
    columns = fit.columns
    lines = [f'"""Data, written by ``benchmarks.train``: {fit.what}."""', ""]
    if columns:
        names = ("Calm", "ColumnModel", "Grid", "Move", "Predictor", "Term")
        used = [name for name in names if f"{name}(" in repr(columns)]
        lines += [f"from telemetry.codec.models import {', '.join(used)}", ""]
        lines += ["COLUMNS = (", *(f"    {column!r}," for column in columns), ")", ""]
    text = textwrap.wrap(pack_odds(fit.odds), 90)
    lines += ["ODDS = (", *(f"    {line!r}" for line in text), ")", ""]
    fit.path.write_text("\n".join(lines))


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; exit 1 unless this is what ships.")
def main(folder: Path, *, check: bool) -> None:
    """Fit the models on the training trips in FOLDER and write their modules."""
    fits = fit_all(folder)
    for fit in fits:
        if not check:
            _write(fit)
        found = "same as shipped" if fit.is_shipped else "differs from what ships"
        print(f"{fit.path.name}: {found if check else 'written'}")
    if check and not all(fit.is_shipped for fit in fits):
        sys.exit(1)


if __name__ == "__main__":
    main()
