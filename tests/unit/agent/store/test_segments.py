"""Segments: whole after every cut, honest about what is gone."""

import contextlib
import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.store.segment_records import MAX_BLOCK_ROWS, SegmentColumn, SegmentError, TimeAnchor
from agent.store.segments import SegmentWriter, read_segment

COLUMNS = (
    SegmentColumn("Vehicle.Powertrain.TractionBattery.CurrentVoltage", "V", 0.5, 0.0),
    SegmentColumn("Vehicle.Powertrain.TractionBattery.Temperature.Max", "degC", 1.0, -40.0),
)
ROWS: list[tuple[int, list[int | None]]] = [
    (second * 1000, [700 + second % 5, None if second % 7 == 0 else 60]) for second in range(35)
]


def write(path: Path, rows: list[tuple[int, list[int | None]]]) -> list[int]:
    """Write ``rows``; return the file's size behind the header and behind each block."""
    writer = SegmentWriter.create(path, COLUMNS, boot_id="boot-1")
    sizes = [writer.size_bytes]
    for time_ms, row in rows:
        writer.append(time_ms, row)
        if writer.size_bytes != sizes[-1]:
            sizes.append(writer.size_bytes)
    writer.close()
    if writer.size_bytes != sizes[-1]:
        sizes.append(writer.size_bytes)
    assert path.stat().st_size == sizes[-1]
    return sizes


def test_what_was_appended_is_read_back_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    write(path, ROWS)
    segment = read_segment(path)
    assert segment.rows == ROWS
    assert segment.columns == COLUMNS
    assert segment.boot_id == "boot-1"
    assert (segment.torn_bytes, segment.damaged_bytes) == (0, 0)


