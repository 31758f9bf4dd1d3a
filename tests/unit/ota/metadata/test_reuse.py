"""Pieces of a stored package are made of what is here already, and of nothing else."""

import io
import random
import tracemalloc
from pathlib import Path

import pytest

from ota.errors import UnsafePackageError
from ota.metadata.archive import PackageReader
from ota.metadata.chunks import ChunkList, list_chunks
from ota.metadata.package import MANIFEST_NAME
from ota.metadata.reuse import (
    FIRST_BYTES,
    FilesHere,
    Layout,
    PackageHere,
    Reuse,
    head_bytes,
    missing_bytes,
)
from ota.metadata.stored import BLOCK_BYTES, HEADER, StoredWriter, framed_length, spans, unframed
from tests.support.packages import make_package

DICE = random.Random(33)
LIBRARY = DICE.randbytes(700_000)
PIECE = 4_096
LAYOUTS = {
    "nothing but its programs": {},
    "files smaller and larger than a block": {"a": b"x", "b/c": LIBRARY, "z": LIBRARY[:511]},
    "a file as long as a block of the frame": {"b": LIBRARY[:BLOCK_BYTES], "e": b""},
    "files of whole tar blocks": {"f/1": LIBRARY[:1_024], "f/2": LIBRARY[:512]},
}


def stored(**changes: object) -> bytes:
    return make_package(is_stored=True, **changes)  # type: ignore[arg-type]


def layout_of(package: bytes) -> Layout:
    return Layout(package[: head_bytes(package[:FIRST_BYTES])])


def unpacked(package: bytes, folder: Path) -> FilesHere:
    reader = PackageReader(io.BytesIO(package))
    for file, content in reader.files():
        place = folder / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"".join(content))
    return FilesHere(folder=folder, manifest=reader.manifest)


