"""Charge sessions beside the trips, in the state file: summaries, local only.

Each row carries a checksum: a row that does not match it is counted and left out, never shown.
Summaries are encrypted, each under a data key of its own; those of an older release are text until
``seal_plain``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.store.checksum import row_sum
from agent.store.database import Database
from agent.store.shred import shred
from agent.store.vault import TRIP, KeyLostError, charge_item

# one of the steps of agent/store/state.py
SESSION_STEP: Sequence[str] = (
    """CREATE TABLE sessions (
        session_id TEXT PRIMARY KEY,
        summary TEXT NOT NULL,      -- JSON object, local only
        created_utc TEXT NOT NULL,
        is_open INTEGER NOT NULL,   -- still at the cable: a restart goes on with it
        checksum INTEGER NOT NULL   -- CRC-32 over all columns above
    ) WITHOUT ROWID""",
)
MAX_SESSIONS = 2_000  # about three years of charging every day and a half; the oldest go first


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One charge session, local only; ``created_utc`` is when it was last written."""

    session_id: str
    summary: str  # JSON object
    created_utc: datetime
    is_open: bool


class Sessions:
    """The charge sessions of a state file. Every method blocks and may raise StoreError."""

    def __init__(self, database: Database, *, most: int = MAX_SESSIONS) -> None:
        self._database = database
        self._most = most

    def put(self, row: SessionRow) -> None:
        """Store a session, or replace what is known of it; an open one is the only open one."""
        with self._database.transaction() as connection:
            gone = 0
            if row.is_open:
                gone = connection.execute(
                    "DELETE FROM sessions WHERE is_open AND session_id<>?", (row.session_id,)
                ).rowcount
            self._write(row)
            gone += connection.execute(
                "DELETE FROM sessions WHERE session_id IN (SELECT session_id FROM sessions"
                " ORDER BY created_utc DESC LIMIT -1 OFFSET ?)",
                (self._most,),
            ).rowcount
        if gone:
            shred(self._database)

    def seal_plain(self) -> int:
        """Encrypt what an older release stored as it was; return how many. May be repeated."""
        with self._database.reading(is_lenient=True) as connection:
            found = connection.execute(
                "SELECT * FROM sessions WHERE typeof(summary)='text'"
            ).fetchall()
        plain = [row for row in map(self._row, found) if row]
        if plain:
            with self._database.transaction():
                for row in plain:
                    self._write(row)
            with self._database.reading() as connection:  # the log holds what it was, too
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return len(plain)

    def rows(self, *, limit: int = 100) -> list[SessionRow]:
        """Return the newest ``limit`` sessions, newest first; damaged ones are left out."""
        return [row for row in self._read(limit) if row]

    def damaged(self) -> int:
        """Return how many stored sessions do not match their checksum."""
        return sum(1 for row in self._read(-1) if row is None)

    def forget(self, session_ids: Sequence[str]) -> None:
        """Delete these sessions; call ``shred`` when the transaction is over."""
        with self._database.transaction() as connection:
            connection.executemany(
                "DELETE FROM sessions WHERE session_id=?", [(one,) for one in session_ids]
            )

    def open_session(self) -> SessionRow | None:
        """Return the session that an earlier run left open; None if there is none."""
        return next((row for row in self.rows(limit=-1) if row.is_open), None)

    def _read(self, limit: int) -> list[SessionRow | None]:
        with self._database.reading(is_lenient=True) as connection:
            rows = connection.execute(
                "SELECT * FROM sessions ORDER BY created_utc DESC, session_id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [self._row(row) for row in rows]

    def _write(self, row: SessionRow) -> None:
        item, vault = charge_item(row.session_id), self._database.vault
        with self._database.transaction() as connection:
            values = (
                row.session_id,
                vault.seal(item, TRIP, row.summary.encode()),
                row.created_utc.isoformat(timespec="milliseconds"),
                int(row.is_open),
            )
            connection.execute(
                "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)",
                (*values, row_sum(*values)),
            )

    def _row(self, row: tuple[Any, ...]) -> SessionRow | None:
        *values, checksum = row
        if row_sum(*values) != checksum:
            return None
        session_id, summary, created_utc, is_open = values
        if not isinstance(summary, str):
            try:
                summary = self._database.vault.open(charge_item(session_id), summary).decode()
            except KeyLostError:
                return None
        return SessionRow(
            session_id=session_id,
            summary=summary,
            created_utc=datetime.fromisoformat(created_utc),
            is_open=bool(is_open),
        )
