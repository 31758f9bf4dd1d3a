"""What ingest would hold of a town: through our transforms, as enviroCar crops, and raw."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from agent.privacy.cells import cell_at
from agent.privacy.charging import ChargeFacts, charging_batch, is_private
from agent.privacy.cropping import TrackPoint
from agent.privacy.delay import sending_delay_s
from agent.privacy.patterns import JourneyFacts, journey
from agent.privacy.places import Place, distance_m
from agent.privacy.pseudonyms import day_token, pseudonym_of
from agent.privacy.selection import BOUNDS, CellHour, is_turn, pick
from agent.privacy.traffic import Track, traffic_batches
from telemetry.codec.bodies import decode_body, encode_body
from telemetry.purposes import Purpose
from telemetry.records import DiagnosticsBatch
from telemetry.seal import size_class
from tests.support.traces import Driver, Spot, Stop, Town, Trip, place_of, position

TRACKED = 400  # vehicles whose whole tracks are kept too: enough to show how weak that is
find_cell = lru_cache(maxsize=1 << 20)(cell_at)


@dataclass(frozen=True, slots=True)
class Stored:
    """One batch as ingest and broker know it, and after the bar the truth that scores a guess."""

    pseudonym: bytes
    arrived: datetime  # to the minute
    size_bytes: int
    body: Any
    # the truth
    vehicle: int
    day: int
    trip: int


@dataclass(frozen=True, slots=True)
class RawTrack:
    """A whole trip with time and place."""

    started: datetime
    points: tuple[TrackPoint, ...]


Leak = dict[str, list[Stored]]


def leak(town: Town, days: int) -> tuple[Leak, dict[int, list[Trip]]]:
    """Return what is stored, by form, and the true trips of every vehicle."""
    stored: Leak = {str(purpose): [] for purpose in BOUNDS} | {"raw": [], "envirocar": []}
    truth = {}
    for driver in town.drivers:
        life = list(town.life(driver, days))
        truth[driver.number] = [trip for trip, _ in life]
        for form, batch in _vehicle(driver, life):
            stored[form].append(batch)
    return stored, truth


def _vehicle(driver: Driver, life: list[tuple[Trip, Stop]]) -> Iterator[tuple[str, Stored]]:
    sender = Sender(driver, [trip.started for trip, _ in life])
    by_day: dict[int, list[tuple[Trip, Stop]]] = {}
    for trip, stop in life:
        by_day.setdefault(trip.day, []).append((trip, stop))
        if driver.number < TRACKED:
            yield "raw", sender.at_once("raw", trip, trip.points)
            yield "envirocar", sender.at_once("envirocar", trip, fixed_crop(trip.points))
    book = Book()
    book.stay(driver.home, -1, 12 * 3_600.0)  # where the vehicle stood when all began
    for day, steps in by_day.items():
        yield from _traffic(sender, book, steps)
        yield from _journeys(sender, day, [trip for trip, _ in steps])
        for _, stop in steps:
            book.stay(stop.spot, day, stop.dwell_s)
        yield from _charging(sender, book, day, [stop for _, stop in steps])
        yield from _diagnostics(sender, day, driver)


def _traffic(sender: "Sender", book: "Book", steps: list[tuple[Trip, Stop]]) -> Iterator[Any]:
    secret, told = sender.secret(Purpose.TRAFFIC), list[CellHour]()
    for trip, _ in steps:
        track = Track(
            started=trip.started,
            points=trip.points,
            start=book.place(trip.from_spot),
            end=book.place(trip.to_spot),
        )
        for batch in traffic_batches(
            track,
            secret=secret,
            day=trip.started.date(),
            private=book.private(),
            told=told,
            find_cell=find_cell,
        ):
            told.append((batch.cell, batch.hour_of_week))
            yield "traffic", sender.later(Purpose.TRAFFIC, trip.day, trip.number, batch, len(told))


def _journeys(sender: "Sender", day: int, trips: list[Trip]) -> Iterator[Any]:
    secret, bound = sender.secret(Purpose.JOURNEYS), BOUNDS[Purpose.JOURNEYS]
    date_ = trips[0].started.date()
    if not is_turn(secret, date_, bound.turn_days):
        return
    for number in pick(secret, date_, [trip.number for trip in trips], bound.per_day):
        trip = next(trip for trip in trips if trip.number == number)
        facts = JourneyFacts(
            started=trip.started,
            distance_m=trip.distance_m,
            duration_s=trip.duration_s,
            dwell_before_s=trip.dwell_before_s,
            energy_wh=trip.energy_wh,
            ambient_c=6.0,
        )
        yield "journeys", sender.later(Purpose.JOURNEYS, day, number, journey(facts))


def _charging(sender: "Sender", book: "Book", day: int, stops: list[Stop]) -> Iterator[Any]:
    secret, bound = sender.secret(Purpose.CHARGING), BOUNDS[Purpose.CHARGING]
    date_ = stops[0].arrived.date()
    told = [stop for stop in stops if stop.current or stop.soc_in < 20]
    if not told or not is_turn(secret, date_, bound.turn_days):
        return
    for number in pick(secret, date_, [stop.number for stop in told], bound.per_day):
        stop = next(stop for stop in told if stop.number == number)
        facts = ChargeFacts(
            place=book.place(stop.spot),
            arrived=stop.arrived,
            dwell_s=stop.dwell_s,
            soc_in_percent=stop.soc_in,
            soc_out_percent=stop.soc_out,
            current=stop.current,
            quarter_hours_wh=stop.quarter_hours_wh,
        )
        batch = charging_batch(facts, book.private())
        yield "charging", sender.later(Purpose.CHARGING, day, number, batch)


def _diagnostics(sender: "Sender", day: int, driver: Driver) -> Iterator[Any]:
    secret, date_ = sender.secret(Purpose.DIAGNOSTICS), sender.date_of(day)
    if is_turn(secret, date_, BOUNDS[Purpose.DIAGNOSTICS].turn_days):
        digits = 1 + (driver.number + day) % 4
        batch = DiagnosticsBatch(version="0.1.0", uptime_class=0, losses=(("dropped", digits),))
        yield "diagnostics", sender.later(Purpose.DIAGNOSTICS, day, -1, batch)


class Book:
    """The places a vehicle knows."""

    def __init__(self) -> None:
        self._days: dict[Spot, set[int]] = {}
        self._longest: Counter[Spot] = Counter()

    def stay(self, spot: Spot, day: int, dwell_s: float) -> None:
        self._days.setdefault(spot, set()).add(day)
        self._longest[spot] = max(self._longest[spot], int(dwell_s))

    def place(self, spot: Spot) -> Place:
        days = len(self._days.get(spot, ())) or 1
        return place_of(spot, days=days, longest_s=float(self._longest[spot]))

    def private(self) -> list[Place]:
        return [place for place in map(self.place, self._days) if is_private(place)]


class Sender:
    """Secrets, pseudonyms and moments of one vehicle."""

    def __init__(self, driver: Driver, awake: list[datetime]) -> None:
        self._driver = driver
        self._awake = awake
        self._dice = random.Random(f"send {driver.number}")
        self._numbers: Counter[tuple[Purpose, int]] = Counter()

    def secret(self, purpose: Purpose) -> bytes:
        return hashlib.sha256(f"{purpose} {self._driver.number}".encode()).digest()

    def date_of(self, day: int) -> date:
        return (self._awake[0] + timedelta(days=day)).date()

    def later(
        self, purpose: Purpose, day: int, trip: int, body: Any, number: int | None = None
    ) -> Stored:
        """A record of ours: it waits, then leaves when the vehicle is awake again."""
        due = self._awake[0].replace(hour=20) + timedelta(days=day)
        due += timedelta(seconds=sending_delay_s(self._dice.random))
        sent = next((moment for moment in self._awake if moment >= due), due)
        name = pseudonym_of(day_token(self.secret(purpose), self.date_of(day), number))
        payload = encode_body(
            body, month=f"{sent:%Y-%m}", pseudonym=name, nonce=self._dice.randbytes(16)
        )
        told = decode_body(payload)  # what ingest has is what it can read
        return self._stored(name, sent, size_class(len(payload)), told, day, trip)

    def at_once(self, form: str, trip: Trip, points: tuple[TrackPoint, ...]) -> Stored:
        """A track as others send it: when the trip is over, under a name of the day."""
        name = hashlib.sha256(f"{form} {self._driver.number} {trip.day}".encode()).digest()[:16]
        body = RawTrack(trip.started, points)
        size_bytes = 40 + 24 * round(points[-1].time_s - points[0].time_s) if points else 40
        return self._stored(name, trip.ended, size_bytes, body, trip.day, trip.number)

    def _stored(  # noqa: PLR0913, PLR0917 (one for each fact)
        self, name: bytes, sent: datetime, size_bytes: int, body: Any, day: int, trip: int
    ) -> Stored:
        minute = sent.replace(second=0, microsecond=0)
        return Stored(name, minute, size_bytes, body, self._driver.number, day, trip)


def fixed_crop(points: tuple[TrackPoint, ...]) -> tuple[TrackPoint, ...]:
    """Cut 250 m and 60 s at both ends, the same everywhere."""
    first, last = points[0], points[-1]
    return tuple(
        point
        for point in points
        if min(distance_m(point, first), distance_m(point, last)) > 250
        and 60 < point.time_s < last.time_s - 60
    )


def home_positions(town: Town) -> dict[int, tuple[float, float]]:
    return {driver.number: position(driver.home) for driver in town.drivers}
