"""Golden values of every recording, told by `vehicle decode`; what they rest on: vehicle facts."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agent.signals import catalog
from agent.signals.catalog import BATTERY, OVERLAY
from agent.signals.crc import crc8, nibble_sum
from agent.signals.decode import Decoder
from agent.signals.explain import decode_lines
from agent.signals.isotp import Reassembler
from agent.signals.model import Frame
from agent.signals.replay import ReplaySource
from agent.signals.table import load_table
from tests.support.cantools_peer import Peer
from tests.support.clock import FakeClock

pytestmark = pytest.mark.recorded

STOCK, FULL = "ze0_24kwh_stock", "ze0_charge_stop_full"
PARKED, VAN = "aze0_ready_parked", "env200_40kwh_ac_charge"
STARTUP, ECO, QUICK = "ze1_62kwh_startup", "ze1_62kwh_eco_drive", "ze1_chademo_charge"
VEHICLES = {
    STOCK: "nissan-leaf-ze0",
    FULL: "nissan-leaf-ze0",
    PARKED: "nissan-leaf-aze0",
    VAN: "nissan-env200",
    STARTUP: "nissan-leaf-ze1",
    ECO: "nissan-leaf-ze1",
    QUICK: "nissan-leaf-ze1",
}


class Told(NamedTuple):
    t: float  # seconds after the first frame
    value: Any
    quality: str


class Recording:
    """What `vehicle decode` says of one recording."""

    def __init__(self, folder: Path, name: str, buses: Mapping[str, str] | None = None) -> None:
        path = folder / "leaf" / f"{name}.log.gz"
        self.frames = list(ReplaySource(path, speed=None, clock=FakeClock()).read_all())
        start_s = self.frames[0].time_s
        self.decoder = Decoder(load_table(VEHICLES[name]), buses=buses)
        self.told: dict[str, list[Told]] = defaultdict(list)
        for line in decode_lines(self.decoder, self.frames):
            found = json.loads(line.json())
            at_s = found["t"] - start_s
            self.told[found["path"]].append(Told(at_s, found["value"], found["quality"]))

    def values(self, path: str) -> list[Any]:
        return [told.value for told in self.told[path] if told.quality == "ok"]

    def distinct(self, path: str) -> list[Any]:
        return list(dict.fromkeys(self.values(path)))

    def span(self, path: str) -> tuple[float, float]:
        values = self.values(path)
        return min(values), max(values)


_known: dict[str, Recording] = {}


def of(recordings: Path, name: str) -> Recording:
    if name not in _known:
        buses = {"ev": "-", "car": "-", "chademo": "can0"} if name == QUICK else None
        _known[name] = Recording(recordings, name, buses)
    return _known[name]


# fmt: off
SPANS: dict[tuple[str, str], tuple[float, float]] = {
    (STOCK, catalog.PACK_VOLTAGE): (385.0, 386.5), (FULL, catalog.PACK_VOLTAGE): (390.5, 391.5),
    (PARKED, catalog.PACK_VOLTAGE): (378.5, 379.0), (VAN, catalog.PACK_VOLTAGE): (358.0, 359.0),
    (STARTUP, catalog.PACK_VOLTAGE): (393.5, 394.0),
    (STOCK, catalog.PACK_CURRENT): (-3.0, 2.0), (FULL, catalog.PACK_CURRENT): (0, 3.0),
    (PARKED, catalog.PACK_CURRENT): (-1.0, 1.0), (VAN, catalog.PACK_CURRENT): (-3.5, 5.5),
    (STARTUP, catalog.PACK_CURRENT): (-5.0, 0),
    (STOCK, catalog.SOC): (75.1, 75.2), (FULL, catalog.SOC): (84.0, 84.1),
    (PARKED, catalog.SOC): (58.9, 58.9), (VAN, catalog.SOC): (58.4, 58.5),
    (STARTUP, catalog.SOC): (90.6, 90.6),
    (PARKED, catalog.SOC_DISPLAYED): (56, 56), (VAN, catalog.SOC_DISPLAYED): (53, 53),
    (STARTUP, catalog.SOC_DISPLAYED): (92.0, 92.0),
    (STOCK, catalog.GIDS): (111, 111), (FULL, catalog.GIDS): (245, 245),
    (PARKED, catalog.GIDS): (158, 158), (VAN, catalog.GIDS): (255, 256),
    (STARTUP, catalog.GIDS): (638, 638),
    (VAN, f"{OVERLAY}.Battery.GidsWhenFull"): (500, 500),
    (STARTUP, f"{OVERLAY}.Battery.GidsWhenFull"): (750, 750),
    (STOCK, catalog.SOH): (51, 51), (FULL, catalog.SOH): (100, 100),
    (PARKED, catalog.SOH): (100, 100), (VAN, catalog.SOH): (94, 94),
    (STARTUP, catalog.SOH): (91, 91),
    (FULL, catalog.LIMIT_REASON): (2, 2), (VAN, catalog.LIMIT_REASON): (0, 0),
    (PARKED, f"{OVERLAY}.Battery.FullEnergy"): (22.7, 22.7),
    (PARKED, f"{OVERLAY}.Battery.RemainingEnergy"): (12.7, 12.7),
    (VAN, f"{OVERLAY}.Battery.FullEnergy"): (37.8, 37.8),
    (VAN, f"{OVERLAY}.Battery.RemainingEnergy"): (20.4, 20.4),
    (STARTUP, f"{OVERLAY}.Battery.FullEnergy"): (55.3, 55.3),
    (FULL, catalog.CELL_TEMPERATURE_MAX): (10, 10), (FULL, catalog.CELL_TEMPERATURE_MIN): (9, 9),
    (PARKED, catalog.CELL_TEMPERATURE_MAX): (11, 11),
    (PARKED, catalog.CELL_TEMPERATURE_MIN): (11, 11),
    (VAN, catalog.CELL_TEMPERATURE_MAX): (21, 21), (VAN, catalog.CELL_TEMPERATURE_MIN): (17, 17),
    (VAN, catalog.CELL_TEMPERATURE_AVERAGE): (19, 19),
    (STOCK, catalog.CELL_TEMPERATURE_MAX): (3, 3),
    (STOCK, f"{OVERLAY}.Battery.DischargeLimit"): (62.5, 63),
    (STOCK, f"{OVERLAY}.Battery.RegenLimit"): (4.5, 5),
    (FULL, f"{OVERLAY}.Battery.DischargeLimit"): (92.75, 93),
    (FULL, f"{OVERLAY}.Battery.ChargerLimit"): (0.4, 0.9),
    (PARKED, f"{OVERLAY}.Battery.DischargeLimit"): (110, 110),
    (PARKED, f"{OVERLAY}.Battery.RegenLimit"): (33.5, 33.5),
    (VAN, f"{OVERLAY}.Battery.DischargeLimit"): (110, 110),
    (VAN, f"{OVERLAY}.Battery.RegenLimit"): (70, 70),
    (VAN, f"{OVERLAY}.Battery.ChargerLimit"): (0, 37.0),
    (STARTUP, f"{OVERLAY}.Battery.DischargeLimit"): (180, 180),
    (STARTUP, f"{OVERLAY}.Battery.RegenLimit"): (24.25, 24.25),
    (STOCK, catalog.AMBIENT): (5, 5), (PARKED, catalog.AMBIENT): (10, 10),
    (VAN, catalog.AMBIENT): (14, 14.5), (STARTUP, catalog.AMBIENT): (17, 17),
    (STOCK, f"{BATTERY}.Range"): (43_000, 49_000), (PARKED, f"{BATTERY}.Range"): (80_000, 80_000),
    (VAN, f"{OVERLAY}.Range.Kind1"): (113_000, 113_000),
    (VAN, f"{OVERLAY}.Range.Kind2"): (218_000, 218_000),
    (STARTUP, catalog.ODOMETER): (77_672_000, 77_672_000),
    (VAN, catalog.ODOMETER): (67_193 * 1609.344, 67_193 * 1609.344),
    (STOCK, catalog.GEAR): (126, 126), (VAN, catalog.GEAR): (126, 126),
    (STOCK, f"{OVERLAY}.Charging.MinutesToFull200V"): (120, 120),
    (STOCK, f"{OVERLAY}.Charging.MinutesTo80Percent200V"): (30, 30),
    (STOCK, f"{OVERLAY}.Charging.MinutesToFull100V"): (180, 180),
    (STOCK, f"{OVERLAY}.Charging.MinutesTo80Percent100V"): (50, 50),
    (FULL, f"{OVERLAY}.Charging.MinutesToFull200V"): (90, 120),
    (PARKED, f"{OVERLAY}.Charging.MinutesToFull6kW"): (180, 180),
    (PARKED, f"{OVERLAY}.Charging.MinutesToFull200V"): (240, 240),
    (PARKED, f"{OVERLAY}.Charging.MinutesToFull100V"): (690, 690),
    (PARKED, f"{OVERLAY}.Charging.MinutesTo80Percent6kW"): (60, 60),
    (PARKED, f"{OVERLAY}.Charging.MinutesTo80Percent200V"): (120, 120),
    (PARKED, f"{OVERLAY}.Charging.MinutesTo80Percent100V"): (360, 360),
    (VAN, f"{OVERLAY}.Charging.MinutesToFull200V"): (570, 570),
    (VAN, f"{OVERLAY}.Charging.MinutesToFull100V"): (1200, 1200),
    (VAN, f"{OVERLAY}.CarCan.StateOfHealth"): (94, 94),
    (VAN, f"{OVERLAY}.CarCan.SelectedGear"): (126, 126),
    (VAN, f"{OVERLAY}.CarCan.AirTemperature"): (14, 14),
    (VAN, catalog.HX): (pytest.approx(86.19, abs=0.01), pytest.approx(86.19, abs=0.01)),
    (VAN, f"{OVERLAY}.Battery.PolledStateOfCharge"): (58.4295, 58.4295),
    (VAN, catalog.CAPACITY_AH): (108.7675, 108.7675),
    (VAN, f"{OVERLAY}.Battery.PolledVoltage"): (358.40, 358.40),
    (VAN, catalog.CELL_VOLTAGE_MIN): (3.731, 3.731),
    (VAN, catalog.CELL_VOLTAGE_MAX): (3.737, 3.737),
    (FULL, catalog.HX): (100, 100), (FULL, catalog.CAPACITY_AH): (65.6, 65.6),
    (ECO, catalog.CAPACITY_AH): (162.1998, 162.1998),
    (QUICK, f"{BATTERY}.Charging.ChargeVoltage.DC"): (379, 381),
    (QUICK, f"{BATTERY}.Charging.ChargeCurrent.DC"): (100, 100),
    (QUICK, f"{BATTERY}.Charging.TimeToComplete"): (2110, 2150),
    (QUICK, f"{OVERLAY}.QuickCharge.MaximumVoltage"): (435, 435),
    (QUICK, f"{OVERLAY}.QuickCharge.TargetVoltage"): (410, 410),
    (QUICK, f"{OVERLAY}.QuickCharge.AvailableVoltage"): (500, 500),
    (QUICK, f"{OVERLAY}.QuickCharge.AvailableCurrent"): (135, 135),
    (ECO, f"{OVERLAY}.Wheel.First"): (0, pytest.approx(124.94)),
    (ECO, f"{OVERLAY}.Wheel.Second"): (0, pytest.approx(124.8)),
    (ECO, f"{OVERLAY}.Motor.Status"): (2, 2), (STOCK, f"{OVERLAY}.Motor.Status"): (0, 32),
    (STOCK, f"{OVERLAY}.Battery.SleepState"): (0, 1),
}
# fmt: on


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "path"), SPANS, ids=lambda text: text.rsplit(".", 1)[-1])
def test_the_values_of_a_recording(name: str, path: str, recordings: Path) -> None:
    assert of(recordings, name).span(path) == SPANS[name, path]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", VEHICLES)
def test_every_value_of_a_recording_is_that_of_cantools(name: str, recordings: Path) -> None:
    recording, vehicle = of(recordings, name), VEHICLES[name]
    peer = Peer(vehicle, recording.decoder.buses)
    told = list(peer.compared(recording.frames))
    both = [row for row in told if row[1] is not None and row[2] is not None]
    wrong = [row for row in both if not math.isclose(row[1], row[2], rel_tol=1e-9, abs_tol=1e-9)]  # type: ignore[arg-type]
    assert not wrong
    assert len(both) > 0.9 * len(recording.frames)


# fmt: off
NEVER = [  # n/a for as long as the recording lasts
    (FULL, catalog.AMBIENT), (FULL, f"{OVERLAY}.Battery.RegenLimit"), (FULL, f"{BATTERY}.Range"),
    (STOCK, f"{OVERLAY}.Battery.ChargerLimit"), (PARKED, f"{OVERLAY}.Battery.ChargerLimit"),
    (STARTUP, f"{OVERLAY}.Battery.ChargerLimit"), (STOCK, catalog.SOC_DISPLAYED),
    (FULL, catalog.SOC_DISPLAYED), (FULL, catalog.GEAR), (FULL, catalog.SPEED),
    (VAN, catalog.SPEED), (VAN, f"{BATTERY}.Range"), (PARKED, f"{OVERLAY}.Battery.GidsWhenFull"),
    (STARTUP, catalog.CELL_TEMPERATURE_MAX), (STOCK, f"{BATTERY}.Charging.ChargeVoltage.Phase1"),
]
# fmt: on


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("name", "path"), NEVER, ids=lambda text: text.rsplit(".", 1)[-1])
def test_what_a_recording_never_tells_is_never_a_number(
    name: str, path: str, recordings: Path
) -> None:
    assert of(recordings, name).values(path) == []


SENTINELS = {
    # frames that say "not available" for voltage, dash charge, discharge limit, rpm, GIDs, ambient
    STOCK: (4, None, 70, 26, 1, 29),
    FULL: (0, None, 0, 0, 0, 716),
    PARKED: (0, 0, 0, 0, 0, 0),
    VAN: (73, 10, 10, 26, 1, 1),
    STARTUP: (5, None, 10, 37, 1, 2),
    ECO: (0, None, 0, 0, 0, 0),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", SENTINELS)
def test_every_not_available_code_is_counted_and_no_number(name: str, recordings: Path) -> None:
    frames = of(recordings, name).frames
    table = load_table(VEHICLES[name])
    paths = (
        catalog.PACK_VOLTAGE,
        catalog.SOC_DISPLAYED if SENTINELS[name][1] is not None else None,
        f"{OVERLAY}.Battery.DischargeLimit",
        catalog.MOTOR_SPEED,
        catalog.GIDS,
        catalog.AMBIENT,
    )
    counts = []
    for path in paths:
        decoder = Decoder(table, [path] if path else [])
        decoder.feed_all(frames)
        found = Counter({key.reason: count for key, count in decoder.counters.items()})
        counts.append(found["not_available"] if path else None)  # type: ignore[index]
    assert tuple(counts) == SENTINELS[name]


PROVEN = (0x11A, 0x1D4, 0x1DA, 0x1DB, 0x1DC, 0x55B)
CRC_FRAMES = {
    STOCK: 39_347,
    ECO: 15_556,
    STARTUP: 11_102,
    VAN: 24_613,
    PARKED: 20_041,
    FULL: 29_234,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", CRC_FRAMES)
def test_every_checksum_of_every_frame_is_right(name: str, recordings: Path) -> None:
    recording = of(recordings, name)
    proven = [f for f in recording.frames if f.bus == "can0" and f.can_id in PROVEN]
    assert len(proven) == CRC_FRAMES[name]
    assert all(crc8(frame.data[:-1]) == frame.data[-1] for frame in proven)
    summed = (0x1F2, 0x380, 0x390, 0x393, 0x5BF)
    for frame in recording.frames:
        if frame.bus == "can0" and frame.can_id in summed:
            assert nibble_sum(frame.can_id, frame.data) == frame.data[-1] & 15
    assert not [key for key in recording.decoder.counters if key.reason in ("crc", "counter")]


def test_states_of_the_first_charger(recordings: Path) -> None:
    told = [
        (round(s.t, 2), s.value) for s in of(recordings, STOCK).told[f"{OVERLAY}.Charger.State"]
    ]
    starts = [(0.25, 0x10), (0.35, 0x18), (1.15, 0x20), (1.55, 0x28), (75.62, 0x30), (78.12, 0x38)]
    assert told[:6] == starts
    told = [(round(s.t, 2), s.value) for s in of(recordings, FULL).told[f"{OVERLAY}.Charger.State"]]
    assert told == [(0.0, 0x60), (18.22, 0x80), (18.32, 0x70), (21.62, 0x78), (21.82, 0x30)]


def test_the_end_of_a_charge(recordings: Path) -> None:
    full = of(recordings, FULL)
    charging = [(round(s.t, 2), s.value) for s in full.told[catalog.IS_CHARGING]]
    assert charging == [(0.0, True), (18.22, False)]
    pulse = [(round(s.t, 2), s.value) for s in full.told[f"{OVERLAY}.Battery.IsFull"]]
    assert [value for _, value in pulse] == [False, True, False]
    assert pulse[1][0] == 18.10
    voltage = [s for s in full.told[f"{BATTERY}.Charging.ChargeVoltage.Phase1"] if s.t < 15]
    assert {228.5 <= s.value <= 231.5 for s in voltage} == {True}
    relay = full.told[catalog.CHARGER_AC_RELAY]
    assert [(round(s.t, 2), s.value) for s in relay] == [(0.0, True), (21.62, False)]
    limits = full.told[f"{OVERLAY}.Battery.ChargerLimit"]
    assert (limits[-1].quality, round(limits[-1].t, 2)) == ("not_available", 18.14)


def test_the_connector_is_engaged_to_the_end_of_a_charge_that_is_full(recordings: Path) -> None:
    told = of(recordings, FULL).told[f"{OVERLAY}.Charging.IsConnectorEngaged"]
    assert [(signal.value, signal.quality) for signal in told] == [(True, "ok")]
    assert f"{OVERLAY}.Charging.IsConnectorEngaged" not in of(recordings, ECO).told


def test_the_start_of_a_charge_of_the_van(recordings: Path) -> None:
    van = of(recordings, VAN)
    power = [
        (round(s.t, 2), s.value) for s in van.told[catalog.CHARGER_POWER] if s.value is not None
    ]
    assert [value for t, value in power if t < 6.3] == [0]
    assert (6.66, 1.4) in power
    assert {value for t, value in power if t >= 7.26} == {2.1, 2.2}
    assert van.distinct(catalog.CHARGER_STATUS) == [0, 4]
    assert van.distinct(f"{OVERLAY}.Charger.AcClass") == [0, 2]
    assert van.distinct(catalog.IS_CHARGING) == [False, True]
    assert van.distinct(catalog.CABLE_CONNECTED) == [True]
    assert van.distinct(f"{OVERLAY}.CarCan.LowVoltageSystemState") == ["OFF"]
    assert van.distinct(f"{OVERLAY}.Odometer.IsInMiles") == [True]


def test_two_buses_in_one_file_are_never_mixed(recordings: Path) -> None:
    van = of(recordings, VAN)
    assert {frame.bus for frame in van.frames} == {"can0", "can1"}
    # the CAR-CAN sleeps after four seconds: what only it tells is stale from then on
    last = van.told[f"{OVERLAY}.CarCan.StateOfHealth"][-1]
    assert last.quality == "stale"
    assert last.t < 5
    # 0x5C0 and 0x5A9 are on both buses: the temperatures are the EV-CAN's
    assert van.distinct(catalog.CELL_TEMPERATURE_MIN) == [17]


def test_start_up_of_the_newest_leaf(recordings: Path) -> None:
    startup = of(recordings, STARTUP)
    relay = startup.told[catalog.POWER_CONNECTED]
    assert [(round(s.t, 3), s.value) for s in relay][-1] == (0.268, True)
    interlock = startup.told[catalog.INTERLOCK]
    assert [(round(s.t, 3), s.value) for s in interlock][-1] == (0.398, True)


def test_the_brake_pedal_of_the_drive(recordings: Path) -> None:
    brake = of(recordings, ECO).told[f"{OVERLAY}.Brake.IsPressed"]
    seen = [(round(s.t, 2), s.value) for s in brake]
    assert seen[1:] == [(20.35, True), (25.55, False)]


REPLIES = {
    ECO: {(b"\x61\x01", 51): 8, (b"\x61\x04", 29): 8, (b"\x61\x06", 24): 8, (b"\x61\x02", 196): 7},
    FULL: {(b"\x61\x01", 39): 29, (b"\x61\x04", 14): 29},
    VAN: {(b"\x61\x01", 51): 1, (b"\x61\x04", 35): 1, (b"\x61\x06", 24): 1, (b"\x61\x02", 196): 1},
}


@pytest.mark.parametrize("name", REPLIES)
def test_every_reply_is_put_together_without_a_fault(name: str, recordings: Path) -> None:
    reassembler, found = Reassembler(), Counter[tuple[bytes, int]]()
    for frame in of(recordings, name).frames:
        if (frame.bus, frame.can_id) == ("can0", 0x7BB):
            outcome = reassembler.feed(frame.time_s, frame.data)
            assert outcome.fault is None
            if outcome.payload:
                found[outcome.payload[:2], len(outcome.payload) - 2] += 1
    assert found == REPLIES[name]


def test_what_the_pack_answers_in_the_drive(recordings: Path) -> None:
    eco = of(recordings, ECO)
    assert eco.values(f"{OVERLAY}.Battery.PolledVoltage")[0] == 395.19
    soc = eco.values(f"{OVERLAY}.Battery.PolledStateOfCharge")
    assert (soc[0], soc[-1]) == (92.6378, 91.9618)
    assert eco.values(catalog.HX)[0] == pytest.approx(86.19, abs=0.005)
    first = [eco.values(path)[0] for path in catalog.CELL_TEMPERATURES]
    assert first == [20, 21, 19, 19]


# instant, lowest and highest cell in mV; the instant is that of the reply's first frame, so +-1 s
CELLS = [(2.0, 4108, 4130), (10.1, 3985, 4015), (14.1, 3893, 3942), (18.2, 3813, 3868)]
CELLS += [(22.1, 4067, 4093), (26.2, 4084, 4106)]


def test_the_cells_sag_and_recover_in_the_drive(recordings: Path) -> None:
    eco = of(recordings, ECO)
    for path, place in ((catalog.CELL_VOLTAGE_MIN, 1), (catalog.CELL_VOLTAGE_MAX, 2)):
        told = [s for s in eco.told[path] if s.quality == "ok"]
        for row in CELLS:
            near = [s.value for s in told if abs(s.t - row[0]) < 1.0]
            assert row[place] / 1000 in near, (path, row)
    first = [eco.values(path)[0] for path in catalog.CELL_VOLTAGES]
    assert sum(first) == pytest.approx(395.21, abs=0.005)


def test_what_the_packs_of_the_others_answer(recordings: Path) -> None:
    full, van = of(recordings, FULL), of(recordings, VAN)
    assert full.values(f"{OVERLAY}.Battery.PolledVoltage")[0] == 392.02
    soc = full.values(f"{OVERLAY}.Battery.PolledStateOfCharge")
    assert (soc[0], soc[-1]) == (84.0965, 84.1712)
    assert [full.values(path)[0] for path in catalog.CELL_TEMPERATURES] == [10, 9, 10, 9]
    assert [van.values(path)[0] for path in catalog.CELL_TEMPERATURES] == [21, 20, 17, 21]
    assert sum(van.values(path)[0] for path in catalog.CELL_VOLTAGES) == pytest.approx(
        358.40, abs=0.005
    )


def test_a_current_is_never_told_while_the_voltage_is_not_available(recordings: Path) -> None:
    for name in (STOCK, STARTUP, VAN):
        recording = of(recordings, name)
        decoder = Decoder(load_table(VEHICLES[name]), [catalog.PACK_CURRENT])
        bad: list[Frame] = []
        for frame in recording.frames:
            if (frame.bus, frame.can_id) == ("can0", 0x1DB):
                decoder.feed(frame)
                if frame.data[2] << 2 | frame.data[3] >> 6 == 1023:
                    bad.append(frame)
                    assert decoder.latest[catalog.PACK_CURRENT].value is None
        assert len(bad) == SENTINELS[name][0]
