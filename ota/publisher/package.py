"""Build a package from a folder, and look into one.

The folder holds ``package.toml`` (what the package is: see PackageSpec), ``files/`` (what ends up
in the app's folder) and ``release.toml`` (what the release is about: see ``release``).
"""

import contextlib
import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from msgspec import Meta, Struct

from ota.errors import UnsafePackageError
from ota.metadata.archive import PackageReader, write_package
from ota.metadata.chunks import CHUNK_BYTES, STORED_CHUNK_BYTES, list_chunks
from ota.metadata.custom import Kind
from ota.metadata.package import (
    Data,
    Health,
    PackageFile,
    PackageManifest,
    Permission,
    Run,
    check_manifest,
)
from ota.metadata.stored import HEADER, is_stored
from ota.publisher.errors import NotFoundError, SettingsError

SPEC_NAME = "package.toml"
FILES_NAME = "files"


class PackageSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person writes about a package; its files are found, not listed."""

    name: str
    version: str
    kind: Kind
    run: Run
    health: Health
    permissions: Annotated[tuple[Permission, ...], Meta(max_length=20)] = ()
    data: Data | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageInfo:
    """A whole package that was read and checked.

    ``sha256`` (hex) is its content hash, ``chunks`` its list of chunks (``ota.metadata.chunks``) of
    ``chunk_bytes`` each.
    """

    manifest: PackageManifest
    length: int
    sha256: str
    chunks: bytes
    chunk_bytes: int = CHUNK_BYTES


def build_package(spec_dir: Path, out: Path, *, is_stored: bool = False) -> PackageInfo:
    """Build the package of ``spec_dir`` into the file ``out``, and check the result.

    ``is_stored``: not compressed, so that a vehicle can rebuild it from a difference.

    The same folder gives the same bytes: names sorted, no times, no owners, modes 0o644 or 0o755.

    Raises:
        NotFoundError: ``spec_dir`` has no ``package.toml`` or no ``files/``.
        SettingsError: ``package.toml`` is not valid.
        UnsafePackageError: A link, a device, an unsafe name, a program that is missing.
        OSError: ``out`` cannot be written; an older file there is intact.
    """
    manifest = plan_package(spec_dir)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}.new")
    try:
        with beside.open("wb") as stream:
            contents = _contents(spec_dir, manifest)
            write_package(stream, manifest, contents, is_stored=is_stored)
        info = verify_package(beside)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    return info


def plan_package(spec_dir: Path) -> PackageManifest:
    """Return the manifest that ``build_package`` would pack; raises the same errors."""
    spec = read_spec(spec_dir / SPEC_NAME)
    folder = spec_dir / FILES_NAME
    if not folder.is_dir():
        raise NotFoundError(str(folder), expected="a folder of files to pack", got="none")
    manifest = PackageManifest(
        **{name: getattr(spec, name) for name in spec.__struct_fields__},
        files=tuple(_describe(path, folder) for path in _sorted_files(folder)),
    )
    check_manifest(manifest)
    return manifest


def read_spec(path: Path) -> PackageSpec:
    """Read ``path`` (TOML); raise NotFoundError or SettingsError for anything but a valid spec."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=PackageSpec)
    except FileNotFoundError as error:
        raise NotFoundError(str(path), expected="a package spec", got="no file") from error
    except (OSError, ValueError) as error:
        raise SettingsError(str(path), expected="a package spec", got=str(error)) from error


def inspect_package(path: Path) -> PackageManifest:
    """Return the manifest of the package in ``path``; its files are not read.

    Raises:
        NotFoundError: There is no such file.
        UnsafePackageError: It is no package.
    """
    with _opened(path) as stream:
        return PackageReader(stream).manifest


def verify_package(path: Path) -> PackageInfo:
    """Read the whole package in ``path`` and check every rule and hash.

    Raises:
        NotFoundError: There is no such file.
        UnsafePackageError: It breaks a rule, or a file is not what the manifest says.
    """
    with _opened(path) as stream:
        reader = PackageReader(stream)
        for _ in reader.files():
            pass
    digest, length = _hash(path)
    with _opened(path) as stream:
        size = STORED_CHUNK_BYTES if is_stored(stream.read(len(HEADER))) else CHUNK_BYTES
        stream.seek(0)
        chunks = list_chunks(stream, size_bytes=size)
    return PackageInfo(
        manifest=reader.manifest, length=length, sha256=digest, chunks=chunks, chunk_bytes=size
    )


def _hash(path: Path) -> tuple[str, int]:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise NotFoundError(str(path), expected="a package", got=str(error)) from error
    with stream:
        yield stream


def _sorted_files(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _describe(path: Path, folder: Path) -> PackageFile:
    status = path.lstat()
    name = path.relative_to(folder).as_posix()
    if not stat.S_ISREG(status.st_mode):
        raise UnsafePackageError(name, expected="a regular file", got="a link or a device")
    digest, size = _hash(path)
    mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    return PackageFile(path=name, sha256=digest, mode=mode, size=size)


def _contents(spec_dir: Path, manifest: PackageManifest) -> Iterator[BinaryIO]:
    for file in manifest.files:
        with (spec_dir / FILES_NAME / file.path).open("rb") as stream:
            yield stream
