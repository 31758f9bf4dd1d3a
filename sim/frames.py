"""From a vehicle's state to the frames a Leaf ZE1 would send: right checksums, counters, muxes.

What it writes is made from the same facts as the vehicle definition, but by its own code: encoding
here and decoding in the agent check each other.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.signals.candump import format_line
from agent.signals.crc import crc8, nibble_sum
from agent.signals.model import Frame

EV, CAR = "can0", "can1"
TICK_S: Final = 0.01

PARK, REVERSE, NEUTRAL, DRIVE = 1, 2, 3, 4  # raw gears of frame 0x11A
POWER_ON, POWER_OFF = 1, 2  # raw power states of the same frame
_RPM_PER_KM_H: Final = 69.2  # measured
_NOT_AVAILABLE_10: Final = 0x3FF


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleState:
    """Everything the frames tell, in the units of the agent's catalogue.

    Current flows into the battery when positive. ``is_waking`` sends the codes of the first
    moments after key-on: "not available", with right checksums.
    """

    pack_voltage_v: float = 390.0
    pack_current_a: float = 0.0
    soc_percent: float = 80.0
    soc_displayed_percent: float = 82.0
    gids: int = 600
    gids_when_full: int = 750
    soh_percent: int = 91
    full_energy_wh: int = 55_300
    speed_km_h: float = 0.0
    torque_nm: float = 0.0
    gear: int = PARK
    power: int = POWER_ON
    discharge_limit_kw: float = 180.0
    regen_limit_kw: float = 24.0
    ambient_c: float = 18.0
    cabin_c: float = 21.0
    odometer_km: int = 77_665
    low_voltage_v: float = 13.9
    charger_status: int = 0
    is_waking: bool = False
    relay_cut: int = 0  # 1 to 3: the battery asks for the main relay to open
    failsafe: int = 0
    limit_reason: int = 0
    is_interlock_open: bool = False
    has_isolation_fault: bool = False
    is_empty: bool = False


def pack_state(s: VehicleState, count: int) -> bytes:
    """Return frame 0x1DB."""
    volts = _NOT_AVAILABLE_10 if s.is_waking else round(s.pack_voltage_v * 2)
    amperes = round(s.pack_current_a * 2)
    current = _NOT_AVAILABLE_10 if s.is_waking else amperes & 0x7FF
    copy = amperes & 0xFFF
    data = bytes(
        (
            current >> 3,
            (current & 7) << 5 | s.relay_cut << 3 | s.failsafe,
            volts >> 2,
            # main relay on, ordinary discharge limit
            (volts & 3) << 6 | (0x22 if s.is_interlock_open else 0x2A),
            0x00,
            copy >> 4,
            (copy & 15) << 4 | count & 3,
        )
    )
    return _with_crc(data)


def pack_limits(s: VehicleState, count: int) -> bytes:
    """Return frame 0x1DC; the charger's limit is not available while driving."""
    discharge = _NOT_AVAILABLE_10 if s.is_waking else round(s.discharge_limit_kw * 4)
    regen = round(s.regen_limit_kw * 4)
    charger = _NOT_AVAILABLE_10
    bits = (discharge << 20 | regen << 10 | charger) << 2
    return _with_crc(bits.to_bytes(4) + bytes((0, 0, 0xC8 | count & 3)))


def motor_state(s: VehicleState, count: int) -> bytes:
    """Return frame 0x1DA."""
    torque = round(s.torque_nm * 2) & 0x7FF
    rpm = 0x3FFF if s.is_waking else round(s.speed_km_h * _RPM_PER_KM_H) & 0x7FFF
    inverter = 255 if s.is_waking else round(s.pack_voltage_v / 2)
    data = (inverter, 0, torque >> 8, torque & 255, rpm >> 7, (rpm & 0x7F) << 1, 8 | count & 3)
    return _with_crc(bytes(data))


def drive_selection(s: VehicleState, count: int) -> bytes:
    """Return frame 0x11A."""
    alive = 0x55 if count & 1 else 0xAA
    return _with_crc(bytes((s.gear << 4, s.power << 6, 0, alive, 0, 0, count & 3)))


def wheel_speed(s: VehicleState, count: int) -> bytes:
    """Return frame 0x284."""
    wheel = round(s.speed_km_h * 200).to_bytes(2)
    return wheel + wheel + round(s.speed_km_h * 98).to_bytes(2) + bytes((count & 255, 0))


