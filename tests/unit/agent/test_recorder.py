import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from agent.recorder import Places, Recorder, RecorderConfig, _cell, wanted_paths
from agent.recovery import permitted, recover_trips
from agent.sharing import Permit
from agent.signals import catalog
from agent.signals.decode import Decoder
from agent.signals.errors import SourceError
from agent.signals.gnss import LATITUDE, LONGITUDE
from agent.signals.model import Frame, Quality, Signal
from agent.signals.table import load_table
from agent.store.segment_records import SegmentColumn
from agent.store.segments import Segment, read_segment
from agent.store.tracks import read_track, track_beside
from agent.vehicle.live import Motion
from agent.vehicle.trip import Trip, TripState
from sim.drive import MovingVehicle, drive_states
from sim.frames import DRIVE, PARK, VehicleState, frames_of
from telemetry.codec.cells import INVALID, Cell
from telemetry.purposes import Purpose
from tests.support.clock import FakeClock

ZE1 = load_table("nissan-leaf-ze1")
BOTH = frozenset({Purpose.BATTERY, Purpose.JOURNEYS})


class FakeSource:
    """Yields what it was given, a tenth of a second at a time, and then what it was told."""

    def __init__(self, frames: Sequence[Frame], error: SourceError | None = None) -> None:
        self.frames = frames
        self.error = error

    async def batches(self) -> AsyncIterator[Sequence[Frame]]:
        for start in range(0, len(self.frames), 60):
            await asyncio.sleep(0)
            yield self.frames[start : start + 60]
        if self.error:
            raise self.error


