"""The vehicle on the wire: frames sent to the agent's socket as a gateway on the bus would.

A bus does not care whether anybody listens: while the agent is down, frames are lost and counted.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterable, Iterator
from itertools import groupby, repeat
from pathlib import Path

from agent.signals.gateway import pack_frames
from agent.signals.model import Frame
from sim.frames import CAR, EV, VehicleState, frames_of

SLICE_S = 0.02  # one datagram holds the frames of this long; about 27 on a ZE1
_MAX_FRAMES = 64


class Bus:
    """Sends frames in their own time, stamped with this machine's monotonic clock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003 (the standard library's signature)
        self.sent = 0
        self.unheard = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    async def play(self, frames: Iterable[Frame]) -> None:
        """Send ``frames`` at the pace of their own times."""
        start_s, first_s = time.monotonic(), None
        for _, group in groupby(frames, key=lambda frame: int(frame.time_s / SLICE_S)):
            batch = list(group)
            first_s = batch[0].time_s if first_s is None else first_s
            shift_s = start_s - first_s
            await asyncio.sleep(max(0.0, batch[-1].time_s + shift_s - time.monotonic()))
            self._send([Frame(f.time_s + shift_s, f.bus, f.can_id, f.data) for f in batch])

    async def stand(self, state: VehicleState) -> None:
        """Send what a vehicle in ``state`` sends, for ever."""
        await self.play(standing(state))

    def _send(self, frames: list[Frame]) -> None:
        for start in range(0, len(frames), _MAX_FRAMES):
            some = frames[start : start + _MAX_FRAMES]
            try:
                self._socket.sendto(pack_frames(some, (EV, CAR)), str(self._path))
                self.sent += len(some)
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                self.unheard += len(some)


def standing(state: VehicleState) -> Iterator[Frame]:
    """Yield the frames of a vehicle that does not change, for ever, times from 0."""
    yield from frames_of(repeat(state), start_s=0.0)


@contextlib.contextmanager
def open_bus(path: Path) -> Iterator[Bus]:
    """Open a bus and close it at the end."""
    bus = Bus(path)
    try:
        yield bus
    finally:
        bus.close()
