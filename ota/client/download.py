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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ota.client.durable import make_folder, replace_file, sync_folder
from ota.client.pace import DataUse, unlimited
from ota.client.pieces import Part, check_algorithms, fill_chunks, hashes_of
from ota.client.ports import Clock, Fetcher, Wanted
from ota.client.transfer import CostsFile, MonthFile, Progress, Transfer
from ota.errors import (
    HashMismatchError,
    LengthMismatchError,
    NoRoomError,
    RepositoryError,
    StorageError,
)
from ota.metadata.chunks import ChunkList, open_list
from ota.metadata.reuse import Here
from ota.metadata.stored import HEADER, is_stored

_ROOM_MARGIN = 1.1  # image and unpacked version, and a tenth for what else is written meanwhile
_SECTOR_BYTES = 512  # of st_blocks, whatever the disk's own
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

    def download(self, offer: Wanted, here: Sequence[Here] = ()) -> Path:
        """Return the image of ``offer``; one that is here already is checked, not fetched again.

        Nor is fetched what can be made of the files that are ``here``.

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
                self._fetch(image, offer, here)
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
        """Remove what is left of other downloads, but of the newest of them what has come.

        A release that was replaced before it was here shares much with the one that replaces it.
        """
        kept = {offer.content_hash for offer in offers} | {_MONTH_NAME.partition(".")[0]}
        if self._folder.is_dir():
            newest = self.leftovers(offers)[:1]
            for path in self._folder.iterdir():
                if path.name.partition(".")[0] not in kept and path not in newest:
                    path.unlink(missing_ok=True)

    def leftovers(self, offers: Sequence[Wanted]) -> list[Path]:
        """Return what has come of stored images other than those of ``offers``, newest first."""
        wanted = {f"{offer.content_hash}.part" for offer in offers}
        parts = [path for path in self._folder.glob("*.part") if path.name not in wanted]
        found = [path for path in parts if _begins_stored(path)]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)

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

    def _fetch(self, image: Path, offer: Wanted, here: Sequence[Here]) -> None:
        check_algorithms(
            offer.hashes
        )  # a hash that nobody can check is refused before it costs data
        part = _beside(image, ".part")
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            self._check_room(offer, on_disk=os.fstat(descriptor).st_blocks * _SECTOR_BYTES)
            transfer = self._transfer(image, offer)
            chunks = self._chunk_list(image, offer)
            if chunks is None:
                _fill_whole(Part(file), offer, transfer)
            else:
                fill_chunks(Part(file), offer.target, transfer, chunks, here)
            os.ftruncate(descriptor, offer.length)
            _compare(offer, Part(file).hashes(offer.hashes))
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


def _fill_whole(part: Part, offer: Wanted, transfer: Transfer) -> None:
    """Go on where ``part`` ends if the server still has the same file, else from the start."""
    first = min(part.size(), offer.length) if transfer.etag is not None else 0
    _fill_from(part, offer, transfer, first)
    if first and part.hashes(offer.hashes) != offer.hashes:
        transfer.forget()  # what was kept did not survive: a power cut before it was synced
        _fill_from(part, offer, transfer, 0)


def _fill_from(part: Part, offer: Wanted, transfer: Transfer, first: int) -> None:
    transfer.expect(offer.length - first)
    if first == offer.length:
        return
    for at, piece in transfer.pull(first, offer.length, is_etag_needed=True):
        if at == 0:
            part.clear()
        part.write(at, piece)


def _compare(offer: Wanted, found: Mapping[str, str]) -> None:
    if found != offer.hashes:
        raise HashMismatchError(
            offer.target, expected=f"hashes {offer.hashes}", got=str(found), intact="dropped"
        )


def _begins_stored(path: Path) -> bool:
    with path.open("rb") as file:
        return is_stored(file.read(len(HEADER)))


def _beside(image: Path, suffix: str) -> Path:
    return image.with_name(image.name + suffix)
