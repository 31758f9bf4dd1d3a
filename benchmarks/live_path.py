"""CPU of the whole path in real time: read, decode, follow trips, write segments.

Charge sessions, the battery watch and the built-in events run along, as in the agent.

``python -m benchmarks.live_path``. The recorded ZE1 eco drive (1,363 frames a second) is played
at its own pace through the recorder that the agent runs; process CPU time over wall time is the
share of one core. Where the recording is missing, our own synthetic drive is played, and the row
says so.
"""

import asyncio
import secrets
import tempfile
import time
from pathlib import Path
from typing import Final

from agent.clock import SystemClock
from agent.recorder import Recorder, wanted_paths
from agent.signals.bus import BusWatch
from agent.signals.decode import Decoder
from agent.signals.live import LiveSource
from agent.signals.replay import ReplaySource
from agent.signals.table import load_table
from agent.store.battery import BatteryHistory
from agent.store.events import EventFiles
from agent.store.sessions import Sessions
from agent.store.state import State
from agent.vehicle.events import BUILT_IN
from agent.vehicle.trip import Trip
from agent.watch.events import event_paths
from agent.watch.keeper import KEPT_PATHS, Keeper
from benchmarks.result import Result
from sim.drive import synthetic_drive
from sim.frames import write_candump

RECORDING: Final = Path(__file__).parents[2] / "shared/data/leaf/ze1_62kwh_eco_drive.log.gz"
MUST_PERCENT, AIM_PERCENT = 3.0, 1.0


def measure() -> list[Result]:
    """Return the one row: percent of a core at the recording's own pace; takes half a minute."""
    with tempfile.TemporaryDirectory() as folder:
        name, path = _recording(Path(folder))
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


def _recording(folder: Path) -> tuple[str, Path]:
    if RECORDING.exists():
        return "ZE1 eco drive", RECORDING
    path = folder / "synthetic.log"
    write_candump(synthetic_drive(1, hops=1), path)
    return "synthetic ZE1 drive", path


async def _replayed(path: Path, folder: Path) -> tuple[int, float, float]:
    """Return frames, CPU seconds and wall seconds of one replay, start-up left out."""
    table, clock = load_table("nissan-leaf-ze1"), SystemClock()
    kept = event_paths(BUILT_IN).union(KEPT_PATHS).intersection(table.paths())
    decoder = Decoder(table, wanted_paths(table) | kept)
    state = State.open(folder / "state.sqlite")
    history = BatteryHistory.open(folder / "battery.sqlite")
    keeper = Keeper(
        table,
        decoder.latest,
        history=history,
        sessions=Sessions(state.database),
        clock=clock,
        may_record=lambda: True,
        may_hold=lambda: True,
        new_session_id=lambda: secrets.token_hex(8),
        on_change=lambda: None,
        event_files=EventFiles(folder / "events", quota_bytes=1_000_000),
        events=BUILT_IN,
    )
    watch = BusWatch(["can0", "can1"], periods_s=decoder.periods_s())

    async def forget(_trip: Trip, _segment: Path | None) -> None:
        return None

    recorder = Recorder(
        LiveSource(ReplaySource(path, speed=1.0, clock=clock), watch),
        decoder,
        clock=clock,
        segments=folder / "segments",
        may_record=lambda: True,
        on_trip_end=forget,
        new_trip_id=lambda: secrets.token_hex(8),
        observer=keeper,
    )
    start_s, start_cpu_s = time.monotonic(), time.process_time()
    await recorder.run()
    spent_s, lasted_s = time.process_time() - start_cpu_s, time.monotonic() - start_s
    history.close()
    state.close()
    return decoder.frames, spent_s, lasted_s


def main() -> None:
    """Print the row."""
    for row in measure():
        print(f"{row['name']}: {row['value']} {row['unit']}, must <= {row['must']}")


if __name__ == "__main__":
    main()
