"""The attacks: each gets what is stored and public knowledge, and names a place or a batch.

The truth in a stored batch is used to score a guess, and never to make one.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import h3.api.basic_int as h3  # type: ignore[import-untyped]
import numpy as np

from agent.privacy.patterns import JourneyFacts, journey
from telemetry.records import ChargingBatch, DiagnosticsBatch, JourneysBatch, TrafficBatch
from tests.support.leaks import TRACKED, Leak, RawTrack, Stored, find_cell
from tests.support.traces import HALF_M, POINT_EVERY_M, Spot, Town, Trip, position, spot_of

NEAR_M = 300.0
TARGETS = 3_500
KNOWN_TRIPS = 2_000
ROUNDS = 3  # other days tried for each name, where there are few names
TRACKS = ("raw", "envirocar")


@dataclass(frozen=True, slots=True)
class Result:
    """How often an attack was right, try by try, and how often chance was on the same tries."""

    attack: str
    form: str
    hits: Sequence[bool]
    lucky: Sequence[float]  # probability, or 0 and 1 where chance is a guess of its own

    @property
    def rate(self) -> float:
        return sum(self.hits) / len(self.hits)

    @property
    def chance(self) -> float:
        return sum(self.lucky) / len(self.lucky)

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, after Wilson."""
        z, n = 1.96, len(self.hits)
        middle = (self.rate + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(self.rate * (1 - self.rate) / n + z * z / (4 * n * n))
        half /= 1 + z * z / n
        return max(0.0, middle - half), min(1.0, middle + half)

    @property
    def gain(self) -> float:
        """Upper bound (95 %) of rate minus chance; by pairs where chance is a guess of its own."""
        if not {0, 1} >= set(self.lucky):
            return self.interval[1] - self.chance
        apart = np.subtract(self.hits, self.lucky, dtype=float)
        high = float(apart.mean() + 1.96 * apart.std() / math.sqrt(len(apart)))
        return min(high, 1.0 - self.chance)

    def line(self) -> str:
        low, high = self.interval
        return (
            f"{self.attack:<16}{self.form:<13}{len(self.hits):>7}{self.rate:>9.2%}"
            f"  {low:>7.2%} to {high:>7.2%}{self.chance:>9.2%}{self.gain:>9.2%}"
        )


HEAD = f"{'ATTACK':<16}{'FORM':<13}{'TRIES':>7}{'RIGHT':>9}  {'95 % INTERVAL':<18}{'CHANCE':>9}"
HEAD += f"{'GAIN <':>9}"


class Density:
    """Where people live, known to everybody: the best single guess, also within an area."""

    def __init__(self, town: Town) -> None:
        homes = np.array([driver.home for driver in town.drivers])
        axis = np.arange(-HALF_M, HALF_M + 1, 100.0)
        self.spots = np.array([(east, north) for east in axis for north in axis])
        self.counts = np.array(
            [int((np.hypot(*(homes - spot).T) <= NEAR_M).sum()) for spot in self.spots]
        )
        self.chance = self.counts.max() / len(homes)
        self.cells = np.array([find_cell(*position(tuple(spot)), 7) for spot in self.spots])

    def best(self, mask: Any = None) -> Spot:
        counts = self.counts if mask is None else np.where(mask, self.counts, -1)
        east, north = self.spots[int(counts.argmax())]
        return float(east), float(north)

    def best_in_cell(self, cell: int) -> Spot:
        return self.best(self.cells == cell)

    def best_in_ring(self, spot: Spot, inner_m: float, outer_m: float) -> Spot:
        far = np.hypot(*(self.spots - spot).T)
        return self.best((far >= inner_m) & (far <= outer_m))


# (a) and (d): where is home?


def find_homes(stored: Leak, town: Town, density: Density) -> list[Result]:
    """From the batches of one name."""
    homes = {driver.number: driver.home for driver in town.drivers}
    results = []
    for form, batches in stored.items():
        units = list(by_name(batches).values())
        tries = sample(units, form)
        truth = [homes[unit[0].vehicle] for unit in tries]
        guesses = [guess_home(unit, density) for unit in tries]
        results.append(_placed("a home", form, guesses, truth, density))
    return results


def average_crops(stored: Leak, town: Town, density: Density) -> list[Result]:
    """From all batches of a vehicle, joined by an oracle: more than any attacker has."""
    homes = {driver.number: driver.home for driver in town.drivers}
    results = []
    for form, batches in stored.items():
        of_vehicle: defaultdict[int, list[Stored]] = defaultdict(list)
        for batch in batches:
            of_vehicle[batch.vehicle].append(batch)
        guesses = []
        for joined in of_vehicle.values():
            units = by_name(joined).values()
            many = np.array([guess_home(unit, density) for unit in units])
            guesses.append(tuple(np.median(many, axis=0)) if form in TRACKS else _joined(many))
        truth = [homes[vehicle] for vehicle in of_vehicle]
        results.append(_placed("d averaging", form, guesses, truth, density))
    return results


def _placed(
    attack: str, form: str, guesses: Sequence[Spot], truth: Sequence[Spot], density: Density
) -> Result:
    usual = density.best()
    return Result(
        attack,
        form,
        [math.dist(*pair) <= NEAR_M for pair in zip(guesses, truth, strict=True)],
        [float(math.dist(usual, home) <= NEAR_M) for home in truth],
    )


def _joined(guesses: Any) -> Spot:
    """The guess that most others are near to."""
    near = [(np.hypot(*(guesses - guess).T) <= NEAR_M).sum() for guess in guesses]
    east, north = guesses[int(np.argmax(near))]
    return float(east), float(north)


def guess_home(unit: Sequence[Stored], density: Density) -> Spot:
    """Return the best guess from batches under one name, earliest first."""
    first = unit[0].body
    if isinstance(first, ChargingBatch):
        return density.best_in_cell(first.cell) if first.cell else density.best()
    if isinstance(first, TrafficBatch):
        return density.best_in_ring(spot_of(*h3.cell_to_latlng(first.cell)), 400, 1_600)
    if isinstance(first, RawTrack):
        tracks = [batch.body for batch in unit if batch.body.points]
        return _start_of(tracks[0]) if tracks else density.best()
    return density.best()


def _start_of(track: RawTrack) -> Spot:
    """Where a track began; what a fixed crop took away is driven back, straight on."""
    spots = [spot_of(point.latitude, point.longitude) for point in track.points[:2]]
    if track.points[0].time_s == 0 or len(spots) == 1:
        return spots[0]
    (east, north), (east_2, north_2) = spots
    back = (250 + POINT_EVERY_M / 2) / max(1.0, math.dist(*spots))
    return east - back * (east_2 - east), north - back * (north_2 - north)


# (b): link two days


def link_days(stored: Leak, seed: int = 1) -> list[Result]:
    """For a name of one day, name the same vehicle's on another day, fixed in advance."""
    dice, results = random.Random(seed), []
    for form, batches in stored.items():
        of_day: defaultdict[Any, list[Sequence[Stored]]] = defaultdict(list)
        for unit in by_name(batches).values():
            of_day[unit[0].arrived.date()].append(unit)
        days = sorted(of_day)
        hits, lucky, tries = [], [], sample([u for d in days for u in of_day[d]], form)
        rounds = ROUNDS if len(tries) < TARGETS and form not in TRACKS else 1
        for unit in [unit for unit in tries for _ in range(rounds)]:
            other = dice.choice([day for day in days if day != unit[0].arrived.date()])
            pool = of_day[other]
            score = likeness(unit)
            named = max(pool, key=lambda one: score(one) + dice.random() / 1_000)
            hits.append(named[0].vehicle == unit[0].vehicle)
            lucky.append(sum(one[0].vehicle == unit[0].vehicle for one in pool) / len(pool))
        results.append(Result("b two days", form, hits, lucky))
    return results


Score = Callable[[Sequence[Stored]], float]


def likeness(unit: Sequence[Stored]) -> Score:
    """Return how like another unit is to this one."""
    body = unit[0].body
    if isinstance(body, RawTrack):
        home = _home_of(unit)
        return lambda one: -math.dist(home, _home_of(one))
    return lambda one: _likeness(body, one[0].body)


def _home_of(unit: Sequence[Stored]) -> Spot:
    track = next((batch.body for batch in unit if batch.body.points), None)
    return _start_of(track) if track else (1e6, 1e6)


def _likeness(one: Any, other: Any) -> float:
    if isinstance(one, ChargingBatch):
        return (
            4 * (one.cell == other.cell)
            + 2 * (one.current == other.current)
            - abs(max(one.quarter_hours_wh, default=0) - max(other.quarter_hours_wh, default=0))
            / 700
            - _hours_apart(one.hour_of_week, other.hour_of_week) / 2
            - abs(one.soc_in_percent - other.soc_in_percent) / 20
            - abs((one.soc_out_percent or 0) - (other.soc_out_percent or 0)) / 20
            + (one.dwell == other.dwell)
        )
    if isinstance(one, TrafficBatch):
        return -math.dist(_middle(one.cell), _middle(other.cell)) / 400 - 1.5 * _hours_apart(
            one.hour_of_week, other.hour_of_week
        )
    if isinstance(one, JourneysBatch):
        return sum(
            (
                2 * (one.kind == other.kind),
                2 * (one.distance_from_km == other.distance_from_km),
                2 * (one.duration_from_min == other.duration_from_min),
                3 * (one.consumption_wh_km == other.consumption_wh_km),
            )
        )
    assert isinstance(one, DiagnosticsBatch)
    return float(one == other)


@cache
def _middle(cell: int) -> Spot:
    return spot_of(*h3.cell_to_latlng(cell))


def _hours_apart(one: int, other: int) -> int:
    apart = abs(one - other) % 24
    return min(apart, 24 - apart)


# (c): recognise a vehicle from one known trip


def recognise(stored: Leak, truth: dict[int, list[Trip]], seed: int = 2) -> list[Result]:
    """Knowing one trip, name any batch of that vehicle that is about another."""
    dice, results = random.Random(seed), []
    known = [dice.choice(trips) for trips in truth.values() if len(trips) > 1][:KNOWN_TRIPS]
    for form, batches in stored.items():
        shares = Counter(batch.vehicle for batch in batches)
        tries = [trip for trip in known if trip.vehicle < TRACKED or form not in TRACKS]
        name = _tracker(batches) if form in TRACKS else _matcher(batches, dice)
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
            return math.dist(_start_of(batch.body), trip.from_spot)

        found = min(of_day[trip.started.date()], key=apart)
        return next((one for one in names[found.pseudonym] if one is not found), found)

    return name


def _matcher(batches: Sequence[Stored], dice: random.Random) -> Callable[[Trip], Stored]:
    same: defaultdict[Any, list[Stored]] = defaultdict(list)
    for batch in batches:
        same[batch.body].append(batch)

    def name(trip: Trip) -> Stored:
        score = _match(trip)
        scores = {body: score(body) for body in same}
        best = max(scores.values())
        return dice.choice([one for body in same if scores[body] == best for one in same[body]])

    return name


def _match(trip: Trip) -> Callable[[Any], float]:
    told = journey(
        JourneyFacts(
            started=trip.started,
            distance_m=trip.distance_m,
            duration_s=trip.duration_s,
            dwell_before_s=trip.dwell_before_s,
            energy_wh=trip.energy_wh,
        )
    )
    ends = {find_cell(*position(trip.to_spot), resolution) for resolution in (4, 7)}
    path = {find_cell(point.latitude, point.longitude, 9) for point in trip.points}
    begun, ended = trip.started.hour, trip.ended.hour

    def score(body: Any) -> float:
        if isinstance(body, ChargingBatch):
            return 3 * (body.cell in ends) - _hours_apart(body.hour_of_week, ended)
        if isinstance(body, TrafficBatch):
            return 3 * (body.cell in path) - _hours_apart(body.hour_of_week, begun)
        if isinstance(body, JourneysBatch):
            return _likeness(told, body)
        return 0.0

    return score


# (e): contents from sizes and times


def read_sizes(stored: Leak) -> list[Result]:
    """Learn from one half of the vehicles what sizes and times say; try it on the other."""
    halves = [_read_half(form, stored[form], half) for form in stored for half in (0, 1)]
    return [
        Result(one.attack, one.form, [*one.hits, *two.hits], [*one.lucky, *two.lucky])
        for one, two in zip(halves[::2], halves[1::2], strict=True)
    ]


def _read_half(form: str, batches: Sequence[Stored], half: int) -> Result:
    learned: defaultdict[tuple[int, int], Counter[Any]] = defaultdict(Counter)
    overall: Counter[Any] = Counter()
    for batch in batches:
        if batch.vehicle % 2 != half:
            learned[_seen(batch)][_secret(batch)] += 1
            overall[_secret(batch)] += 1
    usual = overall.most_common(1)[0][0]
    tries = [batch for batch in batches if batch.vehicle % 2 == half]
    hits = [_read(learned.get(_seen(batch)), usual) == _secret(batch) for batch in tries]
    lucky = [float(_secret(batch) == usual) for batch in tries]
    return Result("e size and time", form, hits, lucky)


def _read(known: Counter[Any] | None, usual: Any) -> Any:
    return known.most_common(1)[0][0] if known and known.total() >= 20 else usual


def _seen(batch: Stored) -> tuple[int, int]:
    """What the broker sees, in bands wide enough to learn from."""
    return batch.size_bytes // 512, batch.arrived.hour // 3


def _secret(batch: Stored) -> Any:
    body = batch.body
    if isinstance(body, ChargingBatch | TrafficBatch):
        return body.hour_of_week % 24 // 6
    if isinstance(body, JourneysBatch):
        return body.kind
    if isinstance(body, DiagnosticsBatch):
        return body.losses
    return len(body.points) and round(body.points[-1].time_s - body.points[0].time_s) // 300


# helpers


def by_name(batches: Iterable[Stored]) -> dict[bytes, list[Stored]]:
    """Return the batches under each pseudonym, earliest first."""
    found: defaultdict[bytes, list[Stored]] = defaultdict(list)
    for batch in sorted(batches, key=lambda batch: batch.arrived):
        found[batch.pseudonym].append(batch)
    return found


def sample(units: Sequence[Any], form: str) -> Sequence[Any]:
    """Return at most ``TARGETS`` of them, always the same; fewer for tracks, which show clearly."""
    count = min(len(units), TARGETS // 10 if form in TRACKS else TARGETS)
    return random.Random(form).sample(units, count)
