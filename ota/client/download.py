"""One image: bounded by its signed length, hashed while it arrives, written once."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ota.client.durable import make_folder, sync_folder
from ota.client.ports import Fetcher, Wanted
from ota.errors import (
    HashMismatchError,
    LengthMismatchError,
    MalformedError,
    NoRoomError,
    StorageError,
)

_BLOCK_BYTES = 1_048_576
_ROOM_MARGIN = 1.1  # the image, and a tenth for what else is written meanwhile
_ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})  # what a signed hash may be


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a download is, in bytes."""

    done_bytes: int
    total_bytes: int


class Downloader:
    """Keeps images in ``folder`` under their content hash. Every method blocks.

    ``targets_url`` ends with a slash. ``on_progress`` is called from the downloading thread.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        targets_url: str,
        folder: Path,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._fetcher = fetcher
        self._targets_url = targets_url
        self._folder = folder
        self._on_progress = on_progress

    def path_of(self, offer: Wanted) -> Path:
        """Return where the image of ``offer`` is, once downloaded."""
        return self._folder / offer.content_hash

    def download(self, offer: Wanted) -> Path:
        """Return the image of ``offer``; one that is here already is checked, not fetched again.

        Raises:
            HashMismatchError: A signed hash does not hold.
            LengthMismatchError: The image is longer or shorter than signed.
            DownloadError: The network is wrong.
            NoRoomError: There is no room for the image.
            StorageError: The disk did not take it.
        """
        image = self.path_of(offer)
        try:
            make_folder(self._folder)
            if not self._is_here(image, offer):
                self._fetch(image, offer)
        except OSError as error:
            raise StorageError(str(image), expected="a written image", got=str(error)) from error
        return image

    def remove(self, offer: Wanted) -> None:
        """Remove the image of ``offer`` and what is left of its download."""
        for path in (self.path_of(offer), _part_of(self.path_of(offer))):
            path.unlink(missing_ok=True)

    def _is_here(self, image: Path, offer: Wanted) -> bool:
        if not image.is_file() or image.stat().st_size != offer.length:
            return False
        with image.open("rb") as file:
            return hashes_of(file, offer.hashes) == offer.hashes

    def _fetch(self, image: Path, offer: Wanted) -> None:
        self._check_room(offer)
        part = _part_of(image)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            self._stream(file, offer)
            os.fsync(file.fileno())
        part.replace(image)
        sync_folder(self._folder)

    def _stream(self, file: BinaryIO, offer: Wanted) -> None:
        hashers = _hashers(offer.hashes)
        done = 0
        for chunk in self._fetcher.fetch(self._url_of(offer)):
            done += len(chunk)
            if done > offer.length:
                raise LengthMismatchError(
                    offer.target, expected=f"{offer.length} bytes", got="more", intact="dropped"
                )
            for hasher in hashers.values():
                hasher.update(chunk)
            _write_all(file, chunk)
            self._on_progress(Progress(done_bytes=done, total_bytes=offer.length))
        if done != offer.length:
            raise LengthMismatchError(
                offer.target, expected=f"{offer.length} bytes", got=str(done), intact="dropped"
            )
        _compare(offer, {name: hasher.hexdigest() for name, hasher in hashers.items()})

    def _url_of(self, offer: Wanted) -> str:
        folder, slash, name = offer.target.rpartition("/")
        return f"{self._targets_url}{folder}{slash}{offer.content_hash}.{name}"

    def _check_room(self, offer: Wanted) -> None:
        status = os.statvfs(self._folder)
        free, needed = status.f_bavail * status.f_frsize, int(offer.length * _ROOM_MARGIN)
        if free < needed:
            raise NoRoomError(str(self._folder), expected=f"{needed} bytes free", got=str(free))


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


def _write_all(file: BinaryIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _part_of(image: Path) -> Path:
    return image.with_name(image.name + ".part")
