"""What the drivers of a vehicle allow: purposes, standing OKs, who drives, pauses.

A consent belongs to the driver who gave it. Everything that changes one blocks and is one
transaction with its ledger entry; what is asked for every row that may be recorded does not block.
"""

import logging
import os
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from typing import Protocol

from agent.consent.keys import Signer
from agent.consent.ledger import (
    KEY_LOST,
    ChainProblem,
    ConsentEvent,
    SignedLedgerEntry,
    read_entry,
    switch_problems,
    verify_chain,
)
from agent.consent.notices import DEFAULT_LANGUAGE, Notice
from agent.consent.policy import Decision, Standing, decide, may_send, signing_key_lost
from agent.consent.recipients import Recipients
from agent.driver import PauseKind, Seat
from agent.offering import Offering
from agent.offers import OF_ROWS, OF_TRIPS, AgentHealth
from agent.presence import Presence
from agent.scribe import Scribe, Seen
from agent.store.chain import LEDGER_LENGTH
from agent.store.claims import Claims
from agent.store.drivers import Drivers, StandingRow
from agent.store.drops import Quota
from agent.store.outbox import Outbox
from agent.store.queued import Moment
from agent.store.rows import LedgerHead
from agent.store.state import State
from agent.store.tracks import delete_tracks
from agent.store.vault import EVENT, SEGMENT, TRIP
from agent.workshop import Contacts
from telemetry.purposes import NEED_PLACE, SWITCHED, Purpose

log = logging.getLogger(__name__)

