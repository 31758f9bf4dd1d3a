"""A file that only grows, written in whole sectors past the page cache where that is possible.

The page cache writes pages of 4 KiB: at a few hundred bytes every ten seconds most of each page is
written again and again, and flash wears with it. Written directly, an append costs its own sectors
and the one sector it shares with what stands before. File systems that refuse direct writes get
ordinary ones. Behind the last byte zeros fill the sector until the file is closed.
"""

import contextlib
import errno
import mmap
import os
from pathlib import Path
from typing import Final

SECTOR: Final = 512  # the smallest unit a block device writes


class AppendFile:
    """Appends to ``path``, which exists. All methods block; what fails leaves ``size_bytes``."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Go on behind the file's last byte; ``descriptor`` is open for writing, and ours now."""
        self.size_bytes = os.fstat(descriptor).st_size
        self._descriptor = descriptor
        self._direct = _open_direct(path)
        self._tail = _tail(path, self.size_bytes) if self._direct is not None else b""

    @property
    def is_closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._descriptor < 0

    def append(self, data: bytes) -> None:
        """Write ``data`` behind the end; raise OSError, after which ``undo`` has to be called."""
        if self._direct is None or not self._append_direct(self._direct, data):
            write_all(self._descriptor, data, self.size_bytes)
        self.size_bytes += len(data)

    def undo(self) -> None:
        """Cut off what a failed append left behind the end."""
        with contextlib.suppress(OSError):  # the next append is written over it all the same
            os.ftruncate(self._descriptor, self.size_bytes)

    def sync(self) -> None:
        """Make everything appended so far durable; raise OSError."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Cut off the zeros behind the end, and close; closing twice is fine."""
        if self.is_closed:
            return
        self.undo()
        self._leave_direct()
        os.close(self._descriptor)
        self._descriptor = -1

    def _append_direct(self, direct: int, data: bytes) -> bool:
        """Write whole sectors from the one that holds the end; return False if that is refused."""
        body = self._tail + data
        try:
            _write_sectors(direct, body, self.size_bytes - len(self._tail))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._leave_direct()
            self.undo()
            return False
        self._tail = body[len(body) // SECTOR * SECTOR :]
        return True

    def _leave_direct(self) -> None:
        if self._direct is not None:
            os.close(self._direct)
            self._direct = None


def write_all(descriptor: int, data: bytes, at: int) -> None:
    """Write all of ``data`` at ``at``; raise OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, at)
        view, at = view[written:], at + written


def padding_bytes(rest: bytes) -> int:
    """Return how much of ``rest``, which stands behind the last block, only fills a sector."""
    return len(rest) if len(rest) < SECTOR and not any(rest) else 0


def _write_sectors(direct: int, body: bytes, at: int) -> None:
    length = -(-len(body) // SECTOR) * SECTOR
    with mmap.mmap(-1, length) as memory:  # starts at a page: direct writes want aligned memory
        memory[: len(body)] = body
        with memoryview(memory) as view:
            written = 0
            while written < length:
                with view[written:] as rest:
                    written += os.pwrite(direct, rest, at + written)


def _open_direct(path: Path) -> int | None:
    try:
        return os.open(path, os.O_WRONLY | os.O_DIRECT)
    except OSError:
        return None


def _tail(path: Path, size_bytes: int) -> bytes:
    with path.open("rb") as file:
        file.seek(size_bytes // SECTOR * SECTOR)
        return file.read(size_bytes % SECTOR)
