"""What the whole agent costs while it drives: proportional memory and processor time.

The unmodified agent runs in the stack, with broker, Director, ingest and screen, and hears a drive
in real time; its share of memory (PSS) is read from /proc at the end of the drive.
"""

import asyncio
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from agent.clock import SystemClock
from benchmarks.result import Result, at_most
from sim.bus import open_bus
from sim.demo import RECORDING, Drive, made_up_drive, recorded_drive
from sim.home import HomeSettings, prepare
from sim.stack import Stack

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def measure(*, quick: bool = False) -> list[Result]:
    """Return PSS in MiB and processor time in percent of one core, over one drive."""
    is_real = RECORDING.exists() and not quick
    drive = recorded_drive(RECORDING) if is_real else made_up_drive(seed=7)
    if quick:
        drive = replace(drive, frames=drive.frames[:4_000])
    with tempfile.TemporaryDirectory() as folder:
        pss_mib, cpu_percent, start_s = asyncio.run(_drive(Path(folder) / "home", drive))
    return [
        at_most("agent, everything on, PSS", pss_mib, "MiB", must=64.0, aim=48.0),
        at_most("agent, processor time on a real-time drive", cpu_percent, "%", must=3.0, aim=1.0),
        at_most("start of the agent to its screen", start_s, "s"),
    ]


async def _drive(folder: Path, drive: Drive) -> tuple[float, float, float]:
    home = await asyncio.to_thread(
        prepare, folder, clock=SystemClock(), settings=HomeSettings(check_every_s=5.0)
    )
    async with Stack(home) as stack:
        await stack.agent.stop()
        began = time.monotonic()
        await stack.start_agent()
        start_s = time.monotonic() - began
        pid = stack.agent.pid
        if pid is None:
            raise RuntimeError("the agent ended before it was measured")
        with open_bus(home.bus_socket) as bus:
            before_s, began = _cpu_s(pid), time.monotonic()
            await bus.play(drive.frames)
            cpu_percent = 100 * (_cpu_s(pid) - before_s) / (time.monotonic() - began)
        return _pss_mib(pid), cpu_percent, start_s


def _pss_mib(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kib = next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(kib) / 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S  # utime and stime, proc(5)
