"""Attacks (a) and (d): where is home? From one name, and from all records joined by an oracle.

The attacker knows where the homes of the other half of the town are, and what was stored of them:
it learns how far from home a record's cell tends to lie, also what a cut zone leaves out, and
weighs every home that it knows by it. Its guess is the spot with the most weight within 300 m.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from telemetry.records import JourneysBatch
from tests.support.attack_result import TRACKS, Result, by_name, sample
from tests.support.leaks import Leak, RawTrack, Stored
from tests.support.likeness import middle
from tests.support.linking import start_of
from tests.support.traces import HALF_M, Spot, Town

NEAR_M = 300.0
_GRID_M = 200.0  # between the spots that are guessed
_RING_M = 200.0  # what is learned of distances from home
_RINGS = 60
Unit = Sequence[Stored]
Array = Any


RANKS = ("only", "first", "last")  # where a place stood among those under one name


def _evidence(unit: Unit) -> list[tuple[str, Spot]]:
    """Return the places under each name that may say where home is: the two ends of a row."""
    found = []
    for named in by_name(unit).values():
        spots = [middle(cell) for one in named if (cell := getattr(one.body, "cell", None))]
        if len(spots) == 1:
            found.append(("only", spots[0]))
        elif spots:
            found += [("first", spots[0]), ("last", spots[-1])]
    return found


class HomeGuesser:
    """What is known and learned of one half of the town, to be tried on the other."""

    def __init__(self, town: Town, form: str, batches: Sequence[Stored], half: int) -> None:
        known = [driver for driver in town.drivers if driver.number % 2 != half]
        self._homes = np.array([driver.home for driver in known])
        self._row = {driver.number: at for at, driver in enumerate(known)}
        axis = np.arange(-HALF_M, HALF_M + 1, _GRID_M)
        self._spots = np.array([(east, north) for east in axis for north in axis])
        apart = self._spots[:, None, :] - self._homes[None, :, :]
        self._near = (np.hypot(apart[..., 0], apart[..., 1]) <= NEAR_M).astype(np.float32)
        learn_from = [batch for batch in batches if batch.vehicle in self._row]
        self._rings = self._learn_rings(learn_from)
        self._classes = self._learn_classes(learn_from) if form == "journeys" else {}
        self.usual = self._best(np.ones(len(known), dtype=np.float32))

    def guess(self, unit: Unit) -> Spot:
        """Return the best guess from records that belong together."""
        first = unit[0].body
        if isinstance(first, RawTrack):
            tracks = [batch.body for batch in unit if batch.body.points]
            return start_of(tracks[0]) if tracks else self.usual
        if isinstance(first, JourneysBatch):
            return self._best(sum(self._classes.get(one.body, 1.0) for one in unit))
        found = set(_evidence(unit))
        if not found:
            return self.usual
        weights = sum(
            self._rings[rank][self._ring(np.hypot(*(self._homes - spot).T))] for rank, spot in found
        )
        return self._best(np.exp(weights - np.max(weights)).astype(np.float32))

    def _best(self, weights: Array) -> Spot:
        if not np.ndim(weights):
            return self.usual
        east, north = self._spots[int((self._near @ weights).argmax())]
        return float(east), float(north)

    @staticmethod
    def _ring(distances: Array) -> Array:
        return np.minimum(distances // _RING_M, _RINGS - 1).astype(int)

    def _learn_rings(self, batches: Sequence[Stored]) -> dict[str, Array]:
        own = {rank: np.full(_RINGS, 0.5) for rank in RANKS}
        any_ = {rank: np.full(_RINGS, 0.5) for rank in RANKS}
        for unit in by_name(batches).values():
            for rank, spot in _evidence(unit):
                far = self._ring(np.hypot(*(self._homes - spot).T))
                own[rank][far[self._row[unit[0].vehicle]]] += 1
                any_[rank] += np.bincount(far, minlength=_RINGS)
        return {
            rank: np.log(own[rank] / own[rank].sum()) - np.log(any_[rank] / any_[rank].sum())
            for rank in RANKS
        }

    def _learn_classes(self, batches: Sequence[Stored]) -> dict[Any, Array]:
        """How often each known home told the same journey; too rare ones say nothing."""
        found: defaultdict[Any, Array] = defaultdict(lambda: np.zeros(len(self._homes)))
        for batch in batches:
            found[batch.body][self._row[batch.vehicle]] += 1
        return {
            body: counts.astype(np.float32) for body, counts in found.items() if counts.sum() >= 300
        }


def find_homes(stored: Leak, town: Town) -> list[Result]:
    """From the batches of one name."""
    results = []
    for form, batches in stored.items():
        units = sample(list(by_name(batches).values()), form)
        results.append(_placed("a home", form, units, batches, town))
    return results


def average_crops(stored: Leak, town: Town) -> list[Result]:
    """From all batches of a vehicle, joined by an oracle: more than any attacker has."""
    results = []
    for form, batches in stored.items():
        of_vehicle: defaultdict[int, list[Stored]] = defaultdict(list)
        for batch in sorted(batches, key=lambda batch: batch.arrived):
            of_vehicle[batch.vehicle].append(batch)
        results.append(_placed("d averaging", form, list(of_vehicle.values()), batches, town))
    return results


def _placed(
    attack: str, form: str, units: Sequence[Unit], batches: Sequence[Stored], town: Town
) -> Result:
    guessers = [HomeGuesser(town, form, batches, half) for half in (0, 1)]
    homes = {driver.number: driver.home for driver in town.drivers}
    hits, lucky = [], []
    for unit in units:
        guesser, home = guessers[unit[0].vehicle % 2], homes[unit[0].vehicle]
        guess = _average(unit, guesser) if form in TRACKS else guesser.guess(unit)
        hits.append(math.dist(guess, home) <= NEAR_M)
        lucky.append(float(math.dist(guesser.usual, home) <= NEAR_M))
    return Result(attack, form, hits, lucky)


def _average(unit: Unit, guesser: HomeGuesser) -> Spot:
    """The middle of what each name says."""
    many = [guesser.guess(named) for named in by_name(unit).values()]
    east, north = np.median(np.array(many), axis=0)
    return float(east), float(north)
