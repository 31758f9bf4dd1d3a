"""Attacks (b) and (c): join what one vehicle told on two days, or what it told to a known trip."""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agent.privacy.patterns import JourneyFacts, journey
from tests.support.attack_result import TRACKS, Result, by_name, sample
from tests.support.leaks import TRACKED, Leak, Stored
from tests.support.likeness import NOWHERE, Learned, certainty, middle, numbers, pairs
from tests.support.traces import POINT_EVERY_M, Spot, Trip, spot_of

KNOWN_TRIPS = 2_000
TRIES = 15_000
RARE_SHARE = 0.2  # of the tries: those of which the attacker is surest
Unit = Sequence[Stored]
Array = Any


def start_of(track: Any) -> Spot:
    """Where a track began; what a fixed crop took away is driven back, straight on."""
    spots = [spot_of(point.latitude, point.longitude) for point in track.points[:2]]
    if track.points[0].time_s == 0 or len(spots) == 1:
        return spots[0]
    (east, north), (east_2, north_2) = spots
    back = (250 + POINT_EVERY_M / 2) / max(1.0, math.dist(*spots))
    return east - back * (east_2 - east), north - back * (north_2 - north)


# (b): two days


def link_days(stored: Leak, seed: int = 1) -> list[Result]:
    """For a name of one day, name the same vehicle's on another day, fixed in advance."""
    results = []
    for form, batches in stored.items():
        if form in TRACKS:
            results.append(_link_tracks(form, batches, random.Random(seed)))
        else:
            results += _link(form, batches, random.Random(seed))
    return results


def _link_tracks(form: str, batches: Sequence[Stored], dice: random.Random) -> Result:
    of_day = _days(batches)
    homes = {day: np.array([_home_of(unit) for unit in units]) for day, units in of_day.items()}
    hits, lucky = [], []
    for unit in sample([unit for units in of_day.values() for unit in units], form):
        other = dice.choice([day for day in of_day if day != unit[0].arrived.date()])
        named = int(np.hypot(*(homes[other] - _home_of(unit)).T).argmin())
        hits.append(of_day[other][named][0].vehicle == unit[0].vehicle)
        lucky.append(_share(of_day[other], unit))
    return Result("b two days", form, hits, lucky)


def _home_of(unit: Unit) -> Spot:
    track = next((batch.body for batch in unit if batch.body.points), None)
    return start_of(track) if track else NOWHERE


def _days(batches: Sequence[Stored]) -> dict[Any, list[Unit]]:
    """What came on each day, by name; a name that came on two days is there twice."""
    came: defaultdict[Any, list[Stored]] = defaultdict(list)
    for batch in batches:
        came[batch.arrived.date()].append(batch)
    return {day: list(by_name(came[day]).values()) for day in sorted(came)}


def _share(pool: Sequence[Unit], unit: Unit) -> float:
    return sum(one[0].vehicle == unit[0].vehicle for one in pool) / len(pool)


def _link(form: str, batches: Sequence[Stored], dice: random.Random) -> list[Result]:
    """Both halves of the vehicles, each with what was learned from the other."""
    of_day = _days(batches)
    told = {day: _table(units) for day, units in of_day.items()}
    learned = [_learn_pairs(form, batches, half) for half in (0, 1)]
    units = [unit for units in of_day.values() for unit in units]
    hits, lucky, sure = [], [], []
    for unit in [dice.choice(units) for _ in range(TRIES)]:
        other = dice.choice([day for day in of_day if day != unit[0].arrived.date()])
        one = np.array(numbers(unit[0].body))
        scores = learned[unit[0].vehicle % 2].score(pairs(form, one, told[other]))
        scores = scores + _same_name(unit, of_day[other])
        named = _best(scores, dice)
        hits.append(of_day[other][named][0].vehicle == unit[0].vehicle)
        lucky.append(_share(of_day[other], unit))
        sure.append(certainty(scores))
    rare = np.argsort(sure)[-round(RARE_SHARE * len(sure)) :]
    return [
        Result("b two days", form, hits, lucky),
        Result("b rare habits", form, [hits[at] for at in rare], [lucky[at] for at in rare]),
    ]


def _same_name(unit: Unit, pool: Sequence[Unit]) -> Array:
    return np.array([1e3 * (one[0].pseudonym == unit[0].pseudonym) for one in pool])


def _table(units: Sequence[Unit]) -> Array:
    return np.array([numbers(unit[0].body) for unit in units], dtype=float)


def _best(scores: Array, dice: random.Random) -> int:
    return int(dice.choice(np.flatnonzero(scores >= scores.max() - 1e-9)))


def _learn_pairs(form: str, batches: Sequence[Stored], half: int) -> Learned:
    """From all vehicles that are not of this half."""
    mine = [batch for batch in batches if batch.vehicle % 2 != half]
    table = np.array([numbers(batch.body) for batch in mine], dtype=float)
    vehicles = np.array([batch.vehicle for batch in mine])
    days = np.array([batch.day for batch in mine])
    same, other = [], []
    dice = np.random.default_rng(half)
    for at in range(len(mine)):
        near = np.flatnonzero((vehicles == vehicles[at]) & (days != days[at]))
        if near.size:
            same.append(pairs(form, table[at], table[near]))
            far = dice.integers(0, len(mine), 10)
            other.append(pairs(form, table[at], table[far[vehicles[far] != vehicles[at]]]))
    return Learned(np.concatenate(same), np.concatenate(other))


