"""The door to the database of ingest: the same statements for SQLite and PostgreSQL.

Statements are written once, with ``?`` for values and only what both understand. What differs,
types and the end of a table, is filled in by whoever creates the tables.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import Any, Protocol

from telemetry.ingest.errors import StorageError


class Result(Protocol):
    """What a statement found."""

    @property
    def rowcount(self) -> int:
        """How many rows were inserted, changed or deleted."""

    def fetchone(self) -> Any:  # noqa: ANN401 (a row is a tuple of what its columns hold)
        """Return the next row as a tuple, or None."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""


class Connection(Protocol):
    """Takes statements, one after the other."""

    def execute(self, statement: str, values: Sequence[object] = (), /) -> Result:
        """Run ``statement`` with a value for each ``?``."""


class Database(Protocol):
    """One open database. Blocks; may be used from any thread. Raises StorageError only."""

    name: str  # what a message calls it

    def reading(self) -> AbstractContextManager[Connection]:
        """Give a connection to read with."""

    def writing(self, lock: bytes) -> AbstractContextManager[Connection]:
        """Give a connection in a transaction that is durable once the block ends.

        No other block with the same ``lock`` runs meanwhile, in any process.
        """

    def scrub(self) -> None:
        """Make deleted rows unreadable as far as this database can."""

    def close(self) -> None:
        """Close it; an unfinished transaction is undone."""


# Step i leads from schema version i to i + 1. Only append; never edit one that was released.
# {bytes} and {keyed} stand for what the databases call them.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE batches (
        pseudonym {bytes} NOT NULL,
        batch_id {bytes} NOT NULL,
        part INTEGER NOT NULL,
        purpose TEXT NOT NULL,
        schema_id TEXT NOT NULL,
        month TEXT NOT NULL,
        row_count INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        file TEXT NOT NULL,             -- its name among the files of batches
        stored_minute TEXT NOT NULL,
        PRIMARY KEY (pseudonym, batch_id, part)
    ){keyed}""",
        "CREATE INDEX batches_by_id ON batches (batch_id)",
        """CREATE TABLE quarantine (
        batch_id {bytes} PRIMARY KEY,
        code TEXT NOT NULL,
        reason TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        payload {bytes},                -- as received; NULL if it was too large to keep
        minute TEXT NOT NULL
    ){keyed}""",
        """CREATE TABLE receipts (
        batch_id {bytes} NOT NULL,
        part INTEGER NOT NULL,
        status TEXT NOT NULL,
        code TEXT,
        answers INTEGER NOT NULL,       -- how often this answer was given
        minute TEXT NOT NULL,           -- of the first time
        PRIMARY KEY (batch_id, part, status)
    ){keyed}""",
    ),
    (
        """CREATE TABLE parts (
        batch_id {bytes} NOT NULL,
        parts INTEGER NOT NULL,
        part INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,    -- of the whole batch
        chunk {bytes} NOT NULL,
        minute TEXT NOT NULL,
        PRIMARY KEY (batch_id, parts, part)
    ){keyed}""",
    ),
    (
        "ALTER TABLE parts RENAME COLUMN batch_id TO sealed_id",
        """CREATE TABLE joined (               -- complete sets of parts, for a late last part
        sealed_id {bytes} PRIMARY KEY,
        batch_id {bytes} NOT NULL,
        minute TEXT NOT NULL
    ){keyed}""",
    ),
    (
        *(  # the day of an arrival is enough
            statement
            for table, old, new in (
                ("batches", "stored_minute", "stored_day"),
                ("quarantine", "minute", "day"),
                ("receipts", "minute", "day"),
                ("parts", "minute", "day"),
                ("joined", "minute", "day"),
            )
            for statement in (
                f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}",
                f"UPDATE {table} SET {new} = substr({new}, 1, 10)",  # noqa: S608 (our own names)
            )
        ),
        # arriving: the file is being written; stored; erasing: its file is going; halted: it was
        # erased while it arrived
        "ALTER TABLE batches ADD COLUMN state TEXT NOT NULL DEFAULT 'stored'",
        "CREATE INDEX batches_moving ON batches (state) WHERE state <> 'stored'",
        "CREATE INDEX batches_by_day ON batches (stored_day, batch_id)",
        "ALTER TABLE quarantine ADD COLUMN pseudonym {bytes}",  # NULL: it could not be read
        """CREATE TABLE erased (
        pseudonym {bytes} NOT NULL,
        batch_id {bytes} NOT NULL,      -- empty: every batch of this pseudonym
        day TEXT NOT NULL,
        PRIMARY KEY (pseudonym, batch_id)
    ){keyed}""",
        """CREATE TABLE reports (         -- sealed to a workshop; gone once it has them
        report_id {bytes} PRIMARY KEY,  -- SHA-256 of the ciphertext
        batch_id {bytes},               -- as its vehicle calls it; NULL: handed over
        sealed {bytes},                 -- NULL: handed over
        attempts INTEGER NOT NULL,
        due_s BIGINT NOT NULL,          -- next attempt, seconds since 1970
        day TEXT NOT NULL
    ){keyed}""",
    ),
)


def day_text(day: date) -> str:
    """Return ``day`` as it stands in the tables."""
    return day.isoformat()


def storage_error(name: str, why: str) -> StorageError:
    """Return the error of a database that cannot be read or written."""
    return StorageError(
        f"{name}: {why}",
        intact="what was stored is intact; nothing was half-written and no receipt was sent",
        advice="check that it runs, has room, can be written and is the right one",
    )
