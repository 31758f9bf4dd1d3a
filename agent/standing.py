"""How the agent stands, in one document: what `okdrive-agent status` shows. Blocks.

Nothing else is imported here than it needs: the command answers within a tenth of a second.
"""

import fcntl
import json
import socket
from contextlib import closing
from typing import Any

from agent.folders import Folders
from agent.store.outbox import Outbox
from agent.store.state import State

_PROBE_S = 0.2


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
