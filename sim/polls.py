"""A battery controller of a Leaf ZE1 that answers polls: ISO-TP frames, as slow as the real one.

Made from the same facts as the vehicle definition, but by its own code: encoding here, and asking
and decoding in the agent, check each other. Nothing answers while the vehicle wakes up.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.signals.isotp import segmented
from agent.signals.model import Frame
from sim.frames import EV, VehicleState

REQUEST_ID, REPLY_ID = 0x79B, 0x7BB
CELLS: Final = 96
CAPACITY_AH: Final = 162.2
HX_PERCENT: Final = 86.2
_ANSWERS_AFTER_S: Final = 0.02
_FRAME_EVERY_S: Final = 0.01
_CELL_NOISE_V: Final = 0.003
_MODULES_C: Final = (20, 21, 19, 19)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackTruth:
    """What the controller knows besides the vehicle's state; the defaults are a healthy pack."""

    weak_cell_v: float = 0.0  # how far cell 37 is below the others
    hot_module_k: float = 0.0  # how far thermistor 3 is above what it was


HEALTHY: Final = PackTruth()


@dataclass(slots=True)
class BatteryController:
    """Answers requests on the EV-CAN; ``hear`` is all there is."""

    chance: random.Random
    state: VehicleState = field(default_factory=VehicleState)
    truth: PackTruth = HEALTHY
    _rest: list[bytes] = field(default_factory=list)  # waits for flow control

    def hear(self, frame: Frame) -> list[Frame]:
        """Return the frames that ``frame`` makes it send, each with its instant."""
        if frame.can_id != REQUEST_ID or frame.bus != EV or self.state.is_waking:
            return []
        if frame.data[0] >> 4 == 3:  # flow control: the other side has room  # noqa: PLR2004
            rest, self._rest = self._rest, []
            return _timed(rest, frame.time_s + _FRAME_EVERY_S)
        asked = frame.data[1 : 1 + (frame.data[0] & 15)]
        first, *self._rest = segmented(self._reply(asked))
        return _timed([first], frame.time_s + _ANSWERS_AFTER_S)

    def _reply(self, asked: bytes) -> bytes:
        groups: dict[bytes, Callable[[], bytes]] = {
            b"\x21\x01": self._measurements,
            b"\x21\x02": self._cells,
            b"\x21\x04": self._temperatures,
            b"\x21\x06": lambda: bytes(24),
        }
        group = groups.get(asked)
        if group is None:
            return bytes((0x7F, asked[0], 0x12))  # no such group
        return bytes((asked[0] + 0x40,)) + asked[1:] + group()

    def _measurements(self) -> bytes:
        data = bytearray(51)
        data[18:20] = round(self.state.pack_voltage_v * 100).to_bytes(2)
        data[20:22] = round(self.state.low_voltage_v * 1_024).to_bytes(2)
        data[28:30] = round(HX_PERCENT * 102.4).to_bytes(2)
        data[31:34] = round(self.state.soc_percent * 10_000).to_bytes(3)
        data[35:38] = round(CAPACITY_AH * 10_000).to_bytes(3)
        return bytes(data)

    def _cells(self) -> bytes:
        mean_v = self.state.pack_voltage_v / CELLS
        volts = [mean_v + self.chance.gauss(0, _CELL_NOISE_V) for _ in range(CELLS)]
        volts[36] -= self.truth.weak_cell_v
        return b"".join(round(one * 1_000).to_bytes(2) for one in volts) + bytes(4)

    def _temperatures(self) -> bytes:
        values = list(_MODULES_C)
        values[2] += round(self.truth.hot_module_k)
        told = b"".join((500).to_bytes(2) + value.to_bytes(1, signed=True) for value in values)
        return told.ljust(29, b"\0")


def _timed(frames: Sequence[bytes], start_s: float) -> list[Frame]:
    return [
        Frame(round(start_s + number * _FRAME_EVERY_S, 6), EV, REPLY_ID, data)
        for number, data in enumerate(frames)
    ]
