"""Which pieces of a stored package can be made of what is here already.

A stored package is known from its own manifest, but for the contents of its files: headers, padding
and the marks of its frame follow from rules. So a piece of it can be made of files that are
installed, or of what is left of another download. Nothing of that is believed: a piece made here
counts when it has the hash that is signed of it, as one that was fetched does.
"""

import bisect
import contextlib
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tarfile import TarInfo
from typing import Protocol

from ota.errors import PatchError, UnsafePackageError
from ota.metadata.archive import BLOCK, tar_header
from ota.metadata.chunks import ChunkList
from ota.metadata.package import (
    MANIFEST_NAME,
    PackageFile,
    PackageLimits,
    PackageManifest,
    parse_package_manifest,
)
from ota.metadata.rebuild import open_installed
from ota.metadata.stored import HEADER, MARK_BYTES, framed_length, places, spans, unframed

_LIMITS = PackageLimits()
FIRST_BYTES = len(HEADER) + MARK_BYTES + BLOCK  # what says how long the manifest is


class Here(Protocol):
    """Files that are here already, and may be other than ``manifest`` says."""

    @property
    def manifest(self) -> PackageManifest:
        """Return which files there should be."""
        ...

    def read(self, path: str, first: int, size: int) -> bytes:
        """Return at most ``size`` bytes of a file of the manifest; raise PatchError or OSError."""
        ...


def head_bytes(beginning: bytes) -> int:
    """Return how much of a stored package holds its manifest; ``beginning``: FIRST_BYTES of it.

    Raises:
        UnsafePackageError: It is not stored, or no package.
    """
    return framed_length(BLOCK + _manifest_size(unframed(beginning)))


