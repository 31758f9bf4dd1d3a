"""Decode speed: our decoder against cantools decoding only the needed ids, in one run.

``python -m benchmarks.decode [--json]``. Twelve signals of eight ids of a Leaf ZE1; process CPU
time, frames in memory, rounds of both sides taken in turns, median of the rounds' ratios. Our side
is ``Decoder.feed_all`` in the batches of the live path, in a steady state. The recorded drive is
used where it is, our own synthetic one otherwise, and the row says which.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import cantools

from agent.clock import SystemClock
from agent.signals import catalog
from agent.signals.decode import Decoder
from agent.signals.model import Frame
from agent.signals.replay import BATCH_FRAMES, ReplaySource
from agent.signals.table import load_table
from sim.drive import synthetic_drive

ROOT: Final = Path(__file__).parents[1]
RECORDING: Final = ROOT.parent / "shared/data/leaf/ze1_62kwh_eco_drive.log.gz"
FOLDER: Final = ROOT / "configs/vehicles"
DBCS: Final = ("nissan-leaf-ze1", "parts/leaf-ev", "parts/leaf-charger2")
ROUNDS: Final = 15
TWELVE: Final = (
    catalog.PACK_VOLTAGE,
    catalog.PACK_CURRENT,
    catalog.POWER_CONNECTED,
    catalog.SOC,
    catalog.GIDS,
    catalog.SOH,
    catalog.MOTOR_SPEED,
    catalog.MOTOR_TORQUE,
    catalog.SPEED,
    catalog.GEAR,
    catalog.CHARGER_STATUS,
    catalog.AMBIENT,
)


def measure() -> list[dict[str, Any]]:
    """Return the rows of the table of ``make bench``: ns per bus frame, ratio, must and aim."""
    name, frames = _frames()
    plain = _decoding(frames, checks=False)
    full = _decoding(frames, checks=True)
    peer = _peer(frames)
    rounds = [[_cpu_ns(side) / len(frames) for side in (peer, plain, full)] for _ in range(ROUNDS)]
    return [
        _row(f"decode, {name}, no validity checks", rounds, 1, must=5.0, aim=10.0),
        _row(f"decode, {name}, full validity chain", rounds, 2, must=4.0, aim=7.0),
    ]


def _frames() -> tuple[str, list[Frame]]:
    if RECORDING.exists():
        source = ReplaySource(RECORDING, speed=None, clock=SystemClock())
        return "ZE1 eco drive", list(source.read_all())
    return "synthetic ZE1 drive", list(synthetic_drive(1))


def _decoding(frames: Sequence[Frame], *, checks: bool) -> Callable[[], None]:
    decoder = Decoder(load_table("nissan-leaf-ze1"), TWELVE, checks=checks)
    batches = [frames[at : at + BATCH_FRAMES] for at in range(0, len(frames), BATCH_FRAMES)]

    def run() -> None:
        for batch in batches:
            decoder.feed_all(batch)
            if checks:
                decoder.age(batch[-1].time_s)

    return run


def _peer(frames: Sequence[Frame]) -> Callable[[], None]:
    database = cantools.database.can.Database()
    for name in DBCS:
        database.add_dbc_file(FOLDER / f"{name}.dbc")
    decode = database.decode_message
    table = load_table("nissan-leaf-ze1")
    needed = {key.can_id for key in Decoder(table, TWELVE).needed}

    def run() -> None:
        for frame in frames:
            if frame.can_id in needed:
                decode(frame.can_id, frame.data, decode_choices=False)

    return run


def _cpu_ns(run: Callable[[], None]) -> int:
    start = time.process_time_ns()
    run()
    return time.process_time_ns() - start


def _row(
    name: str, rounds: Sequence[Sequence[float]], side: int, *, must: float, aim: float
) -> dict[str, Any]:
    ratio = statistics.median(times[0] / times[side] for times in rounds)
    return {
        "name": name,
        "value": round(statistics.median(times[side] for times in rounds), 1),
        "unit": "ns/frame",
        "peer": round(statistics.median(times[0] for times in rounds), 1),
        "ratio": round(ratio, 2),
        "must": must,
        "aim": aim,
        "ok": ratio >= must,
    }


def main() -> None:
    """Print the rows as a table or, with ``--json``, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    rows = measure()
    if parser.parse_args().json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(
            f"{row['name']:48} {row['value']:7.1f} {row['unit']}  cantools {row['peer']:7.1f}"
            f"  {row['ratio']:.2f}x  must {row['must']:.0f}x  aim {row['aim']:.0f}x"
        )


if __name__ == "__main__":
    main()
