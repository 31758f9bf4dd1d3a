"""What the publisher is handed: a clock, and a way to put files on a disk."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """Wall time is all a publisher needs: what it signs expires on a date."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC."""


class WallClock:
    """The clock of the release machine; its administrator keeps it right."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC."""
        return datetime.now(UTC)  # noqa: TID251 (this is the clock the publisher's parts are handed)


class Files(Protocol):
    """How a file appears in a published folder: whole or not at all, and after a crash still."""

    def write(self, path: Path, data: bytes) -> None:
        """Make ``path`` hold ``data``; raise OSError, and then the old content is intact."""

    def copy(self, source: Path, path: Path) -> None:
        """Make ``path`` hold what ``source`` holds, likewise."""


class DurableFiles:
    """Write beside, ``fsync``, rename, ``fsync`` the folder."""

    def write(self, path: Path, data: bytes) -> None:
        """Make ``path`` hold ``data``; raise OSError, and then the old content is intact."""
        make_folder(path.parent)
        with _beside(path) as descriptor:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

    def copy(self, source: Path, path: Path) -> None:
        """Make ``path`` hold what ``source`` holds, likewise."""
        make_folder(path.parent)
        with source.open("rb") as stream, _beside(path) as descriptor:
            while chunk := stream.read(1_048_576):
                view = memoryview(chunk)
                while view:
                    view = view[os.write(descriptor, view) :]


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its missing parents so that they outlive a power cut."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the one writer's lock of ``folder``, across threads and processes."""
    make_folder(folder)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # releases the lock


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[int]:
    beside = path.with_name(f".{path.name}.new")  # one name: a crash leaves one, reused next time
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(beside, flags, 0o644)
    try:
        yield descriptor
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.replace(path)
    sync_folder(path.parent)
