"""A batch counts once: the index of everything stored, refused and answered.

One SQLite file. What is known of an arrival is its minute: no client id, no response topic, no
address, no order within the minute (tables without row ids are ordered by their key, not by time).
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from telemetry.codec.part import Part
from telemetry.ingest.clock import minute_of
from telemetry.ingest.errors import StorageError
from telemetry.records import Receipt

# Step i leads from schema version i to i + 1. Only append; never edit one that was released.
_STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE batches (
        pseudonym BLOB NOT NULL,
        batch_id BLOB NOT NULL,
        part INTEGER NOT NULL,
        purpose TEXT NOT NULL,
        schema_id TEXT NOT NULL,
        month TEXT NOT NULL,
        row_count INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        file TEXT NOT NULL,             -- below parquet/
        stored_minute TEXT NOT NULL,
        PRIMARY KEY (pseudonym, batch_id, part)
    ) WITHOUT ROWID""",
        "CREATE INDEX batches_by_id ON batches (batch_id)",
        """CREATE TABLE quarantine (
        batch_id BLOB PRIMARY KEY,
        code TEXT NOT NULL,
        reason TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        payload BLOB,                   -- as received; NULL if it was too large to keep
        minute TEXT NOT NULL
    ) WITHOUT ROWID""",
        """CREATE TABLE receipts (
        batch_id BLOB NOT NULL,
        part INTEGER NOT NULL,
        status TEXT NOT NULL,
        code TEXT,
        answers INTEGER NOT NULL,       -- how often this answer was given
        minute TEXT NOT NULL,           -- of the first time
        PRIMARY KEY (batch_id, part, status)
    ) WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE parts (
        batch_id BLOB NOT NULL,
        parts INTEGER NOT NULL,
        part INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,    -- of the whole batch
        chunk BLOB NOT NULL,
        minute TEXT NOT NULL,
        PRIMARY KEY (batch_id, parts, part)
    ) WITHOUT ROWID""",
    ),
    (
        "ALTER TABLE parts RENAME COLUMN batch_id TO sealed_id",
        """CREATE TABLE joined (               -- complete sets of parts, for a late last part
        sealed_id BLOB PRIMARY KEY,
        batch_id BLOB NOT NULL,
        minute TEXT NOT NULL
    ) WITHOUT ROWID""",
    ),
)
_BUSY_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """One stored part of a batch. (pseudonym, batch_id, part) is unique."""

    pseudonym: bytes
    batch_id: bytes
    part: int
    purpose: str
    schema_id: str
    month: str  # "YYYY-MM", as the batch says
    row_count: int
    size_bytes: int  # on the wire
    file: str  # below the parquet folder
    stored_minute: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A sealed batch that was refused: ciphertext and reason, for a few days; never plaintext."""

    batch_id: bytes  # of the batch once it was opened, else SHA-256 of the payload
    code: str
    reason: str
    size_bytes: int
    payload: bytes | None  # sealed; None: too large to keep, or not sealed at all
    minute: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenReceipt:
    """An answer that was given, and how often."""

    batch_id: bytes
    part: int
    status: str
    code: str | None
    answers: int
    minute: datetime


class Index:
    """The index file. Every method blocks and may be called from any thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create ``path``; raise StorageError."""
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(path, connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open an existing index beside a running receiver; raise StorageError."""
        if not path.exists():
            raise StorageError(
                f"{path}: expected the index of an ingest, found none",
                intact="nothing was changed",
                advice="start okdrive-ingest run once, or name its configuration with --config",
            )
        with _translated(path):
            connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                _expect_version(path, connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def close(self) -> None:
        """Close the file; an unfinished transaction is undone."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()

    def knows(self, batch: StoredBatch) -> bool:
        """Tell whether this part of this batch is stored."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT 1 FROM batches WHERE pseudonym=? AND batch_id=? AND part=?",
                (batch.pseudonym, batch.batch_id, batch.part),
            ).fetchone()
        return row is not None

    def add(self, batch: StoredBatch) -> bool:
        """Store ``batch`` durably; return False if it was there already."""
        with self._transaction() as connection:
            added = connection.execute(
                "INSERT OR IGNORE INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    batch.pseudonym,
                    batch.batch_id,
                    batch.part,
                    batch.purpose,
                    batch.schema_id,
                    batch.month,
                    batch.row_count,
                    batch.size_bytes,
                    batch.file,
                    _text(batch.stored_minute),
                ),
            )
        return bool(added.rowcount)

    def joined(self, sealed_id: bytes) -> bytes | None:
        """Return the batch that parts of this sealed id became; None if none, or long ago."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT batch_id FROM joined WHERE sealed_id=?", (sealed_id,)
            ).fetchone()
        return row[0] if row else None

    def keep_part(self, part: Part, now: datetime, *, max_bytes: int) -> list[Part]:
        """Keep a part durably; return all parts of its batch, in order, once they are complete.

        Beyond ``max_bytes`` of parts the unfinished batches that came first go: their vehicles
        have no receipt for a whole batch and send again.
        """
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?)",
                (
                    part.sealed_id,
                    part.parts,
                    part.part,
                    part.size_bytes,
                    part.chunk,
                    _text(minute_of(now)),
                ),
            )
            _make_room(connection, part.sealed_id, max_bytes)
            rows = connection.execute(
                "SELECT part, chunk FROM parts WHERE sealed_id=? AND parts=? AND size_bytes=?"
                " ORDER BY part",
                (part.sealed_id, part.parts, part.size_bytes),
            ).fetchall()
        if len(rows) < part.parts:
            return []
        return [replace(part, part=number, chunk=chunk) for number, chunk in rows]

    def end_parts(self, sealed_id: bytes, batch_id: bytes | None, now: datetime) -> None:
        """Delete complete parts; remember which batch they became, None if they were refused."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM parts WHERE sealed_id=?", (sealed_id,))
            if batch_id is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO joined VALUES (?, ?, ?)",
                    (sealed_id, batch_id, _text(minute_of(now))),
                )

    def purge_parts(self, now: datetime, *, days: int) -> int:
        """Delete parts that have waited ``days`` for the others; return how many."""
        before = _text(minute_of(now - timedelta(days=days)))
        with self._transaction() as connection:
            connection.execute("DELETE FROM joined WHERE minute < ?", (before,))
            return connection.execute("DELETE FROM parts WHERE minute < ?", (before,)).rowcount

    def quarantine(self, batch: Quarantined, *, keep: int) -> None:
        """Keep what was refused; beyond ``keep`` batches the oldest go."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO quarantine VALUES (?, ?, ?, ?, ?, ?)",
                (
                    batch.batch_id,
                    batch.code,
                    batch.reason,
                    batch.size_bytes,
                    batch.payload,
                    _text(batch.minute),
                ),
            )
            connection.execute(
                "DELETE FROM quarantine WHERE batch_id IN (SELECT batch_id FROM quarantine"
                " ORDER BY minute DESC, batch_id LIMIT -1 OFFSET ?)",
                (keep,),
            )

    def refusals(self) -> dict[str, int]:
        """Return how many batches are in quarantine, by code."""
        with self._reading() as connection:
            return dict(
                connection.execute("SELECT code, count(*) FROM quarantine GROUP BY code").fetchall()
            )

    def answers(self) -> dict[str, int]:
        """Return how many receipts were given, by status."""
        with self._reading() as connection:
            return dict(
                connection.execute(
                    "SELECT status, sum(answers) FROM receipts GROUP BY status"
                ).fetchall()
            )

    def purge_quarantine(self, now: datetime, *, days: int) -> int:
        """Delete what was refused more than ``days`` ago; return how many."""
        before = _text(minute_of(now - timedelta(days=days)))
        with self._transaction() as connection:
            return connection.execute("DELETE FROM quarantine WHERE minute < ?", (before,)).rowcount

    def note_receipt(self, receipt: Receipt, now: datetime) -> None:
        """Count an answer."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO receipts VALUES (?, ?, ?, ?, 1, ?)"
                " ON CONFLICT (batch_id, part, status) DO UPDATE SET answers = answers + 1",
                (
                    receipt.batch_id,
                    receipt.part,
                    receipt.status,
                    receipt.code,
                    _text(minute_of(now)),
                ),
            )

    def batches(self, *, limit: int = -1) -> list[StoredBatch]:
        """Return stored batches, newest minute first; all of them if ``limit`` is negative."""
        return [
            StoredBatch(
                pseudonym=row[0],
                batch_id=row[1],
                part=row[2],
                purpose=row[3],
                schema_id=row[4],
                month=row[5],
                row_count=row[6],
                size_bytes=row[7],
                file=row[8],
                stored_minute=_time(row[9]),
            )
            for row in self._rows(
                "SELECT * FROM batches ORDER BY stored_minute DESC, batch_id LIMIT ?", limit
            )
        ]

    def quarantined(self, *, limit: int = -1) -> list[Quarantined]:
        """Return what was refused, newest minute first."""
        return [
            Quarantined(
                batch_id=row[0],
                code=row[1],
                reason=row[2],
                size_bytes=row[3],
                payload=row[4],
                minute=_time(row[5]),
            )
            for row in self._rows(
                "SELECT * FROM quarantine ORDER BY minute DESC, batch_id LIMIT ?", limit
            )
        ]

    def receipts(self, *, limit: int = -1) -> list[GivenReceipt]:
        """Return the answers that were given, newest minute first."""
        return [
            GivenReceipt(
                batch_id=row[0],
                part=row[1],
                status=row[2],
                code=row[3],
                answers=row[4],
                minute=_time(row[5]),
            )
            for row in self._rows(
                "SELECT * FROM receipts ORDER BY minute DESC, batch_id, status LIMIT ?", limit
            )
        ]

    def counts(self) -> dict[str, int]:
        """Return how many batches, rows, bytes on the wire, refused batches and duplicates."""
        with self._reading() as connection:
            batches, rows, size = connection.execute(
                "SELECT count(*), total(row_count), total(size_bytes) FROM batches"
            ).fetchone()
            refused = connection.execute("SELECT count(*) FROM quarantine").fetchone()[0]
            parts, parts_bytes = connection.execute(
                "SELECT count(*), total(length(chunk)) FROM parts"
            ).fetchone()
            duplicates = connection.execute(
                "SELECT total(answers) FROM receipts WHERE status='duplicate'"
            ).fetchone()[0]
        return {
            "batches": batches,
            "rows": int(rows),
            "bytes": int(size),
            "quarantined": refused,
            "duplicates": int(duplicates),
            "parts": parts,
            "parts_bytes": int(parts_bytes),
        }

    def _rows(self, query: str, limit: int) -> list[tuple[Any, ...]]:
        with self._reading() as connection:
            return connection.execute(query, (limit,)).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated(self.path):
            yield self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":  # the switch can fail without an error
        raise _storage_error(path, f"expected journal mode wal, the file stayed in {mode}")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    for step in _STEPS[_version(connection) :]:
        for statement in step:
            connection.execute(statement)
    if _version(connection) < len(_STEPS):
        connection.execute(f"PRAGMA user_version={len(_STEPS)}")
    _expect_version(path, connection)
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _make_room(connection: sqlite3.Connection, keep: bytes, max_bytes: int) -> None:
    size = connection.execute("SELECT total(length(chunk)) FROM parts").fetchone()[0]
    if size <= max_bytes:
        return
    oldest = connection.execute(
        "SELECT sealed_id, total(length(chunk)) FROM parts WHERE sealed_id <> ?"
        " GROUP BY sealed_id ORDER BY min(minute)",
        (keep,),
    ).fetchall()
    for batch, bytes_ in oldest:
        if size <= max_bytes:
            return
        connection.execute("DELETE FROM parts WHERE sealed_id=?", (batch,))
        size -= bytes_


def _expect_version(path: Path, connection: sqlite3.Connection) -> None:
    found = _version(connection)
    if found != len(_STEPS):
        raise _storage_error(path, f"expected schema version {len(_STEPS)}, found {found}")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _storage_error(path, str(error)) from error
    except OSError as error:
        raise _storage_error(path, str(error.strerror)) from error


def _storage_error(path: Path, why: str) -> StorageError:
    return StorageError(
        f"{path}: {why}",
        intact="what was stored is intact; nothing was half-written and no receipt was sent",
        advice="check that the disk has room, is writable and holds the right file",
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
