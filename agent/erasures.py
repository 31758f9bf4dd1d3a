"""What `okdrive-agent erase`, `erasures` and `wipe` do, beside the daemon or without it. Blocks."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

from agent import wiping
from agent.clock import SystemClock
from agent.config import AgentConfig
from agent.consent.keys import destroy_secrets
from agent.consents import sharing_of
from agent.control import ask
from agent.erasing import Eraser, Plan, Scope, Wish
from agent.folders import Folders
from agent.sharing import Sharing
from agent.store.erasures import ErasureRow, Erasures
from agent.store.events import EventFiles
from agent.store.state import State
from agent.store.wishes import wishes_of
from agent.wording import counted


def eraser_of(config: AgentConfig, sharing: Sharing, clock: SystemClock) -> Eraser:
    """Return what erases in the configured state folder."""
    folders = Folders(root=config.state_dir)
    return Eraser(
        sharing,
        segments=folders.segments,
        now_utc=clock.utc_now,
        destroy_secrets=lambda: _destroy(config),
        forget_events=EventFiles(folders.events, quota_bytes=0).forget,
    )


def plan(config: AgentConfig, *, trip: str | None, since_utc: datetime | None) -> Plan:
    """Return what would be erased: one trip or charge, all since a moment, or everything.

    Raises:
        EraseError: There is no such trip. StoreError, KeyFileError: The state cannot be read.
    """
    with _erasing(config) as eraser:
        if trip is not None:
            return eraser.plan(eraser.trip(trip))
        if since_utc is not None:
            name = since_utc.date().isoformat()
            return eraser.plan(Wish(scope=Scope.SINCE, name=name, since_utc=since_utc))
        return eraser.plan(Wish(scope=Scope.ALL, name="all"))


def carry_out(config: AgentConfig, chosen: Plan, *, is_urgent: bool) -> int:
    """Erase, tell the daemon, and return how many requests wait for ingest.

    ``is_urgent``: they leave at once, and not at moments drawn at random.

    Raises:
        StoreError, KeyFileError: What was not erased yet is as it was; the wish can be repeated.
    """
    with _erasing(config) as eraser:
        asked = eraser.carry_out(eraser.plan(chosen.wish))
    if is_urgent:
        with closing(State.open(Folders(root=config.state_dir).state)) as state:
            Erasures(state.database).hurry(now_utc=SystemClock().utc_now())
    ask(Folders(root=config.state_dir).control, "erased")
    return asked


def rows(folders: Folders) -> list[ErasureRow]:
    """Return every request that was ever made; raise StoreError."""
    with closing(State.open_to_read(folders.state)) as state:
        return Erasures(state.database).rows()


def wipe(config: AgentConfig) -> int:
    """Take everything back and leave nothing of any driver; return how many requests wait.

    Raises:
        StoreError, KeyFileError, OSError: A step could not be done; the next start goes on with it.
    """
    with _erasing(config) as eraser:
        eraser.carry_out(eraser.plan(Wish(scope=Scope.ALL, name="all")))
    wiping.begin(Folders(root=config.state_dir))
    return finish_wipe(config)


def finish_wipe(config: AgentConfig) -> int:
    """Do what is left of a wipe that was begun; raise as ``wipe``."""
    folders = Folders(root=config.state_dir)
    return wiping.finish(folders, destroy_secrets=lambda: _destroy(config))


def plan_document(chosen: Plan, asked: int | None = None) -> dict[str, Any]:
    """Return a plan for JSON."""
    return {
        "wish": str(chosen.wish),
        "trips": [row.trip_id for row in chosen.trips],
        "charges": list(chosen.sessions),
        "batches_sent": len(chosen.claims),
        "requests": asked,
    }


def plan_lines(found: dict[str, Any]) -> Iterator[str]:
    """Return the text of a plan."""
    driven, charged = counted(len(found["trips"]), "trip"), counted(len(found["charges"]), "charge")
    yield f"in the vehicle  {driven}, {charged}"
    yield f"at ingest       {counted(found['batches_sent'], 'batch', 'batches')} that left"
    if found["requests"] is not None:
        yield "erased here; ingest is asked to erase, and `okdrive-agent erasures` tells its answer"


def rows_document(found: list[ErasureRow]) -> dict[str, Any]:
    """Return the requests for JSON, and what they come to wish by wish."""
    return {"requests": [_row(row) for row in found], "wishes": list(_wishes(found))}


def rows_lines(found: dict[str, Any]) -> Iterator[str]:
    """Return the text of the requests: one line a wish."""
    if not found["wishes"]:
        yield "nothing was ever taken back"
    for wish in found["wishes"]:
        waits = f"; {wish['waiting']} of {wish['requests']} requests wait" * bool(wish["waiting"])
        many = counted(wish["batches"], "batch", "batches")
        told = (
            f"ingest confirms: {many}, {counted(wish['left'], 'row')} left"
            if wish["confirmed"]
            else "ingest has not answered yet"
        )
        yield f"{wish['asked_utc'][:16].replace('T', ' ')}  {wish['wish']:<24}{told}{waits}"


def _wishes(found: list[ErasureRow]) -> Iterator[dict[str, Any]]:
    for one in wishes_of(found):
        yield {
            "wish": one.wish,
            "asked_utc": _utc(one.asked_utc),
            "requests": len(one.requests),
            "confirmed": one.confirmed,
            "waiting": one.waiting,
            "batches": one.batches,
            "rows": one.rows,
            "left": one.left,
        }


def _row(row: ErasureRow) -> dict[str, Any]:
    told = row.erasure
    return {
        "erase_id": row.erase_id.hex(),
        "wish": row.wish,
        "asked_utc": _utc(row.asked_utc),
        "next_utc": None if told else _utc(row.not_before_utc),
        "attempts": row.attempts,
        "confirmed_utc": _utc(row.confirmed_utc) if row.confirmed_utc else None,
        "batches": told.batches if told else None,
        "rows": told.rows if told else None,
        "left": told.left if told else None,
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _destroy(config: AgentConfig) -> None:
    destroy_secrets(config.identity.purpose_secrets)


@contextmanager
def _erasing(config: AgentConfig) -> Iterator[Eraser]:
    folders, clock = Folders(root=config.state_dir), SystemClock()
    folders.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(State.open(folders.state)) as state:
        sharing = sharing_of(config, state, clock)
        sharing.start()  # a damaged ledger stops sharing, not erasing
        yield eraser_of(config, sharing, clock)