class EndlessSource:
    """A bus that fell silent."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.is_drained = asyncio.Event()

    async def batches(self) -> AsyncIterator[Sequence[Frame]]:
        for start in range(0, len(self.frames), 60):
            yield self.frames[start : start + 60]
        self.is_drained.set()
        await asyncio.Event().wait()


class Bench:
    """A recorder with everything it was told."""

    def __init__(self, folder: Path, frames: Sequence[Frame] = ()) -> None:
        self.folder = folder / "segments"
        self.clock = FakeClock()
        self.granted = True
        self.permit: Permit | None = Permit(profile_id="a", purposes=BOTH)
        self.ended: list[tuple[Trip, Path | None]] = []
        self.segments: list[Segment] = []
        self.source: FakeSource | EndlessSource = FakeSource(frames)
        self.places: Places | None = None
        self.config = RecorderConfig()

    def recorder(self) -> Recorder:
        ids = (f"trip-{number}" for number in itertools.count(1))
        return Recorder(
            self.source,
            Decoder(ZE1, wanted_paths(ZE1)),
            clock=self.clock,
            segments=self.folder,
            may_record=lambda: self.granted,
            permit=lambda: self.permit,
            on_trip_end=self.take,
            new_trip_id=lambda: next(ids),
            config=self.config,
            places=self.places,
        )

    async def take(self, trip: Trip, path: Path | None) -> None:
        self.ended.append((trip, path))
        if path:
            self.segments.append(await asyncio.to_thread(read_segment, path))


def drive(seconds: float, *, speed_km_h: float = 50.0, park_s: float = 7.0) -> list[Frame]:
    return list(frames_of(_states(seconds, speed_km_h, park_s), start_s=1000.0))


def _states(seconds: float, speed_km_h: float, park_s: float) -> Iterator[VehicleState]:
    still = VehicleState(gear=PARK)
    yield from itertools.repeat(still, 100)
    moving = replace(still, gear=DRIVE, speed_km_h=speed_km_h, pack_current_a=-20.0)
    yield from itertools.repeat(moving, round(seconds * 100))
    yield from itertools.repeat(still, round(park_s * 100))


async def test_a_drive_becomes_a_trip_and_a_segment_with_a_row_a_second(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drive(30.0))
    await bench.recorder().run()
    ((trip, path),) = bench.ended
    assert trip.trip_id == "trip-1"
    assert trip.distance_m == pytest.approx(50 / 3.6 * 30, rel=0.01)
    assert trip.energy_out_wh == pytest.approx(390 * 20 * 30 / 3600, rel=0.01)
    assert trip.started_utc == bench.clock.utc_now()
    assert path == bench.folder / "trip-1.seg"
    (segment,) = bench.segments
    assert tuple(column.path for column in segment.columns) == ZE1.record
    assert segment.boot_id == "boot-1"
    assert 30 <= len(segment.rows) <= 37
    times = [time_ms for time_ms, _ in segment.rows]
    assert all(900 <= b - a <= 1100 for a, b in itertools.pairwise(times))
    row = dict(zip(ZE1.record, segment.rows[5][1], strict=True))
    columns = {column.path: column for column in segment.columns}
    raw = row[catalog.PACK_CURRENT]
    assert isinstance(raw, int)
    assert columns[catalog.PACK_CURRENT].value(raw) == -20.0


@pytest.mark.parametrize(
    ("quality", "cell"),
    [
        (Quality.MISSING, None),
        (Quality.STALE, None),
        (Quality.SENTINEL, None),
        (Quality.MUX, None),
        (Quality.CRC, INVALID),
        (Quality.COUNTER, INVALID),
        (Quality.LENGTH, INVALID),
        (Quality.RANGE, INVALID),
        (Quality.SEQUENCE, INVALID),
        (Quality.TIMING, INVALID),
    ],
)
def test_a_segment_tells_what_never_came_from_what_came_and_was_wrong(
    quality: Quality, cell: Cell
) -> None:
    column = SegmentColumn(catalog.PACK_CURRENT, "A", 0.5, 0.0)
    assert _cell(column, Signal(catalog.PACK_CURRENT, None, quality, 0.0)) is cell


async def test_frames_with_a_wrong_checksum_stand_in_the_segment_as_invalid(
    tmp_path: Path,
) -> None:
    frames = [
        structs.replace(frame, data=frame.data[:-1] + bytes([frame.data[-1] ^ 1]))
        if frame.can_id == 0x1DB
        else frame
        for frame in drive(10.0)
    ]
    bench = Bench(tmp_path, frames)
    await bench.recorder().run()
    (segment,) = bench.segments
    row = dict(zip(ZE1.record, segment.rows[5][1], strict=True))
    assert row[catalog.PACK_CURRENT] is INVALID


def test_nothing_touches_the_disk_until_a_purpose_is_granted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drive(30.0))
    bench.granted = False
    recorder = bench.recorder()
    asyncio.run(recorder.run())
    assert not list(tmp_path.iterdir())
    assert [path for _, path in bench.ended] == [None]
    assert recorder.counters.rows == 0
    assert recorder.counters.rows_withheld >= 30


BERLIN = {
    LATITUDE: Signal(LATITUDE, 52.5, Quality.OK, 1000.0),
    LONGITUDE: Signal(LONGITUDE, 13.4, Quality.OK, 1000.0),
}


@pytest.mark.parametrize("is_granted", [True, False])
async def test_positions_are_kept_only_where_a_purpose_needs_place(
    tmp_path: Path, *, is_granted: bool
) -> None:
    bench = Bench(tmp_path, drive(30.0))
    bench.places = Places(readings=lambda: BERLIN, may_keep=lambda: is_granted)
    await bench.recorder().run()
    ((_, path),) = bench.ended
    assert path is not None
    track = await asyncio.to_thread(read_track, path)
    assert (len(track.points) >= 30) is is_granted
    assert track_beside(path).exists() is is_granted
    (segment,) = bench.segments
    assert not any("Location" in column.path for column in segment.columns)


async def test_withdrawing_place_in_mid_trip_deletes_the_positions_and_keeps_the_rows(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, drive(30.0))
    asked = itertools.count()
    bench.places = Places(readings=lambda: BERLIN, may_keep=lambda: next(asked) < 20)
    await bench.recorder().run()
    assert [path.name for path in bench.folder.iterdir()] == ["trip-1.seg"]
    assert len(bench.segments[0].rows) >= 30


async def test_a_trip_under_way_is_recorded_from_the_consent_on(tmp_path: Path) -> None:
    frames = drive(30.0)
    bench = Bench(tmp_path)
    recorder = bench.recorder()
    bench.granted = False
    middle = len(frames) // 2
    for start in range(0, len(frames), 60):
        bench.granted = start > middle
        await recorder.take(frames[start : start + 60])
    (segment,) = bench.segments
    assert segment.rows[0][0] > 1000 * frames[middle].time_s


async def test_withdrawing_in_mid_trip_deletes_what_was_recorded(tmp_path: Path) -> None:
    frames = drive(30.0)
    bench = Bench(tmp_path)
    recorder = bench.recorder()
    for start in range(0, len(frames) // 2, 60):
        await recorder.take(frames[start : start + 60])
    assert recorder.open_segment is not None
    bench.granted = False
    for start in range(len(frames) // 2, len(frames), 60):
        await recorder.take(frames[start : start + 60])
    assert not list(bench.folder.iterdir())
    assert [path for _, path in bench.ended] == [None]


async def test_moving_the_vehicle_aside_is_not_a_trip_to_offer(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drive(2.0, speed_km_h=10.0))
    recorder = bench.recorder()
    await recorder.run()
    assert bench.ended == []
    assert recorder.counters.short_trips == 1
    assert not list(bench.folder.iterdir())


async def test_a_recording_that_stops_in_mid_drive_ends_the_trip(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drive(30.0, park_s=0.0))
    recorder = bench.recorder()
    await recorder.run()
    assert len(bench.ended) == 1
    assert recorder.tracker.state is TripState.OFF


async def test_a_source_that_fails_leaves_what_was_recorded(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.source = FakeSource(drive(30.0, park_s=0.0), SourceError("bus: gone"))
    with pytest.raises(SourceError, match="bus: gone"):
        await bench.recorder().run()
    (segment,) = bench.segments
    assert len(segment.rows) >= 29


async def test_stopping_the_daemon_ends_the_trip_and_closes_its_segment(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    source = bench.source = EndlessSource(drive(30.0, park_s=0.0))
    recorder = bench.recorder()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run(stop))
        await source.is_drained.wait()
        stop.set()
    assert len(bench.ended) == 1
    assert recorder.open_segment is None


async def test_silence_makes_the_present_unknown_and_then_ends_the_trip(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    recorder = bench.recorder()
    frames = drive(30.0, park_s=0.0)
    for start in range(0, len(frames), 60):
        await recorder.take(frames[start : start + 60])
    assert recorder.live().motion is Motion.MOVING
    bench.clock.advance_s(3)
    bench.clock.jump_wall_s(-3600)
    await recorder.tick()
    live = recorder.live()
    assert (live.is_fresh, live.motion, live.speed_km_h) == (False, Motion.UNKNOWN, None)
    bench.clock.advance_s(1)
    await recorder.tick()
    assert recorder.tracker.state is TripState.LOST
    bench.clock.advance_s(301)
    await recorder.tick()
    ((trip, _),) = bench.ended
    assert trip.ended_s == pytest.approx(frames[-1].time_s, abs=3.1)


async def test_a_vehicle_nobody_heard_of_is_unknown(tmp_path: Path) -> None:
    live = Bench(tmp_path).recorder().live()
    assert not live.is_fresh
    assert live.motion is Motion.UNKNOWN


async def test_a_parked_vehicle_that_falls_asleep_is_told_from_a_broken_wire(
    tmp_path: Path,
) -> None:
    frames = list(frames_of(drive_states(3), start_s=50.0))
    bench = Bench(tmp_path)
    recorder = bench.recorder()
    for start in range(0, len(frames), 60):
        await recorder.take(frames[start : start + 60])
    bench.clock.advance_s(10)
    await recorder.tick()
    assert recorder.live().is_asleep
    assert not recorder.live().is_fresh


def test_a_disk_that_takes_nothing_loses_rows_but_not_the_trip(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drive(30.0))
    bench.folder.mkdir()
    (bench.folder / "trip-1.seg").write_bytes(b"in the way")
    recorder = bench.recorder()
    asyncio.run(recorder.run())
    assert recorder.counters.last_error is not None
    assert "trip-1.seg" in recorder.counters.last_error
    assert recorder.counters.rows == 0
    assert recorder.counters.rows_lost >= 30
    assert [path for _, path in bench.ended] == [None]
    assert (bench.folder / "trip-1.seg").read_bytes() == b"in the way"


async def test_live_shows_the_trip_under_way(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    recorder = bench.recorder()
    frames = drive(30.0, park_s=0.0)
    for start in range(0, len(frames), 60):
        await recorder.take(frames[start : start + 60])
    live = recorder.live()
    assert live.trip is not None
    assert live.trip.distance_m == pytest.approx(410, abs=10)
    assert (live.speed_km_h, live.low_voltage_v, live.soc_percent) == (50.0, 13.9, 80.0)
    assert live.is_ignition_on
    assert live.is_charging is False


def test_a_moving_vehicle_spends_and_regains_energy() -> None:
    vehicle = MovingVehicle(VehicleState())
    for _ in range(500):
        vehicle.step(2.0)
    assert vehicle.state.pack_current_a < -50
    vehicle.step(-2.0)
    assert vehicle.state.pack_current_a > 20


async def test_a_restart_in_mid_trip_goes_on_in_the_same_segment(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drive(30.0)[:20_000])
    bench.config = RecorderConfig(can_resume=True)
    first = bench.recorder()
    frames = bench.source.frames
    half = len(frames) // 2
    for start in range(0, half, 60):
        await first.take(frames[start : start + 60])
    assert first._writer is not None
    await asyncio.to_thread(first._writer.close)  # what a crash leaves, flushed by luck
    bench.clock.advance_s(frames[half].time_s - bench.clock.monotonic_s())
    ((left, path),) = await asyncio.to_thread(recover_trips, bench.folder, lambda _: False)
    second = bench.recorder()
    assert await asyncio.to_thread(second.resume, left, path)
    bench.source = FakeSource(frames[half:])
    second._source = bench.source
    await second.run()
    ((trip, _),) = bench.ended
    assert (trip.trip_id, trip.restarts) == ("trip-1", 1)
    assert trip.distance_m == pytest.approx(50 / 3.6 * 30, rel=0.06)
    (segment,) = bench.segments
    assert len(segment.rows) >= 30
    assert [path.name for path in bench.folder.iterdir()] == ["trip-1.seg"]


@pytest.mark.parametrize("why", ["another boot", "too long ago", "no consent", "a replay"])
def test_a_trip_that_cannot_be_the_same_is_not_resumed(tmp_path: Path, why: str) -> None:
    bench = Bench(tmp_path)
    bench.config = RecorderConfig(can_resume=why != "a replay")
    bench.granted = why != "no consent"
    left = Trip(trip_id="a", started_s=900.0, ended_s=990.0, boot_id="boot-1")
    if why == "another boot":
        left = replace(left, boot_id="boot-0")
    if why == "too long ago":
        left = replace(left, ended_s=600.0)
    assert not bench.recorder().resume(left, tmp_path / "a.seg")


async def _with_a_change(
    folder: Path, before: Permit | None, after: Permit | None
) -> tuple[Bench, float]:
    """A drive in whose middle the permission changes; return when, on the clock of the frames."""
    frames = drive(30.0)
    bench, middle = Bench(folder), len(frames) // 2
    recorder = bench.recorder()
    for start in range(0, len(frames), 60):
        bench.permit = after if start > middle else before
        bench.granted = bench.permit is not None
        await recorder.take(frames[start : start + 60])
    return bench, frames[middle].time_s


A = Permit(profile_id="a", purposes=BOTH)


@pytest.mark.parametrize(
    "after",
    [
        Permit(profile_id="b", purposes=BOTH),
        Permit(profile_id="a", purposes=frozenset({Purpose.BATTERY})),
    ],
    ids=["another driver", "less"],
)
async def test_what_a_new_permission_does_not_cover_is_deleted_in_mid_trip(
    tmp_path: Path, after: Permit
) -> None:
    bench, changed_s = await _with_a_change(tmp_path, A, after)
    ((trip, _),), (segment,) = bench.ended, bench.segments
    assert segment.rows[0][0] > 1000 * changed_s
    assert not trip.is_whole


async def test_switching_more_on_in_mid_trip_keeps_the_rows_but_the_trip_is_not_whole(
    tmp_path: Path,
) -> None:
    before = Permit(profile_id="a", purposes=frozenset({Purpose.BATTERY}))
    bench, changed_s = await _with_a_change(tmp_path, before, A)
    ((trip, _),), (segment,) = bench.ended, bench.segments
    assert segment.rows[0][0] < 1000 * changed_s
    assert not trip.is_whole


async def test_a_guest_who_takes_over_leaves_nothing_of_the_trip(tmp_path: Path) -> None:
    bench, _ = await _with_a_change(tmp_path, A, None)
    ((trip, path),) = bench.ended
    assert path is None
    assert permitted(trip, path) is None
    assert not list(bench.folder.iterdir())


async def test_of_a_trip_that_is_not_whole_only_the_recorded_part_is_added_up(
    tmp_path: Path,
) -> None:
    bench, _ = await _with_a_change(tmp_path, None, A)
    ((trip, path),) = bench.ended
    assert path is not None
    part = await asyncio.to_thread(permitted, trip, path)
    assert part is not None
    assert part.trip_id == trip.trip_id
    assert 100 < part.distance_m < trip.distance_m / 2
    assert not part.is_whole


async def test_a_trip_under_one_permission_is_whole(tmp_path: Path) -> None:
    bench, _ = await _with_a_change(tmp_path, A, A)
    ((trip, path),) = bench.ended
    assert trip.is_whole
    assert permitted(trip, path) is trip
