"""Where the files of batches lie: a folder of this machine, or an object store elsewhere."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Protocol

from telemetry.ingest.errors import NotFoundError, StorageError

_TMP = ".tmp"


class Files(Protocol):
    """Named files, each written whole. Blocks; raises StorageError."""

    name: str  # what a message calls the place

    def write(self, file: str, content: bytes, day: date) -> None:
        """Write ``file`` durably; it is there whole or not at all."""

    def read(self, file: str) -> bytes:
        """Return the content of ``file``; raise NotFoundError if it is not there."""

    def delete(self, file: str) -> None:
        """Delete ``file`` durably; nothing happens if it is not there."""

    def names(self) -> Iterator[str]:
        """Yield the name of every file, in no order."""


class FolderFiles:
    """A folder; every file and every name is on disk when a method returns."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = str(folder)
        self._synced: set[Path] = set()  # folders whose own names are on disk

    def write(self, file: str, content: bytes, day: date) -> None:
        """Write beside, sync, rename, sync the folders. Its time is the day, nothing finer."""
        path = self.folder / file
        beside = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}{_TMP}")
        noon_s = datetime.combine(day, time(12), UTC).timestamp()
        with _translated(self.name):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with beside.open("wb") as out:
                    out.write(content)
                    out.flush()
                    os.fsync(out.fileno())
                os.utime(beside, (noon_s, noon_s))
                beside.rename(path)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
            self._sync(path.parent)

    def read(self, file: str) -> bytes:
        """Return the content of ``file``."""
        path = self.folder / file
        if not path.is_file():
            raise missing_file(self.name, file)
        with _translated(self.name):
            return path.read_bytes()

    def delete(self, file: str) -> None:
        """Delete ``file`` and sync its folder."""
        path = self.folder / file
        with _translated(self.name):
            try:
                path.unlink()
            except FileNotFoundError:
                return
            sync_folder(path.parent)

    def names(self) -> Iterator[str]:
        """Yield the name of every whole file."""
        for path in self.folder.glob("*/*/*"):
            if path.suffix != _TMP:
                yield str(path.relative_to(self.folder))

    def _sync(self, folder: Path) -> None:
        """Sync ``folder``, and what holds its name before the first receipt that relies on it."""
        sync_folder(folder)
        if folder not in self._synced:
            for above in (folder.parent, self.folder, self.folder.parent):
                sync_folder(above)
            self._synced.add(folder)

    def clean_unfinished(self) -> int:
        """Delete what an earlier run left half-written, while nobody writes; return how many."""
        with _translated(self.name):
            unfinished = list(self.folder.glob(f"*/*/*{_TMP}"))
            for path in unfinished:
                path.unlink()
        return len(unfinished)


def missing_file(name: str, file: str) -> NotFoundError:
    """Return the error of a file that is not there."""
    return NotFoundError(
        f"{name}: expected {file}, found none",
        intact="nothing was changed",
        advice="okdrive-ingest doctor compares index and files",
    )


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` last: a rename is not on the disk before this."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{name}: {error}",
            intact="what was stored is intact; nothing was half-written and no receipt was sent",
            advice="check that the disk has room and is writable",
        ) from error
