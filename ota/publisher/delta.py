"""Make the difference between two packages, so that a vehicle fetches only what has changed.

What comes out is tried at once: it must give the new package byte by byte. Memory is bounded by the
pieces of ``ota.metadata.delta``, time by the compressor: about a second for two megabytes changed.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ota.errors import PatchError, UnsafePackageError
from ota.metadata.archive import BLOCK, LEVEL, PackageReader
from ota.metadata.delta import (
    MAGIC,
    PIECE_BYTES,
    SPAN_BYTES,
    WINDOW_LOG,
    Copy,
    Data,
    Head,
    Patch,
    Record,
    read_records,
    write_record,
)
from ota.metadata.package import PackageFile, PackageManifest
from ota.metadata.rebuild import rebuild
from ota.metadata.stored import HEADER, is_stored
from ota.publisher.errors import NotStoredError
from ota.publisher.reuse import unpack

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_AHEAD = (SPAN_BYTES - PIECE_BYTES) // 2  # how far the old bytes may have moved either way
_COPY_BYTES = 64  # a smaller unchanged file costs less as part of its neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaInfo:
    """A difference that was made or read: between which packages, and how large it is."""

    from_sha256: str | None
    result_sha256: str
    sha256: str
    length: int


@dataclass(frozen=True, slots=True)
class _Old:
    """The files of the package that is installed, unpacked into ``folder``."""

    folder: Path
    by_hash: Mapping[str, str]
    by_path: Mapping[str, PackageFile]

    def read(self, path: str, first: int, size: int) -> bytes:
        with (self.folder / path).open("rb") as file:
            return os.pread(file.fileno(), size, first)


def make_delta(new: Path, out: Path, *, old: Path | None) -> DeltaInfo:
    """Write what makes ``new`` of the files of ``old`` (None: of nothing) to ``out``; try it.

    Raises:
        NotStoredError: ``new`` was not built with ``--stored``: no vehicle could rebuild it.
        UnsafePackageError: One of them is no package.
        PatchError: What was made does not give ``new``; ``out`` is not there.
        OSError: The disk is full or broken.
    """
    with new.open("rb") as stream:
        if not is_stored(stream.read(len(HEADER))):
            raise NotStoredError(str(new), expected="a package built with --stored", got="another")
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        unpacked = _unpack(old, Path(folder) / "old") if old is not None else None
        beside = Path(folder) / "delta"
        result = _sha256(new)
        with beside.open("wb") as stream:
            stream.write(MAGIC)
            from_sha256 = None if old is None else _sha256(old)
            write_record(stream, Head(from_sha256=from_sha256, result_sha256=result))
            _write(stream, new, unpacked)
        _try(beside, unpacked, new, result)
        beside.replace(out)
    return read_delta(out)


def read_delta(path: Path) -> DeltaInfo:
    """Return what the difference in ``path`` says of itself; raise PatchError if it is none."""
    with path.open("rb") as stream:
        head, _ = next(read_records(stream), (None, b""))
    if not isinstance(head, Head):
        raise PatchError(str(path), expected="a difference", got="one without a head")
    return DeltaInfo(
        from_sha256=head.from_sha256,
        result_sha256=head.result_sha256,
        sha256=_sha256(path),
        length=path.stat().st_size,
    )


def _write(out: BinaryIO, new: Path, old: _Old | None) -> None:
    """Write the records that give the tar of ``new``: literal bytes wait for their neighbours."""
    waiting = bytearray()

    def flush(least: int) -> None:
        while len(waiting) > least:
            _write_data(out, bytes(waiting[:PIECE_BYTES]))
            del waiting[:PIECE_BYTES]

    for literal, record in _pieces(new, old):
        waiting += literal
        flush(PIECE_BYTES)
        if record is not None:
            flush(0)
            write_record(out, *record)
    flush(0)


def _pieces(new: Path, old: _Old | None) -> Iterator[tuple[bytes, tuple[Record, bytes] | None]]:
    """Yield what ``new`` is made of: literal bytes, and then perhaps a record."""
    with new.open("rb") as stream:
        manifest = PackageReader(stream).manifest
    with new.open("rb") as stream, zstd.ZstdFile(stream, "rb") as tar:
        for size, file in _members(manifest, tar):
            source = None if file is None else _source(file, old)
            if file is None or old is None or source is None:
                yield from ((piece, None) for piece in _read(tar, size))
            elif old.by_path[source].sha256 == file.sha256:
                for _ in _read(tar, size):
                    continue
                yield b"", (Copy(path=source, size=size), b"")
            else:
                yield from ((b"", record) for record in _patches(tar, size, source, old))


def _members(
    manifest: PackageManifest, tar: "zstd.ZstdFile"
) -> Iterator[tuple[int, PackageFile | None]]:
    """Yield the spans of the tar in order: their sizes, and the file whose content a span is."""
    header = tar.read(BLOCK)
    size = int(header[124:135], 8)  # of the manifest; source: POSIX ustar, the field size
    tar.seek(0)
    before = BLOCK + _padded(size)
    for file in manifest.files:
        yield before + BLOCK, None
        yield file.size, file
        before = -file.size % BLOCK
    yield before + 2 * BLOCK, None


def _source(file: PackageFile, old: _Old | None) -> str | None:
    """Return which installed file ``file`` is made from; None for one that is not worth it."""
    if old is None or file.size < _COPY_BYTES:
        return None
    same = old.by_hash.get(file.sha256)
    if same is not None:
        return same
    return file.path if file.path in old.by_path and old.by_path[file.path].size else None


def _patches(
    tar: "zstd.ZstdFile", size: int, source: str, old: _Old
) -> Iterator[tuple[Record, bytes]]:
    at = 0
    for piece in _read(tar, size):
        first = max(0, min(at, old.by_path[source].size) - _AHEAD)
        against = old.read(source, first, SPAN_BYTES)
        packed = _pack(piece, against)
        yield (
            Patch(path=source, first=first, span=len(against), size=len(piece), packed=len(packed)),
            packed,
        )
        at += len(piece)


def _write_data(out: BinaryIO, content: bytes) -> None:
    packed = _pack(content, None)
    write_record(out, Data(size=len(content), packed=len(packed)), packed)


def _pack(content: bytes, against: bytes | None) -> bytes:
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: LEVEL,
        zstd.CompressionParameter.window_log: WINDOW_LOG,
    }
    prefix = None if against is None else zstd.ZstdDict(against, is_raw=True).as_prefix
    return zstd.compress(content, options=options, zstd_dict=prefix)


def _read(tar: "zstd.ZstdFile", size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = bytearray()
        while len(piece) < min(left, PIECE_BYTES):
            more = tar.read(min(left, PIECE_BYTES) - len(piece))
            if not more:
                raise UnsafePackageError("package", expected=f"{left} more bytes", got="its end")
            piece += more
        left -= len(piece)
        yield bytes(piece)


def _unpack(package: Path, folder: Path) -> _Old:
    files = unpack(package, folder).files
    return _Old(
        folder, {file.sha256: file.path for file in files}, {file.path: file for file in files}
    )


def _try(delta: Path, old: _Old | None, new: Path, result: str) -> None:
    """Raise PatchError unless ``delta`` gives ``new``, whose hash is ``result``."""
    hasher = _Hasher()
    with delta.open("rb") as stream:
        folder = None if old is None else old.folder
        rebuild(stream, folder, hasher, length=new.stat().st_size)
    if hasher.digest.hexdigest() != result:
        raise PatchError("difference", expected=f"a result {result}", got="another")


class _Hasher:
    """A file that only hashes what is written to it."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return len(content)


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
