"""Golden values of the recorded ZE1 drives; what they rest on stands in the vehicle facts."""

import asyncio
import json
import math
from pathlib import Path

import pytest

from agent.recorder import Recorder, RecorderConfig, wanted_paths
from agent.signals import catalog
from agent.signals.decode import Decoder, Rejection
from agent.signals.explain import decode_lines
from agent.signals.model import Frame, Quality, Signal
from agent.signals.replay import ReplaySource
from agent.signals.table import load_table
from agent.vehicle.trip import Trip
from sim.drive import park_tail, synthetic_drive
from tests.support.cantools_peer import Peer
from tests.support.clock import FakeClock

pytestmark = pytest.mark.recorded
ZE1 = load_table("nissan-leaf-ze1")
DBCS = ("nissan-leaf-ze1", "parts/leaf-ev", "parts/leaf-charger2")
FOLDER = Path(__file__).parents[2] / "configs" / "vehicles"
ECO, STARTUP = "ze1_62kwh_eco_drive", "ze1_62kwh_startup"
PROVEN = (0x11A, 0x1DA, 0x1DB, 0x1DC, 0x55B, 0x390)


def frames_of(recordings: Path, name: str) -> list[Frame]:
    path = recordings / "leaf" / f"{name}.log.gz"
    return list(ReplaySource(path, speed=None, clock=FakeClock()).read_all())


@pytest.fixture
def eco(recordings: Path) -> list[Frame]:
    return frames_of(recordings, ECO)


@pytest.fixture
def startup(recordings: Path) -> list[Frame]:
    return frames_of(recordings, STARTUP)


def told(frames: list[Frame]) -> tuple[Decoder, dict[str, list[Signal]]]:
    decoder = Decoder(ZE1)
    signals: dict[str, list[Signal]] = {}
    for signal in decoder.feed_all(frames):
        signals.setdefault(signal.path, []).append(signal)
    return decoder, signals


def span(signals: list[Signal]) -> tuple[float, float]:
    values = [signal.value for signal in signals if signal.value is not None]
    return min(values), max(values)


def test_every_frame_of_the_drive_is_right_and_none_is_missed(eco: list[Frame]) -> None:
    decoder, _ = told(eco)
    assert len(eco) == 41_602
    assert {i: sum(f.can_id == i for f in eco) for i in PROVEN} == {
        0x11A: 3054,
        0x1DA: 3054,
        0x1DB: 3045,
        0x1DC: 3045,
        0x55B: 305,
        0x390: 305,
    }
    # the charger's limit is not available while driving; nothing else is wrong
    assert decoder.counters == {Rejection("can0", 0x1DC, Quality.SENTINEL): 3045}
    assert not decoder.missed


def test_the_ranges_of_the_drive(eco: list[Frame]) -> None:
    _, signals = told(eco)
    assert span(signals[catalog.PACK_VOLTAGE]) == (367.5, 395.0)
    assert span(signals[catalog.PACK_CURRENT]) == (-430.0, 61.5)
    low, high = span(signals[catalog.PACK_POWER])
    assert (round(low / 100), round(high / 100)) == (-1589, 242)
    assert span(signals[catalog.SOC]) == (91.8, 92.6)
    assert span(signals[catalog.GIDS]) == (649, 654)
    assert span(signals[catalog.ENERGY]) == (pytest.approx(51.92), pytest.approx(52.32))
    assert span(signals[f"{catalog.OVERLAY}.Battery.GidsWhenFull"]) == (750, 750)
    assert span(signals[catalog.SOH]) == (91, 91)
    assert span(signals[catalog.SOC_DISPLAYED]) == (94.0, 94.0)
    assert span(signals[f"{catalog.OVERLAY}.Battery.FullEnergy"]) == (55.3, 55.3)
    assert span(signals[f"{catalog.OVERLAY}.Battery.DischargeLimit"]) == (180.0, 180.0)
    assert span(signals[f"{catalog.OVERLAY}.Battery.RegenLimit"]) == (18.25, 24.75)
    assert span(signals[catalog.AMBIENT]) == (18.0, 18.0)
    assert span(signals[catalog.GEAR]) == (127, 127)
    assert span(signals[catalog.MOTOR_SPEED]) == (43, 8524)
    assert span(signals[catalog.MOTOR_TORQUE]) == (-45.0, 233.5)
    assert span(signals[catalog.SPEED])[1] == pytest.approx(12_077 / 98)
    assert span(signals[f"{catalog.OVERLAY}.Speed.SecondSource"])[1] <= 123.91
    assert span(signals[catalog.ODOMETER]) == (77_664_000, 77_665_000)