def pack_charge(s: VehicleState, count: int) -> bytes:
    """Return frame 0x55B."""
    soc = _NOT_AVAILABLE_10 if s.is_waking else round(s.soc_percent * 10)
    isolation = _NOT_AVAILABLE_10 if s.is_waking else 900
    low = (isolation & 3) << 6 | s.has_isolation_fault
    told = 0x90 if s.is_empty else 0x10
    data = (soc >> 2, (soc & 3) << 6, 0, 0, isolation >> 2, low, told | count & 3)
    return _with_crc(bytes(data))


def pack_capacity(s: VehicleState, _count: int) -> bytes:
    """Return frame 0x59E."""
    full = s.full_energy_wh // 100
    return bytes((0, 0, full >> 4, (full & 15) << 4, 0, 0, 0, round(s.soc_displayed_percent * 2)))


def pack_health(s: VehicleState, count: int) -> bytes:
    """Return frame 0x5BC: the number of gids and its maximum take turns."""
    is_full = count & 1
    gids = s.gids_when_full if is_full else s.gids
    gids = _NOT_AVAILABLE_10 if s.is_waking else gids
    told = s.limit_reason << 5 | is_full << 4
    return bytes((gids >> 2, (gids & 3) << 6, 0, 0, s.soh_percent << 1, told, 0, 0))


def charger(s: VehicleState, count: int) -> bytes:
    """Return frame 0x390."""
    data = bytes((0, 0, 0, 0, 0, s.charger_status << 1, 0, (count & 3) << 4))
    return data[:7] + bytes((data[7] | nibble_sum(0x390, data),))


def climate(s: VehicleState, _count: int) -> bytes:
    """Return frame 0x54C."""
    return bytes((0, 0, 0, 0, 0, 0, 255 if s.is_waking else round((s.ambient_c + 40) * 2), 0))


def cabin(s: VehicleState, _count: int) -> bytes:
    """Return frame 0x54F."""
    return bytes((round((s.cabin_c + 40) * 2), 0, 0, 0, 0, 0, 0, 0))


def cluster_speed(s: VehicleState, _count: int) -> bytes:
    """Return frame 0x355; the cluster shows 2.4 % more."""
    shown = round(s.speed_km_h * 102.4)
    return round(s.speed_km_h * 100).to_bytes(2) + shown.to_bytes(2) + bytes((0x10, 0, 0x40, 0))


def odometer(s: VehicleState, _count: int) -> bytes:
    """Return frame 0x5C5."""
    return b"\x40" + s.odometer_km.to_bytes(3) + bytes(4)


def low_voltage(s: VehicleState, _count: int) -> bytes:
    """Return frame 0x292 of the CAR-CAN."""
    return bytes((0, 0, 0, round(s.low_voltage_v * 10), 0, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Sender:
    """One frame of the schedule: every ``every`` ticks of 10 ms."""

    bus: str
    can_id: int
    every: int
    encode: Callable[[VehicleState, int], bytes]


SENDERS: Final = (
    Sender(EV, 0x1DB, 1, pack_state),
    Sender(EV, 0x1DC, 1, pack_limits),
    Sender(EV, 0x1DA, 1, motor_state),
    Sender(EV, 0x11A, 1, drive_selection),
    Sender(EV, 0x284, 2, wheel_speed),
    Sender(EV, 0x355, 4, cluster_speed),
    Sender(EV, 0x55B, 10, pack_charge),
    Sender(EV, 0x5BC, 10, pack_health),
    Sender(EV, 0x390, 10, charger),
    Sender(EV, 0x54C, 10, climate),
    Sender(EV, 0x54F, 10, cabin),
    Sender(EV, 0x5C5, 10, odometer),
    Sender(EV, 0x59E, 50, pack_capacity),
    Sender(CAR, 0x292, 10, low_voltage),
)


def frames_of(
    states: Iterable[VehicleState], *, start_s: float, counts: dict[int, int] | None = None
) -> Iterator[Frame]:
    """Yield the frames of ``states``, one state every 10 ms from ``start_s``.

    ``counts`` holds, for each id, the rolling counter its next frame carries; it goes on from
    there, so that a continued recording has no gap.
    """
    counts = {} if counts is None else counts
    for tick, state in enumerate(states):
        time_s = round(start_s + tick * TICK_S, 6)
        for sender in SENDERS:
            if tick % sender.every == 0:
                count = counts.get(sender.can_id, 0)
                counts[sender.can_id] = count + 1
                yield Frame(time_s, sender.bus, sender.can_id, sender.encode(state, count))


def write_candump(frames: Iterable[Frame], path: Path) -> int:
    """Write ``frames`` to ``path`` as candump text; return how many."""
    count = 0
    with path.open("w", encoding="ascii") as file:
        for frame in frames:
            file.write(format_line(frame) + "\n")
            count += 1
    return count


def _with_crc(data: bytes) -> bytes:
    return data + bytes((crc8(data),))
