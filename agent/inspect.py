"""What the commands read from the state folder, beside the daemon or without it. Blocks."""

import fcntl
import json
import socket
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from agent.cards import TripFigures, figures
from agent.folders import Folders
from agent.store.outbox import Outbox
from agent.store.state import State, TripRow

if TYPE_CHECKING:
    from agent.signals.explain import SignalsNow

_PROBE_S = 0.2
_ANSWER_S = 2.0
_MAX_ANSWER_BYTES = 1 << 20


class NotFoundError(Exception):
    """What was asked for is not there; nothing was changed."""

    code: ClassVar[str] = "agent.not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class TripLine:
    """One trip as `trips list` shows it."""

    trip_id: str
    ended_utc: datetime
    outcome: str
    known: TripFigures

    def document(self) -> dict[str, Any]:
        """Return the trip for JSON: SI units in the names, UTC times."""
        return {
            "trip_id": self.trip_id,
            "ended_utc": self.ended_utc.astimezone(UTC).isoformat(timespec="seconds"),
            "outcome": self.outcome,
            **msgspec.to_builtins(self.known),
        }


def trips(folders: Folders, *, limit: int) -> list[TripLine]:
    """Return the newest ``limit`` trips; raise StoreError."""
    with closing(State.open_to_read(folders.state)) as state:
        return [_line(trip) for trip in state.trips(limit=limit)]


def trip(folders: Folders, prefix: str) -> tuple[TripLine, dict[str, Any]]:
    """Return the one trip whose id starts with ``prefix``, and its whole summary.

    Raises:
        NotFoundError: None or several.
        StoreError: The state cannot be read.
    """
    with closing(State.open_to_read(folders.state)) as state:
        found = [row for row in state.trips(limit=-1) if row.trip_id.startswith(prefix)]
    if len(found) != 1:
        raise NotFoundError(f"trip {prefix}: expected exactly one, found {len(found)}")
    return _line(found[0]), json.loads(found[0].summary)


def status(folders: Folders) -> dict[str, Any]:
    """Return the state of the agent in one document; raise StoreError."""
    with closing(State.open_to_read(folders.state)) as state:
        consents = {name: row.is_granted for name, row in state.consents().items()}
        rows, receipt = Outbox(state.database).rows(), state.last_receipt()
        waiting = sum(1 for row in state.trips(limit=-1) if row.outcome == "unanswered")
        return {
            "is_running": is_running(folders),
            "screen": screen(folders),
            "consents": consents,
            "trips_waiting_for_an_answer": waiting,
            "queue": {
                "batches": len(rows),
                "bytes": sum(len(row.payload) for row in rows),
                "stopped": sum(1 for row in rows if row.state == "stopped"),
            },
            "last_receipt": None
            if receipt is None
            else {
                "batch_id": receipt.batch_id.hex(),
                "status": receipt.status,
                "received_utc": receipt.received_utc.isoformat(timespec="seconds"),
            },
            "apps": installed_apps(folders),
            "counters": state.counters(),
        }


def installed_apps(folders: Folders) -> dict[str, str]:
    """Return the version of each app that is installed now."""
    found = {}
    for link in sorted(folders.apps.glob("*/current")):
        record = link.parent / f"{link.readlink().name}.json"
        found[link.parent.name] = str(json.loads(record.read_bytes())["version"])
    return found


def is_running(folders: Folders) -> bool:
    """Tell whether a daemon holds the state folder."""
    try:
        with folders.lock.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


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
    from agent.signals.explain import explanation  # noqa: PLC0415
    from agent.signals.table import load_table  # noqa: PLC0415

    now, table = live_signals(folders), load_table(vehicle)
    line = next((line for line in now.signals if line.path == path), None)
    if line is None:
        raise UnknownPathError(table.name, path, [line.path for line in now.signals])
    found: dict[str, Any] = msgspec.to_builtins(explanation(table, line, None))
    return {**found, "t": now.now_s - line.t, "rejections": now.rejected.get(line.frame, {})}


def screen(folders: Folders) -> str | None:
    """Return the address of the driver's screen if it answers; the token is not in it."""
    try:
        address = str(json.loads((folders.run / "screen.json").read_bytes())["address"])
    except (OSError, ValueError, KeyError):
        return None
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        probe.settimeout(_PROBE_S)
        return address if probe.connect_ex((host, int(port))) == 0 else None


def _line(row: TripRow) -> TripLine:
    return TripLine(
        trip_id=row.trip_id,
        ended_utc=row.created_utc,
        outcome=row.outcome,
        known=figures(row),
    )
