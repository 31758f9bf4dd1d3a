import io
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ota.errors import UnsafePackageError
from ota.metadata.archive import PackageReader
from ota.metadata.package import PackageLimits, parse_package_manifest
from ota.publisher.errors import NotFoundError, SettingsError
from ota.publisher.package import build_package, inspect_package, plan_package, verify_package
from tests.support.publisher import new_package, write_spec

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def tar_of(package: Path) -> bytearray:
    return bytearray(zstd.decompress(package.read_bytes()))


def packed(tar: bytes) -> io.BytesIO:
    return io.BytesIO(zstd.compress(tar))


def read_all(stream: io.BytesIO) -> None:
    for _ in PackageReader(stream).files():
        pass


def test_the_same_folder_gives_the_same_bytes_whatever_its_times_and_owner_bits(
    tmp_path: Path,
) -> None:
    one = new_package(tmp_path / "1")
    spec = write_spec(tmp_path / "2")
    (spec / "files" / "bin" / "light").chmod(0o700)
    (spec / "files" / "read-me.txt").chmod(0o600)
    build_package(spec, tmp_path / "2.okp")
    assert (tmp_path / "2.okp").read_bytes() == one.read_bytes()


def test_plain_tar_reads_a_package_too(tmp_path: Path) -> None:
    data = io.BytesIO(bytes(tar_of(new_package(tmp_path))))
    with tarfile.open(fileobj=data) as tar:
        assert tar.getnames() == ["okdrive-package.toml", "bin/light", "read-me.txt"]
        assert {(each.mtime, each.uid, each.gid) for each in tar} == {(0, 0, 0)}


def test_inspect_verify_and_plan_agree(tmp_path: Path) -> None:
    package = new_package(tmp_path)
    info = verify_package(package)
    assert inspect_package(package) == info.manifest == plan_package(tmp_path / "spec-1.0.0")
    assert info.length == package.stat().st_size


def link(folder: Path) -> None:
    (folder / "files" / "link").symlink_to("/etc/passwd")


def folder_link(folder: Path) -> None:
    (folder / "files" / "link").symlink_to("/etc")


def no_program(folder: Path) -> None:
    (folder / "files" / "bin" / "light").chmod(0o644)


def bad_name(folder: Path) -> None:
    (folder / "files" / "a\\b").touch()


def case_clash(folder: Path) -> None:
    (folder / "files" / "READ-ME.txt").touch()


def own_manifest(folder: Path) -> None:
    (folder / "files" / "okdrive-package.toml").touch()


@pytest.mark.parametrize(
    "spoil", [link, folder_link, no_program, bad_name, case_clash, own_manifest]
)
def test_what_is_unsafe_is_not_built(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spec = write_spec(tmp_path / "spec")
    spoil(spec)
    with pytest.raises(UnsafePackageError, match="expected"):
        build_package(spec, tmp_path / "out.okp")
    assert list(tmp_path.glob("*.okp*")) == []
    assert list(tmp_path.glob(".*")) == []


def test_a_spec_with_an_unknown_key_or_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="a package spec"):
        build_package(tmp_path, tmp_path / "out.okp")
    spec = write_spec(tmp_path / "spec")
    text = (spec / "package.toml").read_text()
    (spec / "package.toml").write_text("colour = 3\n" + text)
    with pytest.raises(SettingsError, match="unknown field `colour`"):
        build_package(spec, tmp_path / "out.okp")
    (spec / "package.toml").write_text(text)
    (spec / "files").rename(spec / "elsewhere")
    with pytest.raises(NotFoundError, match="a folder of files"):
        build_package(spec, tmp_path / "out.okp")


def member(tar: bytearray, name: str) -> int:
    """Return where the header of ``name`` starts."""
    return tar.index(name.encode() + b"\0")


