"""What ingest is asked to erase, and what it swore it has; part of the state file.

A request is written before anything it speaks of is deleted here, so that no power cut leaves data
at the far end that nobody can claim any more. It stays until a signed receipt names it, however
long that takes, and the receipt stays after it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from agent.store.database import Database
from telemetry.codec.erase import Erasure, decode_erasure, erase_id

ERASURE_STEP: Sequence[str] = (
    """CREATE TABLE erasures (
        erase_id BLOB PRIMARY KEY,          -- SHA-256 of the message
        message BLOB,                       -- holds a token; NULL once ingest has answered
        wish TEXT NOT NULL,                 -- what the driver said: "trip 3f9a", "all"
        asked_utc TEXT NOT NULL,
        not_before_utc TEXT NOT NULL,       -- drawn at random; moved on by each attempt
        attempts INTEGER NOT NULL DEFAULT 0,
        body BLOB,                          -- what ingest signed
        signature BLOB,
        confirmed_utc TEXT
    ) WITHOUT ROWID""",
)
EARLIER_OWNER = "an earlier owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureRow:
    """One request; ``erasure`` is None until ingest has confirmed it."""

    erase_id: bytes
    message: bytes | None
    wish: str
    asked_utc: datetime
    not_before_utc: datetime
    attempts: int = 0
    erasure: Erasure | None = None
    confirmed_utc: datetime | None = None


class Confirmation(Protocol):
    """What ingest signed, checked."""

    @property
    def erasure(self) -> Erasure:
        """Return what was erased."""

    @property
    def body(self) -> bytes:
        """Return the signed bytes."""

    @property
    def signature(self) -> bytes:
        """Return the signature over ``body``."""


class Erasures:
    """The requests of a state file. Every method blocks and may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(
        self, messages: Iterable[tuple[bytes, datetime]], *, wish: str, now_utc: datetime
    ) -> None:
        """Store requests, each with the moment before which it does not leave.

        Join it to the transaction that deletes what they speak of.
        """
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO erasures"
                " (erase_id, message, wish, asked_utc, not_before_utc) VALUES (?, ?, ?, ?, ?)",
                [
                    (erase_id(message), message, wish, now_utc.isoformat(), when.isoformat())
                    for message, when in messages
                ],
            )

    def keep(self, rows: Iterable[ErasureRow]) -> None:
        """Store requests of another state file as they are; the wish behind them is not told."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO erasures"
                " (erase_id, message, wish, asked_utc, not_before_utc, attempts)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        row.erase_id,
                        row.message,
                        EARLIER_OWNER,
                        row.asked_utc.isoformat(),
                        row.not_before_utc.isoformat(),
                        row.attempts,
                    )
                    for row in rows
                ],
            )

    def rows(self) -> list[ErasureRow]:
        """Return every request, in the order in which they were made."""
        return self._read("1")

    def waiting(self) -> list[ErasureRow]:
        """Return the requests that ingest has not confirmed, the next to leave first."""
        rows = self._read("message IS NOT NULL")
        return sorted(rows, key=lambda row: row.not_before_utc)

    def begin_attempt(self, identity: bytes, *, next_utc: datetime) -> None:
        """Count an attempt; without an answer the next one is at ``next_utc``."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE erasures SET attempts=attempts+1, not_before_utc=? WHERE erase_id=?",
                (next_utc.isoformat(), identity),
            )

    def hurry(self, *, now_utc: datetime) -> int:
        """Let everything that waits leave now; return how many requests that is."""
        with self._database.transaction() as connection:
            return connection.execute(
                "UPDATE erasures SET not_before_utc=? WHERE message IS NOT NULL",
                (now_utc.isoformat(),),
            ).rowcount

    def confirm(self, found: Confirmation, *, now_utc: datetime) -> bool:
        """Keep what ingest signed and forget the token; return False for what nobody asked."""
        with self._database.transaction() as connection:
            done = connection.execute(
                "UPDATE erasures SET message=NULL, body=?, signature=?, confirmed_utc=?"
                " WHERE erase_id=? AND message IS NOT NULL",
                (found.body, found.signature, now_utc.isoformat(), found.erasure.erase_id),
            )
        return bool(done.rowcount)

    def _read(self, where: str) -> list[ErasureRow]:
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT erase_id, message, wish, asked_utc, not_before_utc, attempts, body,"  # noqa: S608 (our own)
                f" confirmed_utc FROM erasures WHERE {where} ORDER BY asked_utc, erase_id"
            ).fetchall()
        return [_row(row) for row in rows]


def _row(row: tuple[Any, ...]) -> ErasureRow:
    return ErasureRow(
        erase_id=row[0],
        message=row[1],
        wish=row[2],
        asked_utc=datetime.fromisoformat(row[3]),
        not_before_utc=datetime.fromisoformat(row[4]),
        attempts=row[5],
        erasure=None if row[6] is None else decode_erasure(row[6]),
        confirmed_utc=None if row[7] is None else datetime.fromisoformat(row[7]),
    )
