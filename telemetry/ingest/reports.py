"""Reports for a workshop: ciphertext that waits until the workshop has it, and nothing longer.

A report is sealed to the workshop's key; ingest can neither read it nor say whose it is. Its id is
the SHA-256 of the ciphertext. Once handed over only that id stays, so that a report which comes
again is not handed over again; it goes after some days, and so does a report nobody took.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256

from telemetry.ingest.database import Database, day_text

_LOCK = b"reports"
_MOST_RETRIES_LOG2 = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report that waits; ``attempts`` counts this one."""

    report_id: bytes
    sealed: bytes
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingReport:
    """What may be shown of a report."""

    report_id: bytes
    size_bytes: int
    attempts: int
    day: date


class ReportQueue:
    """Blocks; raises StorageError; any number of receivers may hand on from one queue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, sealed: bytes, *, batch_id: bytes, today: date, most: int) -> bool | None:
        """Keep ``sealed`` durably; return False if it was here before, None if there is no room."""
        report_id = sha256(sealed).digest()
        with self._database.writing(_LOCK) as connection:
            known = connection.execute(
                "SELECT 1 FROM reports WHERE report_id=?", (report_id,)
            ).fetchone()
            if known is not None:
                return False
            waiting = connection.execute(
                "SELECT count(*) FROM reports WHERE sealed IS NOT NULL"
            ).fetchone()[0]
            if waiting >= most:
                return None
            connection.execute(
                "INSERT INTO reports (report_id, batch_id, sealed, attempts, due_s, day)"
                " VALUES (?, ?, ?, 0, 0, ?)",
                (report_id, batch_id, sealed, day_text(today)),
            )
        return True

    def next_due(self, now_s: int, *, lease_s: int, longest_s: int) -> Report | None:
        """Return a report whose turn it is; None if there is none.

        Nobody else gets it for ``lease_s`` seconds. A time further ahead than ``longest_s`` was
        written under another clock and counts as now.
        """
        with self._database.writing(_LOCK) as connection:
            row = connection.execute(
                "SELECT report_id, sealed, attempts FROM reports WHERE sealed IS NOT NULL"
                " AND (due_s <= ? OR due_s > ?) ORDER BY attempts, report_id LIMIT 1",
                (now_s, now_s + longest_s),
            ).fetchone()
            if row is None:
                return None
            attempts = row[2] + 1
            connection.execute(
                "UPDATE reports SET attempts=?, due_s=? WHERE report_id=?",
                (attempts, now_s + lease_s, row[0]),
            )
        return Report(report_id=row[0], sealed=row[1], attempts=attempts)

    def put_off(self, report: Report, due_s: int) -> None:
        """Let ``report`` wait until ``due_s``."""
        with self._database.writing(_LOCK) as connection:
            connection.execute(
                "UPDATE reports SET due_s=? WHERE report_id=?", (due_s, report.report_id)
            )

    def delivered(self, report: Report) -> None:
        """Delete the ciphertext of ``report``: the workshop has it."""
        with self._database.writing(_LOCK) as connection:
            connection.execute(
                "UPDATE reports SET sealed=NULL, batch_id=NULL WHERE report_id=?",
                (report.report_id,),
            )
        self._database.scrub()

    def waiting(self) -> list[WaitingReport]:
        """Return what waits, oldest day first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT report_id, length(sealed), attempts, day FROM reports"
                " WHERE sealed IS NOT NULL ORDER BY day, report_id"
            ).fetchall()
        return [
            WaitingReport(
                report_id=row[0],
                size_bytes=int(row[1]),
                attempts=row[2],
                day=date.fromisoformat(row[3]),
            )
            for row in rows
        ]

    def purge(self, today: date, *, days: int) -> int:
        """Delete what came more than ``days`` ago; return how many nobody had taken."""
        before = day_text(today - timedelta(days=days))
        with self._database.writing(_LOCK) as connection:
            lost = connection.execute(
                "DELETE FROM reports WHERE day < ? AND sealed IS NOT NULL", (before,)
            ).rowcount
            connection.execute("DELETE FROM reports WHERE day < ?", (before,))
        return lost


def wait_s(attempts: int, *, shortest_s: int, longest_s: int, random: float) -> int:
    """Return how long a report waits after its n-th attempt: doubling, with jitter (0 to 1)."""
    ceiling = min(longest_s, shortest_s << min(attempts - 1, _MOST_RETRIES_LOG2))
    return round(ceiling * (0.5 + random / 2))