class Layout:
    """Where everything of one stored package is; ``beginning`` holds ``head_bytes`` or more.

    Raises:
        UnsafePackageError: It is no stored package.
    """

    def __init__(self, beginning: bytes) -> None:
        content = unframed(beginning)
        toml = content[BLOCK : BLOCK + _manifest_size(content)]
        self.manifest = parse_package_manifest(toml)
        self._head = content[:BLOCK] + toml + bytes(-len(toml) % BLOCK)
        self._starts: list[int] = []  # of each file's header
        at = len(self._head)
        for file in self.manifest.files:
            self._starts.append(at)
            at += BLOCK + file.size + -file.size % BLOCK
        self._length = at + 2 * BLOCK

    @property
    def head_bytes(self) -> int:
        """Return how much of the package holds its manifest."""
        return framed_length(len(self._head))

    @property
    def package_bytes(self) -> int:
        """Return how long the package is."""
        return framed_length(self._length)

    def parts(self, first: int, stop: int) -> Iterator[bytes | tuple[PackageFile, int, int]]:
        """Yield what the package holds from ``first`` to before ``stop``, in order.

        Bytes follow from the rules; else it is a file, the offset in it, and how many bytes.
        """
        for span in spans(first, stop, length=self._length):
            if isinstance(span, bytes):
                yield span
            else:
                yield from self._tar(*span)

    def places(self, path: str, first: int, size: int) -> Iterator[tuple[int, int]]:
        """Yield where in the package ``size`` bytes of a file are: offsets and sizes."""
        index = bisect.bisect_left(self.manifest.files, path, key=lambda file: file.path)
        begin = self._starts[index] + BLOCK
        return places(begin + first, begin + min(first + size, self.manifest.files[index].size))

    def _tar(self, first: int, stop: int) -> Iterator[bytes | tuple[PackageFile, int, int]]:
        if first < len(self._head):
            yield self._head[first:stop]
        index = max(0, bisect.bisect_right(self._starts, first) - 1)
        for at, file in zip(self._starts[index:], self.manifest.files[index:], strict=True):
            if at >= stop:
                return
            header = tar_header(file.path, file.size, file.mode)
            yield header[max(0, first - at) : max(0, stop - at)]
            begin = at + BLOCK
            low, high = max(first, begin), min(stop, begin + file.size)
            if low < high:
                yield file, low - begin, high - low
            yield _zeros(begin + file.size, -file.size % BLOCK, first, stop)
        yield _zeros(self._length - 2 * BLOCK, 2 * BLOCK, first, stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesHere:
    """Meets ``Here``: a version that is unpacked in ``folder``."""

    folder: Path
    manifest: PackageManifest

    @classmethod
    def of(cls, folder: Path) -> "FilesHere":
        """Return the version in ``folder``; raise UnsafePackageError or OSError if it is none."""
        return cls(
            folder=folder, manifest=parse_package_manifest((folder / MANIFEST_NAME).read_bytes())
        )

    def read(self, path: str, first: int, size: int) -> bytes:
        """Return bytes of a file; see ``Here``."""
        with open_installed(path, self.folder) as file:
            return os.pread(file.fileno(), size, first)


class PackageHere:
    """Meets ``Here``: a stored package in ``path``, perhaps with holes where nothing has come yet.

    Raises:
        UnsafePackageError, OSError: It is none, or its beginning has not come yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            size = head_bytes(file.read(FIRST_BYTES))
            file.seek(0)
            self._layout = Layout(file.read(size))

    @property
    def manifest(self) -> PackageManifest:
        """Return which files there should be."""
        return self._layout.manifest

    def read(self, path: str, first: int, size: int) -> bytes:
        """Return bytes of a file; see ``Here``."""
        with self._path.open("rb") as file:
            found = self._layout.places(path, first, size)
            return b"".join(os.pread(file.fileno(), count, at) for at, count in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a file may be taken from; ``shift`` is added to its offsets."""

    here: Here
    path: str
    shift: int = 0


class Reuse:
    """Makes pieces of the package of ``layout`` from what is ``here``."""

    def __init__(self, layout: Layout, here: Sequence[Here]) -> None:
        self._layout = layout
        self._here = [_Files.of(each) for each in here]

    def made(self, first: int, stop: int) -> Iterator[bytes]:
        """Yield what the bytes from ``first`` to before ``stop`` may be; none of it is checked."""
        parts = list(self._layout.parts(first, stop))
        sources = {
            part[0].path: self._sources(part[0]) for part in parts if not isinstance(part, bytes)
        }
        for attempt in range(max(map(len, sources.values()), default=1)):
            with contextlib.suppress(PatchError, OSError):
                yield b"".join(_bytes_of(part, sources, attempt) for part in parts)

    def _sources(self, file: PackageFile) -> Sequence[_Source]:
        """Return where ``file`` may be found: the same file, or one that may share its ends."""
        for files in self._here:
            if file.sha256 in files.by_hash:
                return [_Source(here=files.here, path=files.by_hash[file.sha256])]
        found = []
        for files in self._here:
            size = files.sizes.get(file.path)
            if size is not None:
                shifts = {0, size - file.size}  # unchanged from its start, or up to its end
                found += [
                    _Source(here=files.here, path=file.path, shift=shift)
                    for shift in sorted(shifts, key=abs)
                ]
        return found


@dataclass(frozen=True, slots=True)
class _Files:
    here: Here
    by_hash: Mapping[str, str]
    sizes: Mapping[str, int]

    @classmethod
    def of(cls, here: Here) -> "_Files":
        files = here.manifest.files
        by_hash = {file.sha256: file.path for file in files}
        return cls(here, by_hash, {file.path: file.size for file in files})


def missing_bytes(layout: Layout, here: Here, chunks: ChunkList) -> int:
    """Return how much of a package still has to be fetched where ``here`` is installed.

    What is fetched is whole pieces; those that hold the manifest are always among them.
    """
    reuse, head = Reuse(layout, [here]), layout.head_bytes
    fetched = 0
    for index in chunks.indexes():
        first, stop = chunks.span(index)
        if first < head or not any(chunks.holds(index, made) for made in reuse.made(first, stop)):
            fetched += stop - first
    return fetched


def _bytes_of(
    part: bytes | tuple[PackageFile, int, int],
    sources: Mapping[str, Sequence[_Source]],
    attempt: int,
) -> bytes:
    if isinstance(part, bytes):
        return part
    file, first, size = part
    found = sources[file.path]
    if not found:
        raise _absent(file.path)
    source = found[min(attempt, len(found) - 1)]
    if first + source.shift < 0:
        raise _absent(file.path)
    content = source.here.read(source.path, first + source.shift, size)
    if len(content) != size:
        raise _absent(file.path)
    return content


def _absent(path: str) -> PatchError:
    return PatchError(path, expected="a file that is here already", got="none")


def _manifest_size(content: bytes) -> int:
    try:
        header = TarInfo.frombuf(content[:BLOCK], "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeError) as error:
        raise _unsafe("a tar member", str(error)) from error
    if header.name != MANIFEST_NAME or not 0 <= header.size <= _LIMITS.manifest_bytes:
        raise _unsafe(MANIFEST_NAME, repr(header.name[:200]))
    return header.size


def _zeros(begin: int, size: int, first: int, stop: int) -> bytes:
    return bytes(max(0, min(stop, begin + size) - max(first, begin)))


def _unsafe(expected: str, got: str) -> UnsafePackageError:
    return UnsafePackageError("package", expected=expected, got=got)
