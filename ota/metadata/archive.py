"""Read and write the bytes of a package: a deterministic USTAR archive inside one zstd frame.

The archive's 512-byte headers are read here one by one, so that nothing but plain members is ever
looked at: tar's extensions (long names, sparse files, global headers) are refused by their type and
cost no memory. The same manifest and files give the same tar bytes: sorted, time 0, owner 0.
"""

import hashlib
import sys
import tarfile
from collections.abc import Iterable, Iterator
from tarfile import TarInfo
from typing import BinaryIO, Protocol

from ota.errors import UnsafePackageError
from ota.metadata.package import (
    MANIFEST_NAME,
    PackageFile,
    PackageLimits,
    PackageManifest,
    check_manifest,
    check_member,
    encode_package_manifest,
    parse_package_manifest,
)
from ota.metadata.stored import StoredWriter

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = tarfile.BLOCKSIZE
CHUNK_BYTES = 262_144
LEVEL = 19  # packed once, unpacked by many
WINDOW_LOG_MAX = 23  # 8 MiB, what LEVEL needs: bounds the memory of whoever unpacks


class Reader(Protocol):
    """Where bytes of a file come from."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; empty at the end."""


class Writer(Protocol):
    """Where bytes of a tar go."""

    def write(self, content: bytes, /) -> int:
        """Write ``content``; return its length."""


class PackageReader:
    """One pass over a package; ``manifest`` is checked by the constructor.

    Raises:
        UnsafePackageError: From the constructor and from ``files``, for anything that is not
            exactly what the manifest announces.
    """

    def __init__(self, stream: BinaryIO, *, limits: PackageLimits | None = None) -> None:
        self._limits = limits or PackageLimits()
        options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: WINDOW_LOG_MAX}
        self._tar = zstd.ZstdFile(stream, "rb", options=options)
        self.manifest = self._read_manifest()

    def files(self) -> Iterator[tuple[PackageFile, Iterator[bytes]]]:
        """Yield every file with its content in chunks of at most CHUNK_BYTES.

        The content is hashed on its way; a mismatch is raised where its last chunk would be. What
        was written until then must be thrown away. Content that is not asked for is skipped, and
        checked as well.
        """
        for file in self.manifest.files:
            check_member(self._next_header(), file)
            content = self._content(file)
            yield file, content
            for _ in content:
                pass
        self._expect_end()

    def _read_manifest(self) -> PackageManifest:
        header = self._next_header()
        if header.name != MANIFEST_NAME or header.type != tarfile.REGTYPE:
            raise _unsafe("first member", MANIFEST_NAME, repr(header.name[:200]))
        if not 0 <= header.size <= self._limits.manifest_bytes:
            raise _unsafe(MANIFEST_NAME, f"{self._limits.manifest_bytes} bytes", str(header.size))
        data = self._read(header.size)
        self._skip_padding(header.size)
        return parse_package_manifest(data, limits=self._limits)

    def _next_header(self) -> TarInfo:
        try:
            return TarInfo.frombuf(self._read(BLOCK), "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeError) as error:
            raise _unsafe("package", "one more tar member", str(error)) from error

    def _content(self, file: PackageFile) -> Iterator[bytes]:
        digest, left = hashlib.sha256(), file.size
        while left:
            chunk = self._read(min(left, CHUNK_BYTES))
            digest.update(chunk)
            left -= len(chunk)
            yield chunk
        self._skip_padding(file.size)
        if digest.hexdigest() != file.sha256:
            raise _unsafe(file.path, f"SHA-256 {file.sha256}", digest.hexdigest())

    def _skip_padding(self, size: int) -> None:
        if any(self._read(-size % BLOCK)):
            raise _unsafe("padding", "zeros", "other bytes")

    def _expect_end(self) -> None:
        if any(self._read(2 * BLOCK)) or self._read_some(1):
            raise _unsafe("package", "the end", "more bytes")

    def _read(self, size: int) -> bytes:
        parts, left = [], size
        while left:
            part = self._read_some(left)
            if not part:
                raise _unsafe("package", f"{left} more bytes", "its end")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _read_some(self, size: int) -> bytes:
        try:
            return self._tar.read(size)
        except (zstd.ZstdError, EOFError) as error:
            raise _unsafe("package", "a whole zstd frame", str(error)) from error


def write_package(
    out: BinaryIO,
    manifest: PackageManifest,
    contents: Iterable[Reader],
    *,
    level: int = LEVEL,
    is_stored: bool = False,
) -> None:
    """Write ``manifest`` and its files, whose ``contents`` come in the same order, to ``out``.

    ``is_stored``: not compressed, so that it can be rebuilt byte by byte (``ota.metadata.stored``).

    Raises:
        UnsafePackageError: The manifest breaks a rule, a name does not fit a USTAR header, or a
            content does not have the announced size.
    """
    check_manifest(manifest)
    if is_stored:
        frame = StoredWriter(out)
        _write_tar(frame, manifest, contents)
        frame.close()
        return
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: level,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    with zstd.ZstdFile(out, "wb", options=options) as tar:
        _write_tar(tar, manifest, contents)


def _write_tar(tar: Writer, manifest: PackageManifest, contents: Iterable[Reader]) -> None:
    toml = encode_package_manifest(manifest)
    tar.write(tar_header(MANIFEST_NAME, len(toml), 0o644) + toml + bytes(-len(toml) % BLOCK))
    for file, content in zip(manifest.files, contents, strict=True):
        tar.write(tar_header(file.path, file.size, file.mode))
        _copy(file, content, tar)
    tar.write(bytes(2 * BLOCK))


def _copy(file: PackageFile, content: Reader, tar: Writer) -> None:
    written = 0
    while chunk := content.read(CHUNK_BYTES):
        written += tar.write(chunk)
    if written != file.size:
        raise _unsafe(file.path, f"{file.size} bytes", str(written))
    tar.write(bytes(-written % BLOCK))


def tar_header(name: str, size: int, mode: int) -> bytes:
    """Return the header that a package's tar has before a file; raise UnsafePackageError."""
    info = TarInfo(name)
    info.size, info.mode = size, mode
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except ValueError as error:
        raise _unsafe(name[:200], "a path that fits a USTAR header", str(error)) from error


def _unsafe(subject: str, expected: str, got: str) -> UnsafePackageError:
    return UnsafePackageError(
        subject, expected=expected, got=got, intact="nothing of it may be used"
    )