def rewritten(tar: bytearray, name: str, changes: dict[str, object]) -> bytes:
    at = member(tar, name)
    info = tarfile.TarInfo.frombuf(bytes(tar[at : at + 512]), "utf-8", "strict")
    for key, value in changes.items():
        setattr(info, key, value)
    tar[at : at + 512] = info.tobuf(tarfile.USTAR_FORMAT)
    return bytes(tar)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
        {"type": tarfile.LNKTYPE, "linkname": "bin/light"},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.XHDTYPE},
        {"type": tarfile.GNUTYPE_LONGNAME},
        {"type": tarfile.GNUTYPE_SPARSE},
        {"name": "../read-me.txt"},
        {"name": "/read-me.txt"},
        {"mode": 0o4755},
        {"size": 3},
    ],
    ids=str,
)
def test_a_member_that_is_not_what_the_manifest_says_is_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    tar = rewritten(tar_of(new_package(tmp_path)), "read-me.txt", changes)
    with pytest.raises(UnsafePackageError, match=r"a regular file|member"):
        read_all(packed(tar))


def test_changed_content_missing_and_extra_bytes_are_refused(tmp_path: Path) -> None:
    tar = tar_of(new_package(tmp_path))
    changed = bytes(tar).replace(b"A light.", b"A knife.")
    with pytest.raises(UnsafePackageError, match="expected SHA-256"):
        read_all(packed(changed))
    with pytest.raises(UnsafePackageError, match="more bytes, got its end"):
        read_all(packed(bytes(tar[:-1024])))
    with pytest.raises(UnsafePackageError, match="the end"):
        read_all(packed(bytes(tar) + b"\0"))
    with pytest.raises(UnsafePackageError, match="padding"):
        read_all(packed(bytes(tar).replace(b"A light.\n\0", b"A light.\n!")))
    with pytest.raises(UnsafePackageError, match="first member"):
        read_all(packed(bytes(tar[member(tar, "bin/light") :])))


def test_limits_hold_before_anything_is_unpacked(tmp_path: Path) -> None:
    data = new_package(tmp_path).read_bytes()
    for limits, match in (
        (PackageLimits(manifest_bytes=10), "10 bytes"),
        (PackageLimits(files=1), "files: expected at most 1"),
        (PackageLimits(unpacked_bytes=5), "size: expected at most 5"),
    ):
        with pytest.raises(UnsafePackageError, match=match):
            PackageReader(io.BytesIO(data), limits=limits)


def test_a_frame_that_wants_more_memory_than_a_vehicle_gives_is_refused(tmp_path: Path) -> None:
    tar = tar_of(new_package(tmp_path))
    options = {zstd.CompressionParameter.window_log: 27}
    compressor = zstd.ZstdCompressor(options=options)
    wide = compressor.compress(bytes(tar)) + compressor.flush()
    with pytest.raises(UnsafePackageError, match="a whole zstd frame"):
        read_all(io.BytesIO(wide))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('path = "read-me.txt"', 'path = "../read-me.txt"'),
        ('path = "read-me.txt"', 'path = "bin/light/x"'),
        ('path = "read-me.txt"', 'path = "bin/light"'),
        ("mode = 420", "mode = 2541"),
        ('kind = "app"', 'kind = "os"'),
        ('permissions = ["network"]', 'permissions = ["root"]'),
        ('permissions = ["network"]', 'permissions = ["network", "network"]'),
        ('exec = ["bin/light"]', 'exec = ["/bin/sh"]'),
        ('exec = ["bin/light"]', "exec = []"),
        ("timeout_s = 5", "timeout_s = 0"),
        ("[run]", "[run]\nuser = 'root'"),
        ('version = "1.0.0"', 'version = "1"'),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(tmp_path: Path, old: str, new: str) -> None:
    tar = tar_of(new_package(tmp_path))
    text = bytes(tar[512 : tar.index(b"\0", 512)]).decode()
    assert parse_package_manifest(text.encode()).name == "trip-light"
    assert old in text
    with pytest.raises(UnsafePackageError, match="expected"):
        parse_package_manifest(text.replace(old, new).encode())
