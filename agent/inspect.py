"""What the commands read from the state folder, beside the daemon or without it. Blocks."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from agent.config import AgentConfig
from agent.folders import Folders
from agent.hmi.texts import load_texts
from agent.standing import installed_apps, is_running
from agent.store.battery import AlertRow, BatteryHistory, DayFigure
from agent.store.events import EventFiles, StoredEvent
from agent.store.figures import TripFigures, figures
from agent.store.outbox import Outbox
from agent.store.queued import OutboxState
from agent.store.rows import TripRow
from agent.store.sessions import SessionRow, Sessions
from agent.store.state import State
from agent.vehicle.battery.rules import Code
from agent.vehicle.trip import Trip
from agent.watch.events import event_rules
from agent.watch.rules import battery_rules
from agent.watch.summary import by_month

if TYPE_CHECKING:
    from agent.signals.explain import SignalsNow

_ANSWER_S = 2.0
_QUEUED = OutboxState.QUEUED
_MAX_ANSWER_BYTES = 1 << 20


class NotFoundError(Exception):
    """What was asked for is not there; nothing was changed."""

    code: ClassVar[str] = "agent.not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class TripLine:
    """One trip or charge session as `trips list` shows it; ``kind`` is ``trip`` or ``charge``.

    ``waiting`` counts its batches that were confirmed and have not been delivered.
    """

    trip_id: str
    kind: str = "trip"
    ended_utc: datetime
    outcome: str
    known: TripFigures
    waiting: int = 0

    def document(self) -> dict[str, Any]:
        """Return the trip for JSON: SI units in the names, UTC times."""
        return {
            "trip_id": self.trip_id,
            "kind": self.kind,
            "ended_utc": self.ended_utc.astimezone(UTC).isoformat(timespec="seconds"),
            "outcome": self.outcome,
            "waiting": self.waiting,
            **msgspec.to_builtins(self.known),
        }


def trips(folders: Folders, *, limit: int) -> list[TripLine]:
    """Return the newest ``limit`` trips and charge sessions, newest first; raise StoreError."""
    with closing(State.open_to_read(folders.state)) as state:
        queued = [line for line in Outbox(state.database).lines() if line.state is _QUEUED]
        waiting = Counter(line.trip_id for line in queued)
        driven = [
            replace(_line(trip), waiting=waiting[trip.trip_id]) for trip in state.trips(limit=limit)
        ]
        charged = [_charge_line(row) for row in Sessions(state.database).rows(limit=limit)]
    return sorted(driven + charged, key=lambda line: line.ended_utc, reverse=True)[:limit]


def trip(folders: Folders, prefix: str) -> tuple[TripLine, dict[str, Any]]:
    """Return the one trip or charge session whose id starts with ``prefix``, and all of it.

    Raises:
        NotFoundError: None or several.
        StoreError: The state cannot be read.
    """
    with closing(State.open_to_read(folders.state)) as state:
        driven = [row for row in state.trips(limit=-1) if row.trip_id.startswith(prefix)]
        sessions = Sessions(state.database).rows(limit=-1)
    found = [(_line(row), _with_shares(row.summary)) for row in driven]
    charged = [row for row in sessions if row.session_id.startswith(prefix)]
    found += [(_charge_line(row), json.loads(row.summary)) for row in charged]
    if len(found) != 1:
        raise NotFoundError(f"trip {prefix}: expected exactly one, found {len(found)}")
    return found[0]


def _with_shares(summary: str) -> dict[str, Any]:
    """Return the figures of a trip with what follows from them."""
    known: dict[str, Any] = json.loads(summary)
    try:
        trip = msgspec.convert(known, Trip)
    except msgspec.ValidationError:
        return known  # an older summary: shown as it is
    return known | {"regen_share": trip.regen_share, "consumption_wh_km": trip.consumption_wh_km}


def _charge_line(row: SessionRow) -> TripLine:
    return TripLine(
        trip_id=row.session_id,
        kind="charge",
        ended_utc=row.created_utc,
        outcome="open" if row.is_open else "local",
        known=msgspec.json.decode(row.summary, type=TripFigures),
    )


def battery(folders: Folders) -> dict[str, Any]:
    """Return what the battery's history says now: figures, alerts; raise StoreError."""
    with closing(BatteryHistory.open_to_read(folders.battery)) as history:
        figures_now: dict[str, DayFigure] = {}
        for figure in history.figures():
            figures_now[f"{figure.kind} {figure.place}".strip()] = figure
        alerts, damaged = history.alerts(), history.damaged()
    return {
        "figures": {name: _figure(figure) for name, figure in figures_now.items()},
        "alerts": [_alert(row) for row in alerts if row.cleared_utc is None],
        "damaged_rows": damaged,
    }