def test_the_first_row_is_on_the_disk_at_once_and_after_a_restart_too(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    SegmentWriter.create(path, COLUMNS, boot_id="boot-1").append(*ROWS[0])
    assert read_segment(path).rows == ROWS[:1]
    SegmentWriter.reopen(path).append(*ROWS[1])
    assert read_segment(path).rows == ROWS[:2]


def test_ten_seconds_of_rows_are_on_the_disk_before_the_next(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    writer = SegmentWriter.create(path, COLUMNS, boot_id="boot-1")
    for time_ms, row in ROWS[:11]:
        writer.append(time_ms, row)
    assert read_segment(path).rows == ROWS[:10]
    writer.close()


def test_at_no_instant_are_more_than_ten_seconds_only_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    writer = SegmentWriter.create(path, COLUMNS, boot_id="boot-1")
    for time_ms, row in ROWS:
        kept = read_segment(path).rows
        assert time_ms - (kept[-1][0] if kept else 0) <= 10_000
        writer.append(time_ms, row)
    writer.close()


def test_the_header_says_which_wall_time_the_rows_belong_to(tmp_path: Path) -> None:
    anchor = TimeAnchor(
        time_ms=5_000, utc=datetime(2026, 11, 22, 12, 0, tzinfo=UTC), is_proven=True
    )
    writer = SegmentWriter.create(tmp_path / "a.seg", COLUMNS, boot_id="boot-1", anchor=anchor)
    writer.close()
    found = read_segment(tmp_path / "a.seg").anchor
    assert found == anchor
    assert found.utc_at(65_000) == datetime(2026, 11, 22, 12, 1, tzinfo=UTC)


def test_a_segment_whose_time_nobody_knew_says_so(tmp_path: Path) -> None:
    write(tmp_path / "a.seg", ROWS)
    assert read_segment(tmp_path / "a.seg").anchor is None


def test_the_zeros_that_fill_the_last_sector_are_no_loss(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    writer = SegmentWriter.create(path, COLUMNS, boot_id="boot-1")
    for time_ms, row in ROWS[:11]:
        writer.append(time_ms, row)
    assert path.stat().st_size % 512 == 0  # as a power cut would leave it
    assert read_segment(path).torn_bytes == 0
    writer.close()
    assert path.stat().st_size == writer.size_bytes


@pytest.mark.slow
@pytest.mark.parametrize("mask", [0x01, 0x10, 0x80, 0xFF])
def test_no_flipped_byte_anywhere_gives_a_wrong_value_in_silence(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "trip.seg"
    write(path, ROWS)
    data = path.read_bytes()
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= mask
        path.write_bytes(flipped)
        try:
            segment = read_segment(path)
        except SegmentError:
            continue  # said loudly
        assert segment.columns == COLUMNS
        assert set(map(repr, segment.rows)) < set(map(repr, ROWS))
        assert segment.damaged_bytes + segment.torn_bytes > 0


def test_a_file_cut_at_any_byte_keeps_every_whole_block(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    sizes = write(path, ROWS)
    data = path.read_bytes()
    for cut in range(sizes[0], len(data)):
        path.write_bytes(data[:cut])
        whole = max(size for size in sizes if size <= cut)
        segment = read_segment(path)
        assert segment.torn_bytes == cut - whole
        assert segment.rows == ROWS[: len(segment.rows)]
        assert len(segment.rows) == (0, 1, 10, 19, 28, 35)[sizes.index(whole)]


def test_a_file_cut_within_its_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    header = write(path, ROWS)[0]
    data = path.read_bytes()
    for cut in range(header):
        path.write_bytes(data[:cut])
        with pytest.raises(SegmentError, match="expected a segment") as caught:
            read_segment(path)
        assert caught.value.code == "segment.header"


def test_any_flipped_bit_in_a_block_costs_that_block_only(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    sizes = write(path, ROWS)
    data = path.read_bytes()
    for at in range(sizes[2], sizes[3]):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        path.write_bytes(flipped)
        segment = read_segment(path)
        assert segment.rows == ROWS[:10] + ROWS[19:]
        assert segment.damaged_bytes == sizes[3] - sizes[2]
        assert segment.torn_bytes == 0


def test_zeros_behind_the_last_block_are_a_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    write(path, ROWS)
    with path.open("ab") as file:
        file.write(bytes(4096))  # what a file system may leave after a power cut
    assert read_segment(path).torn_bytes == 4096


def test_reopening_cuts_the_torn_tail_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    sizes = write(path, ROWS)
    with path.open("r+b") as file:
        file.truncate(sizes[3] + 5)
    writer = SegmentWriter.reopen(path)
    assert writer.torn_bytes == 5
    assert path.stat().st_size == sizes[3]
    for time_ms, row in ROWS[19:]:
        writer.append(time_ms, row)
    writer.close()
    assert read_segment(path).rows == ROWS
    assert read_segment(path).torn_bytes == 0


def test_a_segment_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    write(path, ROWS)
    with pytest.raises(SegmentError, match="exists already") as caught:
        SegmentWriter.create(path, COLUMNS, boot_id="boot-2")
    assert caught.value.code == "segment.exists"
    assert read_segment(path).rows == ROWS


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SegmentError, match=r"none/trip\.seg: cannot be created") as caught:
        SegmentWriter.create(tmp_path / "none" / "trip.seg", COLUMNS, boot_id="boot-1")
    assert caught.value.code == "segment.write"
    with pytest.raises(SegmentError, match="cannot be read"):
        read_segment(tmp_path / "trip.seg")


def test_a_row_of_another_width_is_our_mistake(tmp_path: Path) -> None:
    writer = SegmentWriter.create(tmp_path / "trip.seg", COLUMNS, boot_id="boot-1")
    with pytest.raises(ValueError, match="expected 2 values in a row, got 1"):
        writer.append(0, [1])
    writer.close()


def test_a_column_without_a_step_cannot_exist() -> None:
    with pytest.raises(ValueError, match="expected a step above 0"):
        SegmentColumn("a", "V", 0.0, 0.0)


def test_raw_integers_are_the_nearest_steps() -> None:
    temperature = COLUMNS[1]
    assert temperature.raw(-39.6) == 0
    assert temperature.value(temperature.raw(21.2)) == 21.0


@contextlib.contextmanager
def disk_full_behind(size_bytes: int) -> Iterator[None]:
    """No file may grow past ``size_bytes``: the kernel writes a part, then refuses."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_file_whole_and_the_rows_pending(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    writer = SegmentWriter.create(path, COLUMNS, boot_id="boot-1")
    for time_ms, row in ROWS[:15]:
        writer.append(time_ms, row)
    with (
        disk_full_behind(writer.size_bytes + 5),
        pytest.raises(SegmentError, match=r"5 rows not written: .*intact") as caught,
    ):
        writer.flush()
    assert caught.value.code == "segment.write"
    assert read_segment(path).torn_bytes == 0
    assert writer._file._direct is None  # refused in mid-sector; ordinary writes go on
    writer.close()
    assert read_segment(path).rows == ROWS[:15]


def test_rows_that_find_no_room_for_too_long_are_dropped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "trip.seg"
    writer = SegmentWriter.create(path, COLUMNS, boot_id="boot-1")
    for at in range(MAX_BLOCK_ROWS):
        writer.append(at, [1, 1])
    with (
        disk_full_behind(writer.size_bytes + 5),
        pytest.raises(SegmentError, match="4096 rows not written"),
    ):
        writer.append(MAX_BLOCK_ROWS, [1, 1])
    assert writer.dropped_rows == MAX_BLOCK_ROWS
    writer.close()
    assert read_segment(path).rows == [(0, [1, 1])]  # the first one was on the disk at once


def test_a_full_disk_at_the_start_leaves_no_file(tmp_path: Path) -> None:
    with (
        disk_full_behind(20),
        pytest.raises(SegmentError, match="no room for a segment"),
    ):
        SegmentWriter.create(tmp_path / "trip.seg", COLUMNS, boot_id="boot-1")
    assert list(tmp_path.glob("*.*")) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**9),
            st.lists(st.none() | st.integers(-(2**31), 2**31), min_size=2, max_size=2),
        ),
        max_size=60,
    )
)
def test_any_rows_come_back_as_they_went(
    tmp_path: Path, rows: list[tuple[int, list[int | None]]]
) -> None:
    path = tmp_path / "trip.seg"
    path.unlink(missing_ok=True)
    write(path, rows)
    assert read_segment(path).rows == rows


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300))
def test_any_other_file_is_refused_or_counted(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "trip.seg"
    path.unlink(missing_ok=True)
    write(path, ROWS[:11])
    with path.open("ab") as file:
        file.write(tail)
    assert read_segment(path).rows[:11] == ROWS[:11]
    path.write_bytes(tail)
    with pytest.raises(SegmentError, match="expected a segment"):
        read_segment(path)
