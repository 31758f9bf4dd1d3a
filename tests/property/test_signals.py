from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.signals import catalog
from agent.signals.candump import parse_line
from agent.signals.decode import Decoder
from agent.signals.model import Frame, Quality
from agent.signals.table import load_table
from sim import frames as sim
from sim.frames import EV, SENDERS, VehicleState

pytestmark = pytest.mark.slow

ZE1 = load_table("nissan-leaf-ze1")
halves = st.integers(-800, 800).map(lambda half: half / 2)

states = st.builds(
    VehicleState,
    pack_voltage_v=st.integers(0, 900).map(lambda half: half / 2),
    pack_current_a=halves,
    soc_percent=st.integers(0, 1000).map(lambda tenth: tenth / 10),
    soc_displayed_percent=st.integers(0, 200).map(lambda half: half / 2),
    gids=st.integers(0, 1022),
    soh_percent=st.integers(1, 100),
    speed_km_h=st.integers(0, 15_000).map(lambda raw: raw / 98),
    torque_nm=st.integers(-900, 900).map(lambda half: half / 2),
    ambient_c=st.integers(-80, 120).map(lambda half: half / 2),
    odometer_km=st.integers(0, 999_999),
    low_voltage_v=st.integers(0, 200).map(lambda tenth: tenth / 10),
)


@settings(deadline=None)
@given(states)
def test_what_is_decoded_is_what_was_encoded(state: VehicleState) -> None:
    decoder = Decoder(ZE1)
    decoder.feed_all([Frame(1.0, s.bus, s.can_id, s.encode(state, 0)) for s in SENDERS])
    decoder.feed(Frame(1.0, EV, 0x5C5, sim.odometer(state, 0)))  # its unit is known by now
    values = {path: signal.value for path, signal in decoder.latest.items()}
    assert values[catalog.PACK_VOLTAGE] == state.pack_voltage_v
    assert values[catalog.PACK_CURRENT] == state.pack_current_a
    assert values[catalog.PACK_POWER] == state.pack_voltage_v * state.pack_current_a
    assert values[catalog.SOC] == state.soc_percent
    assert values[catalog.SOC_DISPLAYED] == state.soc_displayed_percent
    assert values[catalog.GIDS] == state.gids
    assert values[catalog.SOH] == state.soh_percent
    assert values[catalog.SPEED] == state.speed_km_h
    assert values[catalog.MOTOR_TORQUE] == state.torque_nm
    assert values[catalog.AMBIENT] == state.ambient_c
    assert values[catalog.ODOMETER] == state.odometer_km * 1000
    assert values[catalog.LOW_VOLTAGE] == state.low_voltage_v
    assert not [reason for *_, reason in decoder.counters if reason is not Quality.SENTINEL]


PROVEN = [sender for sender in SENDERS if sender.can_id in (0x1DB, 0x1DC, 0x1DA, 0x11A, 0x55B)]


@settings(deadline=None)
@given(states, st.sampled_from(PROVEN), st.integers(0, 7), st.integers(1, 255))
def test_no_flipped_byte_of_a_proven_frame_becomes_a_value(
    state: VehicleState, sender: sim.Sender, byte: int, flip: int
) -> None:
    decoder = Decoder(ZE1)
    decoder.feed(Frame(1.0, sender.bus, sender.can_id, sender.encode(VehicleState(), 0)))
    data = bytearray(sender.encode(state, 1))
    data[byte] ^= flip
    changes = decoder.feed(Frame(1.01, sender.bus, sender.can_id, bytes(data)))
    assert changes
    assert all(s.value is None and s.quality is Quality.CRC for s in changes)


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            Frame,
            time_s=st.floats(0, 1e9),
            bus=st.sampled_from(["can0", "can1", "can2"]),
            can_id=st.one_of(
                st.sampled_from([sender.can_id for sender in SENDERS]), st.integers(0, 0x1FFFFFFF)
            ),
            data=st.binary(max_size=64),
        ),
        max_size=30,
    )
)
def test_random_frames_never_raise_and_an_invalid_value_never_carries_a_number(
    frames: list[Frame],
) -> None:
    decoder = Decoder(ZE1)
    for frame in frames:
        for signal in (*decoder.feed(frame), *decoder.age(frame.time_s)):
            assert (signal.value is not None) == (signal.quality is Quality.OK)
    assert decoder.frames == len(frames)


@settings(deadline=None)
@given(states, st.integers(0, 0x1FFF))
def test_a_value_in_range_is_all_that_gets_through(state: VehicleState, raw: int) -> None:
    decoder = Decoder(ZE1)
    data = bytearray(sim.wheel_speed(replace(state, speed_km_h=0.0), 0))
    data[4:6] = (raw * 8).to_bytes(2)
    decoder.feed(Frame(1.0, EV, 0x284, bytes(data)))
    value = decoder.latest[catalog.SPEED].value
    assert value is None or 0 <= value <= 250


@settings(deadline=None)
@given(st.binary(max_size=300))
@example(b"(1.0) can0 1DB#00")
@example(b"(1e400) can0 1DB#00")
@example(b"(1.0) c\xff 1DB#00")
def test_a_line_is_a_frame_or_a_value_error(line: bytes) -> None:
    try:
        frame = parse_line(line)
    except ValueError:
        return
    assert frame is None or (len(frame.data) <= 8 and frame.time_s >= 0)
