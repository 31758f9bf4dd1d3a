"""One image: bounded by its signed length, checked piece by piece, written once, resumed.

::

    images/<sha256>             the image, whole and checked
    images/<sha256>.part        what has arrived of it, each piece at its place
    images/<sha256>.chunks      the signed list of its pieces (``ota.metadata.chunks``)
    images/<sha256>.json        the server's entity tag, and the data it has cost so far
    images/month.json           the data that all downloads of this month have cost

What a restart may keep is not written down: every piece in ``.part`` that has its signed hash is
kept, whatever else happened to the file. Without a list of pieces (older releases) the server's
entity tag stands in for it, and the whole image is checked at its end.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from ota.client.durable import make_folder, replace_file, sync_folder
from ota.client.pace import DataUse, unlimited
from ota.client.ports import Clock, Fetcher, Wanted
from ota.client.transfer import CostsFile, MonthFile, Progress, Transfer
from ota.errors import (
    HashMismatchError,
    LengthMismatchError,
    MalformedError,
    NoRoomError,
    RepositoryError,
    StorageError,
)
from ota.metadata.chunks import ChunkList, open_list

_BLOCK_BYTES = 1_048_576
_SYNC_BYTES = 4_194_304  # what a power cut may cost again
_ROOM_MARGIN = 1.1  # image and unpacked version, and a tenth for what else is written meanwhile
_MAX_TRIES = 3  # of one piece
_MAX_BAD = 8  # pieces in one answer: then it is not a flipped bit, it is another file
_SECTOR_BYTES = 512  # of st_blocks, whatever the disk's own
_ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})  # what a signed hash may be
_MONTH_NAME = "month.json"
_SIDE_FILES = (".part", ".chunks", ".json", ".new", ".unfit")


class Downloader:
    """Keeps images in ``folder`` under their content hash. Every method blocks.

    ``targets_url`` ends with a slash. ``on_progress`` is called from the downloading thread, and
    ``data_use`` asked again on the way, because the network may change.
    """

    def __init__(  # noqa: PLR0913 (the doors of one download, all by name)
        self,
        fetcher: Fetcher,
        *,
        targets_url: str,
        folder: Path,
        on_progress: Callable[[Progress], None],
        clock: Clock,
        data_use: Callable[[], DataUse] = unlimited,
    ) -> None:
        self._fetcher = fetcher
        self._targets_url = targets_url
        self._folder = folder
        self._on_progress = on_progress
        self._clock = clock
        self._data_use = data_use
        self._month = MonthFile(folder / _MONTH_NAME, clock)
        self._stop = threading.Event()

    def path_of(self, offer: Wanted) -> Path:
        """Return where the image of ``offer`` is, once downloaded."""
        return self._folder / offer.content_hash

    def download(self, offer: Wanted) -> Path:
        """Return the image of ``offer``; one that is here already is checked, not fetched again.

        Raises:
            HashMismatchError: A signed hash does not hold, of a piece or of the whole.
            LengthMismatchError: The image is longer or shorter than signed.
            DownloadError: The network is wrong; what has arrived stays for the next try.
            DataBudgetError: The rest costs more than this network may be used for.
            NoRoomError: There is no room for the image and its unpacked version.
            StorageError: The disk did not take it.
        """
        image = self.path_of(offer)
        try:
            make_folder(self._folder)
            if not self._is_here(image, offer):
                self._fetch(image, offer)
        except OSError as error:
            raise StorageError(str(image), expected="a written image", got=str(error)) from error
        except RepositoryError:
            self.remove(offer)  # nothing of it is believed
            raise
        return image

    def remove(self, offer: Wanted) -> None:
        """Remove the image of ``offer`` and what is left of its download."""
        image = self.path_of(offer)
        for path in (image, *(_beside(image, suffix) for suffix in _SIDE_FILES)):
            path.unlink(missing_ok=True)

    def keep_only(self, offers: Sequence[Wanted]) -> None:
        """Remove what is left of every other download: room that nobody will come back for."""
        kept = {offer.content_hash for offer in offers} | {_MONTH_NAME.partition(".")[0]}
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name.partition(".")[0] not in kept:
                    path.unlink(missing_ok=True)

    def charge(self, offer: Wanted, spent_bytes: int) -> None:
        """Let ``spent_bytes`` that came to nothing count against the budget of ``offer``."""
        use = self._data_use()
        if use.is_counted:  # the month was charged when it came
            CostsFile(_beside(self.path_of(offer), ".json")).charge(use.network, spent_bytes)

    def stop(self) -> None:
        """End a download that runs in another thread, at its next piece; later ones do not begin.

        It raises ``StoppedError`` there.
        """
        self._stop.set()

    def _is_here(self, image: Path, offer: Wanted) -> bool:
        if not image.is_file() or image.stat().st_size != offer.length:
            return False
        with image.open("rb") as file:
            return hashes_of(file, offer.hashes) == offer.hashes

    def _fetch(self, image: Path, offer: Wanted) -> None:
        _hashers(offer.hashes)  # a hash that nobody can check is refused before it costs data
        part = _beside(image, ".part")
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            self._check_room(offer, on_disk=os.fstat(descriptor).st_blocks * _SECTOR_BYTES)
            transfer = self._transfer(image, offer)
            chunks = self._chunk_list(image, offer)
            if chunks is None:
                _fill_whole(_Part(file), offer, transfer)
            else:
                _fill_chunks(_Part(file), offer, transfer, chunks)
            os.ftruncate(descriptor, offer.length)
            _compare(offer, _Part(file).hashes(offer.hashes))
            os.fsync(descriptor)
        part.replace(image)
        sync_folder(self._folder)
        for suffix in (".chunks", ".json", ".unfit"):
            _beside(image, suffix).unlink(missing_ok=True)

    def _transfer(self, image: Path, offer: Wanted) -> Transfer:
        return Transfer(
            self._fetcher,
            self._url_of(offer, offer.content_hash),
            offer.length,
            costs=CostsFile(_beside(image, ".json")),
            month=self._month,
            on_progress=self._on_progress,
            clock=self._clock,
            data_use=self._data_use,
            stop=self._stop,
        )

    def _chunk_list(self, image: Path, offer: Wanted) -> ChunkList | None:
        signed = offer.chunks
        if signed is None:
            return None
        path = _beside(image, ".chunks")
        if path.is_file() and path.stat().st_size == signed.length:
            kept = path.read_bytes()
            if hashlib.sha256(kept).hexdigest() == signed.sha256:
                return open_list(kept, signed, length=offer.length)
        fetched = self._small_file(self._url_of(offer, signed.sha256), signed.length)
        chunks = open_list(fetched, signed, length=offer.length)
        replace_file(path, fetched)
        return chunks

    def _small_file(self, url: str, length: int) -> bytes:
        content = bytearray()
        for piece in self._fetcher.fetch(url):
            content += piece
            if len(content) > length:
                raise LengthMismatchError(url, expected=f"{length} bytes", got="more")
        return bytes(content)

    def _url_of(self, offer: Wanted, sha256: str) -> str:
        folder, slash, name = offer.target.rpartition("/")
        return f"{self._targets_url}{folder}{slash}{sha256}.{name}"

    def _check_room(self, offer: Wanted, *, on_disk: int) -> None:
        # What runs now stays where it is: it is the way back, and needs no further room.
        unpacked = offer.unpacked_bytes
        rest = max(0, offer.length - on_disk) + (offer.length if unpacked is None else unpacked)
        status = os.statvfs(self._folder)
        free, needed = status.f_bavail * status.f_frsize, int(rest * _ROOM_MARGIN)
        if free < needed:
            raise NoRoomError(str(self._folder), expected=f"{needed} bytes free", got=str(free))


class _Part:
    """The file that is being filled; synced as it grows."""

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._unsynced = 0

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def clear(self) -> None:
        os.ftruncate(self._descriptor, 0)

    def hashes(self, wanted: Mapping[str, str]) -> dict[str, str]:
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            return hashes_of(file, wanted)

    def read(self, first: int, stop: int) -> bytes:
        return os.pread(self._descriptor, stop - first, first)

    def write(self, first: int, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            written = os.pwrite(self._descriptor, rest, first)
            rest, first = rest[written:], first + written
        self._unsynced += len(content)
        if self._unsynced >= _SYNC_BYTES:
            os.fdatasync(self._descriptor)
            self._unsynced = 0


def _fill_chunks(part: _Part, offer: Wanted, transfer: Transfer, chunks: ChunkList) -> None:
    """Fetch the pieces that ``part`` does not hold; a bad one is never written, and asked again."""
    missing = [i for i in chunks.indexes() if not chunks.holds(i, part.read(*chunks.span(i)))]
    transfer.expect(_bytes_of(missing, chunks))
    for _ in range(_MAX_TRIES):
        bad: list[int] = []
        for run in _runs(missing):
            bad += _fill_run(part, transfer, chunks, run)
        if not bad:
            return
        missing = bad
        transfer.expect(_bytes_of(missing, chunks))
    raise _bad_pieces(offer.target, missing)


def _fill_run(
    part: _Part, transfer: Transfer, chunks: ChunkList, run: Sequence[int]
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


def _fill_whole(part: _Part, offer: Wanted, transfer: Transfer) -> None:
    """Go on where ``part`` ends if the server still has the same file, else from the start."""
    first = min(part.size(), offer.length) if transfer.etag is not None else 0
    _fill_from(part, offer, transfer, first)
    if first and part.hashes(offer.hashes) != offer.hashes:
        transfer.forget()  # what was kept did not survive: a power cut before it was synced
        _fill_from(part, offer, transfer, 0)


def _fill_from(part: _Part, offer: Wanted, transfer: Transfer, first: int) -> None:
    transfer.expect(offer.length - first)
    if first == offer.length:
        return
    for at, piece in transfer.pull(first, offer.length, is_etag_needed=True):
        if at == 0:
            part.clear()
        part.write(at, piece)


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


def _hashers(wanted: Mapping[str, str]) -> dict[str, "hashlib._Hash"]:
    unknown = sorted(set(wanted) - _ALGORITHMS)
    if unknown or not wanted:
        raise MalformedError(
            "target hashes", expected=f"of {sorted(_ALGORITHMS)}", got=str(unknown)
        )
    return {name: hashlib.new(name) for name in wanted}


def _compare(offer: Wanted, found: Mapping[str, str]) -> None:
    if found != offer.hashes:
        raise HashMismatchError(
            offer.target, expected=f"hashes {offer.hashes}", got=str(found), intact="dropped"
        )


def _bad_pieces(subject: str, indexes: Sequence[int]) -> HashMismatchError:
    return HashMismatchError(
        subject, expected="pieces as signed", got=f"{len(indexes)} others", intact="dropped"
    )


def _beside(image: Path, suffix: str) -> Path:
    return image.with_name(image.name + suffix)
