"""Confirmed batches waiting for the far end.

A row enters only together with the ledger entry that allows exactly its bytes. It leaves by a
verified receipt, by the driver (taken back, withdrawn), or it is dropped: for lack of room, or
because nobody took it in time. A drop is counted and explained for as long as the trip is known.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

from agent.store.claims import left_s
from agent.store.database import Database
from agent.store.drivers import GRANTED_FOR
from agent.store.shred import shred
from agent.store.state import (
    PLAIN_BYTES,
    SELECT_OFFERS,
    LedgerHead,
    OfferRow,
    ReceiptRow,
    SignedEntry,
    TripOutcome,
    append_entry,
    as_text,
    as_time,
    bump,
    is_whole,
    offer_of,
)
from agent.store.vault import batch_item

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


class Priority(IntEnum):
    """Who leaves first; the value is what the file holds. Within one, oldest first."""

    ALERT = 10  # a battery that needs somebody
    PERSON = 20  # somebody waits for it, as at the workshop
    NORMAL = 50
    BULK = 90  # nobody misses it for a week


ASKED_EACH_TIME = "workshop"
PRIORITIES: Mapping[str, Priority] = {"workshop": Priority.PERSON, "diagnostics": Priority.BULK}


class DropCode(StrEnum):
    """Why a confirmed batch was given up."""

    NO_ROOM = "outbox.no_room"  # the quota was full of batches that go before it
    TOO_OLD = "outbox.too_old"  # nobody took it on so many days of use


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much may wait, and for how long.

    Age counts days on which the vehicle was used, one at most per calendar day seen: a clock that
    jumps a year ahead costs one day, not the whole queue.
    """

    max_bytes: int = 64 * 1024 * 1024
    max_batches: int = 10_000
    max_age_days: int = 90


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A confirmed batch that was given up, and why."""

    batch_id: bytes
    trip_id: str
    purpose: str
    size_bytes: int
    code: DropCode
    age_days: int
    attempts: int
    dropped_utc: datetime


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
                _expect_granted(connection, offer)
                entry_hash = _append(connection, offer, make_entry)
                _enqueue(self._database, offer, entry_hash, now=now, hold_s=hold_s)
                _expect_covered(connection, offer.batch_id, entry_hash)
            _conclude(connection, offers, TripOutcome.SHARED)
            _make_room(connection, self._quota, now)
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
            offers = [_as_offer(row) for row in held]
            for offer in offers:
                _append(connection, offer, make_entry)
                connection.execute("DELETE FROM outbox WHERE batch_id=?", (offer.batch_id,))
            _conclude(connection, offers, TripOutcome.KEPT)
        shred(self._database)
        return [offer.batch_id for offer in offers]

    def rows(self) -> list[OutboxRow]:
        """Return everything with its bytes, in the order of leaving, stopped rows included."""
        with self._database.reading(is_lenient=True) as connection:
            rows = connection.execute(f"{_SELECT} {_ORDER}").fetchall()
        return [_outbox_row(row) for row in rows]

    def lines(self) -> list[OutboxLine]:
        """Return everything without its bytes, in the order of leaving, stopped rows included."""
        with self._database.reading(is_lenient=True) as connection:
            rows = connection.execute(f"{_SELECT_LINES} {_ORDER}").fetchall()
        return [_line(row) for row in rows]

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
            _expect_granted(connection, _as_offer(row))
            _expect_covered(connection, batch_id, row.entry_hash)
            _expect_recipient(connection, batch_id, row.entry_hash, recipient)
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
        today = now.utc.date().isoformat()
        with self._database.transaction() as connection:
            if _last_day(connection) == today:
                return 0
            _note(connection, _AGED, today)
            connection.execute(
                "UPDATE outbox SET age_days = age_days + 1 WHERE state=?", (OutboxState.QUEUED,)
            )
            old = connection.execute(
                "SELECT batch_id FROM outbox WHERE state=? AND age_days > ?",
                (OutboxState.QUEUED, self._quota.max_age_days),
            ).fetchall()
            for (batch,) in old:
                _drop(connection, batch, DropCode.TOO_OLD, now.utc)
        if old:
            shred(self._database)
        return len(old)

    def drops(self, *, limit: int = 100) -> list[Drop]:
        """Return what was given up, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM drops ORDER BY dropped_utc DESC, batch_id LIMIT ?", (limit,)
            ).fetchall()
        return [
            Drop(
                batch_id=row[0],
                trip_id=row[1],
                purpose=row[2],
                size_bytes=row[3],
                code=DropCode(row[4]),
                age_days=row[5],
                attempts=row[6],
                dropped_utc=as_time(row[7]),
            )
            for row in rows
        ]

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
                f"{_COLUMNS}, checksum{_FROM} WHERE batch_id=?", (batch_id,)
            ).fetchone()
        try:
            found = _outbox_row(row)
            same_bytes = hashlib.sha256(found.payload).digest() == batch_id
            return found if same_bytes and row[-1] == _checksum(found) else None
        except (TypeError, ValueError):  # a value that no release of this program wrote
            return None


