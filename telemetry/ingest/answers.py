"""Which answer was given how often, and what the store holds in numbers."""

from collections.abc import Mapping
from datetime import date, timedelta

from telemetry.ingest.database import Database, day_text
from telemetry.ingest.dedupe import NO_LIMIT
from telemetry.ingest.entries import GivenReceipt
from telemetry.records import Receipt

_TOTALS = {
    "batches": "SELECT count(*) FROM batches WHERE state='stored'",
    "rows": "SELECT coalesce(sum(row_count), 0) FROM batches WHERE state='stored'",
    "bytes": "SELECT coalesce(sum(size_bytes), 0) FROM batches WHERE state='stored'",
    "duplicates": "SELECT coalesce(sum(answers), 0) FROM receipts WHERE status='duplicate'",
}
_WAITING = {
    "quarantined": "SELECT count(*) FROM quarantine",
    "parts": "SELECT count(*) FROM parts",
    "parts_bytes": "SELECT coalesce(sum(length(chunk)), 0) FROM parts",
    "reports": "SELECT count(*) FROM reports WHERE sealed IS NOT NULL",
    "unfinished": "SELECT count(*) FROM batches WHERE state <> 'stored' AND state = 'arriving'",
}


class Answers:
    """The receipts that were given. Every method blocks and raises StorageError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note_receipt(self, receipt: Receipt, today: date) -> None:
        """Count an answer."""
        with self._database.writing(receipt.batch_id) as connection:
            connection.execute(
                "INSERT INTO receipts (batch_id, part, status, code, answers, day)"
                " VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT (batch_id, part, status)"
                " DO UPDATE SET answers = receipts.answers + 1",
                (receipt.batch_id, receipt.part, receipt.status, receipt.code, day_text(today)),
            )

    def purge_receipts(self, today: date, *, days: int) -> int:
        """Forget answers that were first given more than ``days`` ago; return how many."""
        with self._database.writing(b"receipts") as connection:
            return connection.execute(
                "DELETE FROM receipts WHERE day < ?", (day_text(today - timedelta(days=days)),)
            ).rowcount

    def receipts(self, *, limit: int = NO_LIMIT) -> list[GivenReceipt]:
        """Return the answers that were given, newest day first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT batch_id, part, status, code, answers, day FROM receipts"
                " ORDER BY day DESC, batch_id, part, status LIMIT ?",
                (limit,),
            ).fetchall()
        return [
            GivenReceipt(
                batch_id=row[0],
                part=row[1],
                status=row[2],
                code=row[3],
                answers=row[4],
                day=date.fromisoformat(row[5]),
            )
            for row in rows
        ]

    def answers(self) -> dict[str, int]:
        """Return how many receipts were given, by status."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT status, sum(answers) FROM receipts GROUP BY status ORDER BY status"
            ).fetchall()
        return {status: int(count) for status, count in rows}

    def counts(self) -> dict[str, int]:
        """Return how many batches, rows, bytes on the wire, refused batches and so on there are.

        Looks at every row that is stored: for a person, or once a day.
        """
        return self._count(_TOTALS | _WAITING)

    def waiting(self) -> dict[str, int]:
        """Return how much waits beside what is stored; quick however much is stored."""
        return self._count(_WAITING)

    def _count(self, statements: Mapping[str, str]) -> dict[str, int]:
        with self._database.reading() as connection:
            return {
                name: int(connection.execute(statement).fetchone()[0])
                for name, statement in statements.items()
            }
