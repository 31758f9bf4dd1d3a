from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.signals import catalog
from agent.signals.decode import Decoder, FrameKey, Rejection
from agent.signals.model import Frame, Quality, Signal
from agent.signals.table import load_table
from sim import frames as sim
from sim.frames import CAR, EV, VehicleState

ZE1 = load_table("nissan-leaf-ze1")
STATE = VehicleState()
PACK = 0x1DB


def pack(count: int, state: VehicleState = STATE) -> bytes:
    return sim.pack_state(state, count)


def frame(data: bytes, *, time_s: float = 1.0, can_id: int = PACK, bus: str = EV) -> Frame:
    return Frame(time_s, bus, can_id, data)


def by_path(signals: object) -> dict[str, Signal]:
    assert isinstance(signals, list)
    return {signal.path: signal for signal in signals}


def test_a_frame_becomes_the_signals_it_holds() -> None:
    decoder = Decoder(ZE1)
    changes = by_path(decoder.feed(frame(bytes.fromhex("9520B92A00CA921B"), time_s=5.0)))
    assert changes[catalog.PACK_VOLTAGE] == Signal(catalog.PACK_VOLTAGE, 370.0, Quality.OK, 5.0)
    assert changes[catalog.PACK_CURRENT].value == -427.5
    assert changes[catalog.PACK_POWER].value == -427.5 * 370.0
    assert changes[f"{catalog.OVERLAY}.Battery.CurrentSecondSource"].value == -427.5


def test_a_path_is_missing_until_it_is_seen() -> None:
    latest = Decoder(ZE1, [catalog.SPEED]).latest
    assert latest == {catalog.SPEED: Signal(catalog.SPEED, None, Quality.MISSING, 0.0)}


def test_an_unchanged_value_is_not_told_again() -> None:
    decoder = Decoder(ZE1)
    assert decoder.feed(frame(pack(0)))
    for count in range(1, 12):
        assert not decoder.feed(frame(pack(count), time_s=1 + count / 100))
    changes = decoder.feed(frame(pack(12, replace(STATE, pack_current_a=3.0)), time_s=2.0))
    assert set(by_path(changes)) == {
        catalog.PACK_CURRENT,
        catalog.PACK_POWER,
        f"{catalog.OVERLAY}.Battery.CurrentSecondSource",
    }


def test_other_frames_and_other_buses_are_left_alone() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE])
    assert decoder.needed == {FrameKey(EV, PACK)}
    assert not decoder.feed(frame(pack(0), bus=CAR))
    assert not decoder.feed(frame(pack(0), can_id=0x123))
    assert not decoder.counters
    assert decoder.frames == 2


def test_a_configuration_may_put_a_role_on_another_bus() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE], buses={"ev": "vcan7"})
    assert decoder.feed(frame(pack(0), bus="vcan7"))


def test_a_path_the_vehicle_does_not_tell_is_our_mistake() -> None:
    with pytest.raises(ValueError, match=r"nissan-leaf-ze1: expected paths.*'Vehicle\.Wings'"):
        Decoder(ZE1, ["Vehicle.Wings"])


@pytest.mark.parametrize("byte", range(8))
def test_a_flipped_byte_makes_the_frame_invalid_and_counted(byte: int) -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE])
    decoder.feed(frame(pack(0)))
    data = bytearray(pack(1))
    data[byte] ^= 0x11
    changes = decoder.feed(frame(bytes(data), time_s=1.01))
    assert changes == [Signal(catalog.PACK_VOLTAGE, None, Quality.CRC, 1.01)]
    assert decoder.counters == {Rejection(EV, PACK, Quality.CRC): 1}
    assert by_path(decoder.feed(frame(pack(2))))[catalog.PACK_VOLTAGE].value == 390.0
    assert not decoder.missed  # the damaged frame was there


