"""What the driver's screen asks about people: who drives, pauses, standing OKs, receipts, workshop.

One half of the desk: everything blocks in a thread and is answered with a sentence or not at all.
"""

import asyncio
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from agent.consent.keepsake import qr_svg, receipt_document
from agent.consent.keys import KeyFileError
from agent.driver import PauseKind, Seat
from agent.hmi.door import (
    DoorRefusedError,
    Erased,
    ErasedReceipt,
    PeopleDoor,
    Receipt,
    WorkshopWish,
)
from agent.hmi.views import DriverChoice, PauseState, PurposeToggle
from agent.presence import PresenceError
from agent.scribe import Seen
from agent.sharing import Sharing, SharingError
from agent.store.database import StoreError
from agent.store.erasures import Erasures
from agent.store.wishes import WishState, wishes_of
from agent.workshop import Contact, ReportError, Show, make_report
from telemetry.purposes import Purpose

T = TypeVar("T")

STANDING_DAYS = 30  # what one press on the screen gives; a command can say another number
_LINE = 60  # characters of the full text on one line of the screen


class People:
    """The people side of one desk. ``touched`` is called after every change."""

    def __init__(
        self, sharing: Sharing, *, battery_file: Path, touched: Callable[[], None]
    ) -> None:
        """Wire; nothing is read."""
        self._sharing = sharing
        self._battery_file = battery_file
        self._touched = touched

    def door(self) -> PeopleDoor:
        """Return what the screen may call."""
        return PeopleDoor(
            set_standing=self._set_standing,
            choose_driver=lambda profile: self._do(lambda: self._sharing.choose_driver(profile)),
            add_driver=lambda name: self._do(lambda: self._add(name)),
            set_pause=self._set_pause,
            receipt=lambda trip_id: self._do(lambda: self._receipt(trip_id)),
            contact=lambda: self._do(self._contact),
            ask_workshop=lambda wish: self._do(lambda: self._ask_workshop(wish)),
            notice=self._notice,
            erasures=self._erasures,
        )

    def drivers(self) -> tuple[DriverChoice, ...]:
        """Return every profile, and which one drives. Does not block."""
        here = self._sharing.presence.seated().profile_id
        return tuple(
            DriverChoice(profile_id=one.profile_id, name=one.name, is_here=one.profile_id == here)
            for one in self._sharing.presence.profiles()
        )

    def is_guest(self) -> bool:
        """Return whether a guest drives. Does not block."""
        return self._sharing.presence.seated().seat is Seat.GUEST

    def pause(self) -> PauseState | None:
        """Return the pause that is on. Does not block."""
        pause = self._sharing.presence.pause()
        if pause is None:
            return None
        return PauseState(
            until_text=f"{pause.until_utc.astimezone():%H:%M}" if pause.until_utc else ""
        )

    def toggles(self) -> tuple[PurposeToggle, ...]:
        """Return every purpose as the one who drives has it. Blocks."""
        granted, standing = self._sharing.granted(), self._sharing.standing()
        waits = self._sharing.standing_waits()
        return tuple(
            PurposeToggle(
                purpose=purpose,
                granted=purpose in granted,
                always_until=row.until_utc.astimezone().date()
                if (row := standing.get(purpose))
                else None,
                always_waits=purpose in waits,
            )
            for purpose in self._sharing.purposes()
        )

    async def _set_standing(self, purpose: Purpose, *, is_on: bool, language: str) -> None:
        days = STANDING_DAYS if is_on else None
        seen = Seen(language=language)
        await self._do(lambda: self._sharing.set_standing(purpose, days=days, seen=seen))

    async def _set_pause(self, kind: str | None) -> None:
        wished = None if kind is None else PauseKind(kind)
        await self._do(lambda: self._sharing.set_pause(wished))

    def _add(self, name: str) -> None:
        self._sharing.choose_driver(self._sharing.presence.add(name).profile_id)

    def _receipt(self, trip_id: str) -> Receipt:
        batches = {claim.batch_id.hex() for claim in self._sharing.claims.of_trip(trip_id)}
        rows = self._sharing.state.entries_about(batches) if trip_id in self._sharing.mine() else []
        if not rows:
            raise DoorRefusedError("receipt.gone", "There is no receipt for this.", 404)
        newest = rows[-1]
        about = bytes.fromhex(str(newest.batch_id))
        delivered = [one for one in self._sharing.state.receipts(limit=-1) if one.batch_id == about]
        document = receipt_document(newest, delivered)
        record = document["record"]
        return Receipt(
            number=newest.sequence,
            event=record["event"]["type"],
            time=f"{record['event']['time'][:16].replace('T', ' ')} UTC",
            purpose=Purpose(record["purpose"]["name"]),
            recipient=record["recipient"]["name"],
            delivered=tuple(one["status"] for one in document["delivered"]),
            qr=qr_svg(document["qr"]),
            document=document,
        )

    async def _erasures(self) -> tuple[Erased, ...]:
        def read() -> tuple[Erased, ...]:
            rows = Erasures(self._sharing.state.database).rows()
            return tuple(map(_erased, reversed(list(wishes_of(rows)))))

        try:
            return await asyncio.to_thread(read)
        except StoreError as error:
            raise DoorRefusedError(error.code, str(error)) from error

    def _contact(self) -> tuple[str, str]:
        known = self._sharing.contacts().read()
        return known.contact, known.name

    def _ask_workshop(self, wish: WorkshopWish) -> None:
        given = Contact(contact=wish.contact, name=wish.name)
        report = make_report(
            self._battery_file,
            Show(wish.show),
            contact=given,
            message=wish.message,
            today=self._sharing.moment().utc.date(),
        )
        self._sharing.offer_report(report)
        if wish.keep:
            self._sharing.contacts().keep(given)

    def _notice(self, purpose: Purpose, language: str) -> tuple[str, ...]:
        notice = self._sharing.notice(purpose, language)
        paragraphs = (notice.title, notice.text, notice.controller, notice.retention)
        lines = (textwrap.wrap(text, _LINE) for text in (*paragraphs, notice.withdrawal))
        return tuple(line for group in lines for line in (*group, ""))

    async def _do(self, call: Callable[[], T]) -> T:
        try:
            done = await asyncio.to_thread(call)
        except (SharingError, PresenceError, ReportError, KeyFileError, StoreError) as error:
            raise DoorRefusedError(error.code, str(error)) from error
        self._touched()
        return done


def _erased(one: WishState) -> Erased:
    return Erased(
        wish=one.wish,
        time=_utc(one.asked_utc),
        requests=len(one.requests),
        waiting=one.waiting,
        batches=one.batches,
        rows=one.rows,
        left=one.left,
        receipts=tuple(
            ErasedReceipt(
                request=row.erase_id.hex(),
                time=_utc(row.confirmed_utc),
                batches=row.erasure.batches,
                rows=row.erasure.rows,
                left=row.erasure.left,
            )
            for row in one.requests
            if row.erasure and row.confirmed_utc
        ),
    )


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
