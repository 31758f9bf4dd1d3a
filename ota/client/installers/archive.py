"""Unpacks a package: nothing is written but the files its manifest names, and all of them."""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, cast

from ota.client.durable import sync_tree
from ota.errors import HashMismatchError
from ota.metadata.archive import PackageReader
from ota.metadata.package import (
    MANIFEST_NAME,
    PackageLimits,
    PackageManifest,
    encode_package_manifest,
)

_CHUNK_BYTES = 65_536
_FOLDER_MODE = 0o755  # whatever the umask: another user runs what is in here


def unpack(
    image: Path,
    folder: Path,
    *,
    content_hash: str,
    limits: PackageLimits,
    before_each: Callable[[], object],
) -> PackageManifest:
    """Unpack ``image`` into the new folder ``folder``; return its manifest. All of it is synced.

    The SHA-256 of the very bytes that were unpacked is compared with ``content_hash``.
    ``before_each`` file is asked; what it raises ends the unpacking.

    Raises:
        UnsafePackageError: A rule of ``ota.metadata.package`` is broken; ``folder`` is not whole.
        HashMismatchError: The bytes are not the signed ones.
        OSError: The disk is full or broken.
    """
    _make_folder(folder)
    with image.open("rb") as file:
        raw = _HashingReader(file)
        package = PackageReader(cast("BinaryIO", raw), limits=limits)
        for entry, content in package.files():
            before_each()
            _make_parents(folder, (folder / entry.path).parent)
            _create(folder / entry.path, entry.mode, content)
        digest = raw.digest_of_all()
    if digest != content_hash:
        raise HashMismatchError(
            image.name, expected=content_hash, got=digest, intact="nothing was installed"
        )
    _create(folder / MANIFEST_NAME, 0o644, [encode_package_manifest(package.manifest)])
    sync_tree(folder)
    return package.manifest


class _HashingReader:
    """A binary file that hashes what is read from it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hasher = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        self._hasher.update(block)
        return block

    def digest_of_all(self) -> str:
        """Read what is left and return the SHA-256 of the whole file."""
        while self.read(_CHUNK_BYTES):
            pass
        return self._hasher.hexdigest()


def _make_parents(folder: Path, parent: Path) -> None:
    if parent == folder or parent.is_dir():
        return
    _make_parents(folder, parent.parent)
    _make_folder(parent)


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=_FOLDER_MODE)
    folder.chmod(_FOLDER_MODE)


def _create(path: Path, mode: int, content: Iterable[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for chunk in content:
            file.write(chunk)
        os.fchmod(file.fileno(), mode)