def test_a_wrong_nibble_sum_makes_the_charger_invalid() -> None:
    decoder = Decoder(ZE1, [catalog.CHARGER_STATUS])
    right = sim.charger(replace(STATE, charger_status=4), 0)
    assert by_path(decoder.feed(frame(right, can_id=0x390)))[catalog.CHARGER_STATUS].value == 4
    wrong = right[:5] + bytes((right[5] ^ 2,)) + right[6:]
    changes = by_path(decoder.feed(frame(wrong, can_id=0x390)))
    assert changes[catalog.CHARGER_STATUS].quality is Quality.CRC


@pytest.mark.parametrize("data", [b"", b"\xff" * 7, b"\xff" * 9, b"\xff" * 64])
def test_a_frame_of_another_length_is_invalid(data: bytes) -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE])
    changes = decoder.feed(frame(data))
    assert changes == [Signal(catalog.PACK_VOLTAGE, None, Quality.LENGTH, 1.0)]


def test_a_shorter_frame_is_fine_as_far_as_it_goes() -> None:
    decoder = Decoder(ZE1, [catalog.SPEED])
    data = sim.wheel_speed(replace(STATE, speed_km_h=50.0), 0)
    assert by_path(decoder.feed(frame(data[:6], can_id=0x284)))[catalog.SPEED].value == 50.0
    assert decoder.feed(frame(data[:5], can_id=0x284))[0].quality is Quality.LENGTH


def test_not_available_never_becomes_a_number_and_every_frame_counts() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE, catalog.PACK_CURRENT, catalog.PACK_POWER])
    decoder.feed(frame(pack(0)))
    waking = replace(STATE, is_waking=True)
    told = [decoder.feed(frame(pack(count, waking))) for count in (1, 2, 3)]
    assert [len(changes) for changes in told] == [3, 0, 0]
    assert all(signal.quality is Quality.SENTINEL for signal in decoder.latest.values())
    assert decoder.counters == {Rejection(EV, PACK, Quality.SENTINEL): 6}


def test_a_current_is_worth_nothing_while_its_voltage_is_not_available() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_CURRENT])
    data = bytearray(sim.pack_state(replace(STATE, pack_current_a=-2.0), 0))
    assert by_path(decoder.feed(frame(bytes(data))))[catalog.PACK_CURRENT].value == -2.0
    data[2], data[3] = 0xFF, data[3] | 0xC0
    data[6] |= 1
    data[7] = sim.crc8(bytes(data[:7]))
    changes = by_path(decoder.feed(frame(bytes(data))))
    assert changes[catalog.PACK_CURRENT].quality is Quality.SENTINEL


def test_a_value_outside_its_range_is_refused() -> None:
    decoder = Decoder(ZE1, [catalog.SPEED])
    data = bytes((0, 0, 0, 0, 0xF0, 0, 0, 0))  # 627 km/h
    assert decoder.feed(frame(data, can_id=0x284))[0].quality is Quality.RANGE


def test_a_gear_nobody_knows_is_refused() -> None:
    decoder = Decoder(ZE1, [catalog.GEAR])
    data = sim.drive_selection(replace(STATE, gear=9), 0)
    assert decoder.feed(frame(data, can_id=0x11A))[0].quality is Quality.RANGE


@pytest.mark.parametrize(("raw", "gear"), [(0, 126.0), (1, 126.0), (2, -1.0), (3, 0.0), (4, 127.0)])
def test_gears_read_as_vss_writes_them(raw: int, gear: float) -> None:
    decoder = Decoder(ZE1, [catalog.GEAR])
    data = sim.drive_selection(replace(STATE, gear=raw), 0)
    assert decoder.feed(frame(data, can_id=0x11A))[0].value == gear


def test_the_maximum_of_the_gids_is_never_taken_for_the_gids() -> None:
    decoder = Decoder(ZE1, [catalog.GIDS])
    seen = []
    for count in range(8):
        data = sim.pack_health(replace(STATE, gids=600 - count), count)
        seen += decoder.feed(frame(data, time_s=count / 10, can_id=0x5BC))
    assert [signal.value for signal in seen] == [600, 598, 596, 594]


