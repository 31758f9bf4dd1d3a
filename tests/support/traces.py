"""A town of drivers with homes, workplaces and habits: what the attacks try to find out.

The town is made to be hard to hide in: everybody keeps to a schedule, drives the same roads at the
same hours and plugs in at the same places. 4,000 vehicles on 64 km² are some 60 on a square
kilometre.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from agent.privacy.cropping import TrackPoint
from agent.privacy.places import Place
from telemetry.records import CurrentKind

CENTRE = (48.137, 11.575)
HALF_M = 4_000.0  # the town is a square of 8 km
M_PER_DEGREE = 111_195.0
ROAD_GRID_M = 1_000.0  # arterial roads
POINT_EVERY_M = 120.0
FIRST_DAY = datetime(2026, 11, 2)  # noqa: DTZ001 (a Monday, local time)
Spot = tuple[float, float]  # metres east and north of the centre


@dataclass(frozen=True, slots=True)
class Trip:
    """One trip as it really was."""

    vehicle: int
    number: int
    day: int
    started: datetime
    points: tuple[TrackPoint, ...]
    from_spot: Spot
    to_spot: Spot
    dwell_before_s: float
    energy_wh: float

    @property
    def duration_s(self) -> float:
        return self.points[-1].time_s

    @property
    def distance_m(self) -> float:
        return len(self.points) * POINT_EVERY_M

    @property
    def ended(self) -> datetime:
        return self.started + timedelta(seconds=self.duration_s)


@dataclass(frozen=True, slots=True)
class Stop:
    """One stay after a trip, with what was charged."""

    vehicle: int
    number: int  # of the trip that led here
    day: int
    spot: Spot
    arrived: datetime
    dwell_s: float
    soc_in: float
    soc_out: float | None
    current: CurrentKind | None
    quarter_hours_wh: tuple[float, ...]


@dataclass(slots=True)
class Driver:
    """One vehicle with its habits."""

    number: int
    home: Spot
    work: Spot
    shops: list[Spot]
    leaves_h: float
    works_h: float
    capacity_wh: float
    wh_km: float
    home_kw: float  # 0: no charger at home
    plugs_below: float
    soc: float
    routes: dict[tuple[Spot, Spot, int], tuple[TrackPoint, ...]] = field(default_factory=dict)


class Town:
    """All drivers, from one seed."""

    def __init__(self, vehicles: int, *, seed: int) -> None:
        self._seed = seed
        self._dice = random.Random(seed)
        quarters = [self._spot(HALF_M * 0.9) for _ in range(40)]
        offices = [self._spot(HALF_M * 0.7) for _ in range(25)]
        self._shops = [self._spot(HALF_M * 0.8) for _ in range(60)]
        self.drivers = [self._driver(number, quarters, offices) for number in range(vehicles)]

    def life(self, driver: Driver, days: int) -> Iterator[tuple[Trip, Stop]]:
        """Yield the trips of a driver, each with the stay that follows."""
        dice = random.Random(f"{self._seed} {driver.number}")
        plan = [step for day in range(days) for step in self._day(driver, day, dice)]
        at, left, number = driver.home, FIRST_DAY - timedelta(hours=6), 0
        for index, (day, when, to_spot) in enumerate(plan):
            if to_spot == at:
                continue
            trip = _trip(driver, number, day, when, at, to_spot, (when - left).total_seconds())
            following = next((w for _, w, s in plan[index + 1 :] if s != to_spot), None)
            until = following or trip.ended + timedelta(hours=10)
            stop = _stop(driver, trip, max(until, trip.ended), dice)
            yield trip, stop
            at, left, number = to_spot, trip.ended, number + 1

    def _day(
        self, driver: Driver, day: int, dice: random.Random
    ) -> Iterator[tuple[int, datetime, Spot]]:
        midnight = FIRST_DAY + timedelta(days=day)
        if midnight.weekday() < 5 and dice.random() < 0.92:
            out_h = driver.leaves_h + dice.gauss(0, 0.15)
            back_h = out_h + driver.works_h + dice.gauss(0, 0.3)
            yield day, midnight + timedelta(hours=out_h), driver.work
            if dice.random() < 0.3:
                yield day, midnight + timedelta(hours=back_h), dice.choice(driver.shops)
                back_h += 0.9
            yield day, midnight + timedelta(hours=back_h), driver.home
        elif dice.random() < 0.8:
            out_h = dice.uniform(9, 16)
            yield day, midnight + timedelta(hours=out_h), dice.choice(self._shops)
            yield day, midnight + timedelta(hours=out_h + dice.uniform(1, 4)), driver.home

    def _driver(self, number: int, quarters: list[Spot], offices: list[Spot]) -> Driver:
        dice = self._dice
        return Driver(
            number=number,
            home=self._near(dice.choice(quarters), 900.0),
            work=self._near(dice.choice(offices), 400.0),
            shops=dice.sample(self._shops, 3),
            leaves_h=dice.uniform(6.0, 9.5),
            works_h=dice.uniform(7.0, 9.5),
            capacity_wh=dice.choice((40_000, 52_000, 62_000, 77_000)),
            wh_km=dice.uniform(130, 210),
            home_kw=dice.choice((0, 0, 0, 3.7, 7.4, 11.0, 11.0, 11.0, 11.0, 11.0)),
            plugs_below=dice.uniform(40, 95),
            soc=dice.uniform(40, 95),
        )

    def _spot(self, half_m: float) -> Spot:
        return self._dice.uniform(-half_m, half_m), self._dice.uniform(-half_m, half_m)

    def _near(self, spot: Spot, sigma_m: float) -> Spot:
        def draw(middle: float) -> float:
            return min(max(self._dice.gauss(middle, sigma_m), -HALF_M), HALF_M)

        return draw(spot[0]), draw(spot[1])


def position(spot: Spot) -> tuple[float, float]:
    """Return latitude and longitude of a spot."""
    scale = M_PER_DEGREE * math.cos(math.radians(CENTRE[0]))
    return CENTRE[0] + spot[1] / M_PER_DEGREE, CENTRE[1] + spot[0] / scale


def spot_of(latitude: float, longitude: float) -> Spot:
    """Return the spot of a position."""
    scale = M_PER_DEGREE * math.cos(math.radians(CENTRE[0]))
    return (longitude - CENTRE[1]) * scale, (latitude - CENTRE[0]) * M_PER_DEGREE


def place_of(spot: Spot, *, days: int = 1, longest_s: float = 0.0) -> Place:
    latitude, longitude = position(spot)
    return Place(latitude=latitude, longitude=longitude, days=days, longest_s=longest_s)


def _trip(  # noqa: PLR0913, PLR0917 (one for each fact)
    driver: Driver, number: int, day: int, when: datetime, at: Spot, to: Spot, dwell_s: float
) -> Trip:
    level = 0 if when.hour in {7, 8, 16, 17} else 1
    points = driver.routes.get((at, to, level)) or _drive(at, to, level)
    driver.routes[at, to, level] = points
    energy_wh = len(points) * POINT_EVERY_M / 1_000 * driver.wh_km
    driver.soc = max(5.0, driver.soc - 100 * energy_wh / driver.capacity_wh - 2.0)
    return Trip(driver.number, number, day, when, points, at, to, dwell_s, energy_wh)


def _drive(at: Spot, to: Spot, level: int) -> tuple[TrackPoint, ...]:
    """By side streets to the nearest arterial road, along arterials, by side streets again."""
    road_x = round(at[0] / ROAD_GRID_M) * ROAD_GRID_M
    road_y = round(to[1] / ROAD_GRID_M) * ROAD_GRID_M
    corners = [at, (road_x, at[1]), (road_x, road_y), (to[0], road_y), to]
    speeds = (20.0, 28.0, 28.0, 20.0) if level == 0 else (28.0, 46.0, 46.0, 28.0)
    points, time_s = [], 0.0
    for begin, end, speed in zip(corners, corners[1:], speeds, strict=False):
        length_m = math.dist(begin, end)
        steps = max(1, round(length_m / POINT_EVERY_M))
        for step in range(steps):
            share = step / steps
            spot = begin[0] + share * (end[0] - begin[0]), begin[1] + share * (end[1] - begin[1])
            latitude, longitude = position(spot)
            points.append(
                TrackPoint(time_s=time_s, latitude=latitude, longitude=longitude, speed_km_h=speed)
            )
            time_s += length_m / steps / speed * 3.6
    latitude, longitude = position(to)
    last = TrackPoint(time_s=time_s, latitude=latitude, longitude=longitude, speed_km_h=0.0)
    return (*points, last)


def _stop(driver: Driver, trip: Trip, until: datetime, dice: random.Random) -> Stop:
    arrived, soc_in = trip.ended, driver.soc
    dwell_s = (until - arrived).total_seconds()
    power_w, current = _plug(driver, trip.to_spot, dice)
    quarters: list[float] = []
    while power_w and driver.soc < 95 and len(quarters) * 900 + 900 <= dwell_s:
        quarters.append(power_w / 4)
        driver.soc = min(100.0, driver.soc + 100 * quarters[-1] / driver.capacity_wh)
    return Stop(
        vehicle=driver.number,
        number=trip.number,
        day=trip.day,
        spot=trip.to_spot,
        arrived=arrived,
        dwell_s=dwell_s,
        soc_in=soc_in,
        soc_out=driver.soc if quarters else None,
        current=current if quarters else None,
        quarter_hours_wh=tuple(quarters),
    )


def _plug(driver: Driver, spot: Spot, dice: random.Random) -> tuple[float, CurrentKind]:
    if spot == driver.home and driver.home_kw and driver.soc < driver.plugs_below:
        return driver.home_kw * 1_000, CurrentKind.AC
    if spot == driver.work and not driver.home_kw and driver.soc < driver.plugs_below:
        return 11_000.0, CurrentKind.AC
    if driver.soc < 30 and dice.random() < 0.6:
        return 60_000.0, CurrentKind.DC
    return 0.0, CurrentKind.AC
