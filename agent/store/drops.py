"""Room in the outbox: what is given up when it is full or too old, counted and explained."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent.store.chain import bump
from agent.store.queued import Moment, OutboxState
from agent.store.rows import PLAIN_BYTES, TripOutcome, as_text, as_time

_AGED = "outbox.aged"  # the note that holds the last day seen


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


def make_room(connection: sqlite3.Connection, quota: Quota, now: Moment) -> None:
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


def grow_older(connection: sqlite3.Connection, quota: Quota, now: Moment) -> int:
    """Let queued batches grow older, once per calendar day seen; return how many were dropped."""
    today = now.utc.date().isoformat()
    if _last_day(connection) == today:
        return 0
    _note(connection, _AGED, today)
    connection.execute(
        "UPDATE outbox SET age_days = age_days + 1 WHERE state=?", (OutboxState.QUEUED,)
    )
    old = connection.execute(
        "SELECT batch_id FROM outbox WHERE state=? AND age_days > ?",
        (OutboxState.QUEUED, quota.max_age_days),
    ).fetchall()
    for (batch,) in old:
        _drop(connection, batch, DropCode.TOO_OLD, now.utc)
    return len(old)


def read_drops(connection: sqlite3.Connection, *, limit: int) -> list[Drop]:
    """Return what was given up, newest first."""
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


def _last_day(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM notes WHERE name=?", (_AGED,)).fetchone()
    return row[0] if row else None


def _note(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))
