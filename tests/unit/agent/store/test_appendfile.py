"""An append-only file in sectors: the same bytes whatever the file system takes."""

import os
from pathlib import Path

import pytest

from agent.store.appendfile import SECTOR, AppendFile, padding_bytes


def open_file(path: Path, content: bytes = b"") -> AppendFile:
    path.write_bytes(content)
    return AppendFile(path, os.open(path, os.O_WRONLY))


@pytest.mark.parametrize("start", [0, 1, SECTOR - 1, SECTOR, SECTOR + 1])
@pytest.mark.parametrize("sizes", [(1,), (SECTOR,), (700, 3, 5_000), (SECTOR - 1, 1, 1)])
def test_what_is_appended_stands_behind_what_was_there(
    tmp_path: Path, start: int, sizes: tuple[int, ...]
) -> None:
    before = bytes(range(1, 256)) * 3
    file = open_file(tmp_path / "file", before[:start])
    expected = before[:start]
    for number, size in enumerate(sizes, start=65):
        file.append(bytes([number]) * size)
        expected += bytes([number]) * size
        file.sync()
        assert (tmp_path / "file").read_bytes().rstrip(b"\0") == expected
    file.close()
    file.close()
    assert file.is_closed
    assert (tmp_path / "file").read_bytes() == expected


def test_a_file_system_in_memory_holds_the_same_bytes() -> None:
    path = Path("/dev/shm") / f"okdrive-test-{os.getpid()}"
    file = open_file(path)
    for number in range(20):
        file.append(bytes([number + 1]) * 333)
    file.close()
    content = path.read_bytes()
    path.unlink()
    assert content == b"".join(bytes([number + 1]) * 333 for number in range(20))


def test_only_less_than_a_sector_of_zeros_is_padding() -> None:
    assert padding_bytes(bytes(SECTOR - 1)) == SECTOR - 1
    assert padding_bytes(bytes(SECTOR)) == 0
    assert padding_bytes(b"\0\1") == 0
    assert padding_bytes(b"") == 0
