"""The pieces of one image: which are here, which can be made of what is, and which are fetched."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from ota.client.transfer import Transfer
from ota.errors import HashMismatchError, MalformedError, UnsafePackageError
from ota.metadata.chunks import ChunkList
from ota.metadata.reuse import FIRST_BYTES, Here, Layout, Reuse, head_bytes

_BLOCK_BYTES = 1_048_576
_SYNC_BYTES = 4_194_304  # what a power cut may cost again
_MAX_TRIES = 3  # of one piece
_MAX_BAD = 8  # pieces in one answer: then it is not a flipped bit, it is another file
_ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})  # what a signed hash may be


class Part:
    """The file that is being filled; synced as it grows."""

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._unsynced = 0

    def size(self) -> int:
        """Return how long the file is."""
        return os.fstat(self._descriptor).st_size

    def clear(self) -> None:
        """Begin anew."""
        os.ftruncate(self._descriptor, 0)

    def hashes(self, wanted: Mapping[str, str]) -> dict[str, str]:
        """Return the hashes of all of it; see ``hashes_of``."""
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            return hashes_of(file, wanted)

    def read(self, first: int, stop: int) -> bytes:
        """Return the bytes from ``first`` to before ``stop``, as far as they have come."""
        return os.pread(self._descriptor, stop - first, first)

    def write(self, first: int, content: bytes) -> None:
        """Write ``content`` at ``first``."""
        rest = memoryview(content)
        while rest:
            written = os.pwrite(self._descriptor, rest, first)
            rest, first = rest[written:], first + written
        self._unsynced += len(content)
        if self._unsynced >= _SYNC_BYTES:
            os.fdatasync(self._descriptor)
            self._unsynced = 0


def fill_chunks(
    part: Part, target: str, transfer: Transfer, chunks: ChunkList, here: Sequence[Here]
) -> None:
    """Fetch the pieces that ``part`` does not hold and that nothing ``here`` gives.

    Raises:
        HashMismatchError: A piece came wrong as often as it was asked for.
        DataBudgetError: What has to be fetched costs more than this network may be used for.
        DownloadError: The network is wrong.
    """
    missing = [i for i in chunks.indexes() if not chunks.holds(i, part.read(*chunks.span(i)))]
    if here and missing:
        missing = _reuse(part, target, transfer, chunks, here, missing=missing)
    transfer.check_affordable(_bytes_of(missing, chunks))
    _fetch(part, target, transfer, chunks, missing, rest=0)


def _reuse(  # noqa: PLR0913 (one download's parts)
    part: Part,
    target: str,
    transfer: Transfer,
    chunks: ChunkList,
    here: Sequence[Here],
    *,
    missing: Sequence[int],
) -> list[int]:
    """Make what can be made of the image; return which pieces are still missing.

    Its beginning has to be fetched for that: it says what the rest is.
    """
    left = list(missing)

    def fetch(first_bytes: int) -> None:
        wanted = [index for index in left if index in chunks.first(first_bytes)]
        left[:] = [index for index in left if index not in chunks.first(first_bytes)]
        _fetch(part, target, transfer, chunks, wanted, rest=_bytes_of(left, chunks))

    fetch(FIRST_BYTES)
    try:
        size = head_bytes(part.read(0, FIRST_BYTES))
        fetch(size)
        layout = Layout(part.read(0, size))
    except UnsafePackageError:
        return left  # it is compressed, or no package: whoever installs it will say so
    if layout.package_bytes != chunks.length:
        return left
    reuse = Reuse(layout, here)
    return [index for index in left if not _is_made(part, chunks, reuse, index)]


def _is_made(part: Part, chunks: ChunkList, reuse: Reuse, index: int) -> bool:
    first, stop = chunks.span(index)
    for made in reuse.made(first, stop):
        if chunks.holds(index, made):
            part.write(first, made)
            return True
    return False


def _fetch(  # noqa: PLR0913 (one download's parts)
    part: Part,
    target: str,
    transfer: Transfer,
    chunks: ChunkList,
    missing: Sequence[int],
    *,
    rest: int,
) -> None:
    """Fetch the pieces ``missing``; a bad one is never written, and asked again.

    ``rest``: how many bytes more may have to be fetched afterwards.
    """
    transfer.expect(_bytes_of(missing, chunks) + rest)
    for _ in range(_MAX_TRIES):
        bad: list[int] = []
        for run in _runs(missing):
            bad += _fill_run(part, transfer, chunks, run)
        if not bad:
            return
        missing = bad
        transfer.expect(_bytes_of(missing, chunks) + rest)
    raise _bad_pieces(target, missing)


def _fill_run(
    part: Part, transfer: Transfer, chunks: ChunkList, run: Sequence[int]
) -> Iterator[int]:
    """Fetch the pieces ``run``, which lie side by side; yield those that were bad."""
    bad = 0
    pieces = transfer.pull(chunks.span(run[0])[0], chunks.span(run[-1])[1])
    for index, content in zip(run, _cut((piece for _, piece in pieces), chunks), strict=False):
        if chunks.holds(index, content):
            part.write(chunks.span(index)[0], content)
            continue
        bad += 1
        if bad > _MAX_BAD:
            raise _bad_pieces(f"pieces {run[0]} to {index}", run[:bad])
        yield index


def _runs(indexes: Sequence[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for index in indexes:
        if run and index != run[-1] + 1:
            yield run
            run = []
        run.append(index)
    if run:
        yield run


def _cut(pieces: Iterator[bytes], chunks: ChunkList) -> Iterator[bytes]:
    """Yield the bytes of ``pieces`` in chunks; the last may be shorter."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= chunks.size_bytes:
            yield bytes(waiting[: chunks.size_bytes])
            del waiting[: chunks.size_bytes]
    if waiting:
        yield bytes(waiting)


def _bytes_of(indexes: Sequence[int], chunks: ChunkList) -> int:
    return sum(stop - first for first, stop in map(chunks.span, indexes))


def hashes_of(file: BinaryIO, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the hashes of ``file``'s bytes, one for each algorithm of ``wanted``."""
    hashers = _hashers(wanted)
    while block := file.read(_BLOCK_BYTES):
        for hasher in hashers.values():
            hasher.update(block)
    return {name: hasher.hexdigest() for name, hasher in hashers.items()}


def check_algorithms(wanted: Mapping[str, str]) -> None:
    """Raise MalformedError if one of the signed hashes cannot be checked, or there is none."""
    _hashers(wanted)


def _hashers(wanted: Mapping[str, str]) -> dict[str, "hashlib._Hash"]:
    unknown = sorted(set(wanted) - _ALGORITHMS)
    if unknown or not wanted:
        raise MalformedError(
            "target hashes", expected=f"of {sorted(_ALGORITHMS)}", got=str(unknown)
        )
    return {name: hashlib.new(name) for name in wanted}


def _bad_pieces(subject: str, indexes: Sequence[int]) -> HashMismatchError:
    return HashMismatchError(
        subject, expected="pieces as signed", got=f"{len(indexes)} others", intact="dropped"
    )
