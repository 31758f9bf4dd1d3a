"""Captured events: one small file each, whole or not there; the oldest make way.

Shape: ``<number>-<name>.event`` holds one line of CRC-32 (8 hex digits) over what follows, then
JSON. Numbers only grow, so that order needs no clock. A damaged file is counted and left out.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from agent.signals.model import Quality
from agent.store.database import StoreError
from ota.client.durable import replace_file

SUFFIX: Final = ".event"
MAX_EVENT_BYTES: Final = 4 << 20  # a ring of 8,192 readings and as many again is below 2 MB
_SUM_BYTES: Final = 9


class EventReading(msgspec.Struct, frozen=True, array_like=True):
    """One reading around an event; ``since_s`` counts from the event, before it is negative."""

    path: str
    since_s: float
    value: float | None
    quality: Quality


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event. ``is_cut``: there was more to read than is kept."""

    name: str
    condition: str
    at_utc: datetime
    is_time_proven: bool
    boot_id: str
    time_s: float  # on the clock of the frames
    is_cut: bool
    readings: tuple[EventReading, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One stored event and its number."""

    number: int
    event: StoredEvent


class EventFiles:
    """The events of one vehicle. Every method blocks; errors of the disk are StoreErrors."""

    def __init__(self, folder: Path, *, quota_bytes: int) -> None:
        """Use ``folder``, made with the first event; ``quota_bytes`` for all of them together."""
        self._folder = folder
        self._quota_bytes = quota_bytes

    def put(self, event: StoredEvent) -> None:
        """Store ``event``; older ones make way until all fit.

        Raises:
            StoreError: ``store.io``; nothing was changed.
        """
        body = msgspec.json.encode(event)
        content = b"%08x\n" % zlib.crc32(body) + body
        if len(content) > min(MAX_EVENT_BYTES, self._quota_bytes):
            return
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._make_room(len(content))
            replace_file(self._folder / f"{self._next():08}-{event.name}{SUFFIX}", content)
        except OSError as error:
            raise StoreError("store.io", f"{self._folder}: event not stored: {error}") from error

    def rows(self, *, limit: int | None = None) -> list[EventRow]:
        """Return the newest ``limit`` events, newest first; damaged ones are left out."""
        found = (_read(path) for path in reversed(self._paths()))
        return [row for row, _ in zip(filter(None, found), _count(limit), strict=False)]

    def damaged(self) -> int:
        """Return how many files do not match their checksum."""
        return sum(1 for path in self._paths() if _read(path) is None)

    def clear(self) -> None:
        """Delete every event: no purpose is granted any more."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def forget(self, first_utc: datetime, last_utc: datetime) -> int:
        """Delete the events of a span of time, and what cannot be read; return how many."""
        found = [(path, _read(path)) for path in self._paths()]
        gone = [
            path for path, row in found if row is None or first_utc <= row.event.at_utc <= last_utc
        ]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _paths(self) -> list[Path]:
        """Return the files, oldest first."""
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def _next(self) -> int:
        paths = self._paths()
        return 1 + (_number(paths[-1]) if paths else 0)

    def _make_room(self, more_bytes: int) -> None:
        paths = self._paths()
        total = sum(path.stat().st_size for path in paths)
        for path in paths:
            if total + more_bytes <= self._quota_bytes:
                return
            total -= path.stat().st_size
            path.unlink()


def _count(limit: int | None) -> Iterator[int]:
    number = 0
    while limit is None or number < limit:
        yield number
        number += 1


def _number(path: Path) -> int:
    digits = path.name.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


def _read(path: Path) -> EventRow | None:
    try:
        content = path.read_bytes()[: MAX_EVENT_BYTES + _SUM_BYTES]
        if content[:_SUM_BYTES] != b"%08x\n" % zlib.crc32(content[_SUM_BYTES:]):
            return None
        event = msgspec.json.decode(content[_SUM_BYTES:], type=StoredEvent)
    except (OSError, msgspec.DecodeError):
        return None
    return EventRow(number=_number(path), event=event)
