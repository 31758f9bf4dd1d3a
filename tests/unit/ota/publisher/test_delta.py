"""A difference gives the new package byte by byte, and is small where little has changed."""

import hashlib
import io
import os
import random
import tracemalloc
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from ota.errors import PatchError, UnsafePackageError
from ota.metadata.archive import PackageReader
from ota.metadata.delta import MAGIC, Copy, Data, Patch, read_records, write_record
from ota.metadata.rebuild import rebuild
from ota.metadata.stored import BLOCK_BYTES, StoredWriter
from ota.publisher.delta import make_delta, read_delta
from ota.publisher.errors import NotStoredError
from tests.support.packages import make_package

DICE = random.Random(7)
LIBRARY = DICE.randbytes(300_000)
CHANGED = LIBRARY[:100_000] + b"a new function" + LIBRARY[100_004:]
OLD = {"lib/big.bin": LIBRARY, "data/map.txt": b"do re mi\n" * 500, "data/gone.txt": b"x" * 900}
NEW = {"lib/big.bin": CHANGED, "data/map.txt": OLD["data/map.txt"], "data/new.txt": b"y" * 900}


def write(folder: Path, name: str, package: bytes) -> Path:
    path = folder / name
    path.write_bytes(package)
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write(tmp_path, "old.okp", make_package(version="1.0.0", extra=OLD))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return write(tmp_path, "new.okp", make_package(version="1.1.0", extra=NEW, is_stored=True))


def unpacked(package: Path, folder: Path) -> Path:
    with package.open("rb") as stream:
        for file, content in PackageReader(stream).files():
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.path).write_bytes(b"".join(content))
    return folder


def rebuilt(difference: Path, installed: Path | None, *, length: int = 10**7) -> bytes:
    out = io.BytesIO()
    with difference.open("rb") as stream:
        rebuild(stream, installed, out, length=length)
    return out.getvalue()


def test_the_difference_gives_the_new_package_byte_by_byte(
    old: Path, new: Path, tmp_path: Path
) -> None:
    found = make_delta(new, tmp_path / "new.okd", old=old)
    result = rebuilt(tmp_path / "new.okd", unpacked(old, tmp_path / "installed"))
    assert result == new.read_bytes()
    assert found.result_sha256 == hashlib.sha256(result).hexdigest()
    assert found.from_sha256 == hashlib.sha256(old.read_bytes()).hexdigest()
    assert found == read_delta(tmp_path / "new.okd")
    assert found.length < new.stat().st_size / 100


def test_a_file_that_did_not_change_is_copied_and_one_that_did_is_patched(
    old: Path, new: Path, tmp_path: Path
) -> None:
    make_delta(new, tmp_path / "new.okd", old=old)
    with (tmp_path / "new.okd").open("rb") as stream:
        records = [record for record, _ in read_records(stream)]
    assert "data/map.txt" in [each.path for each in records if isinstance(each, Copy)]
    assert [each.path for each in records if isinstance(each, Patch)] == ["lib/big.bin"]


def test_a_difference_from_nothing_is_the_whole_package_compressed(
    new: Path, tmp_path: Path
) -> None:
    found = make_delta(new, tmp_path / "new.okd", old=None)
    assert found.from_sha256 is None
    assert rebuilt(tmp_path / "new.okd", None) == new.read_bytes()
    assert found.length < new.stat().st_size


def test_a_compressed_package_cannot_be_the_result(old: Path, tmp_path: Path) -> None:
    with pytest.raises(NotStoredError, match="expected a package built with --stored"):
        make_delta(old, tmp_path / "new.okd", old=old)
    assert not (tmp_path / "new.okd").exists()