def pieces(package: bytes) -> ChunkList:
    digests = list_chunks(io.BytesIO(package), size_bytes=PIECE)
    return ChunkList(size_bytes=PIECE, length=len(package), digests=digests)


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_a_package_is_known_from_its_manifest_and_its_files(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    package = stored(extra=files)
    layout, here = layout_of(package), unpacked(package, tmp_path)
    assert layout.package_bytes == len(package)
    reuse = Reuse(layout, [here])
    for first in range(0, len(package), 10_007):  # no whole number of anything
        stop = min(first + 10_007, len(package))
        assert next(reuse.made(first, stop)) == package[first:stop]


def test_a_whole_package_can_stand_in_for_its_files(tmp_path: Path) -> None:
    package = stored(extra=LAYOUTS["files smaller and larger than a block"])
    (tmp_path / "part").write_bytes(package)
    reuse = Reuse(layout_of(package), [PackageHere(tmp_path / "part")])
    assert next(reuse.made(0, len(package))) == package


CHANGES = {
    "one byte in the middle": (LIBRARY[:350_000] + b"!" + LIBRARY[350_001:], 1),
    "more at its start": (b"more" + LIBRARY, 1),
    "more at its end": (LIBRARY + b"more", 1),
    "more in the middle": (LIBRARY[:350_000] + b"more" + LIBRARY[350_000:], 1),
    "less in the middle": (LIBRARY[:350_000] + LIBRARY[350_900:], 1),
}


@pytest.mark.parametrize(("changed", "at_most"), CHANGES.values(), ids=CHANGES)
def test_a_change_costs_the_pieces_around_it(changed: bytes, at_most: int, tmp_path: Path) -> None:
    here = unpacked(make_package(extra={"lib/big": LIBRARY}), tmp_path)
    package = stored(version="1.1.0", extra={"lib/big": changed, "a/new": b"do re mi"})
    layout = layout_of(package)
    head = -(-layout.head_bytes // PIECE)
    assert missing_bytes(layout, here, pieces(package)) <= (head + at_most + 1) * PIECE


def test_a_file_under_another_name_is_found(tmp_path: Path) -> None:
    here = unpacked(make_package(extra={"lib/big": LIBRARY}), tmp_path)
    package = stored(version="1.1.0", extra={"share/large": LIBRARY})
    layout = layout_of(package)
    assert missing_bytes(layout, here, pieces(package)) <= layout.head_bytes + PIECE


def test_what_shares_nothing_costs_all_of_it(tmp_path: Path) -> None:
    here = unpacked(make_package(extra={"lib/big": LIBRARY}), tmp_path)
    package = stored(version="1.1.0", extra={"lib/big": DICE.randbytes(700_000)})
    missing = missing_bytes(layout_of(package), here, pieces(package))
    assert missing > 0.97 * len(package)  # its programs are the same


def test_installed_files_that_are_links_or_gone_are_not_read(tmp_path: Path) -> None:
    package = stored(extra={"lib/big": LIBRARY})
    here = unpacked(package, tmp_path / "app")
    (tmp_path / "outside").write_bytes(LIBRARY)
    (tmp_path / "app" / "lib" / "big").unlink()
    (tmp_path / "app" / "lib" / "big").symlink_to(tmp_path / "outside")
    layout = layout_of(package)
    assert missing_bytes(layout, here, pieces(package)) > len(LIBRARY)
    (tmp_path / "app" / "lib" / "big").unlink()
    assert missing_bytes(layout, here, pieces(package)) > len(LIBRARY)


def test_an_installed_version_says_itself_what_it_is(tmp_path: Path) -> None:
    reader = PackageReader(io.BytesIO(stored()))
    with pytest.raises(FileNotFoundError, match=MANIFEST_NAME):
        FilesHere.of(tmp_path)
    (tmp_path / MANIFEST_NAME).write_bytes(b"rubbish")
    with pytest.raises(UnsafePackageError, match="expected a package manifest"):
        FilesHere.of(tmp_path)
    assert reader.manifest.name == "trip-light"


@pytest.mark.parametrize("length", [1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 300_000])
def test_a_frame_is_known_from_its_length(length: int) -> None:
    content, out = LIBRARY[:length], io.BytesIO()
    writer = StoredWriter(out)
    writer.write(content)
    writer.close()
    frame = out.getvalue()
    assert framed_length(length) == len(frame)
    assert unframed(frame) == content
    for first, stop in ((0, len(frame)), (3, 7), (len(frame) - 2, len(frame)), (5, 140_000)):
        made = b"".join(
            each if isinstance(each, bytes) else content[slice(*each)]
            for each in spans(first, min(stop, len(frame)), length=length)
        )
        assert made == frame[first:stop]


UNFIT = {
    "a compressed package": make_package(),
    "a block that is packed": HEADER + (5 << 3 | 4).to_bytes(3, "little") + b"four.",
    "a block that is not full": HEADER + (5 << 3).to_bytes(3, "little") + b"fives",
    "a block that is too large": HEADER + (BLOCK_BYTES + 1 << 3).to_bytes(3, "little"),
    "no tar": HEADER + (BLOCK_BYTES << 3).to_bytes(3, "little") + bytes(600),
    "nothing": b"",
}


@pytest.mark.parametrize("beginning", UNFIT.values(), ids=UNFIT)
def test_what_is_no_stored_package_is_refused(beginning: bytes) -> None:
    with pytest.raises(UnsafePackageError, match="expected"):
        head_bytes(beginning[:FIRST_BYTES])


def test_a_manifest_that_claims_to_be_huge_is_not_asked_for() -> None:
    package = bytearray(stored())
    begin = len(HEADER) + 3
    header = package[begin : begin + 512]
    header[124:136] = b"77777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    package[begin : begin + 512] = header
    with pytest.raises(UnsafePackageError, match=f"expected {MANIFEST_NAME}"):
        head_bytes(bytes(package[:FIRST_BYTES]))


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_memory_does_not_grow_with_the_package(tmp_path: Path) -> None:
    files = {f"lib/{number}": DICE.randbytes(1_500_000) for number in range(4)}
    here = unpacked(stored(extra=files), tmp_path)
    package = stored(version="1.1.0", extra=files | {"lib/2": b"more" + files["lib/2"]})
    layout, chunks = layout_of(package), pieces(package)
    tracemalloc.start()
    missing = missing_bytes(layout, here, chunks)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert missing <= 3 * PIECE
    assert most < 1_000_000  # a piece, the programs' headers, and the list
