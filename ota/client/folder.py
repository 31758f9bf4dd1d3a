"""A folder as a server: what a stick holds, behind the same door as the network."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ota.client.ports import RangeAnswer
from ota.errors import NetworkError, ServerRefusedError

SCHEME = "stick:/"
_PIECE_BYTES = 65_536
_NOT_FOUND = 404


class FolderFetcher:
    """Meets ``ports.Fetcher``: ``stick:/a/b`` is the file ``a/b`` below ``folder``.

    Names are not unquoted: what was quoted into one name stays one name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, url: str) -> Iterator[bytes]:
        """Yield the file behind ``url``; see ``ports.Fetcher``."""
        with self.open_range(url, first=0) as answer:
            yield from answer.body

    @contextmanager
    def open_range(
        self, url: str, *, first: int, stop: int | None = None, if_range: str | None = None
    ) -> Iterator[RangeAnswer]:
        """Open a part of the file behind ``url``; see ``ports.Fetcher``."""
        del if_range  # a file has no entity tag; what is kept is proven by its pieces
        path = self.path_of(url)
        try:
            with _open_plain(path) as file:
                total = os.fstat(file.fileno()).st_size
                file.seek(first)
                end = total if stop is None else min(stop, total)
                pieces = iter(lambda: file.read(min(_PIECE_BYTES, end - file.tell())), b"")
                yield RangeAnswer(first=first, total=total, etag=None, body=pieces)
        except FileNotFoundError as error:
            raise ServerRefusedError(str(path), status=_NOT_FOUND) from error
        except OSError as error:  # pulled out in the middle
            raise NetworkError(str(path), expected="a readable stick", got=str(error)) from error

    def post(self, url: str, body: bytes, *, max_bytes: int) -> bytes:
        """Raise NetworkError: nobody on a stick takes reports."""
        del body, max_bytes
        raise NetworkError(url, expected="a Director", got="a stick")

    def path_of(self, url: str) -> Path:
        """Return where the file behind ``url`` is; raise ServerRefusedError for a way out."""
        parts = url.removeprefix(SCHEME).split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            raise ServerRefusedError(url, status=_NOT_FOUND)
        return self._folder.joinpath(*parts)


def _open_plain(path: Path) -> BinaryIO:
    """Open a plain file: no link that leads elsewhere, no pipe that never answers.

    Raises:
        FileNotFoundError: There is none.
        OSError: It cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise FileNotFoundError(f"{path} is no plain file")
    return file
