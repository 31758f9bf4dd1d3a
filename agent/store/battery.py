"""The battery's local history: figures by day, alerts, and what the watch must remember.

A file of its own, because it needs no consent and never leaves the vehicle. It holds days, not
trips: nobody can read from it when or where somebody drove. Every row carries a checksum; a row
that does not match it is counted and left out.
"""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

from agent.store.checksum import row_sum
from agent.store.database import Connect, Database, Step

STEPS: tuple[Step, ...] = (
    (
        """CREATE TABLE days (
            day TEXT NOT NULL,
            kind TEXT NOT NULL,
            place TEXT NOT NULL,        -- bin of a resistance, else empty
            count INTEGER NOT NULL,
            mean REAL NOT NULL,
            low REAL NOT NULL,
            high REAL NOT NULL,
            checksum INTEGER NOT NULL,  -- CRC-32 over all columns above
            PRIMARY KEY (day, kind, place)
        ) WITHOUT ROWID""",
        """CREATE TABLE alerts (
            alert_id INTEGER PRIMARY KEY,
            code TEXT NOT NULL,
            severity TEXT NOT NULL,
            raised_utc TEXT NOT NULL,
            last_utc TEXT NOT NULL,
            cleared_utc TEXT,
            body TEXT NOT NULL,         -- JSON: value, limit, evidence
            event TEXT NOT NULL,        -- JSON: what was read around it
            checksum INTEGER NOT NULL   -- CRC-32 over all columns above
        )""",
        """CREATE TABLE memory (
            name TEXT PRIMARY KEY,
            body TEXT NOT NULL,
            checksum INTEGER NOT NULL
        ) WITHOUT ROWID""",
    ),
)
MAX_DAYS = 20_000  # rows: about ten years of five figures a day and a few bins
MAX_ALERTS = 1_000
MAX_EVENT_BYTES = 65_536  # of one alert; a longer one is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigure:
    """All measurements of one kind on one day; ``place`` is the bin of a resistance."""

    day: date
    kind: str
    place: str
    count: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One alert of the past or of now (``cleared_utc`` is None). ``body``, ``event``: JSON."""

    alert_id: int
    code: str
    severity: str
    raised_utc: datetime
    last_utc: datetime
    cleared_utc: datetime | None
    body: str
    event: str


class BatteryHistory:
    """The history file. Every method blocks and may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path, *, connect: Connect | None = None) -> Self:
        """Open or create ``path``."""
        return cls(Database.open(path, STEPS, connect=connect))

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open ``path`` for a command beside the running daemon."""
        return cls(Database.open_to_read(path, version=len(STEPS)))

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._database.close()

    def add(self, day: date, kind: str, value: float, *, place: str = "") -> None:
        """Add one measurement to its day."""
        key = (day.isoformat(), kind, place)
        with self._database.transaction() as connection:
            row = connection.execute(
                "SELECT * FROM days WHERE day=? AND kind=? AND place=?", key
            ).fetchone()
            known = _figure(row) if row else None
            merged = _merged(key, known, value)
            connection.execute(
                "INSERT OR REPLACE INTO days VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*merged, row_sum(*merged)),
            )
            connection.execute(
                "DELETE FROM days WHERE (day, kind, place) IN (SELECT day, kind, place FROM days"
                " ORDER BY day DESC LIMIT -1 OFFSET ?)",
                (MAX_DAYS,),
            )

    def figures(self, kind: str | None = None, *, since: date = date.min) -> list[DayFigure]:
        """Return the figures of ``kind`` (None: all), oldest first; damaged rows are left out."""
        with self._database.reading(is_lenient=True) as connection:
            rows = connection.execute(
                "SELECT * FROM days WHERE (?1 IS NULL OR kind=?1) AND day>=?2"
                " ORDER BY day, kind, place",
                (kind, since.isoformat()),
            ).fetchall()
        return [figure for row in rows if (figure := _figure(row))]

    def raise_alert(
        self, *, code: str, severity: str, now_utc: datetime, body: str, event: str
    ) -> None:
        """Store a new alert; one of the same code that was never cleared goes on instead."""
        event = event if len(event) <= MAX_EVENT_BYTES else "[]"
        with self._database.transaction() as connection:
            rows = connection.execute("SELECT * FROM alerts WHERE code=?", (code,)).fetchall()
            known = [row for row in map(_alert, rows) if row and row.cleared_utc is None]
            alert_id = known[-1].alert_id if known else None
            raised = known[-1].raised_utc if known else now_utc
            self._put(
                connection,
                (alert_id, code, severity, _text(raised), _text(now_utc), None, body, event),
            )
            connection.execute(
                "DELETE FROM alerts WHERE alert_id IN (SELECT alert_id FROM alerts"
                " ORDER BY alert_id DESC LIMIT -1 OFFSET ?)",
                (MAX_ALERTS,),
            )

    def clear_alert(self, code: str, *, now_utc: datetime) -> None:
        """Close the alert of ``code`` that is open, if any."""
        with self._database.transaction() as connection:
            for row in self.alerts(limit=-1):
                if row.code == code and row.cleared_utc is None:
                    raised, now = _text(row.raised_utc), _text(now_utc)
                    self._put(
                        connection,
                        (row.alert_id, code, row.severity, raised, now, now, row.body, row.event),
                    )

    def alerts(self, *, limit: int = 100) -> list[AlertRow]:
        """Return the newest ``limit`` alerts, newest first; damaged rows are left out."""
        with self._database.reading(is_lenient=True) as connection:
            rows = connection.execute(
                "SELECT * FROM alerts ORDER BY alert_id DESC LIMIT ?", (limit,)
            ).fetchall()
        return [alert for row in rows if (alert := _alert(row))]

    def remember(self, name: str, body: str) -> None:
        """Replace what is remembered under ``name``."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO memory VALUES (?, ?, ?)", (name, body, row_sum(name, body))
            )

    def recall(self, name: str) -> str | None:
        """Return what is remembered under ``name``; None if nothing is, or it is damaged."""
        with self._database.reading(is_lenient=True) as connection:
            row = connection.execute("SELECT * FROM memory WHERE name=?", (name,)).fetchone()
        return row[1] if row and row_sum(*row[:2]) == row[2] else None

    def damaged(self) -> int:
        """Return how many rows do not match their checksum."""
        with self._database.reading(is_lenient=True) as connection:
            tables = [connection.execute(f"SELECT * FROM {name}").fetchall() for name in _TABLES]  # noqa: S608 (names from here)
        return sum(1 for rows in tables for row in rows if row_sum(*row[:-1]) != row[-1])

    @staticmethod
    def _put(connection: Any, values: tuple[Any, ...]) -> None:  # noqa: ANN401 (sqlite3's own)
        if values[0] is None:
            newest = connection.execute("SELECT max(alert_id) FROM alerts").fetchone()[0]
            values = ((newest or 0) + 1, *values[1:])
        connection.execute(
            "INSERT OR REPLACE INTO alerts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, row_sum(*values)),
        )


_TABLES = ("days", "alerts", "memory")


def _merged(key: tuple[str, str, str], known: DayFigure | None, value: float) -> tuple[Any, ...]:
    if known is None:
        return (*key, 1, float(value), float(value), float(value))
    count = known.count + 1
    mean = known.mean + (value - known.mean) / count
    return (*key, count, mean, min(known.low, value), max(known.high, value))


def _figure(row: tuple[Any, ...]) -> DayFigure | None:
    if row_sum(*row[:-1]) != row[-1]:
        return None
    day, kind, place, count, mean, low, high = row[:-1]
    return DayFigure(
        day=date.fromisoformat(day),
        kind=kind,
        place=place,
        count=count,
        mean=mean,
        low=low,
        high=high,
    )


def _alert(row: tuple[Any, ...]) -> AlertRow | None:
    if row_sum(*row[:-1]) != row[-1]:
        return None
    alert_id, code, severity, raised, last, cleared, body, event = row[:-1]
    return AlertRow(
        alert_id=alert_id,
        code=code,
        severity=severity,
        raised_utc=datetime.fromisoformat(raised),
        last_utc=datetime.fromisoformat(last),
        cleared_utc=datetime.fromisoformat(cleared) if cleared else None,
        body=body,
        event=event,
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
