"""A batch counts once: which batches are stored, arriving, or taken back.

The row comes first and the file second, so that every file that may exist has a row that names it:
what a vehicle takes back is found even if a receiver died while it was writing. A row starts as
*arriving* and becomes *stored* when its file is whole; only then is there a receipt.
"""

from datetime import date
from enum import StrEnum
from typing import Any

from telemetry.ingest.database import Connection, Database, day_text
from telemetry.ingest.entries import StoredBatch

_KEY = "pseudonym=? AND batch_id=? AND part=?"
_COLUMNS = (
    "pseudonym, batch_id, part, purpose, schema_id, month, row_count, size_bytes, file, stored_day"
)
_MOVING = "state <> 'stored'"  # as the index of the few that are on their way says it
NO_LIMIT = 1 << 62


class Standing(StrEnum):
    """How a batch stands in the store."""

    NEW = "new"  # not stored; its file is to be written
    STORED = "stored"
    KNOWN = "known"  # stored before
    WITHDRAWN = "withdrawn"  # its vehicle took it back: nothing of it may be kept


class Batches:
    """The rows of batches. Every method blocks, raises StorageError, may be called anywhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, batch: StoredBatch) -> Standing:
        """Note durably that the file of ``batch`` is about to be written."""
        with self._database.writing(batch.pseudonym) as connection:
            if _is_withdrawn(connection, batch):
                return Standing.WITHDRAWN
            added = connection.execute(
                f"INSERT INTO batches ({_COLUMNS}, state)"  # noqa: S608 (our own names)
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'arriving') ON CONFLICT DO NOTHING",
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
                    day_text(batch.stored_day),
                ),
            )
            if added.rowcount or _state(connection, batch) == "arriving":
                return Standing.NEW  # perhaps begun by a receiver that died: the file is the same
            return Standing.KNOWN

    def finish(self, batch: StoredBatch) -> Standing:
        """Make ``batch`` count, now that its file is whole: from here on it may have a receipt.

        *Withdrawn*: it was taken back meanwhile; delete the file, then ``forget`` it.
        """
        with self._database.writing(batch.pseudonym) as connection:
            changed = connection.execute(
                f"UPDATE batches SET state='stored' WHERE {_KEY} AND state='arriving'",  # noqa: S608
                _key(batch),
            )
            if changed.rowcount:
                return Standing.STORED
            is_there = _state(connection, batch) == "stored"
            return Standing.KNOWN if is_there else Standing.WITHDRAWN

    def forget(self, batch: StoredBatch) -> None:
        """Delete the row of a batch that was taken back while it arrived; its file is gone."""
        with self._database.writing(batch.pseudonym) as connection:
            connection.execute(
                f"DELETE FROM batches WHERE {_KEY} AND state='halted'",  # noqa: S608
                _key(batch),
            )

    def older(self, before: date, *, limit: int) -> list[StoredBatch]:
        """Return stored batches that came before a day, in no order."""
        return self._select("state='stored' AND stored_day < ?", (day_text(before),), limit)

    def expire(self, batch: StoredBatch) -> None:
        """Delete the row of a stored batch whose time is over; its file is gone."""
        with self._database.writing(batch.pseudonym) as connection:
            connection.execute(
                f"DELETE FROM batches WHERE {_KEY} AND state='stored'",  # noqa: S608
                _key(batch),
            )

    def halted(self, before: date) -> list[StoredBatch]:
        """Return what was taken back while it arrived, before a day: its writer is long gone."""
        where = f"{_MOVING} AND state='halted' AND stored_day < ?"
        return self._select(where, (day_text(before),))

    def batches(self, *, limit: int = NO_LIMIT) -> list[StoredBatch]:
        """Return stored batches, newest day first."""
        return self._select("state='stored'", (), limit)

    def matching(self, first: bytes, after: bytes) -> list[StoredBatch]:
        """Return at most two stored batches whose id lies from ``first`` to ``after``."""
        where = "state='stored' AND batch_id >= ? AND batch_id <= ?"
        return self._select(where, (first, after), limit=2)

    def unfinished(self) -> list[StoredBatch]:
        """Return batches whose files are being written, or were when a receiver died."""
        return self._select(f"{_MOVING} AND state='arriving'", ())

    def _select(
        self, where: str, values: tuple[object, ...], limit: int = NO_LIMIT
    ) -> list[StoredBatch]:
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM batches WHERE {where}"  # noqa: S608 (our own conditions)
                " ORDER BY stored_day DESC, batch_id LIMIT ?",
                (*values, limit),
            ).fetchall()
        return [batch_of(row) for row in rows]


def batch_of(row: tuple[Any, ...]) -> StoredBatch:
    """Return the batch in a row of the columns in their order."""
    return StoredBatch(
        pseudonym=row[0],
        batch_id=row[1],
        part=row[2],
        purpose=row[3],
        schema_id=row[4],
        month=row[5],
        row_count=row[6],
        size_bytes=row[7],
        file=row[8],
        stored_day=date.fromisoformat(row[9]),
    )


def _key(batch: StoredBatch) -> tuple[bytes, bytes, int]:
    return batch.pseudonym, batch.batch_id, batch.part


def _state(connection: Connection, batch: StoredBatch) -> str | None:
    row = connection.execute(
        f"SELECT state FROM batches WHERE {_KEY}",  # noqa: S608 (our own names)
        _key(batch),
    ).fetchone()
    return None if row is None else str(row[0])


def _is_withdrawn(connection: Connection, batch: StoredBatch) -> bool:
    row = connection.execute(
        "SELECT 1 FROM erased WHERE pseudonym=? AND batch_id IN (?, ?)",
        (batch.pseudonym, batch.batch_id, b""),
    ).fetchone()
    return row is not None
