"""Writes ledger entries: on which text, in which language, to whom, under whose key.

Everything that an entry says and that does not depend on the moment is gathered here once. A
language in which a purpose has no text falls back to English, as a whole: the text that is named is
always the one that was shown.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agent.consent.keys import Signer
from agent.consent.ledger import (
    Act,
    ChainEnd,
    ConsentEvent,
    Recipient,
    SignedLedgerEntry,
    TimeQuality,
    make_entry,
)
from agent.consent.notices import DEFAULT_LANGUAGE, Notice
from agent.store.rows import LedgerHead
from telemetry.purposes import Purpose

SCHEMA_OF: Mapping[Purpose, str] = {
    **{purpose: f"{purpose}.1" for purpose in Purpose},
    Purpose.BATTERY: "battery.2",
}
Notices = Mapping[str, Mapping[Purpose, Notice]]  # by language


class Clock(Protocol):
    """Wall time, and whether anybody proves it."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""

    def is_proven(self) -> bool:
        """Return whether wall time is synchronised with a source that is trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the driver had before the eyes: the language, and the hash of the short text, hex."""

    language: str = DEFAULT_LANGUAGE
    shown_sha256: str | None = None


class Scribe:
    """Makes the entries of one vehicle; the store gives each its place in the chain."""

    def __init__(
        self,
        key: Signer,
        *,
        notices: Notices,
        recipients: Callable[[Purpose], Recipient],
        clock: Clock,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Wire; ``recipients`` says who may open what is sent for a purpose."""
        self.public_key = key.public
        self._key = key
        self._notices = notices
        self._recipients = recipients
        self._clock = clock
        self._random_bytes = random_bytes

    def noticed(self) -> frozenset[Purpose]:
        """Return the purposes that have a text; without one nobody can agree."""
        return frozenset(self._notices[DEFAULT_LANGUAGE])

    def notice(self, purpose: Purpose, language: str = DEFAULT_LANGUAGE) -> Notice | None:
        """Return the text on which a driver agrees, in English where the language has none."""
        english = self._notices[DEFAULT_LANGUAGE].get(purpose)
        return self._notices.get(language, {}).get(purpose, english)

    def recipient(self, purpose: Purpose) -> Recipient:
        """Return who may open what is sent for ``purpose``."""
        return self._recipients(purpose)

    def entry(  # noqa: PLR0913 (each is a field of the entry)
        self,
        head: LedgerHead,
        event: ConsentEvent,
        purpose: Purpose,
        *,
        profile_id: str | None,
        seen: Seen,
        batch: bytes | None = None,
        valid_until: datetime | None = None,
        released_under: bytes | None = None,
    ) -> SignedLedgerEntry:
        """Return the signed entry that follows ``head``; raise KeyError without a notice."""
        notice = self.notice(purpose, seen.language)
        if notice is None:
            raise KeyError(f"{purpose}: expected a notice, there is none")
        act = Act(
            event=event,
            purpose=purpose,
            schema_id=SCHEMA_OF[purpose],
            notice=notice,
            recipient=self._recipients(purpose),
            at_utc=self._clock.utc_now(),
            time_quality=TimeQuality.PROVEN if self._clock.is_proven() else TimeQuality.UNPROVEN,
            batch_id=batch,
            shown_sha256=seen.shown_sha256,
            profile=profile_id,
            valid_until=valid_until,
            released_under=released_under,
        )
        end = ChainEnd(length=head.length, entry_hash=head.entry_hash)
        return make_entry(act, after=end, record_id=self._random_bytes(16), key=self._key)
