"""Builds offers: when a trip is over, when a day is over, and for the agent itself.

Everything that is remembered for it (places, what was told, which days were looked at) is one
sealed document and is written in the transaction of the offers, so that a power cut can neither
forget what was told nor remember what was not. Every method blocks.
"""

import hmac
import logging
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Protocol

import msgspec

from agent.offers import (
    AgentHealth,
    ChargeFact,
    Draft,
    TripFacts,
    battery_drafts,
    charging_drafts,
    diagnostics_draft,
    due_days,
    journey_drafts,
    next_turn,
    note_stop,
    stops_of,
    traffic_drafts,
)
from agent.privacy.book import Book
from agent.privacy.places import Zone
from agent.privacy.pseudonyms import day_token, pseudonym_of
from agent.store.claims import Claim
from agent.store.database import Database
from agent.store.drivers import Drivers
from agent.store.rows import OfferRow, TripRow
from agent.store.sealed import DamagedNoteError, SealedNote
from agent.store.segment_records import SegmentError
from agent.store.segments import read_segment
from agent.store.sessions import SessionRow, Sessions
from agent.store.state import PLACES_NOTE, State
from agent.store.tracks import StoredTrack, read_track
from agent.zones import Zones
from telemetry.codec.anybatch import encode_any
from telemetry.codec.batch import batch_id
from telemetry.purposes import NEED_PLACE, Purpose
from telemetry.records import CurrentKind, WorkshopReport

log = logging.getLogger(__name__)

_NONCE_BYTES = 16
_FIRST_YEAR, _LAST_YEAR = 2025, 2099  # a clock outside was never set
_LOOKED_AT = 500  # stored trips and sessions, newest first: more than two weeks of anybody
_CURRENTS = {"ac": CurrentKind.AC, "dc": CurrentKind.DC}


SecretOf = Callable[[Purpose], bytes]


