"""From trips, stops and the agent's own health to what may be offered: drafts, one per batch.

A draft holds the body that will be encoded and what its token is made from. Which purposes come in
at all is decided by the caller; what each may hold, and how often, by `agent/privacy`. Pure: what
is remembered is in the ``Book`` that is handed in, and changed there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final

from agent.privacy.battery import battery_slices, month_of
from agent.privacy.book import Book
from agent.privacy.chance import keyed_fraction
from agent.privacy.charging import ChargeFacts, charging_batch
from agent.privacy.cropping import TrackPoint
from agent.privacy.patterns import JourneyFacts, journey
from agent.privacy.places import Place, Position, Zone
from agent.privacy.selection import BOUNDS, is_turn, pick
from agent.privacy.traffic import Track, traffic_batches
from agent.store.segments import Segment
from telemetry.codec.anybatch import AnyBody
from telemetry.purposes import NEED_PLACE, Purpose
from telemetry.records import (
    LOSSES,
    MAX_LOSS_DIGITS,
    CurrentKind,
    DiagnosticsBatch,
)

OF_ROWS: Final = frozenset({Purpose.BATTERY, *NEED_PLACE})  # cannot do without samples
OF_TRIPS: Final = frozenset({*OF_ROWS, Purpose.JOURNEYS})  # diagnostics tell nothing of trips
LOW_SOC_PERCENT: Final = 20.0  # who stops with less and does not charge could not
LOOK_BACK_DAYS: Final = 14  # a day that could not be told by then is not told
_UPTIME_CLASSES_S: Final = (3_600.0, 86_400.0, 604_800.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A batch that is not encoded yet; its token is made from purpose, day and part."""

    purpose: Purpose
    body: AnyBody
    month: str
    day: date
    part: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TripFacts:
    """A stored trip as the days see it; ``allowed`` is what its driver had on when it began."""

    trip_id: str
    profile_id: str
    started: datetime  # local time
    ended: datetime
    distance_m: float
    energy_wh: float
    soc_end_percent: float | None
    ambient_c: float | None
    allowed: frozenset[Purpose]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeFact:
    """A stored charge session as the stops see it."""

    started: datetime  # local time
    ended: datetime
    current: CurrentKind | None
    soc_end_percent: float | None
    quarters_wh: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHealth:
    """How the agent fares; nothing of a trip."""

    version: str
    uptime_s: float
    losses: Mapping[str, int]


# -- when a trip is over ---------------------------------------------------------------------------


def battery_drafts(
    segment: Segment, trip_id: str, *, started: datetime, secret: bytes, today: date
) -> list[Draft]:
    """Return the slices of a trip, each with a part that no other one has."""
    month = month_of(started)
    slices = battery_slices(
        segment.columns,
        segment.rows,
        month=month,
        fraction=partial(keyed_fraction, secret, "slice", trip_id),
    )
    return [
        Draft(
            purpose=Purpose.BATTERY,
            body=batch,
            month=month,
            day=today,
            part=f"{trip_id}/{number}",
        )
        for number, batch in enumerate(slices)
    ]


def traffic_drafts(  # noqa: PLR0913 (each shapes what may be told)
    points: Sequence[TrackPoint],
    trip_id: str,
    *,
    started: datetime,
    secret: bytes,
    book: Book,
    covers: Sequence[Zone] = (),
    left: Place | None = None,
) -> list[Draft]:
    """Return the cells and hours of a trip that may be told; ``started`` is local.

    ``left`` is where the trip before it ended: the first fix may come late, and somewhere else.
    ``covers``: of what the driver drew.
    """
    if not points:
        return []
    day = started.date()
    track = Track(
        started=started,
        points=points,
        start=book.seen(points[0], day).place(),
        end=book.seen(points[-1], day).place(),
    )
    told, drafts = book.told_on(day), []
    private = [*book.private(), *([left] if left else [])]
    for batch in traffic_batches(
        track, secret=secret, day=day, private=private, covers=covers, told=told
    ):
        part = f"{trip_id}/{len(told)}"
        told.append((batch.cell, batch.hour_of_week))
        drafts.append(
            Draft(purpose=Purpose.TRAFFIC, body=batch, month=month_of(started), day=day, part=part)
        )
    return drafts


def note_stop(
    book: Book, trip: TripFacts, before: TripFacts | None, *, start: Position | None, end: Position
) -> None:
    """Write the end of a trip into the book, and how long the vehicle stood before it."""
    if before is not None:
        dwell_s = (trip.started - before.ended).total_seconds()
        book.leave(before.trip_id, start, dwell_s)
    book.arrive(end, trip.ended.date(), trip_id=trip.trip_id)


# -- when a day is over ----------------------------------------------------------------------------


def due_days(book: Book, purpose: Purpose, *, today: date) -> Iterator[date]:
    """Yield the days of ``purpose`` that are over and were not looked at, oldest first."""
    first = today - timedelta(days=LOOK_BACK_DAYS)
    done = book.done.get(purpose)
    day = first if done is None else max(first, done + timedelta(days=1))
    while day < today:
        yield day
        day += timedelta(days=1)