def test_the_copy_of_the_current_always_agrees(eco: list[Frame]) -> None:
    decoder = Decoder(ZE1)
    copy = f"{catalog.OVERLAY}.Battery.CurrentSecondSource"
    for frame in eco:
        if frame.can_id == 0x1DB:
            decoder.feed(frame)
            assert decoder.latest[copy].value == decoder.latest[catalog.PACK_CURRENT].value


AT = {
    3: (395.0, -3.5, 362, 22.0, 516),
    6: (391.0, -80.5, 1423, 186.0, 2019),
    9: (385.5, -179.0, 3139, 194.5, 4439),
    15: (370.0, -428.0, 6525, 217.5, 9251),
    18: (369.0, -413.5, 7879, 172.5, 11155),
    21: (390.0, 50.0, 8042, -29.0, 11390),
    24: (392.5, 60.0, 6129, -40.5, 8674),
    30: (391.5, -3.0, 5056, 0.0, 7180),
}


@pytest.mark.parametrize("at_s", AT)
def test_the_table_of_instants(at_s: int, eco: list[Frame]) -> None:
    end_s = eco[0].time_s + at_s + 1e-6
    decoder, _ = told([frame for frame in eco if frame.time_s <= end_s])
    volts, amperes, rpm, torque, raw_speed = AT[at_s]
    assert decoder.latest[catalog.PACK_VOLTAGE].value == volts
    assert decoder.latest[catalog.PACK_CURRENT].value == amperes
    assert decoder.latest[catalog.SPEED].value == pytest.approx(raw_speed / 98, abs=0.011)
    # the inverter's frame may be one frame off
    assert decoder.latest[catalog.MOTOR_SPEED].value == pytest.approx(rpm, abs=30)
    assert decoder.latest[catalog.MOTOR_TORQUE].value == pytest.approx(torque, abs=4)


def test_wake_up_codes_never_become_numbers(startup: list[Frame]) -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE, catalog.MOTOR_SPEED, catalog.GIDS])
    seen: list[Signal] = list(decoder.feed_all(startup))
    start_s = startup[0].time_s
    bad_v = [s for s in seen if s.path == catalog.PACK_VOLTAGE]
    assert (bad_v[0].quality, bad_v[1].quality) == (Quality.SENTINEL, Quality.OK)
    assert bad_v[1].time_s - start_s > 0.178
    assert span(bad_v) == (393.5, 394.0)
    assert span([s for s in seen if s.path == catalog.GIDS]) == (638, 638)
    assert decoder.counters == {
        Rejection("can0", 0x1DB, Quality.SENTINEL): 5,
        Rejection("can0", 0x1DA, Quality.SENTINEL): 37,
        Rejection("can0", 0x5BC, Quality.SENTINEL): 1,
    }


def test_start_up_limits_and_ambient_count_their_codes(startup: list[Frame]) -> None:
    limit = f"{catalog.OVERLAY}.Battery.DischargeLimit"
    decoder = Decoder(ZE1, [limit, catalog.AMBIENT, catalog.ODOMETER])
    decoder.feed_all(startup)
    assert decoder.latest[limit].value == 180.0
    assert decoder.latest[catalog.AMBIENT].value == 17.0
    assert decoder.latest[catalog.ODOMETER].value == 77_672_000
    assert decoder.counters[Rejection("can0", 0x1DC, Quality.SENTINEL)] == 10
    assert decoder.counters[Rejection("can0", 0x54C, Quality.SENTINEL)] == 2


