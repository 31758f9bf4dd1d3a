"""What waits in the outbox: a confirmed batch, with its bytes or without, as the file has it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

from agent.store.claims import left_s
from agent.store.rows import PLAIN_BYTES, OfferRow, as_text, as_time

ASKED_EACH_TIME = "workshop"


class OutboxState(StrEnum):
    """Where a confirmed batch stands."""

    QUEUED = "queued"
    STOPPED = "stopped"  # refused by ingest, or damaged on disk; shown, then it expires


class Priority(IntEnum):
    """Who leaves first; the value is what the file holds. Within one, oldest first."""

    ALERT = 10  # a battery that needs somebody
    PERSON = 20  # somebody waits for it, as at the workshop
    NORMAL = 50
    BULK = 90  # nobody misses it for a week


PRIORITIES: Mapping[str, Priority] = {"workshop": Priority.PERSON, "diagnostics": Priority.BULK}

FROM = " FROM outbox"
COLUMNS = (
    "SELECT batch_id, position, trip_id, purpose, opened(CAST(payload AS BLOB), batch_id),"
    " entry_hash, hold_boot,"
    " hold_until_s,"
    " created_utc, attempts, state, refusal"
)
SELECT_ROWS = COLUMNS + FROM
SELECT_LINES = (
    f"SELECT batch_id, trip_id, purpose, {PLAIN_BYTES}, hold_boot, hold_until_s, created_utc,"  # noqa: S608
    " attempts, state, refusal, priority, age_days,"
    " (SELECT not_before_utc FROM delays WHERE delays.batch_id=outbox.batch_id) FROM outbox"
)
IN_ORDER = "ORDER BY priority, position"
_NO_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now, on both hands of the clock, with the boot that the monotonic hand belongs to."""

    utc: datetime
    boot_id: str
    monotonic_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLine:
    """One confirmed batch without its bytes; lines are in the order in which they leave."""

    batch_id: bytes
    trip_id: str
    purpose: str
    size_bytes: int
    hold_boot: str
    hold_until_s: float
    created_utc: datetime
    attempts: int
    state: OutboxState
    refusal: str | None
    priority: int
    age_days: int
    not_before: str | None  # UTC; its moment of leaving was drawn at random

    def held_for_s(self, now: Moment) -> float:
        """Return for how long the driver may still take it back; 0 when it may leave."""
        held_s = _held_for_s(self.hold_boot, self.hold_until_s, now)
        return max(held_s, left_s(self.not_before, now.utc))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """One confirmed batch. A hold lasts until its boot ends or its second has come."""

    batch_id: bytes
    position: int
    trip_id: str
    purpose: str
    payload: bytes
    entry_hash: bytes
    hold_boot: str
    hold_until_s: float
    created_utc: datetime
    attempts: int
    state: OutboxState
    refusal: str | None

    def held_for_s(self, now: Moment) -> float:
        """Return for how long the driver may still take it back; 0 when it may leave."""
        return _held_for_s(self.hold_boot, self.hold_until_s, now)


def line_of(row: tuple[Any, ...]) -> OutboxLine:
    """Return one line; a value that cannot be is shown as stopped, not raised: others may leave."""
    try:
        state, created, hold_until_s = OutboxState(row[8]), as_time(row[6]), float(row[5])
        refusal = row[9]
    except (TypeError, ValueError):
        state, created, hold_until_s = OutboxState.STOPPED, _NO_TIME, 0.0
        refusal = "outbox.damaged"
    return OutboxLine(
        batch_id=row[0],
        trip_id=row[1],
        purpose=row[2],
        size_bytes=row[3],
        hold_boot=row[4],
        hold_until_s=hold_until_s,
        created_utc=created,
        attempts=row[7],
        state=state,
        refusal=refusal,
        priority=row[10],
        age_days=row[11],
        not_before=row[12],
    )


def row_of(row: tuple[Any, ...]) -> OutboxRow:
    """Return what ``SELECT_ROWS`` read; raise ValueError for what no release wrote."""
    return OutboxRow(
        batch_id=row[0],
        position=row[1],
        trip_id=row[2],
        purpose=row[3],
        payload=row[4] or b"",  # nothing: its key is gone
        entry_hash=row[5],
        hold_boot=row[6],
        hold_until_s=row[7],
        created_utc=as_time(row[8]),
        attempts=row[9],
        state=OutboxState(row[10]),
        refusal=row[11],
    )


def as_offer(row: OutboxRow) -> OfferRow:
    """Return the offer that this batch was before the driver's OK."""
    return OfferRow(
        batch_id=row.batch_id,
        trip_id=row.trip_id,
        purpose=row.purpose,
        payload=row.payload,
        created_utc=row.created_utc,
    )


def fixed_values(row: OutboxRow) -> tuple[bytes, int, str, str, bytes, bytes, str, float, str]:
    """Return the columns that never change, in the order of the table."""
    return (
        row.batch_id,
        row.position,
        row.trip_id,
        row.purpose,
        row.payload,
        row.entry_hash,
        row.hold_boot,
        row.hold_until_s,
        as_text(row.created_utc),
    )


def checksum(row: OutboxRow) -> bytes:
    """Return what tells that none of the fixed columns was damaged on disk."""
    digest = hashlib.sha256()
    for value in fixed_values(row):
        encoded = value if isinstance(value, bytes) else repr(value).encode()
        digest.update(len(encoded).to_bytes(8))
        digest.update(encoded)
    return digest.digest()


def _held_for_s(boot: str, until_s: float, now: Moment) -> float:
    return max(0.0, until_s - now.monotonic_s) if now.boot_id == boot else 0.0