def journey_drafts(
    trips: Sequence[TripFacts], *, day: date, secret: bytes
) -> list[tuple[TripFacts, Draft]]:
    """Return the trip of ``day`` that may be told; ``trips`` oldest first, of any day."""
    bound = BOUNDS[Purpose.JOURNEYS]
    if not is_turn(secret, day, bound.turn_days):
        return []
    by_id = {
        trip.trip_id: (trip, before)
        for before, trip in zip([None, *trips], trips, strict=False)
        if trip.started.date() == day and Purpose.JOURNEYS in trip.allowed
    }
    return [
        (
            by_id[trip_id][0],
            Draft(
                purpose=Purpose.JOURNEYS,
                body=journey(_journey_facts(*by_id[trip_id])),
                month=month_of(by_id[trip_id][0].started),
                day=day,
                part=None,
            ),
        )
        for trip_id in pick(secret, day, by_id, bound.per_day)
    ]


def _journey_facts(trip: TripFacts, before: TripFacts | None) -> JourneyFacts:
    dwell = None if before is None else (trip.started - before.ended).total_seconds()
    return JourneyFacts(
        started=trip.started,
        distance_m=trip.distance_m,
        duration_s=(trip.ended - trip.started).total_seconds(),
        dwell_before_s=dwell,
        energy_wh=trip.energy_wh,
        ambient_c=trip.ambient_c,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stay between two trips, with the charge session in it, if any."""

    trip: TripFacts  # that led here
    left: datetime  # local time
    charge: ChargeFact | None


def stops_of(
    trips: Sequence[TripFacts], charges: Sequence[ChargeFact], *, day: date
) -> list[Stop] | None:
    """Return the stops that began on ``day``; None while one of them is not over."""
    stops = []
    for index, trip in enumerate(trips):
        if trip.ended.date() != day:
            continue
        if index + 1 == len(trips):
            return None
        left = trips[index + 1].started
        inside = [one for one in charges if trip.ended <= one.started <= left]
        stops.append(Stop(trip=trip, left=left, charge=inside[0] if inside else None))
    return stops


def charging_drafts(
    stops: Sequence[Stop],
    *,
    day: date,
    secret: bytes,
    book: Book,
    covers: Sequence[Zone] | None = (),
) -> list[tuple[TripFacts, Draft]]:
    """Return the stop of ``day`` that may be told.

    ``covers``: of what the driver drew; None: nobody knows, so no area is told.
    """
    bound = BOUNDS[Purpose.CHARGING]
    if not is_turn(secret, day, bound.turn_days):
        return []
    by_id = {
        stop.trip.trip_id: stop
        for stop in stops
        if Purpose.CHARGING in stop.trip.allowed and _says_something(stop)
    }
    return [
        (
            by_id[trip_id].trip,
            Draft(
                purpose=Purpose.CHARGING,
                body=charging_batch(
                    _charge_facts(by_id[trip_id], book),
                    book.private(),
                    covers=covers or (),
                    may_tell_area=covers is not None and not book.is_learning(day),
                ),
                month=month_of(by_id[trip_id].trip.ended),
                day=day,
                part=None,
            ),
        )
        for trip_id in pick(secret, day, by_id, bound.per_day)
    ]


def _says_something(stop: Stop) -> bool:
    soc = stop.trip.soc_end_percent
    return soc is not None and (stop.charge is not None or soc < LOW_SOC_PERCENT)


def _charge_facts(stop: Stop, book: Book) -> ChargeFacts:
    trip, charge = stop.trip, stop.charge
    return ChargeFacts(
        place=book.place_of(trip.trip_id),
        arrived=trip.ended,
        dwell_s=(stop.left - trip.ended).total_seconds(),
        soc_in_percent=trip.soc_end_percent or 0.0,
        soc_out_percent=None if charge is None else charge.soc_end_percent,
        current=None if charge is None else charge.current,
        quarter_hours_wh=() if charge is None else _from_arrival(trip.ended, charge),
    )


def _from_arrival(arrived: datetime, charge: ChargeFact) -> tuple[float, ...]:
    """Return the energies by quarter hours from the arrival on, not from the plug."""
    waited = max(0, round((charge.started - arrived).total_seconds() / 900))
    return (*(0.0,) * waited, *(max(0.0, energy) for energy in charge.quarters_wh))


# -- the agent itself ------------------------------------------------------------------------------


def release_of(version: str) -> str:
    """Return the three numbers of a version; what a package adds to them stays here."""
    numbers = re.findall(r"[0-9]{1,4}", version)[:3]
    return ".".join([*numbers, "0", "0", "0"][:3])


def diagnostics_draft(health: AgentHealth, *, today: date, secret: bytes) -> Draft | None:
    """Return how the agent fares, if today is the day to tell it."""
    if not is_turn(secret, today, BOUNDS[Purpose.DIAGNOSTICS].turn_days):
        return None
    body = DiagnosticsBatch(
        version=health.version,
        uptime_class=sum(health.uptime_s >= limit for limit in _UPTIME_CLASSES_S),
        losses=tuple(
            (name, min(len(str(count)), MAX_LOSS_DIGITS))
            for name, count in sorted(health.losses.items())
            if name in LOSSES and count > 0
        ),
    )
    return Draft(
        purpose=Purpose.DIAGNOSTICS, body=body, month=f"{today:%Y-%m}", day=today, part=None
    )


def next_turn(purpose: Purpose, secret: bytes, today: date) -> date | None:
    """Return the next day whose record may be told; None if every day's may."""
    if purpose not in BOUNDS or purpose is Purpose.TRAFFIC:
        return None
    days = (today + timedelta(days=ahead) for ahead in range(2 * BOUNDS[purpose].turn_days))
    return next(day for day in days if is_turn(secret, day, BOUNDS[purpose].turn_days))