def battery_history(folders: Folders, kind: str | None) -> dict[str, Any]:
    """Return the battery's figures by day, oldest first, and every alert; raise StoreError."""
    with closing(BatteryHistory.open_to_read(folders.battery)) as history:
        return {
            "days": [_figure(figure) for figure in history.figures(kind)],
            "alerts": [_alert(row) for row in history.alerts()],
        }


def battery_summary(folders: Folders) -> dict[str, Any]:
    """Return the battery's history month by month, oldest first; raise StoreError."""
    with closing(BatteryHistory.open_to_read(folders.battery)) as history:
        months = by_month(history.figures(), history.alerts(limit=-1))
    return {"months": [msgspec.to_builtins(month) for month in months]}


def battery_alerts(config: AgentConfig) -> dict[str, Any]:
    """Return every alert there can be: its severity, title, and whether it is raised.

    Raises:
        StoreError: The history cannot be read.
        ConfigError: The configuration names an alert that does not exist.
    """
    texts = load_texts()["en"]
    with closing(BatteryHistory.open_to_read(Folders(root=config.state_dir).battery)) as history:
        rows = history.alerts(limit=-1)
    return {
        "alerts": [
            {
                "code": code,
                "severity": rule.severity,
                "title": texts.say(f"battery.{code}.title"),
                "state": _alert_state([row for row in rows if row.code == code]),
            }
            for code, rule in battery_rules(config.battery).items()
        ]
    }


def _alert_state(rows: Sequence[AlertRow]) -> str:
    """Return how it stands with the alert of ``rows``, newest first."""
    if not rows:
        return "never raised"
    return "raised" if rows[0].cleared_utc is None else "cleared"


def battery_explain(config: AgentConfig, code: str) -> dict[str, Any]:
    """Return rule, advice and the latest evidence of one alert.

    Raises:
        NotFoundError: There is no such rule.
        StoreError: The history cannot be read.
        ConfigError: The configuration names an alert that does not exist.
    """
    if code not in list(Code):
        raise NotFoundError(f"alert {code}: expected one of {', '.join(Code)}")
    rule, texts = battery_rules(config.battery)[Code(code)], load_texts()["en"]
    path = Folders(root=config.state_dir).battery
    with closing(BatteryHistory.open_to_read(path)) as history:
        rows = [row for row in history.alerts(limit=-1) if row.code == code]
    latest = _alert(rows[0]) if rows else None
    return {
        "code": code,
        "title": texts.say(f"battery.{code}.title"),
        "advice": texts.say(f"battery.{code}.advice"),
        "rule": msgspec.to_builtins(rule),
        "state": _alert_state(rows),
        "latest": latest,
        "around": json.loads(rows[0].event) if rows else [],
    }


def _figure(figure: DayFigure) -> dict[str, Any]:
    return {
        "day": figure.day.isoformat(),
        "kind": figure.kind,
        "where": figure.place,
        "count": figure.count,
        "mean": round(figure.mean, 4),
        "low": round(figure.low, 4),
        "high": round(figure.high, 4),
    }


def _alert(row: AlertRow) -> dict[str, Any]:
    cleared = row.cleared_utc.isoformat(timespec="seconds") if row.cleared_utc else None
    return {
        "code": row.code,
        "severity": row.severity,
        "raised_utc": row.raised_utc.isoformat(timespec="seconds"),
        "cleared_utc": cleared,
        **{key: value for key, value in json.loads(row.body).items() if key in _SHOWN},
    }


_SHOWN = frozenset({"value", "limit", "unit", "readings", "evidence"})


def events(config: AgentConfig, *, limit: int) -> dict[str, Any]:
    """Return what is looked for and the newest ``limit`` events; raise ConfigError."""
    files, seen = _event_files(config), _seen(Folders(root=config.state_dir))
    return {
        "events": [
            {
                "number": row.number,
                "name": row.event.name,
                "at_utc": row.event.at_utc.isoformat(timespec="milliseconds"),
                "is_time_proven": row.event.is_time_proven,
                "is_cut": row.event.is_cut,
                "readings": len(row.event.readings),
            }
            for row in files.rows(limit=limit)
        ],
        "rules": [
            msgspec.to_builtins(rule) | {"seen": seen.get(rule.name)}
            for rule in event_rules(config.events)
        ],
        "damaged": files.damaged(),
    }


def event(config: AgentConfig, number: int) -> dict[str, Any]:
    """Return one event, its readings, and a row of figures for each path; raise NotFoundError."""
    rows = _event_files(config).rows()
    row = next((row for row in rows if row.number == number), None)
    if row is None:
        raise NotFoundError(f"event {number}: expected one of {len(rows)} events, found none")
    found: dict[str, Any] = msgspec.to_builtins(row.event)
    paths = dict.fromkeys(reading.path for reading in row.event.readings)
    return {**found, "number": number, "summary": [_around(row.event, path) for path in paths]}