def test_the_gids_grow_stale_when_only_their_maximum_comes() -> None:
    decoder = Decoder(ZE1, [catalog.GIDS, catalog.SOH])
    decoder.feed(frame(sim.pack_health(STATE, 0), time_s=0.0, can_id=0x5BC))
    for tick in range(1, 40):
        decoder.feed(frame(sim.pack_health(STATE, 1), time_s=tick / 10, can_id=0x5BC))
        decoder.age(tick / 10)
    assert decoder.latest[catalog.GIDS].quality is Quality.STALE
    assert decoder.latest[catalog.SOH].value == 91


def test_a_counter_that_does_not_move_is_a_stuck_sender() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE])
    qualities = []
    for tick in range(8):
        decoder.feed(frame(pack(1), time_s=tick / 100))
        qualities.append(decoder.latest[catalog.PACK_VOLTAGE].quality)
    assert qualities == [Quality.OK] * 4 + [Quality.COUNTER] * 4
    assert decoder.counters == {Rejection(EV, PACK, Quality.COUNTER): 4}
    decoder.feed(frame(pack(2)))
    assert decoder.latest[catalog.PACK_VOLTAGE].value == 390.0


def test_a_gap_in_the_counter_is_frames_missed_not_a_frame_refused() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE])
    for count in (0, 1, 3, 0, 2):
        decoder.feed(frame(pack(count)))
    assert decoder.latest[catalog.PACK_VOLTAGE].value == 390.0
    assert decoder.missed == {FrameKey(EV, PACK): 2}
    assert not decoder.counters


def test_what_does_not_come_for_three_periods_is_stale() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE, catalog.SPEED])
    decoder.feed(frame(pack(0), time_s=10.0))
    decoder.feed(frame(sim.wheel_speed(STATE, 0), time_s=10.0, can_id=0x284))
    assert not decoder.age(10.03)
    assert decoder.age(10.05) == [Signal(catalog.PACK_VOLTAGE, None, Quality.STALE, 10.05)]
    assert not decoder.age(10.055)
    assert decoder.age(10.07)[0].path == catalog.SPEED
    assert by_path(decoder.feed(frame(pack(1), time_s=10.08)))[catalog.PACK_VOLTAGE].value == 390.0


def test_ages_start_again_when_the_clock_of_the_frames_goes_back() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE])
    decoder.feed(frame(pack(0), time_s=5000.0))
    assert not decoder.age(10.0)
    assert decoder.age(10.05)[0].quality is Quality.STALE


def test_an_odometer_counts_in_the_unit_another_frame_tells() -> None:
    decoder = Decoder(ZE1, [catalog.ODOMETER])
    reading = frame(sim.odometer(STATE, 0), can_id=0x5C5)
    assert not decoder.feed(reading)
    assert decoder.latest[catalog.ODOMETER].quality is Quality.MISSING
    cluster = sim.cluster_speed(STATE, 0)
    decoder.feed(frame(cluster, can_id=0x355))
    assert by_path(decoder.feed(reading))[catalog.ODOMETER].value == 77_665_000
    in_miles = cluster[:6] + bytes((cluster[6] | 0x20,)) + cluster[7:]
    decoder.feed(frame(in_miles, can_id=0x355))
    miles = by_path(decoder.feed(reading))[catalog.ODOMETER].value
    assert miles == pytest.approx(77_665 * 1609.344)


def test_the_twelve_volt_supply_is_on_the_other_bus() -> None:
    decoder = Decoder(ZE1, [catalog.LOW_VOLTAGE])
    data = sim.low_voltage(replace(STATE, low_voltage_v=12.6), 0)
    assert not decoder.feed(frame(data, can_id=0x292))
    assert decoder.feed(frame(data, can_id=0x292, bus=CAR))[0].value == 12.6


