"""What the rows of the state file are, and how a moment and a batch stand in them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from agent.store.vault import OVERHEAD_BYTES

SELECT_OFFERS = (
    "SELECT batch_id, trip_id, purpose, opened(CAST(payload AS BLOB), batch_id), created_utc"
    " FROM offers"
)
PLAIN_BYTES = f"max(0, length(payload) - {OVERHEAD_BYTES})"  # of a sealed column


class TripOutcome(StrEnum):
    """What became of a trip's data."""

    UNANSWERED = "unanswered"  # offered; the driver has not answered
    SHARED = "shared"  # at least one batch was released
    KEPT = "kept"  # the driver said no, or took it back
    EXPIRED = "expired"  # no answer in time: not shared, offers and samples deleted
    DROPPED = "dropped"  # released, and given up: no room or too old; never delivered
    NOTHING = "nothing"  # no purpose was granted, or there was nothing to offer


class SignedEntry(Protocol):
    """One ledger entry as somebody else made and signed it."""

    @property
    def sequence(self) -> int:
        """Return the place in the chain, from 1."""

    @property
    def body(self) -> bytes:
        """Return the canonical JSON that was signed."""

    @property
    def signature(self) -> bytes:
        """Return the signature over ``body``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """Where the chain ends: the entry to be made is number ``length`` + 1."""

    length: int
    entry_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One stored entry, oldest is sequence 1."""

    sequence: int
    entry_hash: bytes  # SHA-256 of body
    body: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEntryRow:
    """One stored entry about a batch, whose id is in hex."""

    sequence: int
    body: bytes
    signature: bytes
    batch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TripRow:
    """One trip, local only."""

    trip_id: str
    summary: str  # JSON object
    segment: str | None  # file name in the segments folder
    created_utc: datetime
    outcome: TripOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRow:
    """A batch that was built and shown, and not answered yet."""

    batch_id: bytes
    trip_id: str
    purpose: str
    payload: bytes
    created_utc: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRow:
    """The last word of the driver about a purpose."""

    purpose: str
    is_granted: bool
    since_utc: datetime
    entry_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """A verified answer of ingest."""

    batch_id: bytes
    part: int
    status: str
    code: str | None
    body: bytes
    signature: bytes
    received_utc: datetime


MakeEntry = Callable[[LedgerHead], SignedEntry]


def is_whole(row: tuple[Any, ...]) -> bool:
    """Tell whether a row of offers holds the bytes that its batch id names.

    One without its key, or with a flipped byte, is nothing that anybody could answer for.
    """
    return row[3] is not None and hashlib.sha256(row[3]).digest() == row[0]


def offer_of(row: tuple[Any, ...]) -> OfferRow:
    """Return the offer that a row of the table holds."""
    batch_id, trip_id, purpose, payload, created_utc = row
    return OfferRow(
        batch_id=batch_id,
        trip_id=trip_id,
        purpose=purpose,
        payload=payload,
        created_utc=as_time(created_utc),
    )


def as_text(moment: datetime) -> str:
    """Return ISO 8601 with milliseconds, which sorts as time does."""
    return moment.isoformat(timespec="milliseconds")


def as_time(text: str) -> datetime:
    """Return what ``as_text`` wrote."""
    return datetime.fromisoformat(text)
