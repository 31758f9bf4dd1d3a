"""What waits beside the stored batches: parts for the others, refused batches for their end."""

from dataclasses import replace
from datetime import date, timedelta

from telemetry.codec.part import Part
from telemetry.ingest.database import Connection, Database, day_text
from telemetry.ingest.dedupe import NO_LIMIT
from telemetry.ingest.entries import Quarantined

_ROOM = b"parts"  # the lock of whoever makes room


class Aside:
    """Parts and quarantine. Every method blocks, raises StorageError, may be called anywhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def joined(self, sealed_id: bytes) -> bytes | None:
        """Return the batch that parts of this id became; None if they did not, or long ago."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT batch_id FROM joined WHERE sealed_id=?", (sealed_id,)
            ).fetchone()
        return row[0] if row else None

    def keep_part(self, part: Part, today: date, *, max_bytes: int) -> list[Part]:
        """Keep a part durably; return all parts of its batch, in order, once they are complete.

        Beyond ``max_bytes`` of parts the unfinished batches that came first go: their vehicles
        have no receipt for a whole batch and send again.
        """
        with self._database.writing(part.sealed_id) as connection:
            connection.execute(
                "INSERT INTO parts (sealed_id, parts, part, size_bytes, chunk, day)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (sealed_id, parts, part) DO UPDATE SET"
                " size_bytes=excluded.size_bytes, chunk=excluded.chunk, day=excluded.day",
                (
                    part.sealed_id,
                    part.parts,
                    part.part,
                    part.size_bytes,
                    part.chunk,
                    day_text(today),
                ),
            )
            rows = connection.execute(
                "SELECT part, chunk FROM parts WHERE sealed_id=? AND parts=? AND size_bytes=?"
                " ORDER BY part",
                (part.sealed_id, part.parts, part.size_bytes),
            ).fetchall()
        if len(rows) == part.parts:
            return [replace(part, part=number, chunk=chunk) for number, chunk in rows]
        self._make_room(part.sealed_id, max_bytes)
        return []

    def end_parts(self, sealed_id: bytes, batch_id: bytes | None, today: date) -> None:
        """Delete complete parts; remember which batch they became, None if they were refused."""
        with self._database.writing(sealed_id) as connection:
            connection.execute("DELETE FROM parts WHERE sealed_id=?", (sealed_id,))
            if batch_id is not None:
                connection.execute(
                    "INSERT INTO joined (sealed_id, batch_id, day) VALUES (?, ?, ?)"
                    " ON CONFLICT DO NOTHING",
                    (sealed_id, batch_id, day_text(today)),
                )

    def purge_parts(self, today: date, *, days: int) -> int:
        """Delete parts that have waited ``days`` for the others; return how many."""
        before = day_text(today - timedelta(days=days))
        with self._database.writing(_ROOM) as connection:
            connection.execute("DELETE FROM joined WHERE day < ?", (before,))
            return connection.execute("DELETE FROM parts WHERE day < ?", (before,)).rowcount

    def quarantine(self, batch: Quarantined, *, keep: int) -> None:
        """Keep what was refused; beyond ``keep`` batches the oldest go."""
        with self._database.writing(b"quarantine") as connection:
            connection.execute(
                "INSERT INTO quarantine"
                " (batch_id, code, reason, size_bytes, payload, pseudonym, day)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (batch_id) DO UPDATE SET"
                " code=excluded.code, reason=excluded.reason",
                (
                    batch.batch_id,
                    batch.code,
                    batch.reason,
                    batch.size_bytes,
                    batch.payload,
                    batch.pseudonym,
                    day_text(batch.day),
                ),
            )
            connection.execute(
                "DELETE FROM quarantine WHERE batch_id IN (SELECT batch_id FROM quarantine"
                " ORDER BY day DESC, batch_id LIMIT ? OFFSET ?)",
                (NO_LIMIT, keep),
            )

    def purge_quarantine(self, today: date, *, days: int) -> int:
        """Delete what was refused more than ``days`` ago; return how many."""
        before = day_text(today - timedelta(days=days))
        with self._database.writing(b"quarantine") as connection:
            return connection.execute("DELETE FROM quarantine WHERE day < ?", (before,)).rowcount

    def quarantined(self, *, limit: int = NO_LIMIT) -> list[Quarantined]:
        """Return what was refused, newest day first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT batch_id, code, reason, size_bytes, payload, pseudonym, day"
                " FROM quarantine ORDER BY day DESC, batch_id LIMIT ?",
                (limit,),
            ).fetchall()
        return [
            Quarantined(
                batch_id=row[0],
                code=row[1],
                reason=row[2],
                size_bytes=row[3],
                payload=row[4],
                pseudonym=row[5],
                day=date.fromisoformat(row[6]),
            )
            for row in rows
        ]

    def refusals(self) -> dict[str, int]:
        """Return how many batches are in quarantine, by code."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT code, count(*) FROM quarantine GROUP BY code ORDER BY code"
            ).fetchall()
        return {code: int(count) for code, count in rows}

    def _make_room(self, keep: bytes, max_bytes: int) -> None:
        with self._database.reading() as connection:
            if _size_of_parts(connection) <= max_bytes:
                return
        with self._database.writing(_ROOM) as connection:
            size = _size_of_parts(connection)
            oldest = connection.execute(
                "SELECT sealed_id, sum(length(chunk)) FROM parts WHERE sealed_id <> ?"
                " GROUP BY sealed_id ORDER BY min(day), sealed_id",
                (keep,),
            ).fetchall()
            for sealed_id, bytes_ in oldest:
                if size <= max_bytes:
                    return
                connection.execute("DELETE FROM parts WHERE sealed_id=?", (sealed_id,))
                size -= int(bytes_)


def _size_of_parts(connection: Connection) -> int:
    row = connection.execute("SELECT coalesce(sum(length(chunk)), 0) FROM parts").fetchone()
    return int(row[0])