MAX_STANDING_DAYS = 90


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SharingSettings:
    """How long the driver may think, and may think again."""

    hold_s: float = 600.0
    unanswered_days: int = 7
    quota: Quota = field(default_factory=Quota)
    zone: tzinfo | None = None  # in which time a day ends; None: the time zone of the board


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Whose consent a recording rests on, and for what; None of this ever leaves memory."""

    profile_id: str
    purposes: frozenset[Purpose]

    def covers(self, other: "Permit") -> bool:
        """Tell whether what was recorded under ``other`` may stay under this one."""
        return self.profile_id == other.profile_id and self.purposes >= other.purposes


class SharingError(Exception):
    """The driver's wish cannot be met; nothing changed. ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Grants:
    """What the drivers allow. Every method blocks unless it says otherwise."""

    def __init__(  # noqa: PLR0913 (the doors of the flow, each named)
        self,
        *,
        state: State,
        key: Signer,
        notices: Mapping[str, Mapping[Purpose, Notice]],
        recipients: Recipients,
        secret_of: Callable[[Purpose], bytes],
        segments: Path,
        clock: Clock,
        settings: SharingSettings,
        random_bytes: Callable[[int], bytes] = os.urandom,
        health: Callable[[], AgentHealth] | None = None,
    ) -> None:
        self.state = state
        self.outbox = Outbox(state.database, quota=settings.quota)
        self.claims = Claims(state.database)
        self.recipients = recipients
        self.drivers = Drivers(state.database)
        self.presence = Presence(
            self.drivers,
            clock=clock,
            zone=settings.zone,
            new_id=lambda: random_bytes(8).hex(),
        )
        self.offering = Offering(
            state,
            drivers=self.drivers,
            secret_of=secret_of,
            clock=clock,
            zone=settings.zone,
            random_bytes=random_bytes,
            health=health,
        )
        self._scribe = Scribe(
            key,
            notices=notices,
            recipients=recipients.named,
            clock=clock,
            random_bytes=random_bytes,
        )
        self._segments = segments
        self._clock = clock
        self._settings = settings
        self._random_bytes = random_bytes
        self._granted: frozenset[Purpose] = frozenset()
        self._granted_to_anyone: frozenset[Purpose] = frozenset()
        self._holders: frozenset[str] = frozenset()
        self._is_intact = False
        self._key_problem: str | None = None  # why nothing can be signed, if that is the trouble
        self._lost: frozenset[Purpose] = frozenset()  # keys of what is stored are gone
        self._changing = threading.RLock()

    def start(self) -> list[ChainProblem]:
        """Verify the ledger and load the consents; a damaged ledger stops all sharing.

        Returns:
            What is wrong with the ledger; empty if it is whole.
        """
        problems = self.check_ledger()
        self._is_intact = not problems
        self._key_problem = next((one.sentence for one in problems if one.code == KEY_LOST), None)
        self._load()
        if NEED_PLACE.isdisjoint(self._granted_to_anyone):
            delete_tracks(self._segments)  # the power went between a withdrawal and this
        return problems

    def reload(self) -> None:
        """Load the consents again: a command beside this process may have changed them."""
        with self._changing:
            self._load()

    def check_ledger(self) -> list[ChainProblem]:
        """Return what is wrong with the ledger as it stands now, or with what rests on it."""
        length = self.state.counters().get(LEDGER_LENGTH, 0)
        chain = self.state.ledger()
        return [
            *verify_chain(chain, self._scribe.public_key, expected_length=length),
            *switch_problems(self.state.unfounded_consents(), length=len(chain)),
        ]

    def key_problem(self) -> str | None:
        """Return why no entry can be signed, in a sentence; None if the key is there."""
        return self._key_problem

    # -- what is asked for every row; none of these blocks -------------------------------------

    def is_intact(self) -> bool:
        """Tell whether the ledger verified; a damaged one stops all sharing."""
        return self._is_intact

    def purposes(self) -> tuple[Purpose, ...]:
        """Return the purposes that a driver can switch on in this vehicle."""
        return SWITCHED

    def granted(self) -> frozenset[Purpose]:
        """Return what the one who drives has switched on; nothing for a guest or a stranger."""
        return self._granted if self.presence.seated().seat is Seat.DRIVER else frozenset()

    def permit(self) -> Permit | None:
        """Return what a trip may be recorded for now; None: nothing of it may be kept."""
        profile_id = self.presence.seated().profile_id
        purposes = (self.granted() & OF_TRIPS) - self._lost
        if not (self._is_intact and profile_id and purposes) or self.presence.pause():
            return None
        return Permit(profile_id=profile_id, purposes=purposes)

    def may_record(self) -> bool:
        """Tell whether samples of a trip may touch the disk."""
        permit = self.permit()
        return permit is not None and not OF_ROWS.isdisjoint(permit.purposes)

    def may_keep_trip(self) -> bool:
        """Tell whether the figures of a trip or a charge may touch the disk."""
        return self.permit() is not None

    def holder(self) -> str | None:
        """Return the profile of whom events may be kept now; None: of nobody."""
        permit = self.permit()
        return None if permit is None else permit.profile_id

    def holders(self) -> frozenset[str]:
        """Return the profiles whose events may stay: they have a purpose switched on."""
        return self._holders

    def may_keep_place(self) -> bool:
        """Tell whether a position may touch the disk: off by default."""
        permit = self.permit()
        return permit is not None and not NEED_PLACE.isdisjoint(permit.purposes)

    def decision(self, purpose: Purpose) -> Decision:
        """Say whether ``purpose`` may be recorded for and offered now, and why not."""
        return decide(purpose, self._standing(self.granted()))

    def sending_decision(self, purpose: Purpose) -> Decision:
        """Say whether confirmed batches of ``purpose`` may leave, whoever drives now."""
        return may_send(purpose, self._standing(self._granted_to_anyone))

    def notice(self, purpose: Purpose, language: str = DEFAULT_LANGUAGE) -> Notice:
        """Return the text a driver agrees to; raise SharingError if there is none."""
        found = self._scribe.notice(purpose, language)
        if found is None:
            raise SharingError("consent.no_notice", f"There is no notice text for {purpose}.")
        return found

    # -- consents ------------------------------------------------------------------------------

    def set_consent(
        self,
        purpose: Purpose,
        *,
        is_granted: bool,
        shown_sha256: str | None = None,
        language: str = DEFAULT_LANGUAGE,
    ) -> bool:
        """Switch a purpose on or off for the one who drives; return False if it stood so already.

        Switching off also ends a standing OK and deletes what is offered or queued for the purpose
        and not delivered; what was on its way counts as withdrawn.

        Raises:
            SharingError: No notice, nobody who could agree, or the ledger is damaged.
            StoreError: Nothing was written.
        """
        self._expect_intact()
        self.notice(purpose, language)  # without a text nobody can agree
        if purpose not in SWITCHED and is_granted:
            raise SharingError("consent.asked_each_time", f"{purpose} is asked each time.")
        profile_id = self._expect_driver()
        event = ConsentEvent.GRANT if is_granted else ConsentEvent.WITHDRAW
        seen = Seen(language=language, shown_sha256=shown_sha256)
        with self._changing:
            if purpose in SWITCHED and (purpose in self._granted) == is_granted:
                return False
            self.state.set_consent(
                purpose,
                is_granted=is_granted,
                now_utc=self._clock.utc_now(),
                make_entry=lambda head: self._scribe.entry(
                    head, event, purpose, profile_id=profile_id, seen=seen
                ),
                profile_id=profile_id,
            )
            self._load()
            if NEED_PLACE.isdisjoint(self._granted_to_anyone):
                delete_tracks(self._segments)
                self.offering.forget_places()
        log.info("consent_changed", extra={"purpose": purpose, "consent_event": event})
        return True

    def standing(self) -> dict[Purpose, StandingRow]:
        """Return the standing OKs of the one who drives that hold now."""
        profile_id = self.presence.seated().profile_id
        if profile_id is None or not self._clock.is_proven():
            return {}
        now = self._clock.utc_now()
        rows = self.drivers.standing(profile_id).values()
        return {
            Purpose(row.purpose): row
            for row in rows
            if row.since_utc <= now < row.until_utc and self._is_recorded(row)
        }

    def standing_waits(self) -> frozenset[Purpose]:
        """Return the purposes whose standing OK waits: nobody proves what time it is.

        Meanwhile every batch is asked about, and the OK holds again once the clock is proven.
        """
        profile_id = self.presence.seated().profile_id
        if profile_id is None or self._clock.is_proven():
            return frozenset()
        rows = self.drivers.standing(profile_id).values()
        return frozenset(Purpose(row.purpose) for row in rows if self._is_recorded(row))

    def _is_recorded(self, row: StandingRow) -> bool:
        """Tell whether the ledger holds this standing OK, with this end."""
        body = self.state.entry(row.entry_hash)
        if body is None:
            return False
        said = read_entry(body)
        until = row.until_utc.isoformat(timespec="seconds")
        return (said.event, said.purpose, said.valid_until) == (
            ConsentEvent.STANDING,
            row.purpose,
            until,
        )

    def set_standing(
        self, purpose: Purpose, *, days: int | None, seen: Seen | None = None
    ) -> datetime | None:
        """Release every batch of a purpose from now on, or ask again (``days`` None).

        Returns:
            Until when it holds; None when it has ended.

        Raises:
            SharingError: Not switched on, more than 90 days, the workshop, no driver, or a clock
                that nobody proves: its end could not be kept.
        """
        self._expect_intact()
        profile_id = self._expect_driver()
        now, until = self._clock.utc_now(), None
        if days is not None:
            self._expect_may_stand(purpose, days)
            until = now + timedelta(days=days)
        event = ConsentEvent.STANDING if until else ConsentEvent.STANDING_END
        with self._changing, self.state.database.transaction():
            entry_hash = self.state.append(
                lambda head: self._scribe.entry(
                    head,
                    event,
                    purpose,
                    profile_id=profile_id,
                    seen=seen or Seen(),
                    valid_until=until,
                )
            )
            row = until and StandingRow(
                purpose=purpose, since_utc=now, until_utc=until, entry_hash=entry_hash
            )
            self.drivers.set_standing(profile_id, row or None, purpose)
        log.info("standing_changed", extra={"purpose": purpose, "consent_event": event})
        return until

    def _expect_may_stand(self, purpose: Purpose, days: int) -> None:
        if purpose not in SWITCHED:
            raise SharingError("consent.asked_each_time", f"{purpose} is asked each time.")
        if purpose not in self._granted:
            raise SharingError("consent.not_granted", f"Switch {purpose} on first.")
        if not 1 <= days <= MAX_STANDING_DAYS:
            raise SharingError(
                "consent.standing_days", f"Expected 1 to {MAX_STANDING_DAYS} days, got {days}."
            )
        if not self._clock.is_proven():
            raise SharingError(
                "consent.clock_unknown",
                "The time is not known yet, so its end could not be kept; nothing was changed.",
            )

    def contacts(self) -> Contacts:
        """Return the contact details that the driver keeps for the workshop."""
        return Contacts(self.state.database, self.offering.contact_key)

    # -- who drives ----------------------------------------------------------------------------

    def choose_driver(self, profile_id: str | None) -> None:
        """Say who drives, None is a guest; raise PresenceError, StoreError."""
        with self._changing:
            self.presence.choose(profile_id)
            self._load()

    def set_pause(self, kind: PauseKind | None) -> None:
        """Begin a pause (nothing is recorded, offered or sent), or end it with None."""
        with self._changing:
            self.presence.set_pause(kind)

    def remove_driver(self, profile_id: str) -> None:
        """Remove a driver; everything of theirs is withdrawn first.

        Raises:
            PresenceError: Nobody, or the last one. StoreError: nothing was written.
        """
        with self._changing, self.state.database.transaction():
            for purpose, row in self.state.consents(profile_id).items():
                if row.is_granted:
                    self._withdraw_for(Purpose(purpose), profile_id)
            self.presence.remove(profile_id)
        self.reload()

    def _withdraw_for(self, purpose: Purpose, profile_id: str) -> None:
        self.state.set_consent(
            purpose,
            is_granted=False,
            now_utc=self._clock.utc_now(),
            make_entry=lambda head: self._scribe.entry(
                head, ConsentEvent.WITHDRAW, purpose, profile_id=profile_id, seen=Seen()
            ),
            profile_id=profile_id,
        )

    def note_erased(self, whose: Collection[tuple[str, Purpose]]) -> None:
        """Record who takes back what was sent for which purpose; join it to the deletion."""
        for profile_id, purpose in sorted(whose):
            self.state.note(partial(self._erased_entry, profile_id, purpose))

    def _erased_entry(
        self, profile_id: str, purpose: Purpose, head: LedgerHead
    ) -> SignedLedgerEntry:
        event = ConsentEvent.ERASE
        return self._scribe.entry(head, event, purpose, profile_id=profile_id, seen=Seen())

    # -- small things --------------------------------------------------------------------------

    def moment(self) -> Moment:
        """Return now on both hands of the clock. Blocks: the boot id stands in a file."""
        return Moment(
            utc=self._clock.utc_now(),
            boot_id=self._clock.boot_id(),
            monotonic_s=self._clock.monotonic_s(),
        )

    def _allowed(self, profile_id: str, at: datetime) -> frozenset[Purpose]:
        rows = self.state.consents(profile_id).values()
        return frozenset(
            Purpose(row.purpose) for row in rows if row.is_granted and row.since_utc <= at
        )

    def _standing(self, granted: frozenset[Purpose]) -> Standing:
        pause = self.presence.pause()
        until = (
            pause.until_utc.astimezone(self._settings.zone) if pause and pause.until_utc else None
        )
        local = until and until.astimezone(self._settings.zone)
        ends = f"until {local:%H:%M}" if local else "until it is ended by hand"
        return Standing(
            granted=granted,
            noticed=self._scribe.noticed(),
            is_intact=self._is_intact,
            key_problem=self._key_problem,
            lost=self._lost,
            seat=self.presence.seated().seat,
            pause_ends=ends if pause else None,
        )

    def _load(self) -> None:
        self.presence.load()
        rows = self.state.consents(self.presence.seated().profile_id or "").values()
        self._granted = frozenset(Purpose(row.purpose) for row in rows if row.is_granted)
        anyone = frozenset(map(Purpose, self.state.granted_to_anyone()))
        self._holders = frozenset(
            one.profile_id
            for one in self.presence.profiles()
            if not OF_TRIPS.isdisjoint(
                purpose
                for purpose, row in self.state.consents(one.profile_id).items()
                if row.is_granted
            )
        )
        self._granted_to_anyone = anyone | {Purpose.WORKSHOP}  # its OK is the consent
        self._lost = self._find_lost()

    def _find_lost(self) -> frozenset[Purpose]:
        is_lost = self.state.database.vault.is_lost
        if any(map(is_lost, (TRIP, SEGMENT, EVENT))):  # what every purpose is made of
            return frozenset(Purpose)
        return frozenset(purpose for purpose in Purpose if is_lost(purpose))

    def _expect_driver(self) -> str:
        profile_id = self.presence.seated().profile_id
        if profile_id is None:
            raise SharingError(
                "consent.driver_unknown",
                "Nobody said who drives, or a guest does; choose a driver first.",
            )
        return profile_id

    def _expect_intact(self) -> None:
        if self._key_problem:
            raise SharingError("consent.signing_key", signing_key_lost(self._key_problem))
        if not self._is_intact:
            raise SharingError(
                "consent.ledger_broken",
                "The consent ledger is damaged; sharing stopped and nothing was changed."
                " See: okdrive-agent doctor",
            )
