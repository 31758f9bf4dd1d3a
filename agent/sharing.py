"""The driver's side of flow 2: switch a purpose on, see a batch, answer, take it back.

Everything here blocks (SQLite, files) and is called from threads; `agent/uplink.py` is the side of
the network. Nothing in this module opens a connection.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from agent.consent.keys import SigningKey
from agent.consent.ledger import (
    Act,
    ChainEnd,
    ChainProblem,
    ConsentEvent,
    SignedLedgerEntry,
    TimeQuality,
    make_entry,
    verify_chain,
)
from agent.consent.notices import Notice
from agent.consent.policy import Decision, decide
from agent.consent.preview import Preview, preview_of
from agent.consent.recipients import Recipients
from agent.privacy.battery import battery_slices, month_of
from agent.privacy.chance import keyed_fraction
from agent.privacy.pseudonyms import day_token, pseudonym_of
from agent.store.outbox import Moment, Outbox, Quota
from agent.store.segments import Segment, SegmentError, read_segment
from agent.store.state import (
    LEDGER_LENGTH,
    LedgerHead,
    OfferRow,
    State,
    TripOutcome,
    TripRow,
)
from agent.store.tracks import delete_segment, delete_tracks
from telemetry.codec.batch import batch_id, decode_batch, encode_batch
from telemetry.purposes import NEED_PLACE, Purpose

log = logging.getLogger(__name__)

_SCHEMA_OF = {Purpose.BATTERY: "battery.1"}
_NONCE_BYTES = 16
_FIRST_YEAR, _LAST_YEAR = 2025, 2099  # a clock outside was never set


class Clock(Protocol):
    """Two hands and the boot that the second one belongs to."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start of this boot. It never goes back."""

    def boot_id(self) -> str:
        """Return the id of this boot."""

    def is_proven(self) -> bool:
        """Return whether wall time is synchronised with a source that is trusted."""