def _around(event: StoredEvent, path: str) -> dict[str, Any]:
    told = [one for one in event.readings if one.path == path]
    values = [one.value for one in told if one.value is not None]
    at = [one.value for one in told if one.since_s <= 0] or [told[0].value]
    return {
        "path": path,
        "first": told[0].value,
        "at": at[-1],
        "last": told[-1].value,
        "lowest": min(values, default=None),
        "highest": max(values, default=None),
    }


def _event_files(config: AgentConfig) -> EventFiles:
    folders = Folders(root=config.state_dir)
    return EventFiles(folders.events, quota_bytes=config.events.quota_mb * 1_000_000)


def _seen(folders: Folders) -> dict[str, int]:
    """Return how often the running agent saw each event; empty if none runs."""
    try:
        counted = json.loads(folders.vitals.read_bytes()).get("events", {})
    except (OSError, ValueError):
        return {}
    return dict(counted) if is_running(folders) else {}


def update(folders: Folders) -> dict[str, Any]:
    """Return where the update stands; raise InstallError if its journal is damaged."""
    from ota.client.journal import Journal  # noqa: PLC0415 (status does without it)

    entry = Journal(folders.update / "journal").read()
    document: dict[str, Any] = msgspec.to_builtins(entry)
    planned = planned_update(folders.desk, entry.content_hash)
    return document | {"installed": installed_apps(folders), "planned": planned}


def planned_update(memory_file: Path, content_hash: str | None) -> str | None:
    """Return for when the driver has planned this update, in local time; None if it is not."""
    try:
        memory = json.loads(memory_file.read_bytes())
        at = datetime.fromisoformat(memory["planned_at"])
        is_this = memory["planned_hash"] == content_hash is not None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return f"{at.astimezone():%Y-%m-%d %H:%M}" if is_this else None


def update_history(folders: Folders) -> list[dict[str, Any]]:
    """Return how the updates of this vehicle ended, newest first."""
    from ota.client.history import HISTORY_NAME, History  # noqa: PLC0415 (status does without it)

    found = History(folders.update / HISTORY_NAME).read()
    return [msgspec.to_builtins(ended) for ended in reversed(found)]


class NotRunningError(Exception):
    """No agent answers on this state folder; what is stored is intact."""

    code: ClassVar[str] = "agent.not_running"


def live_signals(folders: Folders) -> "SignalsNow":
    """Return every signal of the running agent; raise NotRunningError."""
    from agent.signals.explain import SignalsNow  # noqa: PLC0415 (only this command needs it)

    try:
        known = json.loads((folders.run / "screen.json").read_bytes())
        host, _, port = str(known["address"]).removeprefix("http://").partition(":")
        connection = HTTPConnection(host, int(port), timeout=_ANSWER_S)
        headers = {"authorization": f"Bearer {known['token']}"}
        with closing(connection):
            connection.request("GET", "/api/signals", headers=headers)
            answer = connection.getresponse()
            content = answer.read(_MAX_ANSWER_BYTES)
        return msgspec.json.decode(content, type=SignalsNow)
    except (OSError, HTTPException, ValueError, KeyError) as error:
        raise NotRunningError(
            f"{folders.run}: expected a running agent that tells its signals, got: {error}; "
            "start it with `okdrive-agent run`"
        ) from error


def live_explanation(folders: Folders, vehicle: str, path: str) -> dict[str, Any]:
    """Return why ``path`` is what it is in the running agent.

    Raises:
        NotRunningError: No agent answers.
        UnknownPathError: The vehicle does not tell ``path``, or the agent does not follow it.
    """
    from agent.signals.errors import UnknownPathError  # noqa: PLC0415 (as above)
    from agent.signals.explain import explanation, full_paths  # noqa: PLC0415
    from agent.signals.table import load_table  # noqa: PLC0415

    now, table = live_signals(folders), load_table(vehicle)
    line = next((line for line in now.signals if line.path in full_paths(path)), None)
    if line is None:
        raise UnknownPathError(table.name, path, [line.path for line in now.signals])
    found: dict[str, Any] = msgspec.to_builtins(explanation(table, line, None))
    del found["t"]  # of an agent that runs it is its own clock: how long ago says more
    age_s = max(0.001, now.now_s - line.t) if line.t else None  # None: it was never heard
    return {**found, "age_s": age_s, "rejections": now.rejected.get(line.frame, {})}


def _line(row: TripRow) -> TripLine:
    return TripLine(
        trip_id=row.trip_id,
        ended_utc=row.created_utc,
        outcome=row.outcome,
        known=figures(row),
    )
