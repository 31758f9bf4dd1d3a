"""Confirmed batches waiting for the far end.

A row enters only together with the ledger entry that allows exactly its bytes. It leaves by a
verified receipt, by the driver (taken back, withdrawn), or it is dropped: for lack of room, or
because nobody took it in time. A drop is counted and explained for as long as the trip is known.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime

from agent.store.chain import append_entry, bump
from agent.store.claims import left_s
from agent.store.cover import UncoveredError, expect_covered, expect_granted, expect_recipient
from agent.store.database import Database
from agent.store.drops import Drop, Quota, grow_older, make_room, read_drops
from agent.store.queued import (
    COLUMNS,
    FROM,
    IN_ORDER,
    PRIORITIES,
    SELECT_LINES,
    SELECT_ROWS,
    Moment,
    OutboxLine,
    OutboxRow,
    OutboxState,
    Priority,
    as_offer,
    checksum,
    fixed_values,
    line_of,
    row_of,
)
from agent.store.rows import (
    SELECT_OFFERS,
    LedgerHead,
    OfferRow,
    ReceiptRow,
    SignedEntry,
    TripOutcome,
    as_text,
    is_whole,
    offer_of,
)
from agent.store.shred import shred
from agent.store.vault import batch_item

MakeBatchEntry = Callable[[LedgerHead, OfferRow], SignedEntry]


class Outbox:
    """The queue inside the state file. Every method blocks and is one transaction."""

    def __init__(self, database: Database, *, quota: Quota | None = None) -> None:
        self._database = database
        self._quota = quota or Quota()

    def release(
        self, batch_ids: Sequence[bytes], *, now: Moment, hold_s: float, make_entry: MakeBatchEntry
    ) -> list[bytes]:
        """Turn offers into ledger entries and queued batches: all of them or none.

        Beyond the quota the batches that would leave last are dropped, oldest of them first.

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
                expect_granted(connection, offer)
                entry_hash = _append(connection, offer, make_entry)
                _enqueue(self._database, offer, entry_hash, now=now, hold_s=hold_s)
                expect_covered(connection, offer.batch_id, entry_hash)
            _conclude(connection, offers, TripOutcome.SHARED)
            make_room(connection, self._quota, now)
        shred(self._database)  # what was dropped for it
        return [offer.batch_id for offer in offers]

    def withhold(self, batch_ids: Sequence[bytes], *, make_entry: MakeBatchEntry) -> list[bytes]:
        """Record the driver's No and delete the offers; return the batch ids it was for."""
        with self._database.transaction() as connection:
            offers = _take_offers(connection, batch_ids)
            for offer in offers:
                _append(connection, offer, make_entry)
            _conclude(connection, offers, TripOutcome.KEPT)
        shred(self._database)
        return [offer.batch_id for offer in offers]

    def take_back(
        self, batch_ids: Sequence[bytes], *, now: Moment, make_entry: MakeBatchEntry
    ) -> list[bytes]:
        """Delete batches that are still held; return those that were taken back."""
        with self._database.transaction() as connection:
            rows = [row for row in map(_row(connection), batch_ids) if row]
            held = [row for row in rows if row.attempts == 0 and _is_held(connection, row, now)]
            offers = [as_offer(row) for row in held]
            for offer in offers:
                _append(connection, offer, make_entry)
                connection.execute("DELETE FROM outbox WHERE batch_id=?", (offer.batch_id,))
            _conclude(connection, offers, TripOutcome.KEPT)
        shred(self._database)
        return [offer.batch_id for offer in offers]

    def rows(self) -> list[OutboxRow]:
        """Return everything with its bytes, in the order of leaving, stopped rows included."""
        with self._database.reading(is_lenient=True) as connection:
            rows = connection.execute(f"{SELECT_ROWS} {IN_ORDER}").fetchall()
        return [row_of(row) for row in rows]

    def lines(self) -> list[OutboxLine]:
        """Return everything without its bytes, in the order of leaving, stopped rows included."""
        with self._database.reading(is_lenient=True) as connection:
            rows = connection.execute(f"{SELECT_LINES} {IN_ORDER}").fetchall()
        return [line_of(row) for row in rows]

    def due(self, now: Moment, *, limit: int = 50) -> list[OutboxRow]:
        """Return what may leave now, first to leave first; a damaged row is stopped instead."""
        due: list[OutboxRow] = []
        for line in self.lines():
            if len(due) == limit:
                break
            if line.state is OutboxState.QUEUED and line.held_for_s(now) == 0:
                row = self._intact(line.batch_id)
                if row:
                    due.append(row)
                else:
                    self.stop(line.batch_id, code="outbox.damaged", now_utc=now.utc)
        return due

    def queued(self) -> int:
        """Return how many batches wait and were not stopped."""
        with self._database.reading() as connection:
            found: int = connection.execute(
                "SELECT count(*) FROM outbox WHERE state=?", (OutboxState.QUEUED,)
            ).fetchone()[0]
        return found

    def next_due_s(self, now: Moment) -> float | None:
        """Return the seconds until a held batch may leave; None if none is held."""
        held = [line.held_for_s(now) for line in self.lines() if line.state is OutboxState.QUEUED]
        return min((seconds for seconds in held if seconds > 0), default=None)

    def begin_attempt(self, batch_id: bytes, *, recipient: str) -> None:
        """Count an attempt before it is made; from now on the batch cannot be taken back.

        Raises:
            UncoveredError: The row is gone, or its ledger entry does not allow these bytes, or not
                for ``recipient``.
        """
        with self._database.transaction() as connection:
            row = _row(connection)(batch_id)
            if row is None:
                raise UncoveredError(batch_id, "found no such batch in the outbox")
            expect_granted(connection, as_offer(row))
            expect_covered(connection, batch_id, row.entry_hash)
            expect_recipient(connection, batch_id, row.entry_hash, recipient)
            connection.execute(
                "UPDATE outbox SET attempts = attempts + 1 WHERE batch_id=?", (batch_id,)
            )

    def sealed(self, batch_id: bytes, *, key_id: str, seal: Callable[[bytes], bytes]) -> bytes:
        """Return the bytes that travel: made once, and again only for another key.

        With other bytes all parts start again.

        Args:
            batch_id: A batch in the outbox.
            key_id: Of the key that ``seal`` seals to, hex.
            seal: From the batch to its ciphertext.

        Raises:
            UncoveredError: The row is gone.
        """
        with self._database.transaction() as connection:
            if found := _kept_ciphertext(connection, batch_id, key_id):
                return found
            row = _row(connection)(batch_id)
            if row is None:
                raise UncoveredError(batch_id, "found no such batch in the outbox")
            ciphertext = seal(row.payload)
            kept = self._database.vault.seal(batch_item(batch_id), row.purpose, ciphertext)
            connection.execute("DELETE FROM parts WHERE batch_id=?", (batch_id,))
            connection.execute(
                "INSERT OR REPLACE INTO sealed VALUES (?, ?, ?, ?)",
                (batch_id, key_id, hashlib.sha256(ciphertext).digest(), kept),
            )
        return ciphertext

    def confirm(self, receipt: ReceiptRow) -> bool:
        """Keep the receipt and delete the batch; return False if it was not in the queue."""
        with self._database.transaction() as connection:
            deleted = connection.execute("DELETE FROM outbox WHERE batch_id=?", (receipt.batch_id,))
            if deleted.rowcount:
                _store_receipt(connection, receipt)
        shred(self._database)
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

    def age(self, now: Moment) -> int:
        """Let queued batches grow older once per calendar day seen; return how many were dropped.

        Call it often: it does nothing before the date changes.
        """
        with self._database.transaction() as connection:
            dropped = grow_older(connection, self._quota, now)
        if dropped:
            shred(self._database)
        return dropped

    def drops(self, *, limit: int = 100) -> list[Drop]:
        """Return what was given up, newest first."""
        with self._database.reading() as connection:
            return read_drops(connection, limit=limit)

    def keep_part(self, batch_id: bytes, *, part: int, parts: int) -> None:
        """Remember that ingest keeps this part; nothing happens if the batch has gone."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO parts SELECT batch_id, ?, ? FROM outbox WHERE batch_id=?",
                (parts, part, batch_id),
            )

    def kept_parts(self, batch_id: bytes, *, parts: int) -> frozenset[int]:
        """Return the parts that ingest keeps, when the batch is cut into ``parts``."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT part FROM parts WHERE batch_id=? AND parts=?", (batch_id, parts)
            ).fetchall()
        return frozenset(row[0] for row in rows)

    def forget_parts(self, batch_id: bytes) -> None:
        """Start this batch again: ingest does not have what it kept."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM parts WHERE batch_id=?", (batch_id,))

    def expire_stopped(self, *, before_utc: datetime) -> int:
        """Delete batches that were stopped before ``before_utc``; return how many."""
        with self._database.transaction() as connection:
            deleted = connection.execute(
                "DELETE FROM outbox WHERE state=? AND stopped_utc < ?",
                (OutboxState.STOPPED, as_text(before_utc)),
            ).rowcount
            bump(connection, "expired.stopped", deleted)
        if deleted:
            shred(self._database)
        return deleted

    def _intact(self, batch_id: bytes) -> OutboxRow | None:
        with self._database.reading(is_lenient=True) as connection:
            row = connection.execute(
                f"{COLUMNS}, checksum{FROM} WHERE batch_id=?", (batch_id,)
            ).fetchone()
        try:
            found = row_of(row)
            same_bytes = hashlib.sha256(found.payload).digest() == batch_id
            return found if same_bytes and row[-1] == checksum(found) else None
        except (TypeError, ValueError):  # a value that no release of this program wrote
            return None


def _row(connection: sqlite3.Connection) -> Callable[[bytes], OutboxRow | None]:
    def read(batch_id: bytes) -> OutboxRow | None:
        row = connection.execute(f"{SELECT_ROWS} WHERE batch_id=?", (batch_id,)).fetchone()
        return row_of(row) if row else None

    return read


def _is_held(connection: sqlite3.Connection, row: OutboxRow, now: Moment) -> bool:
    delay = connection.execute(
        "SELECT not_before_utc FROM delays WHERE batch_id=?", (row.batch_id,)
    ).fetchone()
    return row.held_for_s(now) > 0 or left_s(delay[0] if delay else None, now.utc) > 0


def _take_offers(connection: sqlite3.Connection, batch_ids: Sequence[bytes]) -> list[OfferRow]:
    offers = []
    for batch_id in dict.fromkeys(batch_ids):
        row = connection.execute(f"{SELECT_OFFERS} WHERE batch_id=?", (batch_id,)).fetchone()
        if row and is_whole(row):
            offers.append(offer_of(row))
            connection.execute("DELETE FROM offers WHERE batch_id=?", (batch_id,))
    return offers


def _append(connection: sqlite3.Connection, offer: OfferRow, make_entry: MakeBatchEntry) -> bytes:
    return append_entry(connection, lambda head: make_entry(head, offer))


def _enqueue(
    database: Database,
    offer: OfferRow,
    entry_hash: bytes,
    *,
    now: Moment,
    hold_s: float,
) -> None:
    with database.transaction() as connection:
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
    kept = list(fixed_values(row))
    kept[4] = database.vault.seal(batch_item(row.batch_id), row.purpose, row.payload)
    connection.execute(
        "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 'queued', NULL, NULL, ?, 0)",
        (*kept, checksum(row), PRIORITIES.get(row.purpose, Priority.NORMAL)),
    )


def _kept_ciphertext(connection: sqlite3.Connection, batch_id: bytes, key_id: str) -> bytes | None:
    row = connection.execute(
        "SELECT sealed_id, opened(CAST(ciphertext AS BLOB), batch_id) FROM sealed"
        " WHERE batch_id=? AND key_id=?",
        (batch_id, key_id),
    ).fetchone()
    damaged = row is None or row[1] is None or hashlib.sha256(row[1]).digest() != row[0]
    if damaged:  # it is made anew
        return None
    ciphertext: bytes = row[1]
    return ciphertext


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