# (c): one known trip


def recognise(stored: Leak, truth: dict[int, list[Trip]], seed: int = 2) -> list[Result]:
    """Knowing one trip, name any batch of that vehicle that is about another."""
    dice, results = random.Random(seed), []
    known = [dice.choice(trips) for trips in truth.values() if len(trips) > 1]
    dice.shuffle(known)
    for form, batches in stored.items():
        shares = Counter(batch.vehicle for batch in batches)
        if form in TRACKS:
            tries = [trip for trip in known if trip.vehicle < TRACKED]
            name = _tracker(batches)
        else:
            tries = known[: len(known) // 2]
            name = _matcher(form, batches, truth, {trip.vehicle for trip in tries}, dice)
        named = [name(trip) for trip in tries]
        hits = [
            one.vehicle == trip.vehicle and one.trip != trip.number
            for one, trip in zip(named, tries, strict=True)
        ]
        lucky = [shares[trip.vehicle] / len(batches) for trip in tries]
        results.append(Result("c known trip", form, hits, lucky))
    return results


def _tracker(batches: Sequence[Stored]) -> Callable[[Trip], Stored]:
    names, of_day = by_name(batches), defaultdict(list)
    for batch in batches:
        of_day[batch.body.started.date()].append(batch)

    def name(trip: Trip) -> Stored:
        def apart(batch: Stored) -> float:
            seconds = abs((batch.body.started - trip.started).total_seconds())
            if seconds > 60 or not batch.body.points:
                return 1e9 + seconds
            return math.dist(start_of(batch.body), trip.from_spot)

        found = min(of_day[trip.started.date()], key=apart)
        return next((one for one in names[found.pseudonym] if one is not found), found)

    return name


def _matcher(
    form: str,
    batches: Sequence[Stored],
    truth: dict[int, list[Trip]],
    targets: set[int],
    dice: random.Random,
) -> Callable[[Trip], Stored]:
    table = np.array([numbers(batch.body) for batch in batches], dtype=float)
    vehicles = np.array([batch.vehicle for batch in batches])
    trips = np.array([batch.trip for batch in batches])
    places, place_of = _places(form, batches)
    same, other = [], []
    for vehicle in [vehicle for vehicle in truth if vehicle not in targets][:1_500]:
        trip = dice.choice(truth[vehicle])
        rows = _to_trip(form, trip, table, places, place_of)
        mine = vehicles == vehicle
        same.append(rows[mine & (trips != trip.number)])
        other.append(rows[np.flatnonzero(~mine)[:: max(1, len(rows) // 30)]])
    learned = Learned(np.concatenate(same), np.concatenate(other))

    names, of_name = _names(batches)

    def name(trip: Trip) -> Stored:
        scores = learned.score(_to_trip(form, trip, table, places, place_of))
        best = _best(np.bincount(of_name, weights=scores), dice)
        # under one name with the known trip: what is least like it is another trip
        return batches[min(names[best], key=lambda at: scores[at])]

    return name


def _names(batches: Sequence[Stored]) -> tuple[list[list[int]], Array]:
    """The batches under each pseudonym, and which pseudonym each batch has."""
    number: dict[bytes, int] = {}
    of_name = [number.setdefault(batch.pseudonym, len(number)) for batch in batches]
    names: list[list[int]] = [[] for _ in number]
    for at, one in enumerate(of_name):
        names[one].append(at)
    return names, np.array(of_name)


def _places(form: str, batches: Sequence[Stored]) -> tuple[Array, Array]:
    """The different places in the batches, and which of them is in each batch."""
    spots = [middle(getattr(batch.body, "cell", None)) for batch in batches]
    different, which = np.unique(np.array(spots), axis=0, return_inverse=True)
    return different, which.reshape(-1)


def _to_trip(form: str, trip: Trip, table: Array, places: Array, place_of: Array) -> Array:
    if form == "journeys":
        return pairs(form, np.array(numbers(_as_journey(trip)), dtype=float), table)
    if form == "diagnostics":
        return np.zeros((len(table), 1), dtype=int)
    path = np.array([spot_of(at.latitude, at.longitude) for at in trip.points])
    if form == "charging":
        path = path[-1:]
    east, north = places[:, 0, None] - path[None, :, 0], places[:, 1, None] - path[None, :, 1]
    far = np.minimum(np.hypot(east, north).min(axis=1) // 150, 60).astype(int)
    when = trip.ended if form == "charging" else trip.started
    hour = when.weekday() * 24 + when.hour
    weekend = (hour >= 120) * 2 + (table[:, 2] >= 120)
    ahead = (table[:, 2] - hour) % 24
    return np.stack([far[place_of], weekend * 24 + ahead], axis=1).astype(int)


def _as_journey(trip: Trip) -> Any:
    return journey(
        JourneyFacts(
            started=trip.started,
            distance_m=trip.distance_m,
            duration_s=trip.duration_s,
            dwell_before_s=trip.dwell_before_s,
            energy_wh=trip.energy_wh,
        )
    )
