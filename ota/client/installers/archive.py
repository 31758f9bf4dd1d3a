"""Unpacks a package: nothing is written but the files its manifest names, and all of them.

The tar headers are read one by one instead of by ``tarfile.open``: extension headers (long names,
sparse maps, pax) can ask for any amount of memory, and a package needs none of them.
"""

import hashlib
import os
import sys
import tarfile
from pathlib import Path
from typing import BinaryIO, cast

from ota.client.durable import sync_tree
from ota.errors import HashMismatchError, UnsafePackageError
from ota.metadata.package import (
    MANIFEST_NAME,
    PackageFile,
    PackageLimits,
    PackageManifest,
    check_member,
    parse_package_manifest,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BLOCK_BYTES = tarfile.BLOCKSIZE
_CHUNK_BYTES = 65_536
_TAIL_BYTES = tarfile.RECORDSIZE + _BLOCK_BYTES  # zeros that may follow the last member
_WINDOW_LOG = 24  # 16 MiB: what a decoder may be made to keep in memory
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)


def unpack(
    image: Path, folder: Path, *, content_hash: str, limits: PackageLimits
) -> PackageManifest:
    """Unpack ``image`` into the new folder ``folder``; return its manifest. All of it is synced.

    The SHA-256 of the very bytes that were unpacked is compared with ``content_hash``.

    Raises:
        UnsafePackageError: A rule of ``ota.metadata.package`` is broken; ``folder`` is not whole.
        HashMismatchError: The bytes are not the signed ones.
        OSError: The disk is full or broken.
    """
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)  # whatever the umask: another user runs what is in here
    with image.open("rb") as file:
        raw = _HashingReader(file)
        try:
            manifest = _unpack_members(raw, folder, limits)
        except (zstd.ZstdError, EOFError, tarfile.HeaderError, UnicodeError) as error:
            raise _unsafe(image.name, "a tar.zst", str(error)) from error
        digest = raw.digest_of_all()
    if digest != content_hash:
        raise HashMismatchError(
            image.name, expected=content_hash, got=digest, intact="nothing was installed"
        )
    sync_tree(folder)
    return manifest


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


def _unpack_members(raw: _HashingReader, folder: Path, limits: PackageLimits) -> PackageManifest:
    options = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
    with zstd.ZstdFile(cast("BinaryIO", raw), "rb", options=options) as stream:
        content = _read_manifest(stream, limits)
        manifest = parse_package_manifest(content, limits=limits)
        for expected in manifest.files:
            member = _next_member(stream)
            check_member(member, expected)
            _write_file(stream, folder, expected)
            _skip(stream, -expected.size % _BLOCK_BYTES)
        _check_end(stream)
    _create(folder / MANIFEST_NAME, 0o644, content)
    return manifest


def _read_manifest(stream: BinaryIO, limits: PackageLimits) -> bytes:
    member = _next_member(stream)
    if member.name != MANIFEST_NAME or member.size > limits.manifest_bytes:
        raise _unsafe(
            "first member",
            f"{MANIFEST_NAME} of at most {limits.manifest_bytes} bytes",
            f"{member.name[:200]} of {member.size} bytes",
        )
    content = _read_exactly(stream, member.size)
    _skip(stream, -member.size % _BLOCK_BYTES)
    return content


def _next_member(stream: BinaryIO) -> tarfile.TarInfo:
    header = _read_exactly(stream, _BLOCK_BYTES)
    if not any(header):
        raise _unsafe("archive", "every file of its manifest", "its end")
    member = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    if member.type not in _REGULAR:
        raise _unsafe(member.name[:200], "a regular file", f"tar type {member.type!r}")
    return member


def _write_file(stream: BinaryIO, folder: Path, expected: PackageFile) -> None:
    path = folder / expected.path
    _make_parents(folder, path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    hasher = hashlib.sha256()
    with os.fdopen(descriptor, "wb") as file:
        left = expected.size
        while left:
            chunk = _read_exactly(stream, min(left, _CHUNK_BYTES))
            hasher.update(chunk)
            file.write(chunk)
            left -= len(chunk)
        os.fchmod(file.fileno(), expected.mode)
    if hasher.hexdigest() != expected.sha256:
        raise _unsafe(expected.path, f"SHA-256 {expected.sha256}", hasher.hexdigest())


def _make_parents(folder: Path, parent: Path) -> None:
    if parent == folder or parent.is_dir():
        return
    _make_parents(folder, parent.parent)
    parent.mkdir(mode=0o755)
    parent.chmod(0o755)


def _create(path: Path, mode: int, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)


def _check_end(stream: BinaryIO) -> None:
    tail = stream.read(_TAIL_BYTES + 1)
    if any(tail) or len(tail) > _TAIL_BYTES:
        raise _unsafe("archive", "nothing after the files of its manifest", "more")


def _skip(stream: BinaryIO, size: int) -> None:
    if any(_read_exactly(stream, size)):
        raise _unsafe("archive", "zeros between members", "data")


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        chunk = stream.read(size - len(content))
        if not chunk:
            raise EOFError("the archive ends in the middle of a member")
        content += chunk
    return bytes(content)


def _unsafe(subject: str, expected: str, got: str) -> UnsafePackageError:
    return UnsafePackageError(subject, expected=expected, got=got, intact="nothing was installed")
