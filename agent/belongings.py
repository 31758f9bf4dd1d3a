"""What the vehicle remembers of places and people beside trips, as tables for an export. Blocks."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC

from agent.config import AgentConfig
from agent.consents import secrets_of
from agent.folders import Folders
from agent.offering import book_note, contact_key, read_book
from agent.privacy.zones import ZoneError
from agent.store.drivers import Drivers
from agent.store.events import EventFiles
from agent.store.sealed import DamagedNoteError, SealedNote
from agent.store.state import State
from agent.workshop import Contacts
from agent.zones import Zones
from telemetry.purposes import Purpose

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One table: its name, its columns and its rows."""

    name: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]


def belongings(config: AgentConfig, state: State) -> Iterator[Kept]:
    """Yield drawn and learnt places, drivers, contact details and captured events.

    What cannot be read any more is left out: nobody can.

    Raises:
        StoreError, KeyFileError: The state or a key cannot be read.
    """
    secret_of = secrets_of(config)
    yield _drawn(Zones(state.database, lambda: secret_of(Purpose.TRAFFIC)))
    yield _learnt(book_note(state.database, secret_of))
    yield Kept(
        name="drivers",
        columns=("profile_id", "name"),
        rows=[[one.profile_id, one.name] for one in Drivers(state.database).profiles()],
    )
    contact = Contacts(state.database, lambda: contact_key(secret_of)).read()
    yield Kept(
        name="workshop_contact",
        columns=("contact", "name"),
        rows=[[contact.contact, contact.name]] if contact.contact else [],
    )
    yield _events(Folders(root=config.state_dir))


def _drawn(known: Zones) -> Kept:
    columns = ("zone_id", "name", "latitude", "longitude", "radius_m", "drawn")
    try:
        zones = known.drawn()
    except ZoneError:
        zones = []
    rows: list[list[Cell]] = [
        [one.zone_id, one.name, one.latitude, one.longitude, one.radius_m, one.drawn.isoformat()]
        for one in zones
    ]
    return Kept(name="drawn_places", columns=columns, rows=rows)


def _learnt(note: SealedNote) -> Kept:
    book = None
    with suppress(DamagedNoteError):
        book = read_book(note)
    rows: list[list[Cell]] = [
        [one.latitude, one.longitude, one.days, one.longest_s, one.last_day.isoformat()]
        for one in (book.places if book else ())
    ]
    return Kept(
        name="learnt_places",
        columns=("latitude", "longitude", "days", "longest_s", "last_day"),
        rows=rows,
    )


def _events(folders: Folders) -> Kept:
    rows: list[list[Cell]] = [
        [
            row.number,
            row.event.name,
            row.event.at_utc.astimezone(UTC).isoformat(timespec="milliseconds"),
            reading.path,
            reading.since_s,
            reading.value,
            str(reading.quality),
        ]
        for row in reversed(EventFiles(folders.events, quota_bytes=0).rows())
        for reading in row.event.readings
    ]
    return Kept(
        name="events",
        columns=("number", "name", "at_utc", "path", "since_s", "value", "quality"),
        rows=rows,
    )
