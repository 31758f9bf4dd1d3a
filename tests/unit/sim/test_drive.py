import itertools
from pathlib import Path

import pytest

from agent.signals import catalog
from agent.signals.decode import Decoder
from agent.signals.model import Frame, Quality
from agent.signals.replay import ReplaySource
from agent.signals.table import load_table
from agent.vehicle.trip import TripConfig, TripTracker
from sim.drive import drive_states, last_state, park_tail, synthetic_drive
from sim.frames import DRIVE, VehicleState, frames_of, write_candump
from tests.support.clock import FakeClock


def test_the_same_seed_gives_the_same_frames() -> None:
    first, again, other = (list(itertools.islice(synthetic_drive(s), 20_000)) for s in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    "seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_a_synthetic_drive_is_one_plausible_trip(seed: int) -> None:
    decoder = Decoder(load_table("nissan-leaf-ze1"))
    tracker = TripTracker(TripConfig(), lambda: "trip")
    trips = []
    frames = list(synthetic_drive(seed))
    for start in range(0, len(frames), 100):
        batch = frames[start : start + 100]
        trips += [
            change.trip
            for change in tracker.step(decoder.feed_all(batch), batch[-1].time_s)
            if change.trip
        ]
    (trip,) = trips
    assert 150 <= trip.duration_s <= 300
    assert 1_000 <= trip.distance_m <= 5_000
    assert 80 <= trip.energy_net_wh / trip.distance_m * 1000 <= 320  # Wh per km
    assert trip.soc_start_percent is not None
    assert trip.soc_end_percent is not None
    assert trip.soc_end_percent < trip.soc_start_percent
    assert {reason for *_, reason in decoder.counters} == {Quality.SENTINEL}
    assert not decoder.missed


def test_a_synthetic_drive_starts_with_wake_up_codes() -> None:
    first = next(drive_states(1))
    assert first.is_waking
    decoder = Decoder(load_table("nissan-leaf-ze1"), [catalog.PACK_VOLTAGE])
    assert decoder.feed(next(synthetic_drive(1)))[0].quality is Quality.SENTINEL


def test_a_tail_continues_where_the_recording_ends() -> None:
    driving = VehicleState(gear=DRIVE, speed_km_h=60.0, soc_percent=70.0, odometer_km=12_345)
    recording = list(frames_of(itertools.repeat(driving, 203), start_s=10.0))
    state, end_s, counts = last_state(recording)
    assert (state.speed_km_h, state.soc_percent, state.gear) == (60.0, 70.0, DRIVE)
    assert state.odometer_km == 12_345
    assert end_s == pytest.approx(12.02)
    assert counts[0x1DB] % 4 == 203 % 4
    decoder = Decoder(load_table("nissan-leaf-ze1"))
    decoder.feed_all([*recording, *park_tail(recording)])
    assert not decoder.missed
    assert decoder.latest[catalog.GEAR].value == catalog.GEAR_PARK


def test_a_recording_that_tells_nothing_cannot_be_continued() -> None:
    with pytest.raises(ValueError, match=r"expected a recording that tells .*StateOfCharge"):
        list(park_tail([Frame(1.0, "can0", 0x123, b"")]))


def test_written_frames_are_read_back(tmp_path: Path) -> None:
    frames = list(itertools.islice(synthetic_drive(1), 3_000))
    assert write_candump(frames, tmp_path / "drive.log") == 3_000
    source = ReplaySource(tmp_path / "drive.log", speed=None, clock=FakeClock())
    assert list(source.read_all()) == frames