def test_what_is_no_package_is_refused(new: Path, tmp_path: Path) -> None:
    rubbish = write(tmp_path, "rubbish.okp", b"rubbish")
    with pytest.raises(UnsafePackageError, match="expected"):
        make_delta(new, tmp_path / "new.okd", old=rubbish)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    content = DICE.randbytes(30_000_000)
    old = write(tmp_path, "old.okp", make_package(extra={"big": content}, is_stored=True))
    changed = content[:15_000_000] + b"more" + content[15_000_000:]
    package = make_package(version="1.1.0", extra={"big": changed}, is_stored=True)
    new = write(tmp_path, "new.okp", package)
    found = make_delta(new, tmp_path / "new.okd", old=old)
    assert found.length < 100_000
    installed = unpacked(old, tmp_path / "installed")
    tracemalloc.start()
    with (tmp_path / "new.okd").open("rb") as stream, (tmp_path / "out").open("wb") as out:
        rebuild(stream, installed, out, length=len(package))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "out").read_bytes() == package
    print(f"at most {most / 2**20:.1f} MiB")  # noqa: T201
    assert most < 20_000_000  # a piece, what it is packed against, and copies of both


# --- differences that attack, or do not fit -------------------------------------------------------


def made(*records: tuple[object, bytes]) -> io.BytesIO:
    out = io.BytesIO()
    out.write(MAGIC)
    for record, packed in records:
        write_record(out, record, packed)  # type: ignore[arg-type]
    out.seek(0)
    return out


BOMB = zstd.compress(bytes(10_000_000))
SHORT = zstd.compress(b"four")
UNFIT = {
    "no difference": io.BytesIO(b"rubbish"),
    "cut": io.BytesIO(made((Data(size=4, packed=len(SHORT)), SHORT)).getvalue()[:-3]),
    "an endless head": io.BytesIO(MAGIC + b"\xff\xff\xff\xff"),
    "a head that is none": io.BytesIO(MAGIC + b"\x01\x00\x00\x00\x07"),
    "a bomb": made((Data(size=4, packed=len(BOMB)), BOMB)),
    "too little": made((Data(size=5, packed=len(SHORT)), SHORT)),
    "not packed": made((Data(size=4, packed=4), b"four")),
    "a parent path": made((Copy(path="../state.sqlite", size=5), b"")),
    "an absolute path": made((Copy(path="/etc/passwd", size=5), b"")),
    "a link": made((Copy(path="link", size=5), b"")),
    "a pipe": made((Copy(path="pipe", size=5), b"")),
    "a folder": made((Copy(path="deep", size=5), b"")),
    "a file that is not there": made((Copy(path="missing", size=5), b"")),
    "a file that is shorter": made((Copy(path="file", size=50), b"")),
    "a span that is shorter": made(
        (Patch(path="file", first=0, span=50, size=4, packed=len(SHORT)), SHORT)
    ),
    "a file instead of nothing": made((Copy(path="file", size=5), b"")),
    "too much": made((Copy(path="file", size=5), b"")),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_difference_that_attacks_or_does_not_fit_gives_nothing(name: str, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    (installed / "deep").mkdir(parents=True)
    (installed / "file").write_bytes(b"trips")
    (installed / "link").symlink_to("file")
    os.mkfifo(installed / "pipe")
    (tmp_path / "state.sqlite").write_bytes(b"trips")
    length = 3 if name == "too much" else 10**6
    UNFIT[name].seek(0)
    with pytest.raises(PatchError, match="expected"):
        rebuild(
            UNFIT[name],
            None if name == "a file instead of nothing" else installed,
            io.BytesIO(),
            length=length,
        )


@given(st.binary(max_size=600))
def test_no_difference_does_anything_but_rebuild_or_refuse(content: bytes) -> None:
    out = io.BytesIO()
    try:
        rebuild(io.BytesIO(MAGIC + content), None, out, length=1_000)
    except PatchError:
        return
    assert len(out.getvalue()) <= 1_000


@given(st.lists(st.binary(max_size=3 * BLOCK_BYTES), max_size=4))
def test_a_stored_frame_is_read_by_zstd_and_does_not_depend_on_how_it_was_written(
    parts: list[bytes],
) -> None:
    def frame(pieces: list[bytes]) -> bytes:
        out = io.BytesIO()
        writer = StoredWriter(out)
        for piece in pieces:
            writer.write(piece)
        writer.close()
        assert writer.written == len(out.getvalue())
        return out.getvalue()

    assert zstd.decompress(frame(parts)) == b"".join(parts)
    assert frame(parts) == frame([b"".join(parts)])
