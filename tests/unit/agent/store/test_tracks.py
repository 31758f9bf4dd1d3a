from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.recovery import recover_trips
from agent.signals import catalog
from agent.signals.gnss import ACCURACY, LATITUDE, LONGITUDE
from agent.signals.model import Quality, Signal
from agent.store.quota import make_room
from agent.store.segment_records import SegmentColumn, SegmentError, TimeAnchor
from agent.store.segments import SegmentWriter
from agent.store.tracks import TrackWriter, delete_segment, delete_tracks, read_track, track_beside

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ANCHOR = TimeAnchor(time_ms=1_000, utc=NOON, is_proven=True)


def fix(latitude: float | None, *, speed: float | None = 50.0) -> dict[str, Signal]:
    values = {LATITUDE: latitude, LONGITUDE: 13.4, ACCURACY: None, catalog.SPEED: speed}
    return {
        path: Signal(path, value, Quality.OK if value is not None else Quality.STALE, 1.0)
        for path, value in values.items()
    }


def write(segment: Path, *latitudes: float | None) -> None:
    writer = TrackWriter(segment, boot_id="boot-1", anchor=ANCHOR)
    for number, latitude in enumerate(latitudes):
        writer.append(2_000 + number * 1_000, fix(latitude))
    writer.close()


def test_positions_come_back_to_a_tenth_of_a_metre(tmp_path: Path) -> None:
    write(tmp_path / "a.seg", 52.5123456, None, 52.6)
    track = read_track(tmp_path / "a.seg")
    assert [point.time_s for point in track.points] == [0.0, 2.0]
    assert track.points[0].latitude == pytest.approx(52.5123456, abs=1e-6)
    assert track.points[0].speed_km_h == 50.0
    assert track.started_utc == datetime(2026, 11, 22, 12, 0, 1, tzinfo=UTC)


def test_without_a_single_fix_there_is_no_file_and_an_empty_track(tmp_path: Path) -> None:
    write(tmp_path / "a.seg", None, None)
    assert list(tmp_path.glob("*.*")) == []
    assert read_track(tmp_path / "a.seg").points == ()


def test_a_position_without_a_speed_tells_nothing_about_traffic(tmp_path: Path) -> None:
    writer = TrackWriter(tmp_path / "a.seg", boot_id="boot-1", anchor=ANCHOR)
    writer.append(2_000, fix(52.5, speed=None))
    writer.close()
    assert read_track(tmp_path / "a.seg").points == ()


def test_what_was_dropped_is_gone_and_a_later_fix_starts_anew(tmp_path: Path) -> None:
    writer = TrackWriter(tmp_path / "a.seg", boot_id="boot-1", anchor=ANCHOR)
    writer.append(2_000, fix(52.5))
    writer.drop()
    assert list(tmp_path.glob("*.*")) == []
    writer.append(3_000, fix(52.6))
    writer.close()
    assert [point.time_s for point in read_track(tmp_path / "a.seg").points] == [0.0]


def test_a_file_with_other_columns_is_no_track(tmp_path: Path) -> None:
    columns = (SegmentColumn("Vehicle.Speed", "km/h", 1.0, 0.0),)
    SegmentWriter.create(track_beside(tmp_path / "a.seg"), columns, boot_id="b").close()
    with pytest.raises(SegmentError, match="expected the columns of a track"):
        read_track(tmp_path / "a.seg")


def test_a_segment_goes_with_its_positions(tmp_path: Path) -> None:
    for name in ("a.seg", "b.seg"):
        (tmp_path / name).write_bytes(bytes(100))
        write(tmp_path / name, 52.5)
    delete_segment(tmp_path / "a.seg")
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["b.seg", "b.track"]
    evicted = make_room(tmp_path, 150, keep=None)  # the positions count too
    assert evicted.names == ("b.seg",)
    assert list(tmp_path.glob("*.*")) == []


def test_every_position_is_deleted_at_once(tmp_path: Path) -> None:
    write(tmp_path / "a.seg", 52.5)
    write(tmp_path / "b.seg", 52.5)
    (tmp_path / "b.seg").write_bytes(b"rows")
    assert delete_tracks(tmp_path) == 2
    assert [path.name for path in tmp_path.glob("*.*")] == ["b.seg"]


def test_positions_whose_trip_is_gone_are_deleted_at_the_start(tmp_path: Path) -> None:
    write(tmp_path / "a.seg", 52.5)
    assert recover_trips(tmp_path, lambda _: False) == []
    assert list(tmp_path.glob("*.*")) == []
