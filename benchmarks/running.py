"""What people notice of a running agent: how soon it records, answers, and what a check costs.

The unmodified agent in its stack, in a vehicle that is already being driven when it starts. A
sample counts as stored when it is in the trip's file on the disk. ``status`` is the whole command,
from its start to its exit. The check for updates goes through a proxy on loopback that counts what
passes both ways, TLS and report included.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agent.clock import SystemClock
from benchmarks.result import Result, at_most
from sim.bus import Bus, open_bus
from sim.demo import made_up_drive
from sim.frames import DRIVE, POWER_ON
from sim.home import Home, HomeSettings, prepare
from sim.stack import BIN, Stack

STARTS, CALLS = 5, 15
_PATIENCE_S = 60.0
_PIECE = 65_536
_BLOCK_MARK = b"\xf5OKB"  # docs/reference/segments.md


def measure(*, quick: bool = False) -> list[Result]:
    """Return seconds to screen and to the first stored sample, ms of status, bytes of a check."""
    starts, calls = (1, 3) if quick else (STARTS, CALLS)
    with tempfile.TemporaryDirectory(prefix="okdrive-bench-") as folder:
        found = asyncio.run(_found(Path(folder) / "home", starts, calls))
    return [
        at_most("start of the agent to its screen", found.screen_s, "s"),
        at_most("start to first stored sample", found.sample_s, "s", must=2, aim=1.2),
        at_most("okdrive-agent status", found.status_ms, "ms", must=150, aim=100),
        at_most("update check with nothing new", found.check_bytes, "bytes", must=10_000),
    ]


@dataclass
class _Found:
    screen_s: float
    sample_s: float
    status_ms: float
    check_bytes: int


async def _found(folder: Path, starts: int, calls: int) -> _Found:
    home = await asyncio.to_thread(prepare, folder, clock=SystemClock(), settings=HomeSettings())
    async with _counter(home.director_port) as proxy:
        _redirect(home, proxy.port)
        async with Stack(home) as stack:
            await _agree(home)
            with open_bus(home.bus_socket) as bus:
                times = await _starts(stack, bus, starts)
            status = [await _status_s(stack) for _ in range(calls)]
            check_bytes = await _check(stack, proxy)
    screen_s, sample_s = (statistics.median(column) for column in zip(*times, strict=True))
    return _Found(screen_s, sample_s, 1_000 * statistics.median(status), check_bytes)


async def _agree(home: Home) -> None:
    """Let the driver switch battery data on: before that nothing of a trip is stored."""
    process = await asyncio.create_subprocess_exec(
        *(str(BIN / "okdrive-agent"), "consent", "grant", "battery", "--yes"),
        env={**os.environ, "OKDRIVE_HOME": str(home.folder)},
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait():
        raise RuntimeError("expected consent to be given")


async def _starts(stack: Stack, bus: Bus, count: int) -> list[tuple[float, float]]:
    """Start the agent ``count`` times in a vehicle that is being driven."""
    begin = made_up_drive(seed=7).begin
    state = replace(begin, gear=DRIVE, power=POWER_ON, speed_km_h=50.0)
    async with asyncio.TaskGroup() as group:
        driving = group.create_task(bus.stand(state))
        times = [await _start(stack) for _ in range(count)]
        driving.cancel()
    return times


async def _start(stack: Stack) -> tuple[float, float]:
    """Start the agent anew; return seconds to its screen and to its first stored sample."""
    await stack.agent.stop()
    before, began_s = _blocks(stack.home), time.monotonic()
    async with asyncio.TaskGroup() as group:
        stored = group.create_task(_until(lambda: _blocks(stack.home) > before))
        await stack.start_agent()
        screen_s = time.monotonic() - began_s
    return screen_s, stored.result() - began_s


def _blocks(home: Home) -> int:
    """Return how many blocks of rows are on the disk."""
    files = (home.folder / "agent" / "segments").glob("*.seg")
    return sum(file.read_bytes().count(_BLOCK_MARK) for file in files)


async def _until(is_so: Callable[[], bool]) -> float:
    """Return the moment at which ``is_so()`` became true."""
    async with asyncio.timeout(_PATIENCE_S):
        while not await asyncio.to_thread(is_so):  # noqa: ASYNC110 (another process's file)
            await asyncio.sleep(0.005)
    return time.monotonic()


async def _status_s(stack: Stack) -> float:
    began_s = time.monotonic()
    await stack.command("okdrive-agent", "status")
    return time.monotonic() - began_s


async def _check(stack: Stack, proxy: "_Proxy") -> int:
    """Return the bytes of a check after one that found nothing either."""
    await stack.command("okdrive-agent", "update", "check")
    before = proxy.passed
    await stack.command("okdrive-agent", "update", "check")
    return proxy.passed - before


def _redirect(home: Home, port: int) -> None:
    """Let the agent reach its repositories through ``port``."""
    config = home.folder / "agent.toml"
    text = config.read_text()
    config.write_text(text.replace(f"127.0.0.1:{home.director_port}/", f"127.0.0.1:{port}/"))


@dataclass
class _Proxy:
    to_port: int
    port: int = 0
    passed: int = 0  # bytes, both ways

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a connection to one of the Director's own; count until either side ends it."""
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        with suppress(ExceptionGroup):  # whoever went first took the other along
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, there_writer))
                group.create_task(self._pass(there_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_PIECE):
                self.passed += len(data)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def _counter(to_port: int) -> AsyncIterator[_Proxy]:
    proxy = _Proxy(to_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        proxy.port = server.sockets[0].getsockname()[1]
        yield proxy
