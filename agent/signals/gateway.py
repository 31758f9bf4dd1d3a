"""Frames from a UNIX datagram socket: for simulators, gateways and boards without SocketCAN.

One datagram holds whole frames, each 24 bytes, little-endian::

    time_s f64 | can_id u32 | bus u8 (0 = ev, 1 = car) | length u8 (0 to 8) | pad 2 | data 8

``time_s`` is the sender's CLOCK_MONOTONIC, which both sides share on one board. Datagrams of any
other form are counted and dropped; a full queue drops the oldest, counted.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from agent.signals.batches import BATCH_S
from agent.signals.model import Frame

_FRAME = struct.Struct("<dIBBxx8s")
_MAX_CAN_ID = 0x1FFF_FFFF
_MAX_DATA = 8
MAX_DATAGRAM_BYTES = 64 * _FRAME.size


def pack_frames(frames: Iterable[Frame], buses: Sequence[str]) -> bytes:
    """Return one datagram; a frame's bus becomes its index in ``buses``."""
    return b"".join(
        _FRAME.pack(f.time_s, f.can_id, buses.index(f.bus), len(f.data), f.data) for f in frames
    )


def unpack_frames(datagram: bytes, buses: Sequence[str]) -> list[Frame]:
    """Return the frames of one datagram; raise ValueError if any part of it is malformed."""
    if len(datagram) % _FRAME.size or len(datagram) > MAX_DATAGRAM_BYTES:
        raise ValueError(f"expected a multiple of {_FRAME.size} bytes, got {len(datagram)}")
    frames = []
    for time_s, can_id, bus, length, data in _FRAME.iter_unpack(datagram):
        if can_id > _MAX_CAN_ID or bus >= len(buses) or length > _MAX_DATA or not time_s >= 0:
            raise ValueError(f"expected a frame, got id {can_id:#x}, bus {bus}, length {length}")
        frames.append(Frame(time_s, buses[bus], can_id, data[:length]))
    return frames


class GatewaySource:
    """Frames that arrive at a datagram socket; ``dropped`` and ``malformed`` count losses."""

    def __init__(
        self,
        path: Path,
        buses: Sequence[str],
        *,
        max_datagrams: int = 4_096,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; the socket is made when it is read. ``sleep`` waits; a test hands in its own."""
        self._sleep = sleep
        self._path = path
        self._buses = tuple(buses)
        self._queue: deque[bytes] = deque(maxlen=max_datagrams)
        self._arrived = asyncio.Event()
        self.dropped = 0
        self.malformed = 0

    async def batches(self) -> AsyncIterator[list[Frame]]:
        """Yield what arrived since the last time, for ever; the socket is made anew each time."""
        sock = await asyncio.to_thread(_bind, self._path)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Endpoint(self._put), sock=sock
        )
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                await self._sleep(BATCH_S)
                if frames := self._take():
                    yield frames
        finally:
            transport.close()
            await asyncio.to_thread(self._path.unlink, missing_ok=True)

    def _put(self, datagram: bytes) -> None:
        if len(self._queue) == self._queue.maxlen:
            self.dropped += 1
        self._queue.append(datagram)
        self._arrived.set()

    def _take(self) -> list[Frame]:
        frames: list[Frame] = []
        while self._queue:
            try:
                frames += unpack_frames(self._queue.popleft(), self._buses)
            except ValueError:
                self.malformed += 1
        return frames


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.setblocking(False)  # noqa: FBT003 (the standard library's signature)
    sock.bind(str(path))
    return sock


class _Endpoint(asyncio.DatagramProtocol):
    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._put = put

    def datagram_received(self, data: bytes, _addr: object) -> None:
        self._put(data)