_FROM = " FROM outbox"
_COLUMNS = (
    "SELECT batch_id, position, trip_id, purpose, opened(CAST(payload AS BLOB), batch_id),"
    " entry_hash, hold_boot,"
    " hold_until_s,"
    " created_utc, attempts, state, refusal"
)
_SELECT = _COLUMNS + _FROM
_SELECT_LINES = (
    f"SELECT batch_id, trip_id, purpose, {PLAIN_BYTES}, hold_boot, hold_until_s, created_utc,"  # noqa: S608
    " attempts, state, refusal, priority, age_days,"
    " (SELECT not_before_utc FROM delays WHERE delays.batch_id=outbox.batch_id) FROM outbox"
)
_ORDER = "ORDER BY priority, position"
_AGED = "outbox.aged"  # the note that holds the last day seen


def _row(connection: sqlite3.Connection) -> Callable[[bytes], OutboxRow | None]:
    def read(batch_id: bytes) -> OutboxRow | None:
        row = connection.execute(f"{_SELECT} WHERE batch_id=?", (batch_id,)).fetchone()
        return _outbox_row(row) if row else None

    return read


def _held_for_s(boot: str, until_s: float, now: Moment) -> float:
    return max(0.0, until_s - now.monotonic_s) if now.boot_id == boot else 0.0


def _is_held(connection: sqlite3.Connection, row: OutboxRow, now: Moment) -> bool:
    delay = connection.execute(
        "SELECT not_before_utc FROM delays WHERE batch_id=?", (row.batch_id,)
    ).fetchone()
    return row.held_for_s(now) > 0 or left_s(delay[0] if delay else None, now.utc) > 0


def _line(row: tuple[Any, ...]) -> OutboxLine:
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


_NO_TIME = datetime.min.replace(tzinfo=UTC)


def _outbox_row(row: tuple[Any, ...]) -> OutboxRow:
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
    kept = list(_fixed_values(row))
    kept[4] = database.vault.seal(batch_item(row.batch_id), row.purpose, row.payload)
    connection.execute(
        "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 'queued', NULL, NULL, ?, 0)",
        (*kept, _checksum(row), PRIORITIES.get(row.purpose, Priority.NORMAL)),
    )


def _make_room(connection: sqlite3.Connection, quota: Quota, now: Moment) -> None:
    """Drop until the rest fits: what was refused, then what leaves last, oldest of it first."""
    count, size = connection.execute(
        f"SELECT count(*), total({PLAIN_BYTES}) FROM outbox"  # noqa: S608 (our own constant)
    ).fetchone()
    candidates = connection.execute(
        f"SELECT batch_id, {PLAIN_BYTES} FROM outbox"  # noqa: S608 (our own constant)
        " ORDER BY state='queued', priority DESC, position"
    ).fetchall()
    for batch, bytes_ in candidates:
        if count <= quota.max_batches and size <= quota.max_bytes:
            return
        _drop(connection, batch, DropCode.NO_ROOM, now.utc)
        count, size = count - 1, size - bytes_


def _drop(connection: sqlite3.Connection, batch: bytes, code: DropCode, now_utc: datetime) -> None:
    connection.execute(
        f"INSERT OR REPLACE INTO drops SELECT batch_id, trip_id, purpose, {PLAIN_BYTES}, ?,"  # noqa: S608
        " age_days, attempts, ? FROM outbox WHERE batch_id=?",
        (code, as_text(now_utc), batch),
    )
    connection.execute(
        "UPDATE trips SET outcome=? WHERE trip_id=(SELECT trip_id FROM outbox WHERE batch_id=?)",
        (TripOutcome.DROPPED, batch),
    )
    connection.execute("DELETE FROM outbox WHERE batch_id=?", (batch,))
    bump(connection, f"dropped.{code}", 1)


def _last_day(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM notes WHERE name=?", (_AGED,)).fetchone()
    return row[0] if row else None


def _note(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))


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
    if offer.purpose == ASKED_EACH_TIME:
        return  # its OK is the consent
    row = connection.execute(GRANTED_FOR, (offer.batch_id, offer.purpose)).fetchone()
    if row is None or not row[0]:
        raise UncoveredError(offer.batch_id, f"found purpose {offer.purpose} not switched on")


def _expect_covered(connection: sqlite3.Connection, batch_id: bytes, entry_hash: bytes) -> None:
    row = connection.execute(
        "SELECT entry_hash FROM ledger WHERE batch_id=? AND event='ok' AND entry_hash=?",
        (batch_id.hex(), entry_hash),
    ).fetchone()
    if row is None:
        raise UncoveredError(batch_id, "found none with this batch id")


def _expect_recipient(
    connection: sqlite3.Connection, batch_id: bytes, entry_hash: bytes, recipient: str
) -> None:
    found = connection.execute(
        "SELECT json_extract(body, '$.recipient') FROM ledger WHERE entry_hash=?", (entry_hash,)
    ).fetchone()[0]
    if found != recipient:
        raise UncoveredError(batch_id, f"found one for {found}, not for {recipient}")


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