def recorded_trip(path: Path, folder: Path) -> Trip:
    trips: list[Trip] = []

    async def take(trip: Trip, _path: Path | None) -> None:
        trips.append(trip)

    clock = FakeClock()
    recorder = Recorder(
        ReplaySource(path, speed=None, clock=clock),
        Decoder(ZE1, wanted_paths(ZE1)),
        clock=clock,
        segments=folder,
        may_record=lambda: True,
        on_trip_end=take,
        new_trip_id=lambda: "trip",
        config=RecorderConfig(),
    )
    asyncio.run(recorder.run())
    (trip,) = trips
    return trip


def test_distance_energy_and_power_of_the_trip(recordings: Path, tmp_path: Path) -> None:
    trip = recorded_trip(recordings / "leaf" / f"{ECO}.log.gz", tmp_path)
    assert trip.distance_m == pytest.approx(569, abs=2)
    assert trip.energy_net_wh == pytest.approx(410, abs=2)
    assert trip.max_power_w == pytest.approx(158_900, abs=100)
    assert trip.max_regen_w == pytest.approx(24_200, abs=100)
    assert trip.duration_s == pytest.approx(30.5, abs=0.1)
    assert (trip.soc_start_percent, trip.soc_end_percent) == (92.6, 91.9)
    assert trip.invalid_samples == 0


def test_the_end_of_the_drive_is_braked_to_a_parked_vehicle(eco: list[Frame]) -> None:
    tail = list(park_tail(eco))
    decoder, _ = told([*eco, *tail])
    assert tail[0].time_s == pytest.approx(eco[-1].time_s + 0.01)
    assert decoder.latest[catalog.SPEED].value == 0
    assert decoder.latest[catalog.GEAR].value == catalog.GEAR_PARK
    assert decoder.latest[catalog.IGNITION].value == catalog.IGNITION_OFF
    assert decoder.latest[catalog.LOW_VOLTAGE].value == 12.7
    assert not decoder.missed  # the counters go on where the recording ends
    assert set(decoder.counters) == {Rejection("can0", 0x1DC, Quality.SENTINEL)}


def test_decode_lines_hold_the_documented_keys(eco: list[Frame]) -> None:
    lines = [json.loads(line.json()) for line in decode_lines(Decoder(ZE1), eco)]
    assert all(list(line) == ["t", "path", "value", "unit", "quality", "frame"] for line in lines)
    by_path = {line["path"]: line for line in lines}
    assert by_path[catalog.IGNITION]["value"] == "ON"
    assert by_path[catalog.POWER_CONNECTED]["value"] is True
    assert by_path[catalog.GEAR] == {
        "t": 5924.901,
        "path": catalog.GEAR,
        "value": 127,
        "unit": "",
        "quality": "ok",
        "frame": "11A",
    }


def test_a_recording_of_another_vehicle_raises_nothing(recordings: Path) -> None:
    for path in sorted((recordings / "leaf").glob("*.log.gz")):
        decoder = Decoder(ZE1)
        source = ReplaySource(path, speed=None, clock=FakeClock())
        decoder.feed_all(list(source.read_all()))
        assert source.skipped == 0


def test_the_synthetic_drive_decodes_as_cantools_does() -> None:
    frames = list(synthetic_drive(7))[:30_000]
    told = list(Peer("nissan-leaf-ze1").compared(frames))
    both = [(ours, theirs) for _, ours, theirs in told if ours is not None and theirs is not None]
    assert all(math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9) for ours, theirs in both)
    assert len(both) > 30_000
