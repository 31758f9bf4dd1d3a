"""The driver's side of flow 2: see what would leave, answer, take it back.

Everything here blocks (SQLite, files) and is called from threads; `agent/uplink.py` is the side of
the network. Nothing in this module opens a connection. What is asked, shown and answered is always
that of the driver who drives.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec

from agent.consent.ledger import ChainProblem, ConsentEvent, SignedLedgerEntry
from agent.consent.preview import Preview, preview_of
from agent.consent.recipients import NO_KEY
from agent.grants import Clock, Grants, Permit, SharingError, SharingSettings
from agent.offering import FinishedTrip, Offered
from agent.privacy.delay import sending_delay_s
from agent.privacy.places import Zone
from agent.privacy.selection import BOUNDS
from agent.privacy.zones import DrawnZone, touches
from agent.scribe import Seen
from agent.store.recall import Recalled, recall
from agent.store.rows import LedgerHead, OfferRow, TripOutcome, TripRow
from agent.store.shred import shred
from agent.store.tracks import delete_segment
from telemetry.codec.anybatch import decode_any, purpose_in
from telemetry.codec.errors import CodecError
from telemetry.purposes import NEED_PLACE, Purpose
from telemetry.records import WorkshopReport

__all__ = [
    "Answer",
    "Card",
    "Clock",
    "FinishedTrip",
    "Permit",
    "Sharing",
    "SharingError",
    "SharingSettings",
]

log = logging.getLogger(__name__)

_FRACTION_BYTES = 6
_ZONE_ID_BYTES = 4
_KEPT_FOR = frozenset({Purpose.BATTERY, Purpose.TRAFFIC})  # samples that a person may look at


MakeBatchEntry = Callable[[LedgerHead, OfferRow], SignedLedgerEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A trip or a day that waits for an answer, with everything it would send."""

    trip: TripRow
    previews: tuple[Preview, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an answer did. ``gone``: no longer on offer (answered elsewhere, expired, withdrawn)."""

    answered: tuple[bytes, ...]
    gone: tuple[bytes, ...]


class Sharing(Grants):
    """Offers and answers on what the drivers allow. Every method blocks."""

    def start(self) -> list[ChainProblem]:
        """Verify and load; take back what touches a place that was drawn under a damaged ledger."""
        problems = super().start()
        if self._recall_hidden() != Recalled():
            shred(self.state.database)
        return problems

    # -- offers and answers --------------------------------------------------------------------

    def offer_trip(
        self, trip: FinishedTrip, segment_path: Path | None, *, is_whole: bool = True
    ) -> list[Preview]:
        """Build the batches of a finished trip and put them on offer; return what is shown.

        Only what the driver has on is built; what a standing OK covers is released in the same
        transaction. A trip that is already known is left as it is, so calling this again after a
        power cut does no harm. An unreadable segment is counted, not raised.

        Args:
            trip: Becomes the local summary.
            segment_path: Its samples; None if none were kept.
            is_whole: False if a pause or somebody else came in between: it is then about a part,
                and tells nothing of the day.
        """
        permit = self.permit()
        if permit is None or self.state.trip(trip.trip_id):
            self._forget_unowned(trip, segment_path)
            return []
        keeps = not _KEPT_FOR.isdisjoint(permit.purposes)
        with self._changing, self.state.database.transaction():
            offered = self.offering.of_trip(
                trip, segment_path, profile_id=permit.profile_id, purposes=permit.purposes
            )
            row = TripRow(
                trip_id=trip.trip_id,
                summary=msgspec.json.encode(trip).decode(),
                segment=segment_path.name if keeps and segment_path else None,
                created_utc=self._clock.utc_now(),
                outcome=TripOutcome.UNANSWERED if offered else TripOutcome.NOTHING,
            )
            self._put(row, offered, permit.profile_id, is_whole=is_whole)
        if segment_path and not keeps:
            delete_segment(segment_path)  # they were needed only to know where it ended
        return [self._preview(one.offer.payload) for one in offered]

    def offer_days(self) -> int:
        """Offer what the days that are over tell, and how the agent fares; return how many.

        Call it now and then. Nothing happens while nobody may be asked.
        """
        profile_id = self.presence.seated().profile_id
        if not self._is_intact or profile_id is None or self.presence.pause():
            return 0
        with self._changing, self.state.database.transaction():
            cards = self.offering.of_days(self._allowed)
            if Purpose.DIAGNOSTICS in self._granted:
                cards.setdefault(profile_id, []).extend(self.offering.of_agent(profile_id))
            for whose, offered in cards.items():
                self._put_card("day", whose, offered)
        return sum(len(offered) for offered in cards.values())

    def offer_report(self, report: WorkshopReport) -> str:
        """Put a report for the workshop on offer; return the id of its card.

        It is asked about like every other batch: what is shown is what is sent.

        Raises:
            SharingError: Nobody who could agree, or no workshop has given this vehicle a key.
            StoreError: Nothing was written.
        """
        self._expect_intact()
        profile_id = self._expect_driver()
        if self._scribe.recipient(Purpose.WORKSHOP).key_id == NO_KEY:
            raise SharingError(
                "consent.no_workshop",
                "No workshop has given this vehicle a key; nothing was prepared.",
            )
        with self._changing, self.state.database.transaction():
            offered = self.offering.of_report(report, profile_id)
            self._put_card("workshop", profile_id, [offered])
        return offered.offer.trip_id

    def cards(self) -> list[Card]:
        """Return what waits for an answer of the one who drives, oldest first."""
        mine = self.mine()
        by_trip: dict[str, list[Preview]] = {}
        for offer in self.state.offers():
            if offer.trip_id in mine:
                by_trip.setdefault(offer.trip_id, []).append(self._preview(offer.payload))
        trips = ((self.state.trip(trip_id), previews) for trip_id, previews in by_trip.items())
        return [Card(trip=trip, previews=tuple(previews)) for trip, previews in trips if trip]

    def mine(self) -> frozenset[str]:
        """Return the ids of the trips of the one who drives; nobody else gets to see them."""
        profile_id = self.presence.seated().profile_id
        drives = self.drivers.drives()
        return frozenset(trip_id for trip_id, (whose, _) in drives.items() if whose == profile_id)

    def payload(self, batch: bytes) -> bytes | None:
        """Return the bytes of a batch on offer or in the queue; None if it is neither."""
        offered = {offer.batch_id: offer.payload for offer in self.state.offers()}
        queued = {row.batch_id: row.payload for row in self.outbox.rows()}
        return (offered | queued).get(batch)

    def answer(
        self,
        trip_id: str,
        batch_ids: Sequence[bytes],
        *,
        share: bool,
        seen: Seen | None = None,
    ) -> Answer:
        """Record the driver's OK or No for exactly these batches of a trip.

        Raises:
            SharingError: The ledger is damaged, or the trip is another driver's.
            StoreError: Nothing was written.
        """
        self._expect_intact()
        with self._changing:
            offered = {offer.batch_id for offer in self.state.offers(trip_id)}
            wanted = [batch for batch in dict.fromkeys(batch_ids) if batch in offered]
            if wanted and trip_id not in self.mine():
                raise SharingError("consent.other_driver", "Only who drove can answer for a trip.")
            event = ConsentEvent.OK if share else ConsentEvent.NO
            maker = self._maker(event, seen=seen)
            answered = (
                self._release(wanted, maker)
                if share
                else self.outbox.withhold(wanted, make_entry=maker)
            )
        gone = tuple(batch for batch in batch_ids if batch not in answered)
        log.info("trip_answered", extra={"share": share, "batches": len(answered)})
        return Answer(answered=tuple(answered), gone=gone)

    def take_back(self, batch_ids: Sequence[bytes], *, seen: Seen | None = None) -> list[bytes]:
        """Undo an OK while the batches are held; return those that will not leave."""
        maker = self._maker(ConsentEvent.TAKE_BACK, seen=seen)
        return self.outbox.take_back(batch_ids, now=self.moment(), make_entry=maker)

    # -- places that nobody may see ------------------------------------------------------------

    def draw_zone(
        self, *, latitude: float, longitude: float, radius_m: float, name: str = ""
    ) -> Recalled:
        """Keep a place secret from now on; return what was taken back because of it.

        Batches on a card that tell a cell which touches the place are dropped from it, and those
        that were confirmed are taken back; what has arrived is erased only by ``erase``. With a
        damaged ledger nothing leaves anyway: then they are taken back at a start when it is whole.

        Raises:
            ZoneError: Out of bounds, drawn already, one too many. StoreError: nothing was written.
        """
        zone = DrawnZone(
            zone_id=self._random_bytes(_ZONE_ID_BYTES).hex(),
            latitude=latitude,
            longitude=longitude,
            radius_m=radius_m,
            drawn=self._clock.utc_now().astimezone(self._settings.zone).date(),
            name=name,
        )
        with self._changing, self.state.database.transaction():
            self.offering.zones.add(zone)
            recalled = self._recall_hidden()
        shred(self.state.database)
        log.info("zone_drawn", extra={"offers": recalled.offered, "queued": recalled.queued})
        return recalled

    def remove_zone(self, prefix: str) -> DrawnZone:
        """Tell of a place again; raise ZoneError, StoreError."""
        with self._changing, self.state.database.transaction():
            return self.offering.zones.remove(prefix)

    def clear_zones(self) -> None:
        """Tell of every drawn place again, also if what was drawn cannot be read any more."""
        with self._changing:
            self.offering.zones.clear()

    def last_stop(self) -> tuple[float, float] | None:
        """Return degrees north and east of where the last trip ended; None if nobody knows."""
        stop = next(reversed(self.offering.book().stops.values()), None)
        return None if stop is None else (stop.latitude, stop.longitude)

    def _recall_hidden(self) -> Recalled:
        if not self._is_intact:  # perhaps the token is gone, and with it every secret
            return Recalled()
        covers = self.offering.zones.covers()
        if not covers:
            return Recalled()
        queued = (
            OfferRow(
                batch_id=row.batch_id,
                trip_id=row.trip_id,
                purpose=row.purpose,
                payload=row.payload,
                created_utc=row.created_utc,
            )
            for row in self.outbox.rows()
        )
        return recall(
            self.state.database,
            offered=[one for one in self.state.offers() if _tells_of(one, covers)],
            queued=[one for one in queued if _tells_of(one, covers)],
            make_entry=self._maker(ConsentEvent.TAKE_BACK),
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
        self.claims.forget_unsent()
        return len(overdue)

    # -- inside a transaction ------------------------------------------------------------------

    def _put(
        self, row: TripRow, offered: Sequence[Offered], profile_id: str, *, is_whole: bool
    ) -> None:
        self.state.add_trip(row, [one.offer for one in offered])
        self.drivers.drove(row.trip_id, profile_id, is_whole=is_whole)
        self.claims.put(one.claim for one in offered)
        if profile_id != self.presence.seated().profile_id:
            return  # a standing OK holds for the trips of the driver who is there
        for purpose, standing in self.standing().items():
            batches = [one.offer.batch_id for one in offered if one.claim.purpose == purpose]
            under = standing.entry_hash
            self._release(batches, self._maker(ConsentEvent.OK, released_under=under))

    def _put_card(self, kind: str, profile_id: str, offered: Sequence[Offered]) -> None:
        if not offered:
            return
        row = TripRow(
            trip_id=offered[0].offer.trip_id,
            summary=msgspec.json.encode({"kind": kind}).decode(),
            segment=None,
            created_utc=self._clock.utc_now(),
            outcome=TripOutcome.UNANSWERED,
        )
        self._put(row, offered, profile_id, is_whole=False)

    def _release(self, batch_ids: Sequence[bytes], maker: MakeBatchEntry) -> list[bytes]:
        now = self.moment()
        with self.state.database.transaction():
            released = self.outbox.release(
                batch_ids, now=now, hold_s=self._settings.hold_s, make_entry=maker
            )
            claims = (self.claims.of(batch) for batch in released)
            self.claims.delay(
                {
                    claim.batch_id: now.utc + timedelta(seconds=sending_delay_s(self._chance))
                    for claim in claims
                    if claim and Purpose(claim.purpose) in BOUNDS
                }
            )
        return released

    def _chance(self) -> float:
        drawn = int.from_bytes(self._random_bytes(_FRACTION_BYTES))
        return drawn / float(1 << (8 * _FRACTION_BYTES))

    def _maker(
        self,
        event: ConsentEvent,
        *,
        seen: Seen | None = None,
        released_under: bytes | None = None,
    ) -> MakeBatchEntry:
        def make(head: LedgerHead, offer: OfferRow) -> SignedLedgerEntry:
            claim = self.claims.of(offer.batch_id)
            return self._scribe.entry(
                head,
                event,
                Purpose(offer.purpose),
                profile_id=claim.profile_id if claim else None,
                seen=seen or Seen(),
                batch=offer.batch_id,
                released_under=released_under,
            )

        return make

    def _forget_unowned(self, trip: FinishedTrip, segment_path: Path | None) -> None:
        """Delete the samples of a trip about which nobody could be asked."""
        if segment_path and self._is_intact and self.state.trip(trip.trip_id) is None:
            delete_segment(segment_path)

    def _preview(self, payload: bytes) -> Preview:
        purpose = purpose_in(payload)
        return preview_of(
            payload, notice=self.notice(purpose), recipient=self._scribe.recipient(purpose)
        )


def _tells_of(offer: OfferRow, covers: Sequence[Zone]) -> bool:
    """Tell whether a batch names a cell that touches one of ``covers``."""
    if Purpose(offer.purpose) not in NEED_PLACE:
        return False
    try:
        cell = getattr(decode_any(offer.payload).body, "cell", None)
    except CodecError:  # damaged: it never leaves
        return False
    return cell is not None and touches(cell, covers)
