"""How like two records are, learned: what an attacker who has our code would use.

Each pair of records becomes a few whole numbers (how far apart in place, hour, power ...). From
vehicles whose truth the attacker is given, it learns how often each number comes up for two records
of one vehicle and for two of different ones; the sum of the logarithms of these ratios is the
score. Naive, as the numbers depend on each other, but it weighs everything that a record holds.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import h3.api.basic_int as h3  # type: ignore[import-untyped]
import numpy as np

from telemetry.records import (
    ChargingBatch,
    CurrentKind,
    DiagnosticsBatch,
    DwellClass,
    JourneyClass,
    JourneysBatch,
    TrafficBatch,
)
from tests.support.traces import spot_of

NOWHERE = (1e6, 1e6)
_KINDS, _DWELLS = list(JourneyClass), [None, *DwellClass]
_CURRENTS = [None, *CurrentKind]
Array = Any  # of numpy


@cache
def middle(cell: int | None) -> tuple[float, float]:
    """Return the spot in the middle of a cell; one far away from everything for none."""
    return NOWHERE if cell is None else spot_of(*h3.cell_to_latlng(cell))


def numbers(body: Any) -> list[float]:
    """Return a record as numbers, those of ``pairs``."""
    if isinstance(body, ChargingBatch):
        energy = sum(body.quarter_hours_wh)
        rise = (body.soc_out_percent or 0) - body.soc_in_percent
        return [
            *middle(body.cell),
            body.hour_of_week,
            body.soc_in_percent,
            body.soc_out_percent or -1,
            _CURRENTS.index(body.current),
            max(body.quarter_hours_wh, default=-1),
            energy,
            100 * energy / rise if rise > 0 else -1,
            _DWELLS.index(body.dwell),
        ]
    if isinstance(body, TrafficBatch):
        return [*middle(body.cell), body.hour_of_week, *body.speed_tenths]
    if isinstance(body, JourneysBatch):
        return [
            _KINDS.index(body.kind),
            body.distance_from_km,
            body.duration_from_min,
            -1 if body.consumption_wh_km is None else body.consumption_wh_km,
        ]
    assert isinstance(body, DiagnosticsBatch)
    return [dict(body.losses).get("dropped", 0)]


def pairs(form: str, one: Array, many: Array) -> Array:
    """Return a row of whole numbers for each pair of ``one`` and one of ``many``."""
    return np.stack(_PAIRS[form](one, many), axis=1).astype(int)


def _charging(one: Array, many: Array) -> list[Array]:
    return [
        _apart(one, many, 2_000.0, 5),
        *_hours(one[2], many[:, 2]),
        _steps(one[3], many[:, 3], 10, 10),
        _steps(one[4], many[:, 4], 10, 10),
        one[5] * 3 + many[:, 5],
        _steps(one[6], many[:, 6], 500, 12),
        _steps(one[7], many[:, 7], 2_000, 20),
        _steps(one[8], many[:, 8], 4_000, 12),
        one[9] * 5 + many[:, 9],
    ]


def _traffic(one: Array, many: Array) -> list[Array]:
    return [
        _apart(one, many, 250.0, 32),
        *_hours(one[2], many[:, 2]),
        np.abs(one[3:] - many[:, 3:]).sum(axis=1) // 4,
    ]


def _journeys(one: Array, many: Array) -> list[Array]:
    return [
        one[0] * len(_KINDS) + many[:, 0],
        _steps(one[1], many[:, 1], 5, 20),
        _steps(one[2], many[:, 2], 10, 16),
        _steps(one[3], many[:, 3], 10, 20),
        (one[3] < 0) * 2 + (many[:, 3] < 0),
    ]


def _diagnostics(one: Array, many: Array) -> list[Array]:
    return [one[0] == many[:, 0]]


_PAIRS: dict[str, Callable[[Array, Array], list[Array]]] = {
    "charging": _charging,
    "traffic": _traffic,
    "journeys": _journeys,
    "diagnostics": _diagnostics,
}


def _apart(one: Array, many: Array, step: float, most: int) -> Array:
    """In steps of distance; told apart: both, one or none of them has no place."""
    far = np.minimum(np.hypot(*(many[:, :2] - one[:2]).T) // step, most)
    nowhere = (one[0] == NOWHERE[0]) * 2 + (many[:, 0] == NOWHERE[0])
    return np.where(nowhere > 0, most + nowhere, far)


def _hours(one: Array, many: Array) -> list[Array]:
    """Hours apart on the clock, and both weekday, both weekend, or one of each."""
    apart = np.abs(one - many) % 24
    weekend = (one >= 120) * 2 + (many >= 120)
    return [np.minimum(apart, 24 - apart), weekend * 25 + (many - one) % 24]


def _steps(one: Array, many: Array, step: float, most: int) -> Array:
    return np.minimum(np.abs(one - many) // step, most)


class Learned:
    """The logarithm of how much likelier each number is within one vehicle than across two."""

    def __init__(self, same: Array, other: Array, size: int = 256) -> None:
        self._table = np.zeros((same.shape[1], size))
        for column in range(same.shape[1]):
            within = np.bincount(same[:, column], minlength=size) + 0.5
            across = np.bincount(other[:, column], minlength=size) + 0.5
            # what was seen too rarely to learn from says nothing
            known = within + across > 20
            ratio = np.log(within / within.sum()) - np.log(across / across.sum())
            self._table[column] = np.where(known, ratio, 0.0)

    def score(self, rows: Array) -> Array:
        """Return the score of each row of whole numbers."""
        return sum(self._table[column][rows[:, column]] for column in range(rows.shape[1]))


def certainty(scores: Sequence[float]) -> float:
    """Return how sure the attacker may be of the best of ``scores``, 0 to 1."""
    best = np.exp(np.asarray(scores) - np.max(scores))
    return float(1.0 / best.sum())
