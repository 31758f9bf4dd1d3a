"""Confirmed batches waiting for the far end.

A row enters only together with the ledger entry that allows exactly its bytes, and leaves only by a
verified receipt, by the driver (taken back, withdrawn) or, once refused, by expiry.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from agent.store.database import Database
from agent.store.state import (
    LedgerHead,
    OfferRow,
    ReceiptRow,
    SignedEntry,
    TripOutcome,
    append_entry,
    as_text,
    as_time,
    bump,
    offer_of,
)

MakeBatchEntry = Callable[[LedgerHead, OfferRow], SignedEntry]


class OutboxState(StrEnum):
    """Where a confirmed batch stands."""

    QUEUED = "queued"
    STOPPED = "stopped"  # refused by ingest, or damaged on disk; shown, then it expires


class UncoveredError(Exception):
    """A batch has no ledger entry that allows its bytes; it was not queued and is not sent."""

    code = "outbox.uncovered"

    def __init__(self, batch_id: bytes, why: str) -> None:
        super().__init__(
            f"batch {batch_id.hex()}: expected a ledger entry that allows it, {why};"
            " nothing was queued or sent"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now, on both hands of the clock, with the boot that the monotonic hand belongs to."""

    utc: datetime
    boot_id: str
    monotonic_s: float


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
        if now.boot_id != self.hold_boot:
            return 0.0
        return max(0.0, self.hold_until_s - now.monotonic_s)


class Outbox:
    """The queue inside the state file. Every method blocks and is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def release(
        self, batch_ids: Sequence[bytes], *, now: Moment, hold_s: float, make_entry: MakeBatchEntry
    ) -> list[bytes]:
        """Turn offers into ledger entries and queued batches: all of them or none.

        Returns:
            The batch ids that were released; one that is no longer on offer (answered on another
            screen, expired, withdrawn) is left out.

        Raises:
            UncoveredError: A purpose is not granted, or an entry names other bytes.
            StoreError: Nothing was written.
        """
        with self._database.transaction() as connection:
            offers = _take_offers(connection, batch_ids)
            for offer in offers:
                _expect_granted(connection, offer)
                entry_hash = _append(connection, offer, make_entry)
                _enqueue(connection, offer, entry_hash, now=now, hold_s=hold_s)
                _expect_covered(connection, offer.batch_id, entry_hash)
            _conclude(connection, offers, TripOutcome.SHARED)
        return [offer.batch_id for offer in offers]

    def withhold(self, batch_ids: Sequence[bytes], *, make_entry: MakeBatchEntry) -> list[bytes]:
        """Record the driver's No and delete the offers; return the batch ids it was for."""
        with self._database.transaction() as connection:
            offers = _take_offers(connection, batch_ids)
            for offer in offers:
                _append(connection, offer, make_entry)
            _conclude(connection, offers, TripOutcome.KEPT)
        return [offer.batch_id for offer in offers]

    def take_back(
        self, batch_ids: Sequence[bytes], *, now: Moment, make_entry: MakeBatchEntry
    ) -> list[bytes]:
        """Delete batches that are still held; return those that were taken back."""
        with self._database.transaction() as connection:
            rows = [row for row in map(_row(connection), batch_ids) if row]
            held = [row for row in rows if row.held_for_s(now) > 0 and row.attempts == 0]
            offers = [_as_offer(row) for row in held]
            for offer in offers:
                _append(connection, offer, make_entry)
                connection.execute("DELETE FROM outbox WHERE batch_id=?", (offer.batch_id,))
            _conclude(connection, offers, TripOutcome.KEPT)
        return [offer.batch_id for offer in offers]

    def rows(self) -> list[OutboxRow]:
        """Return everything in the queue, oldest first, stopped rows included."""
        with self._database.reading() as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY position").fetchall()
        return [_outbox_row(row) for row in rows]

    def due(self, now: Moment) -> list[OutboxRow]:
        """Return what may leave now, oldest first; a damaged row is stopped instead."""
        due = []
        for row in self.rows():
            if row.state is OutboxState.QUEUED and row.held_for_s(now) == 0:
                if self._is_intact(row):
                    due.append(row)
                else:
                    self.stop(row.batch_id, code="outbox.damaged", now_utc=now.utc)
        return due

    def next_due_s(self, now: Moment) -> float | None:
        """Return the seconds until a held batch may leave; None if none is held."""
        held = [row.held_for_s(now) for row in self.rows() if row.state is OutboxState.QUEUED]
        return min((seconds for seconds in held if seconds > 0), default=None)

    def begin_attempt(self, batch_id: bytes) -> None:
        """Count an attempt before it is made; from now on the batch cannot be taken back.

        Raises:
            UncoveredError: The row is gone or its ledger entry does not allow these bytes.
        """
        with self._database.transaction() as connection:
            row = _row(connection)(batch_id)
            if row is None:
                raise UncoveredError(batch_id, "found no such batch in the outbox")
            _expect_granted(connection, _as_offer(row))
            _expect_covered(connection, batch_id, row.entry_hash)
            connection.execute(
                "UPDATE outbox SET attempts = attempts + 1 WHERE batch_id=?", (batch_id,)
            )

    def confirm(self, receipt: ReceiptRow) -> bool:
        """Keep the receipt and delete the batch; return False if it was not in the queue."""
        with self._database.transaction() as connection:
            deleted = connection.execute("DELETE FROM outbox WHERE batch_id=?", (receipt.batch_id,))
            if deleted.rowcount:
                _store_receipt(connection, receipt)
        return bool(deleted.rowcount)

    def stop(
        self, batch_id: bytes, *, code: str, now_utc: datetime, receipt: ReceiptRow | None = None
    ) -> None:
        """Keep a batch but never send it again; ``code`` says why, in the queue and to a person."""
        with self._database.transaction() as connection:
            stopped = connection.execute(
                "UPDATE outbox SET state=?, refusal=?, stopped_utc=? WHERE batch_id=? AND state=?",
                (OutboxState.STOPPED, code, as_text(now_utc), batch_id, OutboxState.QUEUED),
            )
            bump(connection, f"stopped.{code}", stopped.rowcount)
            if receipt:
                _store_receipt(connection, receipt)

    def expire_stopped(self, *, before_utc: datetime) -> int:
        """Delete batches that were stopped before ``before_utc``; return how many."""
        with self._database.transaction() as connection:
            deleted = connection.execute(
                "DELETE FROM outbox WHERE state=? AND stopped_utc < ?",
                (OutboxState.STOPPED, as_text(before_utc)),
            ).rowcount
            bump(connection, "expired.stopped", deleted)
        return deleted

    def _is_intact(self, row: OutboxRow) -> bool:
        with self._database.reading() as connection:
            stored = connection.execute(
                "SELECT checksum FROM outbox WHERE batch_id=?", (row.batch_id,)
            ).fetchone()
        same_bytes = hashlib.sha256(row.payload).digest() == row.batch_id
        return same_bytes and stored is not None and stored[0] == _checksum(row)


