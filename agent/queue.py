"""What `okdrive-agent queue` reads and changes, beside the daemon or without it. Blocks."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from typing import Any, ClassVar

from agent.clock import SystemClock
from agent.config import AgentConfig
from agent.control import ask
from agent.departure import Situation, Surroundings, hindrance
from agent.folders import Folders
from agent.limits import departure_limits, said_network
from agent.network.model import NetworkClass
from agent.store.database import StoreError
from agent.store.drops import Drop, DropCode
from agent.store.outbox import Outbox
from agent.store.queued import Moment, OutboxLine, OutboxState
from agent.store.state import State
from agent.store.uplink_notes import UplinkNotes
from agent.wording import counted, labelled

_DROPPED = {
    DropCode.NO_ROOM: "given up: the queue was full of batches that leave before it",
    DropCode.TOO_OLD: "given up: nobody took it on so many days of use",
}


class NotRunningError(Exception):
    """The command needs the daemon; nothing was changed."""

    code: ClassVar[str] = "agent.not_running"


def listing(config: AgentConfig, folders: Folders) -> dict[str, Any]:
    """Return what waits, in the order of leaving, and what was given up; raise StoreError."""
    with closing(State.open_to_read(folders.state)) as state:
        outbox, now = Outbox(state.database), _now()
        return {
            "why": _why(config, folders, state, now),
            "batches": [_line_document(line, now) for line in outbox.lines()],
            "dropped": [_drop_document(drop) for drop in outbox.drops()],
        }


def stats(config: AgentConfig, folders: Folders) -> dict[str, Any]:
    """Return how much waits and what it cost; raise StoreError."""
    with closing(State.open_to_read(folders.state)) as state:
        lines, now = Outbox(state.database).lines(), _now()
        notes, counters = UplinkNotes(state.database), state.counters()
        queued = [line for line in lines if line.state is OutboxState.QUEUED]
        return {
            "why": _why(config, folders, state, now),
            "is_paused": notes.is_paused(),
            "is_refused": (failure := notes.failure()) is not None and failure.is_permanent,
            "queued": len(queued),
            "queued_bytes": sum(line.size_bytes for line in queued),
            "stopped": len(lines) - len(queued),
            "oldest_days_of_use": max((line.age_days for line in queued), default=0),
            "attempts": sum(line.attempts for line in lines),
            "receipts": state.receipt_counts(),
            "dropped": {
                name.removeprefix("dropped."): count
                for name, count in counters.items()
                if name.startswith("dropped.")
            },
            "bytes_today": {
                name.value: notes.spent(now.utc.date(), name)
                for name in NetworkClass
                if name is not NetworkClass.NONE
            },
        }


def pause(folders: Folders) -> str:
    """Switch sending off, durably; return what to tell a person."""
    _set_paused(folders, is_paused=True)
    ask(folders.control, "wake")
    return "paused: what the driver confirms waits here until okdrive-agent queue resume"


def resume(folders: Folders) -> str:
    """Switch sending on; return what to tell a person."""
    _set_paused(folders, is_paused=False)
    answer = ask(folders.control, "flush")
    return "resumed" if answer else "resumed; the agent is not running and sends when it starts"


def flush(folders: Folders) -> str:
    """Make the daemon try now; return why nothing leaves if it still does not.

    Raises:
        NotRunningError: There is no daemon.
    """
    if ask(folders.control, "flush") is None:
        raise NotRunningError("expected a running agent to send, found none")
    return ask(folders.control, "why") or "trying now"


def list_lines(document: dict[str, Any]) -> Iterator[str]:
    """Return the text of ``listing``."""
    yield from labelled("", document["why"])
    if document["batches"]:
        yield f"{'BATCH':<18}{'PURPOSE':<12}{'BYTES':>9}{'TRIES':>7}{'DAYS':>6}  STATE"
    for batch in document["batches"]:
        head = (
            f"{batch['batch_id'][:16]:<18}{batch['purpose']:<12}{batch['size_bytes']:>9,}"
            f"{batch['attempts']:>7}{batch['age_days']:>6}  "
        )
        yield from labelled(head, _state_text(batch))
    for drop in document["dropped"]:
        head = f"{drop['batch_id'][:16]:<18}{drop['purpose']:<12}{drop['size_bytes']:>9,}  "
        yield from labelled(head, drop["sentence"])


def stats_lines(document: dict[str, Any]) -> Iterator[str]:
    """Return the text of ``stats``."""
    yield from labelled("", document["why"])
    size = f"{document['queued_bytes']:,} bytes"
    queued = counted(document["queued"], "batch", "batches")
    yield f"queued    {queued}, {size}, {document['stopped']} stopped"
    yield f"oldest    {counted(document['oldest_days_of_use'], 'day')} of use"
    yield f"attempts  {document['attempts']} for what is still here"
    yield f"receipts  {_counted(document['receipts'])}"
    yield f"dropped   {_counted(document['dropped'])}"
    yield f"today     {_counted(document['bytes_today'])} bytes"


def _set_paused(folders: Folders, *, is_paused: bool) -> None:
    if not folders.state.exists():
        raise StoreError("store.missing", f"{folders.state}: expected a state file, found none")
    with closing(State.open(folders.state)) as state:
        UplinkNotes(state.database).set_paused(is_paused=is_paused)


def _why(config: AgentConfig, folders: Folders, state: State, now: Moment) -> str:
    if answer := ask(folders.control, "why"):
        return answer
    return f"The agent is not running. {_stored_reason(config, state, now)}"


def _stored_reason(config: AgentConfig, state: State, now: Moment) -> str:
    notes, outbox = UplinkNotes(state.database), Outbox(state.database)
    failure = notes.failure()
    network = said_network(config) or NetworkClass.UNMETERED  # the daemon asks, we cannot
    held_s = outbox.next_due_s(now) or 0.0
    waiting = [line for line in outbox.lines() if line.state is OutboxState.QUEUED]
    free = [line for line in waiting if line.held_for_s(now) == 0]
    found = hindrance(
        Situation(
            surroundings=Surroundings(network=network),
            limits=departure_limits(config),
            is_paused=notes.is_paused(),
            is_refused=failure is not None and failure.is_permanent,
            failure=failure.text if failure else None,
            queued=len(waiting),
            held_s=0.0 if free else held_s,
            next_bytes=free[0].size_bytes if free else 0,
            spent_bytes=notes.spent(now.utc.date(), network),
        )
    )
    if found:
        return found.sentence
    leaves = "leaves" if len(waiting) == 1 else "leave"
    return f"{counted(len(waiting), 'batch', 'batches')} {leaves} when it starts."


def _now() -> Moment:
    clock = SystemClock()
    return Moment(utc=clock.utc_now(), boot_id=clock.boot_id(), monotonic_s=clock.monotonic_s())


def _line_document(line: OutboxLine, now: Moment) -> dict[str, Any]:
    return {
        "batch_id": line.batch_id.hex(),
        "trip_id": line.trip_id,
        "purpose": line.purpose,
        "size_bytes": line.size_bytes,
        "priority": line.priority,
        "state": line.state.value,
        "attempts": line.attempts,
        "age_days": line.age_days,
        "held_for_s": round(line.held_for_s(now), 1) if line.attempts == 0 else 0.0,
        "refusal": line.refusal,
    }


def _drop_document(drop: Drop) -> dict[str, Any]:
    return {
        "batch_id": drop.batch_id.hex(),
        "trip_id": drop.trip_id,
        "purpose": drop.purpose,
        "size_bytes": drop.size_bytes,
        "code": drop.code.value,
        "sentence": _DROPPED[drop.code],
        "age_days": drop.age_days,
        "attempts": drop.attempts,
        "dropped_utc": drop.dropped_utc.astimezone(UTC).isoformat(timespec="seconds"),
    }


def _state_text(batch: dict[str, Any]) -> str:
    if batch["state"] == OutboxState.STOPPED:
        return f"stopped: {batch['refusal']}"
    if batch["held_for_s"] > 0:
        return f"held for {batch['held_for_s']:.0f} s"
    return "waiting"


def _counted(found: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in found.items()) or "none"