class Clock(Protocol):
    """Wall time."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""


class FinishedTrip(Protocol):
    """A trip that ended; a dataclass whose fields become the local summary."""

    @property
    def trip_id(self) -> str:
        """Return the random id."""

    @property
    def started_utc(self) -> datetime | None:
        """Return when it began; None if the wall clock could not be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """An encoded batch with its claim."""

    offer: OfferRow
    claim: Claim


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What days need of a stored trip; other keys are ignored."""

    started_utc: datetime | None = None
    started_s: float = 0.0
    ended_s: float = 0.0
    duration_s: float = 0.0
    distance_m: float = 0.0
    energy_out_wh: float = 0.0
    energy_in_wh: float = 0.0
    soc_end_percent: float | None = None
    ambient_c: float | None = None

    @property
    def length(self) -> timedelta:
        return timedelta(seconds=max(self.ended_s - self.started_s, self.duration_s))


class _Session(msgspec.Struct, frozen=True, kw_only=True):
    """What stops need of a stored charge session; other keys are ignored."""

    started_utc: datetime | None = None
    duration_s: float = 0.0
    supply: str = "unknown"
    energy_in_wh: float = 0.0
    quarters_wh: tuple[float, ...] = ()
    soc_end_percent: float | None = None


class Offering:
    """Makes what is put on offer; decides neither who may be asked nor what was agreed to."""

    def __init__(  # noqa: PLR0913 (doors, each by name)
        self,
        state: State,
        *,
        drivers: Drivers,
        secret_of: SecretOf,
        clock: Clock,
        zone: tzinfo | None,
        random_bytes: Callable[[int], bytes],
        health: Callable[[], AgentHealth] | None,
    ) -> None:
        """Wire; ``health`` None: nobody knows how the agent fares, as in a command."""
        self._state = state
        self._drivers = drivers
        self._secret_of = secret_of
        self._clock = clock
        self._zone = zone
        self._random_bytes = random_bytes
        self._health = health
        self.zones = Zones(state.database, lambda: secret_of(Purpose.TRAFFIC))
        self._note = book_note(state.database, secret_of)

    # -- a trip --------------------------------------------------------------------------------

    def of_trip(
        self,
        trip: FinishedTrip,
        segment_path: Path | None,
        *,
        profile_id: str,
        purposes: Collection[Purpose],
    ) -> list[Offered]:
        """Return what a finished trip offers for ``purposes``; places go into the book.

        Call it inside the transaction that stores the trip. An unreadable file or a clock that was
        never set is counted, not raised: such a trip offers nothing.
        """
        started = trip.started_utc or self._clock.utc_now()
        if not _FIRST_YEAR <= started.year <= _LAST_YEAR:
            return self._nothing("offers.clock_not_set", trip)
        try:
            drafts = list(self._trip_drafts(trip, segment_path, purposes, started))
        except SegmentError as error:
            log.warning("segment_unreadable", extra={"trip": trip.trip_id, "error": str(error)})
            return self._nothing("offers.segment_unreadable", trip)
        return [self._offered(draft, trip.trip_id, profile_id) for draft in drafts]

    def _trip_drafts(
        self,
        trip: FinishedTrip,
        segment_path: Path | None,
        purposes: Collection[Purpose],
        started: datetime,
    ) -> Iterator[Draft]:
        if segment_path is None:
            return
        today = self._clock.utc_now().date()
        if Purpose.BATTERY in purposes:
            yield from battery_drafts(
                read_segment(segment_path),
                trip.trip_id,
                started=started.astimezone(UTC),
                secret=self._secret_of(Purpose.BATTERY),
                today=today,
            )
        if not NEED_PLACE.isdisjoint(purposes):
            yield from self._placed(trip, read_track(segment_path), purposes)

    def _placed(
        self, trip: FinishedTrip, track: StoredTrack, purposes: Collection[Purpose]
    ) -> Iterator[Draft]:
        if not track.points or track.started_utc is None:
            return
        book, here = self.book(), _facts(trip, self._zone)
        before = self._trip_before(here)
        left = book.place_of(before.trip_id) if before else None
        covers = self._covers()
        if Purpose.TRAFFIC in purposes and covers is not None:
            yield from traffic_drafts(
                track.points,
                trip.trip_id,
                started=track.started_utc.astimezone(self._zone),
                secret=self._secret_of(Purpose.TRAFFIC),
                book=book,
                covers=covers,
                left=left,
            )
        note_stop(book, here, before, start=track.points[0], end=track.points[-1])
        self.keep_book(book)

    def _trip_before(self, trip: TripFacts) -> TripFacts | None:
        earlier = (one for one in self.facts() if one.ended <= trip.started)
        return max(earlier, key=lambda one: one.ended, default=None)

    # -- a day ---------------------------------------------------------------------------------

    def of_days(self, allowed: "Allowed") -> dict[str, list[Offered]]:
        """Return what the days that are over offer, by profile; they are not looked at again.

        Args:
            allowed: What a driver had switched on at a moment.
        """
        book, facts = self.book(), self.facts(allowed)
        today = self._clock.utc_now().astimezone(self._zone).date()
        found = [*self._journeys(book, facts, today), *self._charges(book, facts, today)]
        if found or book != self.book():
            self.keep_book(book)
        offered: dict[str, list[Offered]] = {}
        trip_id = secrets.token_hex(8)  # a card of its own: a day belongs to no trip
        for trip, draft in found:
            offered.setdefault(trip.profile_id, []).append(
                self._offered(draft, f"{trip_id}", trip.profile_id)
            )
        return offered

    def _journeys(
        self, book: Book, facts: Sequence[TripFacts], today: date
    ) -> Iterator[tuple[TripFacts, Draft]]:
        if all(Purpose.JOURNEYS not in trip.allowed for trip in facts):
            return
        secret = self._secret_of(Purpose.JOURNEYS)
        for day in due_days(book, Purpose.JOURNEYS, today=today):
            yield from journey_drafts(facts, day=day, secret=secret)
            book.done[Purpose.JOURNEYS] = day

    def _charges(
        self, book: Book, facts: Sequence[TripFacts], today: date
    ) -> Iterator[tuple[TripFacts, Draft]]:
        if all(Purpose.CHARGING not in trip.allowed for trip in facts):
            return
        secret, charges = self._secret_of(Purpose.CHARGING), self._charge_facts()
        for day in due_days(book, Purpose.CHARGING, today=today):
            stops = stops_of(facts, charges, day=day)
            if stops is None:
                return  # the vehicle still stands where it stood then
            yield from charging_drafts(
                stops, day=day, secret=secret, book=book, covers=self._covers()
            )
            book.done[Purpose.CHARGING] = day

    def facts(self, allowed: "Allowed | None" = None) -> list[TripFacts]:
        """Return the stored trips as days see them, oldest first; other rows are left out."""
        drives = self._drivers.drives()
        rows = self._state.trips(limit=_LOOKED_AT)
        facts = (_stored_facts(row, drives, allowed, self._zone) for row in rows)
        return sorted((one for one in facts if one), key=lambda one: one.started)

    def _charge_facts(self) -> list[ChargeFact]:
        rows = Sessions(self._state.database).rows(limit=_LOOKED_AT)
        facts = (_charge(row, self._zone) for row in rows if not row.is_open)
        return sorted((one for one in facts if one), key=lambda one: one.started)

    # -- the agent -----------------------------------------------------------------------------

    def of_agent(self, profile_id: str) -> list[Offered]:
        """Return how the agent fares, on the days on which that may be told, once."""
        book, today = self.book(), self._clock.utc_now().astimezone(self._zone).date()
        if self._health is None or book.done.get(Purpose.DIAGNOSTICS) == today:
            return []
        secret = self._secret_of(Purpose.DIAGNOSTICS)
        draft = diagnostics_draft(self._health(), today=today, secret=secret)
        if draft is None:
            return []
        book.done[Purpose.DIAGNOSTICS] = today
        self.keep_book(book)
        return [self._offered(draft, secrets.token_hex(8), profile_id)]

    def next_turn(self, purpose: Purpose) -> date | None:
        """Return the next day of which a record may be told; None if every day's may."""
        today = self._clock.utc_now().astimezone(self._zone).date()
        return next_turn(purpose, self._secret_of(purpose), today)

    def of_report(self, report: WorkshopReport, profile_id: str) -> Offered:
        """Return a report for the workshop, under a name made for it alone."""
        trip_id, today = secrets.token_hex(8), self._clock.utc_now().date()
        draft = Draft(
            purpose=Purpose.WORKSHOP, body=report, month=report.day[:7], day=today, part=trip_id
        )
        return self._offered(draft, trip_id, profile_id)

    # -- the book ------------------------------------------------------------------------------

    def book(self) -> Book:
        """Return what is remembered; a new book if there is none or it does not open."""
        try:
            known = read_book(self._note)
        except DamagedNoteError as error:
            log.warning("book_unreadable", extra={"error": str(error)})
            self._state.count("book.unreadable")
            known = None
        if known is not None:
            return known
        return Book(since=self._clock.utc_now().astimezone(self._zone).date())

    def _covers(self) -> list[Zone] | None:
        covers = self.zones.covers()
        if covers is None:
            log.warning("zones_unreadable")
            self._state.count("zones.unreadable")
        return covers

    def keep_book(self, book: Book) -> None:
        """Store what is remembered."""
        self._note.write(msgspec.json.encode(book))

    def forget_places(self) -> None:
        """Forget every place that was learnt: no purpose needs one; what was drawn stays."""
        book = self.book()
        if book.places or book.stops or book.told:
            since = self._clock.utc_now().astimezone(self._zone).date()
            self.keep_book(Book(since=since, done=book.done))

    def contact_key(self) -> bytes:
        """Return the 32 bytes under which the driver's contact details are sealed."""
        return contact_key(self._secret_of)

    def token(self, claim: Claim) -> bytes:
        """Return the 32 bytes that prove a batch was this vehicle's: they ask for its erasure."""
        return day_token(self._secret_of(Purpose(claim.purpose)), claim.day, claim.part)

    def pseudonym(self, claim: Claim) -> bytes:
        """Return the 16 bytes that the batch of ``claim`` carries."""
        return pseudonym_of(self.token(claim))

    # -- encoding ------------------------------------------------------------------------------

    def _offered(self, draft: Draft, trip_id: str, profile_id: str) -> Offered:
        token = day_token(self._secret_of(draft.purpose), draft.day, draft.part)
        payload = encode_any(
            draft.body,
            month=draft.month,
            pseudonym=pseudonym_of(token),
            nonce=self._random_bytes(_NONCE_BYTES),
        )
        offer = OfferRow(
            batch_id=batch_id(payload),
            trip_id=trip_id,
            purpose=draft.purpose,
            payload=payload,
            created_utc=self._clock.utc_now(),
        )
        claim = Claim(
            batch_id=offer.batch_id,
            trip_id=trip_id,
            profile_id=profile_id,
            purpose=draft.purpose,
            day=draft.day,
            part=draft.part,
        )
        return Offered(offer=offer, claim=claim)

    def _nothing(self, counter: str, trip: FinishedTrip) -> list[Offered]:
        self._state.count(counter)
        log.warning("trip_not_offered", extra={"trip": trip.trip_id, "reason": counter})
        return []