_SELECT = (
    "SELECT batch_id, position, trip_id, purpose, payload, entry_hash, hold_boot, hold_until_s,"
    " created_utc, attempts, state, refusal FROM outbox"
)


def _row(connection: sqlite3.Connection) -> Callable[[bytes], OutboxRow | None]:
    def read(batch_id: bytes) -> OutboxRow | None:
        row = connection.execute(f"{_SELECT} WHERE batch_id=?", (batch_id,)).fetchone()
        return _outbox_row(row) if row else None

    return read


def _outbox_row(row: tuple[Any, ...]) -> OutboxRow:
    return OutboxRow(
        batch_id=row[0],
        position=row[1],
        trip_id=row[2],
        purpose=row[3],
        payload=row[4],
        entry_hash=row[5],
        hold_boot=row[6],
        hold_until_s=row[7],
        created_utc=as_time(row[8]),
        attempts=row[9],
        state=OutboxState(row[10]),
        refusal=row[11],
    )


def _as_offer(row: OutboxRow) -> OfferRow:
    return OfferRow(
        batch_id=row.batch_id,
        trip_id=row.trip_id,
        purpose=row.purpose,
        payload=row.payload,
        created_utc=row.created_utc,
    )


def _take_offers(connection: sqlite3.Connection, batch_ids: Sequence[bytes]) -> list[OfferRow]:
    offers = []
    for batch_id in dict.fromkeys(batch_ids):
        row = connection.execute("SELECT * FROM offers WHERE batch_id=?", (batch_id,)).fetchone()
        if row:
            offers.append(offer_of(row))
            connection.execute("DELETE FROM offers WHERE batch_id=?", (batch_id,))
    return offers


def _append(connection: sqlite3.Connection, offer: OfferRow, make_entry: MakeBatchEntry) -> bytes:
    return append_entry(connection, lambda head: make_entry(head, offer))


def _enqueue(
    connection: sqlite3.Connection,
    offer: OfferRow,
    entry_hash: bytes,
    *,
    now: Moment,
    hold_s: float,
) -> None:
    last = connection.execute("SELECT coalesce(max(position), 0) FROM outbox").fetchone()[0]
    row = OutboxRow(
        batch_id=offer.batch_id,
        position=last + 1,
        trip_id=offer.trip_id,
        purpose=offer.purpose,
        payload=offer.payload,
        entry_hash=entry_hash,
        hold_boot=now.boot_id,
        hold_until_s=now.monotonic_s + hold_s,
        created_utc=now.utc,
        attempts=0,
        state=OutboxState.QUEUED,
        refusal=None,
    )
    connection.execute(
        "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 'queued', NULL, NULL)",
        (*_fixed_values(row), _checksum(row)),
    )


def _fixed_values(row: OutboxRow) -> tuple[bytes, int, str, str, bytes, bytes, str, float, str]:
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


def _checksum(row: OutboxRow) -> bytes:
    digest = hashlib.sha256()
    for value in _fixed_values(row):
        encoded = value if isinstance(value, bytes) else repr(value).encode()
        digest.update(len(encoded).to_bytes(8))
        digest.update(encoded)
    return digest.digest()


def _expect_granted(connection: sqlite3.Connection, offer: OfferRow) -> None:
    row = connection.execute(
        "SELECT granted FROM consents WHERE purpose=?", (offer.purpose,)
    ).fetchone()
    if row is None or not row[0]:
        raise UncoveredError(offer.batch_id, f"found purpose {offer.purpose} not switched on")


def _expect_covered(connection: sqlite3.Connection, batch_id: bytes, entry_hash: bytes) -> None:
    row = connection.execute(
        "SELECT entry_hash FROM ledger WHERE batch_id=? AND event='ok' AND entry_hash=?",
        (batch_id.hex(), entry_hash),
    ).fetchone()
    if row is None:
        raise UncoveredError(batch_id, "found none with this batch id")


def _conclude(
    connection: sqlite3.Connection, offers: Sequence[OfferRow], outcome: TripOutcome
) -> None:
    for trip_id in {offer.trip_id for offer in offers}:
        connection.execute("UPDATE trips SET outcome=? WHERE trip_id=?", (outcome, trip_id))


def _store_receipt(connection: sqlite3.Connection, receipt: ReceiptRow) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            receipt.batch_id,
            receipt.part,
            receipt.status,
            receipt.code,
            receipt.body,
            receipt.signature,
            as_text(receipt.received_utc),
        ),
    )