ENCODED: list[tuple[int, Callable[[VehicleState, int], bytes], VehicleState, str, float]] = [
    (0x1DC, sim.pack_limits, replace(STATE, regen_limit_kw=18.25), "Battery.RegenLimit", 18.25),
    (0x1DC, sim.pack_limits, STATE, "Battery.DischargeLimit", 180.0),
    (0x1DA, sim.motor_state, STATE, "Motor.InverterVoltage", 390.0),
    (0x59E, sim.pack_capacity, STATE, "Battery.FullEnergy", 55.3),
    (0x55B, sim.pack_charge, STATE, "Battery.IsolationSensor", 900 * 5 / 1024),
    (0x355, sim.cluster_speed, replace(STATE, speed_km_h=100.0), "Speed.Cluster", 102.4),
]


@pytest.mark.parametrize(("can_id", "encode", "state", "name", "value"), ENCODED)
def test_overlay_paths_hold_what_the_facts_say(
    can_id: int,
    encode: Callable[[VehicleState, int], bytes],
    state: VehicleState,
    name: str,
    value: float,
) -> None:
    path = f"{catalog.OVERLAY}.{name}"
    decoder = Decoder(ZE1, [path])
    decoder.feed(frame(encode(state, 0), can_id=can_id))
    assert decoder.latest[path].value == pytest.approx(value)


def test_without_checks_only_scaling_is_left() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE], checks=False)
    data = pack(0)[:7] + b"\x00"
    assert decoder.feed(frame(data))[0].value == 390.0


def test_an_extended_id_and_an_unknown_bus_are_left_alone() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE])
    assert not decoder.feed(frame(pack(0), can_id=0x1DB + 0x800))
    assert not decoder.feed(frame(pack(0), can_id=0x1FFFFFFF))
    assert not decoder.feed(frame(pack(0), bus="vcan0"))
    assert decoder.feed(frame(pack(0)))


def test_a_mistake_of_ours_in_one_batch_does_not_silence_the_decoder() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE])
    with pytest.raises(TypeError, match="bytes-like object is required"):
        decoder.feed(frame(None))  # type: ignore[arg-type]
    assert decoder.feed(frame(pack(0)))[0].value == 390.0


def test_an_odometer_beyond_what_is_possible_is_refused() -> None:
    decoder = Decoder(ZE1, [catalog.ODOMETER])
    decoder.feed(frame(sim.cluster_speed(STATE, 0), can_id=0x355))
    decoder.feed(frame(b"\0\xff\xff\xff\0\0\0\0", can_id=0x5C5))
    assert decoder.latest[catalog.ODOMETER].quality is Quality.RANGE


def test_an_id_wanted_on_two_buses_is_decoded_by_the_rule_of_each() -> None:
    decoder = Decoder(ZE1)
    ours = next(rule for rule in ZE1.frames if rule.bus == "car" and rule.can_id == 0x284)
    path = ours.signals[0].path
    decoder.feed(frame(bytes(8), can_id=0x284))
    assert decoder.latest[path].quality is Quality.MISSING
    decoder.feed(frame(bytes(8), can_id=0x284, bus=CAR))
    assert decoder.latest[path].value == 0.0
    equal_but_another_object = f"can{int(True)}"
    decoder.feed(frame(b"\0\xc8" * 4, can_id=0x284, bus=equal_but_another_object))
    assert decoder.latest[path].value == 2.0


def test_a_counter_stays_watched_while_nothing_else_in_the_frame_moves() -> None:
    decoder = Decoder(ZE1, [catalog.PACK_VOLTAGE])
    for count in range(40):
        decoder.feed(frame(pack(count % 4), time_s=count / 100))
    decoder.feed(frame(pack(2), time_s=0.41))
    assert decoder.missed == {FrameKey(EV, PACK): 2}
    told = [decoder.feed(frame(pack(2), time_s=0.5 + n / 100)) for n in range(8)]
    assert [len(changes) for changes in told] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert decoder.latest[catalog.PACK_VOLTAGE].quality is Quality.COUNTER