class FinishedTrip(Protocol):
    """A trip that ended; a dataclass whose fields become the local summary."""

    @property
    def trip_id(self) -> str:
        """Return the random id."""

    @property
    def started_utc(self) -> datetime | None:
        """Return when it began; None if the wall clock could not be believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingSettings:
    """How long the driver may think, and may think again."""

    hold_s: float = 600.0
    unanswered_days: int = 7
    quota: Quota = field(default_factory=Quota)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A trip that waits for an answer, with everything it would send."""

    trip: TripRow
    previews: tuple[Preview, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an answer did. ``gone``: no longer on offer (answered elsewhere, expired, withdrawn)."""

    answered: tuple[bytes, ...]
    gone: tuple[bytes, ...]


class SharingError(Exception):
    """The driver's wish cannot be met; nothing changed. ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Sharing:
    """Consents, offers and answers. Every method blocks; call it from a thread."""

    def __init__(  # noqa: PLR0913 (the doors of the flow, each named)
        self,
        *,
        state: State,
        key: SigningKey,
        notices: Mapping[Purpose, Notice],
        recipients: Recipients,
        secret_of: Callable[[Purpose], bytes],
        segments: Path,
        clock: Clock,
        settings: SharingSettings,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.state = state
        self.outbox = Outbox(state.database, quota=settings.quota)
        self._key = key
        self._notices = notices
        self.recipients = recipients
        self._secret_of = secret_of
        self._segments = segments
        self._clock = clock
        self._settings = settings
        self._random_bytes = random_bytes
        self._granted: frozenset[Purpose] = frozenset()
        self._is_intact = False
        self._changing = threading.Lock()

    def start(self) -> list[ChainProblem]:
        """Verify the ledger and load the consents; a damaged ledger stops all sharing.

        Returns:
            What is wrong with the ledger; empty if it is whole.
        """
        problems = self.check_ledger()
        self._is_intact = not problems
        self._load_granted()
        if not self.may_keep_place():
            delete_tracks(self._segments)  # the power went between a withdrawal and this
        return problems

    def reload(self) -> None:
        """Load the consents again: a command beside this process may have changed them."""
        with self._changing:
            self._load_granted()

    def check_ledger(self) -> list[ChainProblem]:
        """Return what is wrong with the ledger as it stands now."""
        length = self.state.counters().get(LEDGER_LENGTH, 0)
        return verify_chain(self.state.ledger(), self._key.public, expected_length=length)

    def purposes(self) -> tuple[Purpose, ...]:
        """Return the purposes that a driver can switch on in this vehicle. Does not block."""
        return tuple(purpose for purpose in Purpose if purpose in _SCHEMA_OF)

    def may_record(self) -> bool:
        """Tell whether anything of a trip may touch the disk. Does not block."""
        return self._is_intact and bool(self._granted)

    def may_keep_place(self) -> bool:
        """Tell whether a position may touch the disk: off by default. Does not block."""
        return self.may_record() and not NEED_PLACE.isdisjoint(self._granted)

    def granted(self) -> frozenset[Purpose]:
        """Return the purposes that are switched on. Does not block."""
        return self._granted

    def decision(self, purpose: Purpose) -> Decision:
        """Say whether ``purpose`` may be offered and sent, and why not. Does not block."""
        return decide(
            purpose,
            granted=self._granted,
            noticed=self._notices.keys(),
            is_intact=self._is_intact,
        )

    def notice(self, purpose: Purpose) -> Notice:
        """Return the text a driver agrees to; raise SharingError if there is none."""
        if purpose not in self._notices or purpose not in _SCHEMA_OF:
            raise SharingError("consent.no_notice", f"There is no notice text for {purpose}.")
        return self._notices[purpose]

    def set_consent(
        self, purpose: Purpose, *, is_granted: bool, shown_sha256: str | None = None
    ) -> bool:
        """Switch a purpose on or off; return False if it already stood so.

        Switching off also deletes what is offered or queued for the purpose and not delivered.

        Raises:
            SharingError: No notice, or the ledger is damaged.
            StoreError: Nothing was written.
        """
        self._expect_intact()
        self.notice(purpose)  # without a text nobody can agree
        event = ConsentEvent.GRANT if is_granted else ConsentEvent.WITHDRAW
        with self._changing:
            if (purpose in self._granted) == is_granted:
                return False
            self.state.set_consent(
                purpose,
                is_granted=is_granted,
                now_utc=self._clock.utc_now(),
                make_entry=lambda head: self._entry(
                    head, event, purpose, shown_sha256=shown_sha256
                ),
            )
            self._load_granted()
            if not self.may_keep_place():
                delete_tracks(self._segments)
        log.info("consent_changed", extra={"purpose": purpose, "consent_event": event})
        return True

    def offer_trip(self, trip: FinishedTrip, segment_path: Path) -> list[Preview]:
        """Build the batches of a finished trip and put them on offer; return what is shown.

        Only granted purposes are built. A trip that is already known is left as it is, so calling
        this again after a power cut does no harm. An unreadable segment is counted, not raised.
        """
        if not self.may_record() or self.state.trip(trip.trip_id):
            return []
        payloads = self._payloads(trip, segment_path)
        now = self._clock.utc_now()
        offers = [_offer(trip.trip_id, payload, now) for payload in payloads]
        self.state.add_trip(
            TripRow(
                trip_id=trip.trip_id,
                summary=msgspec.json.encode(trip).decode(),
                segment=segment_path.name,
                created_utc=now,
                outcome=TripOutcome.UNANSWERED if offers else TripOutcome.NOTHING,
            ),
            offers,
        )
        return [self._preview(offer.payload) for offer in offers]

    def cards(self) -> list[Card]:
        """Return the trips that wait for an answer, oldest first."""
        by_trip: dict[str, list[Preview]] = {}
        for offer in self.state.offers():
            by_trip.setdefault(offer.trip_id, []).append(self._preview(offer.payload))
        trips = ((self.state.trip(trip_id), previews) for trip_id, previews in by_trip.items())
        return [Card(trip=trip, previews=tuple(previews)) for trip, previews in trips if trip]

    def payload(self, batch: bytes) -> bytes | None:
        """Return the bytes of a batch on offer or in the queue; None if it is neither."""
        offered = {offer.batch_id: offer.payload for offer in self.state.offers()}
        queued = {row.batch_id: row.payload for row in self.outbox.rows()}
        return (offered | queued).get(batch)

    def answer(self, trip_id: str, batch_ids: Sequence[bytes], *, share: bool) -> Answer:
        """Record the driver's OK or No for exactly these batches of a trip.

        Raises:
            SharingError: The ledger is damaged.
            StoreError: Nothing was written.
        """
        self._expect_intact()
        offered = {offer.batch_id for offer in self.state.offers(trip_id)}
        wanted = [batch for batch in dict.fromkeys(batch_ids) if batch in offered]
        answered = self._release(wanted) if share else self._withhold(wanted)
        gone = tuple(batch for batch in batch_ids if batch not in answered)
        log.info("trip_answered", extra={"share": share, "batches": len(answered)})
        return Answer(answered=tuple(answered), gone=gone)

    def take_back(self, batch_ids: Sequence[bytes]) -> list[bytes]:
        """Undo an OK while the batches are held; return those that will not leave."""
        return self.outbox.take_back(
            batch_ids, now=self.moment(), make_entry=self._maker(ConsentEvent.TAKE_BACK)
        )

    def expire(self) -> int:
        """Delete what nobody answered in time, samples first; return how many trips it was."""
        before = self._clock.utc_now() - timedelta(days=self._settings.unanswered_days)
        overdue = self.state.overdue_trips(before_utc=before)
        for trip in overdue:
            if trip.segment:
                delete_segment(self._segments / trip.segment)
            self.state.expire_trip(trip.trip_id)
        self.outbox.expire_stopped(before_utc=before)
        self.outbox.age(self.moment())
        return len(overdue)

    def moment(self) -> Moment:
        """Return now on both hands of the clock. Blocks: the boot id stands in a file."""
        return Moment(
            utc=self._clock.utc_now(),
            boot_id=self._clock.boot_id(),
            monotonic_s=self._clock.monotonic_s(),
        )

    def _release(self, batch_ids: Sequence[bytes]) -> list[bytes]:
        return self.outbox.release(
            batch_ids,
            now=self.moment(),
            hold_s=self._settings.hold_s,
            make_entry=self._maker(ConsentEvent.OK),
        )

    def _withhold(self, batch_ids: Sequence[bytes]) -> list[bytes]:
        return self.outbox.withhold(batch_ids, make_entry=self._maker(ConsentEvent.NO))

    def _maker(self, event: ConsentEvent) -> Callable[[LedgerHead, OfferRow], SignedLedgerEntry]:
        def make(head: LedgerHead, offer: OfferRow) -> SignedLedgerEntry:
            purpose = Purpose(offer.purpose)
            return self._entry(head, event, purpose, batch=offer.batch_id)

        return make

    def _entry(
        self,
        head: LedgerHead,
        event: ConsentEvent,
        purpose: Purpose,
        *,
        batch: bytes | None = None,
        shown_sha256: str | None = None,
    ) -> SignedLedgerEntry:
        now = self._clock.utc_now()
        act = Act(
            event=event,
            purpose=purpose,
            schema_id=_SCHEMA_OF[purpose],
            notice=self.notice(purpose),
            recipient=self.recipients.named(purpose),
            at_utc=now,
            time_quality=TimeQuality.PROVEN if self._clock.is_proven() else TimeQuality.UNPROVEN,
            batch_id=batch,
            shown_sha256=shown_sha256,
        )
        end = ChainEnd(length=head.length, entry_hash=head.entry_hash)
        return make_entry(act, after=end, record_id=self._random_bytes(16), key=self._key)

    def _payloads(self, trip: FinishedTrip, segment_path: Path) -> list[bytes]:
        started = trip.started_utc or self._clock.utc_now()
        if not _FIRST_YEAR <= started.year <= _LAST_YEAR:
            return self._nothing("offers.clock_not_set", trip)
        try:
            segment = read_segment(segment_path)
        except SegmentError as error:
            log.warning("segment_unreadable", extra={"trip": trip.trip_id, "error": str(error)})
            return self._nothing("offers.segment_unreadable", trip)
        return [
            payload
            for purpose in sorted(self._granted)
            if self.decision(purpose).is_allowed
            for payload in self._batches(
                purpose, segment, trip.trip_id, month_of(started.astimezone(UTC))
            )
        ]

    def _batches(self, purpose: Purpose, segment: Segment, trip_id: str, month: str) -> list[bytes]:
        """Return the slices of a trip, each under a pseudonym that no other one has."""
        secret, today = self._secret_of(purpose), self._clock.utc_now().date()
        slices = battery_slices(
            segment.columns,
            segment.rows,
            month=month,
            fraction=partial(keyed_fraction, secret, "slice", trip_id),
        )
        return [
            encode_batch(
                batch,
                pseudonym=pseudonym_of(day_token(secret, today, f"{trip_id}/{number}")),
                nonce=self._random_bytes(_NONCE_BYTES),
            )
            for number, batch in enumerate(slices)
        ]

    def _nothing(self, counter: str, trip: FinishedTrip) -> list[bytes]:
        self.state.count(counter)
        log.warning("trip_not_offered", extra={"trip": trip.trip_id, "reason": counter})
        return []

    def _preview(self, payload: bytes) -> Preview:
        purpose = decode_batch(payload).purpose
        return preview_of(
            payload, notice=self.notice(purpose), recipient=self.recipients.named(purpose)
        )

    def _load_granted(self) -> None:
        rows = self.state.consents().values()
        self._granted = frozenset(Purpose(row.purpose) for row in rows if row.is_granted)

    def _expect_intact(self) -> None:
        if not self._is_intact:
            raise SharingError(
                "consent.ledger_broken",
                "The consent ledger is damaged; sharing stopped and nothing was changed."
                " See: okdrive-agent doctor",
            )


def _offer(trip_id: str, payload: bytes, now: datetime) -> OfferRow:
    return OfferRow(
        batch_id=batch_id(payload),
        trip_id=trip_id,
        purpose=decode_batch(payload).purpose,
        payload=payload,
        created_utc=now,
    )
