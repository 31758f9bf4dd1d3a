import os
from pathlib import Path

from agent.store.quota import Evicted, make_room


def segments(folder: Path, *sizes: int) -> None:
    for number, size in enumerate(sizes):
        path = folder / f"trip-{number}.seg"
        path.write_bytes(bytes(size))
        os.utime(path, (1_000 + number, 1_000 + number))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_oldest_segments_make_way_until_the_rest_fits(tmp_path: Path) -> None:
    segments(tmp_path, 100, 100, 100, 100)
    evicted = make_room(tmp_path, 250, keep=None)
    assert evicted == Evicted(names=("trip-0.seg", "trip-1.seg"), freed_bytes=200)
    assert left(tmp_path) == ["trip-2.seg", "trip-3.seg"]


def test_nothing_makes_way_while_all_fits(tmp_path: Path) -> None:
    segments(tmp_path, 100, 100)
    assert make_room(tmp_path, 200, keep=None) == Evicted()
    assert len(left(tmp_path)) == 2


def test_the_segment_that_is_being_written_stays(tmp_path: Path) -> None:
    segments(tmp_path, 500, 100, 100)
    assert make_room(tmp_path, 50, keep="trip-0.seg").names == ("trip-1.seg", "trip-2.seg")
    assert left(tmp_path) == ["trip-0.seg"]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "trip-9.new").write_bytes(bytes(500))
    assert make_room(tmp_path, 0, keep=None) == Evicted()


def test_a_folder_that_is_not_there_yet_has_room(tmp_path: Path) -> None:
    assert make_room(tmp_path / "none", 0, keep=None) == Evicted()
