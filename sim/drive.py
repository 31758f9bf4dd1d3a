"""Drives of our own: a short synthetic one, and an end for a recording that stops in mid-drive.

Plausible, not precise: one mass, drag, rolling resistance, and a battery that is a voltage and a
resistance. Everything follows from the seed.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from agent.signals import catalog
from agent.signals.decode import Decoder
from agent.signals.model import Frame
from agent.signals.table import load_table
from sim.frames import (
    DRIVE,
    PARK,
    POWER_OFF,
    POWER_ON,
    TICK_S,
    VehicleState,
    frames_of,
)

MASS_KG: Final = 1_750.0  # with a driver
DRAG: Final = 0.5 * 1.2 * 0.63  # half the density of air times the drag area, kg/m
ROLLING_N: Final = 0.009 * MASS_KG * 9.81
DRIVELINE: Final = 0.92  # efficiency, both ways
AUXILIARIES_W: Final = 450.0
RESISTANCE_OHM: Final = 0.051  # measured on a ZE1
CAPACITY_AH: Final = 162.2
EMPTY_V, FULL_V = 330.0, 396.0
WHEEL_NM_PER_N: Final = 0.32 / 8.19  # radius over the gear ratio
_RAW_GEARS: Final = {catalog.GEAR_PARK: PARK, catalog.GEAR_DRIVE: DRIVE}
_WAKE_S, _READY_S, _STAND_S = 0.6, 2.0, 1.5
_BRAKE_M_S2: Final = 2.5


@dataclass(slots=True)
class MovingVehicle:
    """A vehicle in motion: ``step`` moves it 10 ms on and returns what its frames tell."""

    state: VehicleState
    speed_m_s: float = 0.0
    travelled_m: float = 0.0

    def step(self, acceleration_m_s2: float) -> VehicleState:
        """Accelerate for one tick (never below standing) and return the new state."""
        before_m_s = self.speed_m_s
        self.speed_m_s = max(0.0, before_m_s + acceleration_m_s2 * TICK_S)
        real_m_s2 = (self.speed_m_s - before_m_s) / TICK_S
        self.travelled_m += self.speed_m_s * TICK_S
        force_n = self._force_n(real_m_s2)
        current_a = self._current_a(force_n * self.speed_m_s)
        soc = self.state.soc_percent + current_a * TICK_S / 36 / CAPACITY_AH
        self.state = replace(
            self.state,
            speed_km_h=self.speed_m_s * 3.6,
            torque_nm=force_n * WHEEL_NM_PER_N,
            pack_current_a=current_a,
            pack_voltage_v=_open_v(soc) + current_a * RESISTANCE_OHM,
            soc_percent=soc,
        )
        return self.state

    def _force_n(self, acceleration_m_s2: float) -> float:
        if self.speed_m_s == 0:
            return 0.0
        return MASS_KG * acceleration_m_s2 + DRAG * self.speed_m_s**2 + ROLLING_N

    def _current_a(self, wheel_w: float) -> float:
        motor_w = wheel_w / DRIVELINE if wheel_w > 0 else wheel_w * DRIVELINE
        taken_w = max(motor_w, -self.state.regen_limit_kw * 1000) + AUXILIARIES_W
        return -taken_w / self.state.pack_voltage_v


def synthetic_drive(seed: int, *, start_s: float = 100.0, hops: int = 8) -> Iterator[Frame]:
    """Yield the frames of a drive from key-on to switched off in P; 8 hops take four minutes.

    It starts with the codes a vehicle sends while it wakes up. Gear, speed, energy and SOC belong
    together; the same seed gives the same frames.
    """
    return frames_of(drive_states(seed, hops=hops), start_s=start_s)


def drive_states(seed: int, *, hops: int = 8) -> Iterator[VehicleState]:
    """Yield the states of ``synthetic_drive``, one for every 10 ms."""
    chance = random.Random(seed)  # noqa: S311 (a drive, not a secret)
    soc = chance.uniform(60, 90)
    gids = round(soc * 7.2)
    start = VehicleState(soc_percent=soc, pack_voltage_v=_open_v(soc), gids=gids)
    vehicle = MovingVehicle(replace(start, is_waking=True, power=POWER_OFF))
    yield from _stand(vehicle, _WAKE_S)
    vehicle.state = replace(vehicle.state, is_waking=False, power=POWER_ON)
    yield from _stand(vehicle, _READY_S)
    vehicle.state = replace(vehicle.state, gear=DRIVE)
    for _ in range(hops):
        yield from _stand(vehicle, _STAND_S)
        yield from _hop(vehicle, chance)
    yield from _park(vehicle, parked_s=6.0, off_s=3.0)


def park_tail(
    recording: Iterable[Frame], *, parked_s: float = 8.0, off_s: float = 12.0
) -> Iterator[Frame]:
    """Yield what follows ``recording``: brake to standing, select P, switch off, stand there.

    Starts 10 ms after the last frame, in the state that it leaves, with counters that go on; the
    12 V supply is on the car bus. ``parked_s`` in P and on, then ``off_s`` in P and off.

    Raises:
        ValueError: Nothing in the recording tells speed, voltage and SOC.
    """
    state, end_s, counts = last_state(recording)
    vehicle = MovingVehicle(state, speed_m_s=state.speed_km_h / 3.6)
    states = _until_parked(vehicle, parked_s=parked_s, off_s=off_s)
    return frames_of(states, start_s=end_s + TICK_S, counts=counts)


def last_state(recording: Iterable[Frame]) -> tuple[VehicleState, float, dict[int, int]]:
    """Return the state at the end of ``recording``, its last instant in s, and the next counters.

    Raises:
        ValueError: Nothing in it tells speed, voltage and SOC.
    """
    decoder = Decoder(load_table("nissan-leaf-ze1"))
    counts: dict[int, int] = {}
    end_s = 0.0
    for frame in recording:
        decoder.feed(frame)
        end_s = frame.time_s
        if frame.can_id in _COUNTERS and len(frame.data) == _FRAME_BYTES:
            byte, shift = _COUNTERS[frame.can_id]
            counts[frame.can_id] = (frame.data[byte] >> shift & 3) + 1
    return _state_from(decoder), end_s, counts


_FRAME_BYTES: Final = 8
# where the rolling counter stands: byte and shift
_COUNTERS: Final = {
    0x1DB: (6, 0),
    0x1DC: (6, 0),
    0x1DA: (6, 0),
    0x11A: (6, 0),
    0x55B: (6, 0),
    0x390: (7, 4),
}


def _state_from(decoder: Decoder) -> VehicleState:
    def known(path: str, default: float | None = None) -> float:
        value = decoder.latest[path].value
        if value is None and default is None:
            raise ValueError(f"expected a recording that tells {path}, got none; nothing was added")
        return value if value is not None else default or 0.0

    like = VehicleState()
    soc = known(catalog.SOC)
    return replace(
        like,
        pack_voltage_v=known(catalog.PACK_VOLTAGE),
        speed_km_h=known(catalog.SPEED),
        soc_percent=soc,
        soc_displayed_percent=known(catalog.SOC_DISPLAYED, soc),
        gids=round(known(catalog.GIDS, like.gids)),
        soh_percent=round(known(catalog.SOH, like.soh_percent)),
        ambient_c=known(catalog.AMBIENT, like.ambient_c),
        odometer_km=round(known(catalog.ODOMETER, like.odometer_km * 1000.0) / 1000),
        gear=_RAW_GEARS.get(known(catalog.GEAR, catalog.GEAR_DRIVE), DRIVE),
    )


def _hop(vehicle: MovingVehicle, chance: random.Random) -> Iterator[VehicleState]:
    """From one stop to the next: speed up, keep the speed, brake."""
    goal_m_s = chance.uniform(30, 85) / 3.6
    pull_m_s2 = chance.uniform(1.0, 2.2)
    while vehicle.speed_m_s < goal_m_s:
        yield vehicle.step(pull_m_s2)
    for _ in range(round(chance.uniform(6, 18) / TICK_S)):
        yield vehicle.step(chance.gauss(0, 0.15) + 0.2 * (goal_m_s - vehicle.speed_m_s))
    yield from _brake(vehicle)


def _brake(vehicle: MovingVehicle) -> Iterator[VehicleState]:
    while vehicle.speed_m_s > 0:
        yield vehicle.step(-_BRAKE_M_S2)


def _stand(vehicle: MovingVehicle, seconds: float) -> Iterator[VehicleState]:
    for _ in range(round(seconds / TICK_S)):
        yield vehicle.step(0.0)


def _until_parked(
    vehicle: MovingVehicle, *, parked_s: float, off_s: float
) -> Iterator[VehicleState]:
    yield from _brake(vehicle)
    yield from _stand(vehicle, _STAND_S)
    yield from _park(vehicle, parked_s=parked_s, off_s=off_s)


def _park(vehicle: MovingVehicle, *, parked_s: float, off_s: float) -> Iterator[VehicleState]:
    vehicle.state = replace(vehicle.state, gear=PARK)
    yield from _stand(vehicle, parked_s)
    vehicle.state = replace(vehicle.state, power=POWER_OFF, low_voltage_v=12.7)
    yield from _stand(vehicle, off_s)


def _open_v(soc_percent: float) -> float:
    return EMPTY_V + (FULL_V - EMPTY_V) * soc_percent / 100
