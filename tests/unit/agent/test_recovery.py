"""A trip that a power cut ended is told from its segment, with the time that was known then."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.recovery import recover_trips
from agent.signals import catalog
from agent.store.segment_records import SegmentColumn, TimeAnchor
from agent.store.segments import SegmentWriter

COLUMNS = (
    SegmentColumn(catalog.SPEED, "km/h", 0.01, 0.0),
    SegmentColumn(catalog.GEAR, "", 1.0, 0.0),
    SegmentColumn(catalog.PACK_VOLTAGE, "V", 0.5, 0.0),
    SegmentColumn(catalog.PACK_CURRENT, "A", 0.5, 0.0),
)
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def drive(path: Path, *, speed_km_h: float, anchor: TimeAnchor | None = None) -> None:
    writer = SegmentWriter.create(path, COLUMNS, boot_id="boot-1", anchor=anchor)
    for second in range(61):
        writer.append((500 + second) * 1_000, [round(speed_km_h * 100), 127, 800, -20])
    writer.close()


@pytest.mark.parametrize("is_proven", [True, False])
def test_a_trip_is_recovered_with_the_time_that_was_known(
    tmp_path: Path, *, is_proven: bool
) -> None:
    anchor = TimeAnchor(time_ms=500_000, utc=NOON, is_proven=is_proven)
    drive(tmp_path / "a.seg", speed_km_h=36.0, anchor=anchor)
    ((trip, _),) = recover_trips(tmp_path, lambda _trip: False)
    assert trip.distance_m == pytest.approx(600)
    assert trip.energy_out_wh == pytest.approx(400 * 10 / 60)
    assert (trip.started_utc, trip.is_time_proven) == (NOON, is_proven)


def test_a_trip_that_is_known_already_is_left_alone(tmp_path: Path) -> None:
    drive(tmp_path / "a.seg", speed_km_h=36.0)
    assert recover_trips(tmp_path, lambda trip: trip == "a") == []
    assert (tmp_path / "a.seg").exists()


def test_what_tells_of_no_trip_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "torn.seg").write_bytes(b"\xf5OKS")
    (tmp_path / "half.new").write_bytes(b"\xf5")
    assert recover_trips(tmp_path, lambda _trip: False) == []
    assert list(tmp_path.iterdir()) == []
