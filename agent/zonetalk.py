"""What `okdrive-agent zones` reads and changes, beside the daemon or without it. Blocks."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import msgspec

from agent.clock import SystemClock
from agent.config import AgentConfig
from agent.consents import secrets_of, sharing_of
from agent.control import ask
from agent.folders import Folders
from agent.privacy.zones import MAX_ZONES, DrawnZone, ZoneError
from agent.sharing import Sharing
from agent.store.recall import Recalled
from agent.store.state import State
from agent.wording import counted
from agent.zones import Zones
from telemetry.purposes import Purpose

_LONG_AGO_S = 60.0  # a fix older than this is worth a word


class _Here(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's answer to ``here``; nothing of it is stored."""

    latitude: float
    longitude: float
    age_s: float


def listing(config: AgentConfig, folders: Folders) -> dict[str, Any]:
    """Return every place that was drawn, oldest first.

    Raises:
        ZoneError: They cannot be read. StoreError, KeyFileError: Nor can the state or a key.
    """
    with closing(State.open_to_read(folders.state)) as state:
        secret = partial(secrets_of(config), Purpose.TRAFFIC)
        return {"zones": [document(zone) for zone in Zones(state.database, secret).drawn()]}


def document(zone: DrawnZone) -> dict[str, Any]:
    """Return one place for JSON."""
    return {
        "zone_id": zone.zone_id,
        "name": zone.name,
        "latitude": zone.latitude,
        "longitude": zone.longitude,
        "radius_m": zone.radius_m,
        "drawn": zone.drawn.isoformat(),
    }


def list_lines(found: dict[str, Any]) -> Iterator[str]:
    """Return the text of the list."""
    if not found["zones"]:
        yield "no place was drawn; homes and workplaces that the vehicle learns are never told"
        yield "add one: okdrive-agent zones add --here --name Home"
        return
    yield f"{'PLACE':<10}{'NAME':<26}{'LATITUDE':>10}{'LONGITUDE':>11}{'RADIUS':>9}  SINCE"
    for one in found["zones"]:
        yield (
            f"{one['zone_id']:<10}{one['name'] or '-':<26}{one['latitude']:>10.5f}"
            f"{one['longitude']:>11.5f}{one['radius_m']:>7.0f} m  {one['drawn']}"
        )
    yield f"{len(found['zones'])} of {MAX_ZONES}; they stay in the vehicle, encrypted"


def add(
    config: AgentConfig,
    folders: Folders,
    position: tuple[float, float] | None,
    *,
    radius_m: float,
    name: str,
) -> dict[str, Any]:
    """Keep a place secret; ``position`` None: where the vehicle is now.

    Raises:
        ZoneError: Out of bounds, drawn already, one too many, or nobody knows where here is.
        StoreError, KeyFileError: Nothing was changed.
    """
    with closing(_open(folders)) as state:
        sharing = sharing_of(config, state, SystemClock())
        sharing.start()  # a damaged ledger stops sharing, not drawing
        at, source = (position, "as you said") if position else _here(folders, sharing)
        recalled = sharing.draw_zone(latitude=at[0], longitude=at[1], radius_m=radius_m, name=name)
        drawn = sharing.offering.zones.drawn()[-1]
    ask(folders.control, "consents")
    return {"zone": document(drawn), "where": source, **_counts(recalled)}


def added_lines(found: dict[str, Any]) -> Iterator[str]:
    """Return the text of what ``add`` did."""
    zone = found["zone"]
    yield (
        f"place {zone['zone_id']}: {zone['latitude']:.5f}, {zone['longitude']:.5f}"
        f" ({found['where']})"
    )
    yield f"nothing within {zone['radius_m']:.0f} m of it is told from now on"
    if found["offered"]:
        batches = counted(found["offered"], "batch", "batches")
        yield f"dropped from open cards because it touches the place: {batches}"
    if found["queued"]:
        batches = counted(found["queued"], "confirmed batch", "confirmed batches")
        late = f"; {found['under_way']} had set out, ingest erases that" * bool(found["under_way"])
        yield f"taken back: {batches}{late}"
    yield "what has arrived stays until you say: okdrive-agent erase --trip ID"


def remove(config: AgentConfig, folders: Folders, wanted: str | None) -> str:
    """Tell of a place again, of all with None; return what to tell a person.

    Raises:
        ZoneError: Not exactly one such place, or they cannot be read (unless all are removed).
        StoreError, KeyFileError: Nothing was changed.
    """
    with closing(_open(folders)) as state:
        sharing = sharing_of(config, state, SystemClock())
        if wanted is None:
            sharing.clear_zones()
            said = "every drawn place was removed; homes that the vehicle learnt stay secret"
        else:
            zone = sharing.remove_zone(wanted)
            said = f"place {zone.zone_id} was removed; where you come back often stays secret"
    ask(folders.control, "consents")
    return said


def _here(folders: Folders, sharing: Sharing) -> tuple[tuple[float, float], str]:
    answer = ask(folders.control, "here")
    if answer and answer.startswith("{"):
        fix = msgspec.json.decode(answer, type=_Here)
        old = f", {fix.age_s / 60:.0f} min ago" if fix.age_s > _LONG_AGO_S else ""
        return (fix.latitude, fix.longitude), f"the last fix{old}"
    stop = sharing.last_stop()
    if stop is None:
        raise ZoneError(
            "zones.no_position",
            "here: expected a fix of the running agent or the end of a trip, found neither;"
            " nothing was changed; say where with --at LATITUDE,LONGITUDE",
        )
    return stop, "where the last trip ended"


def _counts(recalled: Recalled) -> dict[str, int]:
    return {
        "offered": recalled.offered,
        "queued": recalled.queued,
        "under_way": recalled.under_way,
    }


def _open(folders: Folders) -> State:
    folders.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return State.open(folders.state)