def book_note(database: Database, secret_of: SecretOf) -> SealedNote:
    """Return the document that holds the book, under a key of its own."""
    return SealedNote(
        database,
        PLACES_NOTE,
        lambda: hmac.digest(secret_of(Purpose.TRAFFIC), b"okdrive book", "sha256"),
    )


def read_book(note: SealedNote) -> Book | None:
    """Return the book; None if there is none. Raise DamagedNoteError if it does not open."""
    text = note.read()
    try:
        return msgspec.json.decode(text, type=Book) if text else None
    except msgspec.DecodeError as error:
        raise DamagedNoteError(PLACES_NOTE) from error


def contact_key(secret_of: SecretOf) -> bytes:
    """Return the 32 bytes under which contact details are sealed."""
    return hmac.digest(secret_of(Purpose.WORKSHOP), b"okdrive contact", "sha256")


Allowed = Callable[[str, datetime], frozenset[Purpose]]  # profile and moment -> what was on


def _facts(trip: FinishedTrip, zone: tzinfo | None) -> TripFacts:
    known = msgspec.convert(trip, _Stored, from_attributes=True)
    return _as_facts(trip.trip_id, "", known, frozenset(), zone)


def _stored_facts(
    row: TripRow,
    drives: Mapping[str, tuple[str, bool]],
    allowed: Allowed | None,
    zone: tzinfo | None,
) -> TripFacts | None:
    try:
        known = msgspec.json.decode(row.summary, type=_Stored)
    except msgspec.DecodeError:
        return None
    if known.started_utc is None:
        return None
    profile_id, is_whole = drives.get(row.trip_id, ("", False))
    on = allowed(profile_id, known.started_utc) if allowed and is_whole else frozenset[Purpose]()
    return _as_facts(row.trip_id, profile_id, known, on, zone)


def _as_facts(
    trip_id: str,
    profile_id: str,
    known: _Stored,
    allowed: frozenset[Purpose],
    zone: tzinfo | None,
) -> TripFacts:
    started = (known.started_utc or datetime.min.replace(tzinfo=UTC)).astimezone(zone)
    return TripFacts(
        trip_id=trip_id,
        profile_id=profile_id,
        started=started,
        ended=started + known.length,
        distance_m=known.distance_m,
        energy_wh=known.energy_out_wh - known.energy_in_wh,
        soc_end_percent=known.soc_end_percent,
        ambient_c=known.ambient_c,
        allowed=allowed,
    )


def _charge(row: SessionRow, zone: tzinfo | None) -> ChargeFact | None:
    try:
        known = msgspec.json.decode(row.summary, type=_Session)
    except msgspec.DecodeError:
        return None
    if known.started_utc is None or known.energy_in_wh <= 0:
        return None
    started = known.started_utc.astimezone(zone)
    return ChargeFact(
        started=started,
        ended=started + timedelta(seconds=known.duration_s),
        current=_CURRENTS.get(known.supply),
        soc_end_percent=known.soc_end_percent,
        quarters_wh=known.quarters_wh,
    )
