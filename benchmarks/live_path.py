"""CPU of the whole path in real time: read, decode, watch, follow trips, write segments.

``python -m benchmarks.live_path``. The recorded ZE1 eco drive (1,363 frames a second) is played
at its own pace through the recorder that the agent runs, with everything that listens to it there:
the watch over the buses, the battery watch, charge sessions and the built-in events. Process CPU
time over wall time is the share of one core. Where the recording is missing, our own synthetic
drive is played, and the row says so.
"""

import asyncio
import secrets
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Final

from agent.clock import SystemClock
from agent.recorder import Recorder, wanted_paths
from agent.signals.bus import BusWatch
from agent.signals.decode import Decoder
from agent.signals.live import LiveSource
from agent.signals.replay import ReplaySource
from agent.signals.table import VehicleTable, load_table
from agent.store.battery import BatteryHistory
from agent.store.events import EventFiles
from agent.store.sessions import Sessions
from agent.store.state import State
from agent.vehicle.events import BUILT_IN
from agent.vehicle.trip import Trip
from agent.watch.events import event_paths
from agent.watch.keeper import KEPT_PATHS, Keeper
from benchmarks.catalog import RECORDINGS
from benchmarks.result import Result
from sim.drive import synthetic_drive
from sim.frames import write_candump

RECORDING: Final = RECORDINGS / "leaf/ze1_62kwh_eco_drive.log.gz"
MUST_PERCENT, AIM_PERCENT = 3.0, 1.0


def measure(*, quick: bool = False) -> list[Result]:
    """Return the one row: percent of a core at the recording's own pace; takes half a minute."""
    with tempfile.TemporaryDirectory() as folder:
        name, path = _recording(Path(folder), quick=quick)
        frames, cpu_s, wall_s = asyncio.run(_replayed(path, Path(folder)))
    percent = 100 * cpu_s / wall_s
    return [
        {
            "name": f"live path, {name}, {frames / wall_s:,.0f} frames/s, share of a core",
            "value": round(percent, 2),
            "unit": "%",
            "peer": None,
            "ratio": None,
            "must": MUST_PERCENT,
            "aim": AIM_PERCENT,
            "ok": percent <= MUST_PERCENT,
        }
    ]


def _recording(folder: Path, *, quick: bool) -> tuple[str, Path]:
    if RECORDING.exists() and not quick:
        return "ZE1 eco drive", RECORDING
    path = folder / "synthetic.log"
    frames = synthetic_drive(1, hops=1)
    write_candump(islice(frames, 4_000) if quick else frames, path)
    return "synthetic ZE1 drive", path


async def _replayed(path: Path, folder: Path) -> tuple[int, float, float]:
    """Return frames, CPU seconds and wall seconds of one replay, start-up left out."""
    table, clock = load_table("nissan-leaf-ze1"), SystemClock()
    kept = event_paths(BUILT_IN).union(KEPT_PATHS).intersection(table.paths())
    decoder = Decoder(table, wanted_paths(table).union(kept))
    watch = BusWatch(["can0", "can1"], periods_s=decoder.periods_s())
    state = State.open(folder / "state.sqlite")
    keeper = _keeper(folder, table, decoder, state)

    async def forget(_trip: Trip, _segment: Path | None) -> None:
        return None

    recorder = Recorder(
        LiveSource(ReplaySource(path, speed=1.0, clock=clock), watch),
        decoder,
        clock=clock,
        segments=folder,
        may_record=lambda: True,
        on_trip_end=forget,
        new_trip_id=lambda: secrets.token_hex(8),
        observer=keeper,
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(keeper.run(stop))
        start_s, start_cpu_s = time.monotonic(), time.process_time()
        await recorder.run()
        took = decoder.frames, time.process_time() - start_cpu_s, time.monotonic() - start_s
        stop.set()
    await asyncio.to_thread(state.close)
    return took


def _keeper(folder: Path, table: VehicleTable, decoder: Decoder, state: State) -> Keeper:
    return Keeper(
        table,
        decoder.latest,
        history=BatteryHistory.open(folder / "battery.sqlite"),
        sessions=Sessions(state.database),
        clock=SystemClock(),
        may_record=lambda: True,
        whose=lambda: "0" * 16,
        holders=lambda: frozenset({"0" * 16}),
        new_session_id=lambda: secrets.token_hex(8),
        on_change=lambda: None,
        event_files=EventFiles(folder / "events", quota_bytes=1_000_000),
        events=BUILT_IN,
    )


def main() -> None:
    """Print the row."""
    for row in measure():
        print(f"{row['name']}: {row['value']} {row['unit']}, must <= {row['must']}")


if __name__ == "__main__":
    main()
