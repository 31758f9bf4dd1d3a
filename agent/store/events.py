"""Captured events: one small file each, whole or not there; the oldest make way.

Shape: ``<number>.event`` holds JSON, encrypted under a data key of its own: not even its name says
what happened. An older release wrote ``<number>-<name>.event``: a line of CRC-32 (8 hex digits),
then JSON; such files are read, and encrypted by ``seal_plain``. Numbers only grow, so that order
needs no clock. A damaged file is counted and left out, and so is one whose key is gone.
"""

import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from agent.signals.model import Quality
from agent.store.database import StoreError
from agent.store.vault import (
    EVENT,
    OVERHEAD_BYTES,
    KeyLostError,
    event_item,
    is_sealed,
    vault_of,
)
from ota.client.durable import replace_file, sync_folder

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
    profile_id: str = ""  # who drove; empty: kept before profiles were noted


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
        self._vault = vault_of(folder.parent)  # opens nothing before it is needed
        self._quota_bytes = quota_bytes

    def put(self, event: StoredEvent) -> None:
        """Store ``event``; older ones make way until all fit.

        Raises:
            StoreError: ``store.io``, ``store.key_lost``; nothing was changed.
        """
        body = msgspec.json.encode(event)
        size = len(body) + OVERHEAD_BYTES
        if size > min(MAX_EVENT_BYTES, self._quota_bytes):
            return
        with self._translated("event not stored"), self._vault.lock:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._make_room(size)
            self._write(self._folder / f"{self._next():08}{SUFFIX}", body)

    def tidy(self) -> int:
        """Encrypt what an older release left as it was, and overwrite keys of files that are gone.

        May be repeated; return how many files were encrypted. Raises StoreError as ``put``.
        """
        sealed = 0
        with self._translated("events not encrypted"), self._vault.lock:
            for path in self._paths():
                row = self._read(path) if not is_sealed(_content(path)) else None
                if row is not None:
                    self._write(
                        path.with_name(f"{row.number:08}{SUFFIX}"), msgspec.json.encode(row.event)
                    )
                    path.unlink()
                    sealed += 1
            self._vault.keep_only_files(EVENT, map(event_item, self._paths()))
        return sealed

    def rows(self, *, limit: int | None = None) -> list[EventRow]:
        """Return the newest ``limit`` events, newest first; damaged ones are left out."""
        found = (self._read(path) for path in reversed(self._paths()))
        return [row for row, _ in zip(filter(None, found), _count(limit), strict=False)]

    def damaged(self) -> int:
        """Return how many files do not match their checksum."""
        return sum(1 for path in self._paths() if self._read(path) is None)

    def clear(self) -> None:
        """Delete every event: no purpose is granted any more."""
        self._delete(self._paths())

    def keep_of(self, profiles: Collection[str]) -> int:
        """Delete the events of every driver but ``profiles``; return how many.

        Without any profile everything goes, also what cannot be read. One of which nobody knows
        whose it was stays while there is somebody who may keep events.
        """
        if not profiles:
            gone = self._paths()
        else:
            found = [(path, self._read(path)) for path in self._paths()]
            kept = {*profiles, ""}
            gone = [path for path, row in found if row and row.event.profile_id not in kept]
        self._delete(gone)
        return len(gone)

    def forget(self, first_utc: datetime, last_utc: datetime) -> int:
        """Delete the events of a span of time, and what cannot be read; return how many."""
        found = [(path, self._read(path)) for path in self._paths()]
        gone = [
            path for path, row in found if row is None or first_utc <= row.event.at_utc <= last_utc
        ]
        self._delete(gone)
        return len(gone)

    def _delete(self, paths: Sequence[Path]) -> None:
        """Delete files, then their keys: what a copy of the disk still holds stays closed."""
        if not paths:
            return
        with self._translated("events not deleted"):
            for path in paths:
                path.unlink(missing_ok=True)
            sync_folder(self._folder)
            self._vault.destroy(map(event_item, paths))

    def _write(self, path: Path, body: bytes) -> None:
        replace_file(path, self._vault.seal(event_item(path), EVENT, body))

    def _read(self, path: Path) -> EventRow | None:
        content = _content(path)
        try:
            if is_sealed(content):
                body = self._vault.open(event_item(path), content)
            elif content[:_SUM_BYTES] == b"%08x\n" % zlib.crc32(content[_SUM_BYTES:]):
                body = content[_SUM_BYTES:]
            else:
                return None
            event = msgspec.json.decode(body, type=StoredEvent)
        except (KeyLostError, OSError, msgspec.DecodeError):
            return None
        return EventRow(number=_number(path), event=event)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except KeyLostError as error:
            raise StoreError(error.code, f"{self._folder}: {what}: {error}") from error
        except OSError as error:
            raise StoreError("store.io", f"{self._folder}: {what}: {error}") from error

    def _paths(self) -> list[Path]:
        """Return the files, oldest first."""
        return sorted(self._folder.glob(f"*{SUFFIX}"))

    def _next(self) -> int:
        paths = self._paths()
        return 1 + (_number(paths[-1]) if paths else 0)

    def _make_room(self, more_bytes: int) -> None:
        paths = self._paths()
        sizes = [path.stat().st_size for path in paths]
        total, gone = sum(sizes), 0
        while gone < len(paths) and total + more_bytes > self._quota_bytes:
            total -= sizes[gone]
            gone += 1
        self._delete(paths[:gone])


def _count(limit: int | None) -> Iterator[int]:
    number = 0
    while limit is None or number < limit:
        yield number
        number += 1


def _number(path: Path) -> int:
    digits = path.stem.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


def _content(path: Path) -> bytes:
    """Return a file as far as it may be long; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_EVENT_BYTES + _SUM_BYTES)
    except OSError:
        return b""
