"""What ingest would hold of a town: through the builders that drive, as enviroCar crops, and raw.

Ours go the way of production: ``agent/offers.py`` makes the drafts with the vehicle's own book and
turns, the codec encodes them, the delay is drawn as on release, the size is that of the sealed
message. A vehicle here has had its two weeks of learning but knows only its home, and nobody says
No: the attacker gets more than from any real fleet.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from agent.offers import (
    AgentHealth,
    ChargeFact,
    Draft,
    TripFacts,
    charging_drafts,
    diagnostics_draft,
    journey_drafts,
    note_stop,
    stops_of,
    traffic_drafts,
)
from agent.privacy.book import LEARNING_DAYS, Book
from agent.privacy.cells import cell_at
from agent.privacy.cropping import TrackPoint
from agent.privacy.delay import sending_delay_s
from agent.privacy.places import distance_m
from agent.privacy.pseudonyms import day_token, pseudonym_of
from agent.privacy.selection import BOUNDS
from telemetry.codec.anybatch import decode_any, encode_any
from telemetry.purposes import Purpose
from telemetry.seal import sealed_bytes
from tests.support.traces import FIRST_DAY, Driver, Stop, Town, Trip, place_of

TRACKED = 400  # vehicles whose whole tracks are kept too: enough to show how weak that is
EVERYTHING = frozenset(BOUNDS)
find_cell = lru_cache(maxsize=1 << 20)(cell_at)
Life = Sequence[tuple[Trip, Stop]]


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
        for form, batch in Vehicle(driver, life).batches():
            stored[form].append(batch)
        if driver.number < TRACKED:
            for form, batch in tracks(driver, life):
                stored[form].append(batch)
    return stored, truth


def leak_traffic(town: Town, days: int) -> Leak:
    """Return what is stored for ``traffic`` alone, which most vehicles tell once in 20 days."""
    stored: Leak = {str(Purpose.TRAFFIC): []}
    for driver in town.drivers:
        for form, batch in Vehicle(driver, list(town.life(driver, days))).traffic():
            stored[form].append(batch)
    return stored


class Vehicle:
    """One vehicle of ours on its way through its life."""

    def __init__(self, driver: Driver, life: Life) -> None:
        self._driver = driver
        self._sender = Sender(driver, [trip.started for trip, _ in life])
        self._life = life
        self._facts = [_facts(trip, stop) for trip, stop in life]
        self._book = Book(since=FIRST_DAY.date() - timedelta(days=LEARNING_DAYS))
        before = FIRST_DAY.date() - timedelta(days=1)
        self._book.seen(place_of(driver.home), before).longest_s = 12 * 3_600.0

    def batches(self) -> Iterator[tuple[str, Stored]]:
        """Yield what is stored in the end, by form, in the order in which it was built."""
        first = 0
        for index, (trip, _) in enumerate(self._life):
            yield from self._trip(index)
            if index + 1 == len(self._life) or self._life[index + 1][0].day != trip.day:
                yield from self._day(first, index + 1)
                first = index + 1

    def traffic(self) -> Iterator[tuple[str, Stored]]:
        """Yield what its trips tell; the purposes of a day are left out."""
        for index in range(len(self._life)):
            yield from self._trip(index)

    def _trip(self, index: int) -> Iterator[tuple[str, Stored]]:
        trip, facts = self._life[index][0], self._facts[index]
        before = self._facts[index - 1] if index else None
        drafts = traffic_drafts(
            trip.points,
            facts.trip_id,
            started=trip.started,
            secret=self._sender.secret(Purpose.TRAFFIC),
            book=self._book,
            left=self._book.place_of(before.trip_id) if before else None,
        )
        for draft in drafts:
            yield str(draft.purpose), self._sender.later(draft, trip.day, trip.number)
        ends = trip.points[0], trip.points[-1]
        note_stop(self._book, facts, before, start=ends[0], end=ends[1])

    def _day(self, first: int, behind: int) -> Iterator[tuple[str, Stored]]:
        facts = self._facts[max(0, first - 1) : behind + 1]
        of_trip = {one.trip_id: step for one, step in zip(self._facts, self._life, strict=True)}
        for fact, draft in self._drafts(facts, self._life[first][0].started.date(), first):
            trip = of_trip[fact.trip_id][0]
            yield str(draft.purpose), self._sender.later(draft, trip.day, trip.number)
        day = self._life[first][0].day
        if draft := self._health(day):
            yield str(draft.purpose), self._sender.later(draft, day, -1)

    def _drafts(
        self, facts: Sequence[TripFacts], day: date, first: int
    ) -> Iterator[tuple[TripFacts, Draft]]:
        yield from journey_drafts(facts, day=day, secret=self._sender.secret(Purpose.JOURNEYS))
        charges = [
            charge
            for _, stop in self._life[first : first + len(facts)]
            if (charge := _charge(stop))
        ]
        yield from charging_drafts(
            stops_of(facts, charges, day=day) or [],
            day=day,
            secret=self._sender.secret(Purpose.CHARGING),
            book=self._book,
        )

    def _health(self, day: int) -> Draft | None:
        losses = {"dropped": 10 ** ((self._driver.number + day) % 4)}
        return diagnostics_draft(
            AgentHealth(version="0.1.0", uptime_s=600.0, losses=losses),
            today=self._sender.date_of(day),
            secret=self._sender.secret(Purpose.DIAGNOSTICS),
        )


def _facts(trip: Trip, stop: Stop) -> TripFacts:
    return TripFacts(
        trip_id=f"{trip.vehicle}-{trip.number}",
        profile_id="driver",
        started=trip.started,
        ended=trip.ended,
        distance_m=trip.distance_m,
        energy_wh=trip.energy_wh,
        soc_end_percent=stop.soc_in,
        ambient_c=6.0,
        allowed=EVERYTHING,
    )


def _charge(stop: Stop) -> ChargeFact | None:
    if stop.current is None:
        return None
    length = timedelta(minutes=15 * len(stop.quarter_hours_wh))
    return ChargeFact(
        started=stop.arrived,
        ended=stop.arrived + length,
        current=stop.current,
        soc_end_percent=stop.soc_out,
        quarters_wh=stop.quarter_hours_wh,
    )


def tracks(driver: Driver, life: Life) -> Iterator[tuple[str, Stored]]:
    """Yield what others send of the same trips: whole, and cropped the same everywhere."""
    sender = Sender(driver, [])
    for trip, _ in life:
        yield "raw", sender.at_once("raw", trip, trip.points)
        yield "envirocar", sender.at_once("envirocar", trip, fixed_crop(trip.points))


class Sender:
    """Secrets, pseudonyms and moments of one vehicle."""

    def __init__(self, driver: Driver, awake: list[datetime]) -> None:
        self._driver = driver
        self._awake = awake
        self._dice = random.Random(f"send {driver.number}")
        self._secrets = {
            purpose: hashlib.sha256(f"{purpose} {driver.number} {driver.home}".encode()).digest()
            for purpose in BOUNDS
        }

    def secret(self, purpose: Purpose) -> bytes:
        return self._secrets[purpose]

    def date_of(self, day: int) -> date:
        return (FIRST_DAY + timedelta(days=day)).date()

    def later(self, draft: Draft, day: int, trip: int) -> Stored:
        """A record of ours: it waits, then leaves when the vehicle is awake again."""
        due = FIRST_DAY.replace(hour=20) + timedelta(days=day)
        due += timedelta(seconds=sending_delay_s(self._dice.random))
        sent = next((moment for moment in self._awake if moment >= due), due)
        name = pseudonym_of(day_token(self.secret(draft.purpose), draft.day, draft.part))
        payload = encode_any(
            draft.body, month=draft.month, pseudonym=name, nonce=self._dice.randbytes(16)
        )
        told = decode_any(payload).body  # what ingest has is what it can read
        return self.stored(name, sent, sealed_bytes(len(payload)), told, day, trip)

    def at_once(self, form: str, trip: Trip, points: tuple[TrackPoint, ...]) -> Stored:
        """A track as others send it: when the trip is over, under a name of the day."""
        name = hashlib.sha256(f"{form} {self._driver.number} {trip.day}".encode()).digest()[:16]
        body = RawTrack(trip.started, points)
        size_bytes = 40 + 24 * round(points[-1].time_s - points[0].time_s) if points else 40
        return self.stored(name, trip.ended, size_bytes, body, trip.day, trip.number)

    def stored(  # noqa: PLR0913, PLR0917 (one for each fact)
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
