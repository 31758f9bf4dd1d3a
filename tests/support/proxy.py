"""A TCP proxy on loopback between two parties: it counts, cuts, stalls and delays.

A fault belongs to one connection: the first takes the first fault of the list, and so on; when the
list is empty, connections are whole.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.wait import wait_until

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one connection; numbers are bytes that pass before it happens."""

    cut_up: int | None = None  # then both sides are closed with RST
    cut_down: int | None = None
    stall_up: int | None = None  # then nothing passes any more, and nobody is told
    stall_down: int | None = None
    delay_s: float = 0.0  # for every piece, each way
    piece_bytes: int = 65_536


@dataclass
class CountingProxy:
    port: int = 0
    connections: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    faults: list[Fault] = field(default_factory=list)


@asynccontextmanager
async def counting_proxy(target_port: int) -> AsyncIterator[CountingProxy]:
    """Forward a free port to ``target_port``; what passes is counted."""
    proxy, over = CountingProxy(), asyncio.Event()
    open_connections: set[object] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.connections += 1
        open_connections.add(writer)
        fault = proxy.faults.pop(0) if proxy.faults else Fault()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target_port)
        up = _Pump(proxy, "bytes_up", fault, cut=fault.cut_up, stall=fault.stall_up)
        down = _Pump(proxy, "bytes_down", fault, cut=fault.cut_down, stall=fault.stall_down)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(up.run(reader, far_writer, over))
                group.create_task(down.run(far_reader, writer, over))
        except* ConnectionAbortedError:
            _reset(writer)
            _reset(far_writer)
        finally:
            open_connections.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy
        over.set()
        await wait_until(lambda: not open_connections)


@dataclass(kw_only=True)
class _Pump:
    proxy: CountingProxy = field(kw_only=False)
    counter: str = field(kw_only=False)
    fault: Fault = field(kw_only=False)
    cut: int | None
    stall: int | None
    passed: int = 0

    async def run(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, over: asyncio.Event
    ) -> None:
        try:
            while data := await reader.read(self.fault.piece_bytes):
                if self.stall is not None and self.passed + len(data) > self.stall:
                    await _forward(writer, data[: self.stall - self.passed])
                    await over.wait()
                    _abort()
                if self.cut is not None and self.passed + len(data) > self.cut:
                    await _forward(writer, data[: self.cut - self.passed])
                    _abort()
                await asyncio.sleep(self.fault.delay_s)
                self.passed += len(data)
                setattr(self.proxy, self.counter, getattr(self.proxy, self.counter) + len(data))
                await _forward(writer, data)
        except (ConnectionResetError, BrokenPipeError):
            pass
        finally:
            writer.close()


def _abort() -> None:
    raise ConnectionAbortedError


async def _forward(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
