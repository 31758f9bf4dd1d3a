"""Taken back: everything under a pseudonym, or some batches of it, leaves every store.

Three steps, each of which may run again: note what is withdrawn, so that nothing of it can be
stored any more; delete the files; delete the rows. Killed anywhere, the vehicle has no receipt and
asks again. The counts are of what this request found: asked again, there is nothing left to count.

There is no derived data to go through: whoever reads rows takes the files that the index names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from telemetry.codec.erase import EraseRequest, Erasure
from telemetry.ingest.database import Connection, Database, day_text
from telemetry.ingest.files import Files

_ALL = b""  # in place of a batch id: every batch of the pseudonym
_STATES = ("stored", "erasing")  # what has rows; erasing: by a request that was cut short


@dataclass(frozen=True, slots=True)
class _Found:
    """What a request names and the tables hold."""

    batch_ids: tuple[bytes, ...]
    files: tuple[str, ...]
    batches: int
    rows: int


class Eraser:
    """Deletes by token. Blocks; raises StorageError; any number may work on one store."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    def erase(self, request: EraseRequest, *, erase_id: bytes, today: date) -> Erasure:
        """Delete what ``request`` names; return what was deleted once it is gone for good."""
        found = self._withdraw(request, today)
        for file in found.files:
            self._files.delete(file)
        aside, left = self._delete_rows(request, found)
        self._database.scrub()
        return Erasure(
            erase_id=erase_id, batches=found.batches, rows=found.rows, aside=aside, left=left
        )

    def forget(self, today: date, *, days: int) -> int:
        """Forget what was taken back more than ``days`` ago: nothing of it is on its way."""
        before = day_text(today - timedelta(days=days))
        with self._database.writing(b"erased") as connection:
            return connection.execute("DELETE FROM erased WHERE day < ?", (before,)).rowcount

    def _withdraw(self, request: EraseRequest, today: date) -> _Found:
        """Refuse it from now on, and note which files have to go."""
        pseudonym = request.pseudonym
        where, values = _named(request)
        with self._database.writing(pseudonym) as connection:
            for identity in request.batch_ids or (_ALL,):
                connection.execute(
                    "INSERT INTO erased (pseudonym, batch_id, day) VALUES (?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (pseudonym, identity, day_text(today)),
                )
            for old, new in (("stored", "erasing"), ("arriving", "halted")):
                connection.execute(
                    f"UPDATE batches SET state=? WHERE state=? AND {where}",  # noqa: S608 (ours)
                    (new, old, *values),
                )
            rows = connection.execute(
                f"SELECT batch_id, file, state, row_count FROM batches WHERE {where}",  # noqa: S608
                values,
            ).fetchall()
        whole = [row for row in rows if row[2] in _STATES]
        return _Found(
            batch_ids=tuple(row[0] for row in rows),
            files=tuple(row[1] for row in rows),
            batches=len(whole),
            rows=sum(row[3] for row in whole),
        )

    def _delete_rows(self, request: EraseRequest, found: _Found) -> tuple[int, int]:
        """Delete the rows; return how many were beside the batches, and how many are left."""
        where, values = _named(request)
        with self._database.writing(request.pseudonym) as connection:
            connection.execute(
                f"DELETE FROM batches WHERE state='erasing' AND {where}",  # noqa: S608 (ours)
                values,
            )
            aside = connection.execute(
                f"DELETE FROM quarantine WHERE {where}",  # noqa: S608 (ours)
                values,
            ).rowcount
            aside += sum(
                _delete_beside(connection, identity)
                for identity in sorted({*request.batch_ids, *found.batch_ids})
            )
            left = connection.execute(
                "SELECT coalesce(sum(row_count), 0) FROM batches"  # noqa: S608 (our own condition)
                f" WHERE state IN ('stored', 'erasing') AND {where}",
                values,
            ).fetchone()[0]
        return aside, int(left)


def _named(request: EraseRequest) -> tuple[str, Sequence[object]]:
    """Return the condition on batches, and its values: without the token nothing fits."""
    if not request.batch_ids:
        return "pseudonym=?", (request.pseudonym,)
    marks = ", ".join("?" * len(request.batch_ids))
    return f"pseudonym=? AND batch_id IN ({marks})", (request.pseudonym, *request.batch_ids)


def _delete_beside(connection: Connection, identity: bytes) -> int:
    """Delete what waits under one id: refused, in parts, sealed for a workshop, answered."""
    connection.execute("DELETE FROM receipts WHERE batch_id=?", (identity,))
    connection.execute("DELETE FROM joined WHERE batch_id=? OR sealed_id=?", (identity, identity))
    deleted = [
        connection.execute(statement, (identity,)).rowcount
        for statement in (
            "DELETE FROM quarantine WHERE pseudonym IS NULL AND batch_id=?",
            "DELETE FROM parts WHERE sealed_id=?",
            "DELETE FROM reports WHERE batch_id=?",
        )
    ]
    return sum(deleted)
