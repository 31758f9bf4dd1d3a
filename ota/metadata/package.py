"""What an okdrive package (``.okp``) is, and the rules that keep one harmless.

A package is a deterministic ``tar.zst`` whose first member is ``okdrive-package.toml``. The rules
here hold on both sides: the publisher builds nothing that breaks them, the vehicle unpacks nothing
that does. No name in a package ever leaves its own folder, and there are no links, devices or
set-uid files.
"""

import json
import tomllib
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from tarfile import REGTYPE, TarInfo
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ota.errors import UnsafePackageError
from ota.metadata.custom import Kind
from ota.metadata.models import is_app_name, is_version

MANIFEST_NAME = "okdrive-package.toml"
MAX_PATH_CHARS = 240  # under NAME_MAX and PATH_MAX once prefixed by the app's folder
MAX_DEPTH = 16
MODES = (0o644, 0o755)  # what a file may be: data or program; never set-uid, never world-writable
SUFFIX = ".okp"

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Argument = Annotated[str, Meta(min_length=1, max_length=500)]
Command = Annotated[tuple[Argument, ...], Meta(min_length=1, max_length=50)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageLimits:
    """How large a package may be, so that nothing outside decides how much is written."""

    manifest_bytes: int = 1_000_000
    files: int = 10_000
    unpacked_bytes: int = 1_073_741_824  # 1 GiB


class Permission(StrEnum):
    """What an app may be allowed beyond its own folder; each is shown to the driver."""

    NETWORK = "network"


class PackageFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file: ``path`` relative to the app's folder, SHA-256 (hex), mode bits, size in bytes."""

    path: str
    sha256: Sha256
    mode: int
    size: Annotated[int, Meta(ge=0)]


class Run(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the app is started: a program of the package and its arguments."""

    exec: Command


class Health(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the app is asked whether it is well: exit code 0 within ``timeout_s`` seconds."""

    exec: Command
    timeout_s: Annotated[int, Meta(ge=1, le=600)] = 30


class Data(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the app keeps: a folder of its own, and which layout it expects in there.

    ``schema`` grows with every layout. Where it differs from that of the version before, a program
    of the package is run on a copy: ``exec``, the old number, the new one. It must cope with being
    run again; going back finds the data as it was.
    """

    schema: Annotated[int, Meta(ge=1, le=1_000_000)]
    exec: Command | None = None
    timeout_s: Annotated[int, Meta(ge=1, le=3_600)] = 120
    max_bytes: Annotated[int, Meta(ge=0, le=1_073_741_824)] = 67_108_864


class PackageManifest(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What ``okdrive-package.toml`` holds; ``files`` are sorted by path and cover every member."""

    name: str
    version: str
    kind: Kind
    run: Run
    health: Health
    permissions: Annotated[tuple[Permission, ...], Meta(max_length=20)] = ()
    data: Data | None = None
    files: tuple[PackageFile, ...]

    def __post_init__(self) -> None:
        if not is_app_name(self.name):
            raise ValueError(f"name: expected a-z, 0-9 and -, got {self.name[:80]!r}")
        if not is_version(self.version):
            raise ValueError(f"version: expected MAJOR.MINOR.PATCH, got {self.version[:80]!r}")
        if len(set(self.permissions)) != len(self.permissions):
            raise ValueError("permissions: expected each once")

    @property
    def unpacked_bytes(self) -> int:
        """Return how many bytes the files hold together."""
        return sum(file.size for file in self.files)


def parse_package_manifest(
    data: bytes, *, limits: PackageLimits = PackageLimits()
) -> PackageManifest:
    """Return the manifest in ``data`` (TOML) if it breaks no rule of this module.

    Raises:
        UnsafePackageError: Not TOML, a field is missing or unknown, a limit is passed, a path is
            unsafe or listed twice, a program to run is not in the package or not executable.
    """
    return _parse(data, limits)


# Each step of an installation asks again, and a list of 10,000 files takes a board a second. Two:
# what ran before and what is to run; the values cannot be changed.
@lru_cache(maxsize=2)
def _parse(data: bytes, limits: PackageLimits) -> PackageManifest:
    if len(data) > limits.manifest_bytes:
        raise _unsafe(MANIFEST_NAME, f"at most {limits.manifest_bytes} bytes", str(len(data)))
    try:
        plain = tomllib.loads(data.decode())
        manifest = msgspec.convert(plain, type=PackageManifest)
    except (ValueError, TypeError, RecursionError) as error:
        raise _unsafe(MANIFEST_NAME, "a package manifest", str(error)[:300]) from error
    check_manifest(manifest, limits=limits)
    return manifest


def check_manifest(manifest: PackageManifest, *, limits: PackageLimits = PackageLimits()) -> None:
    """Raise UnsafePackageError if ``manifest`` breaks a rule of this module."""
    if len(manifest.files) > limits.files:
        raise _unsafe("files", f"at most {limits.files}", str(len(manifest.files)))
    if manifest.unpacked_bytes > limits.unpacked_bytes:
        raise _unsafe(
            "size", f"at most {limits.unpacked_bytes} bytes", str(manifest.unpacked_bytes)
        )
    for file in manifest.files:
        check_path(file.path)
        if file.mode not in MODES:
            raise _unsafe(file.path, "mode 0o644 or 0o755", oct(file.mode))
    _check_tree([file.path for file in manifest.files])
    _check_programs(manifest)


def check_path(path: str) -> None:
    """Raise UnsafePackageError unless ``path`` names a file inside the package's own folder.

    Relative, ``/`` between parts, no empty, ``.`` or ``..`` part, no backslash, no control
    character, Unicode NFC, at most MAX_PATH_CHARS characters and MAX_DEPTH parts.
    """
    parts = path.split("/")
    printable = all(not unicodedata.category(char).startswith("C") for char in path)
    if (
        any(part in {"", ".", ".."} for part in parts)
        or "\\" in path
        or not printable
        or unicodedata.normalize("NFC", path) != path
        or len(path.encode(errors="surrogatepass")) > MAX_PATH_CHARS
        or len(parts) > MAX_DEPTH
    ):
        raise _unsafe("path", "a plain relative path inside the package", repr(path[:200]))


def check_member(member: TarInfo, expected: PackageFile) -> None:
    """Raise UnsafePackageError unless tar's ``member`` is the regular file ``expected`` names.

    The content still has to be hashed against ``expected.sha256`` while it is read.
    """
    if member.type != REGTYPE:  # isreg() would let sparse and contiguous files through
        raise _unsafe(member.name[:200], "a regular file", f"tar type {member.type!r}")
    found = (member.name, member.size, member.mode)
    wanted = (expected.path, expected.size, expected.mode)
    if found != wanted:
        raise _unsafe("member", f"(path, size, mode) {wanted}", str(found)[:300])


def encode_package_manifest(manifest: PackageManifest) -> bytes:
    """Return ``manifest`` as TOML; the same manifest gives the same bytes."""
    lines = [f"{key} = {_toml(getattr(manifest, key))}" for key in ("name", "version", "kind")]
    lines.append(f"permissions = {_toml(manifest.permissions)}")
    lines += ["", "[run]", f"exec = {_toml(manifest.run.exec)}"]
    lines += ["", "[health]", f"exec = {_toml(manifest.health.exec)}"]
    lines.append(f"timeout_s = {_toml(manifest.health.timeout_s)}")
    if manifest.data is not None:
        lines += ["", "[data]", f"schema = {_toml(manifest.data.schema)}"]
        lines += [f"exec = {_toml(manifest.data.exec)}"] if manifest.data.exec else []
        lines.append(f"timeout_s = {_toml(manifest.data.timeout_s)}")
        lines.append(f"max_bytes = {_toml(manifest.data.max_bytes)}")
    for file in manifest.files:
        lines += ["", "[[files]]"]
        lines += [f"{key} = {_toml(getattr(file, key))}" for key in file.__struct_fields__]
    return ("\n".join(lines) + "\n").encode()


def _toml(value: str | int | tuple[str, ...]) -> str:
    # Strings, whole numbers and lists of strings: JSON writes them as TOML reads them, but for
    # DEL, which TOML wants escaped.
    plain = list(value) if isinstance(value, tuple) else value
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def _check_tree(paths: list[str]) -> None:
    if paths != sorted(set(paths)):
        raise _unsafe("files", "each path once, sorted", "repeated or unsorted paths")
    # Folded, because a case-insensitive file system would write one over the other.
    folded = {path.casefold() for path in paths}
    if len(folded) != len(paths) or MANIFEST_NAME in folded:
        raise _unsafe("files", "paths that differ by more than case", "a clash")
    for path in folded:
        parts = path.split("/")
        if any("/".join(parts[:end]) in folded for end in range(1, len(parts))):
            raise _unsafe("files", "no file that is also a folder", path)


def _check_programs(manifest: PackageManifest) -> None:
    programs = {file.path for file in manifest.files if file.mode == 0o755}  # noqa: PLR2004
    migrate = manifest.data.exec if manifest.data else None
    for command in (manifest.run.exec, manifest.health.exec, migrate or manifest.run.exec):
        if command[0] not in programs:
            raise _unsafe("exec", "an executable file of this package", repr(command[0]))
        if any("\0" in argument for argument in command):
            raise _unsafe("exec", "arguments without NUL", repr(command)[:200])


def _unsafe(subject: str, expected: str, got: str) -> UnsafePackageError:
    return UnsafePackageError(subject, expected=expected, got=got, intact="nothing was unpacked")
