"""Decode speed: our decoder against cantools decoding only the needed ids, in one run.

``python -m benchmarks.decode [--json]``. Twelve signals of eight ids of a Leaf; process CPU
time, frames in memory, rounds of both sides taken in turns, median of the rounds' ratios. Our side
is ``Decoder.feed_all`` in the batches of the live path, in a steady state. cantools gets our own
DBCs, frames of the eight ids only, and neither checks nor makes a change list; it decodes every
signal of a message, because it has no other way. The recorded drive is used where it is, our own
synthetic one otherwise, and the row says which.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cantools

from agent.clock import SystemClock
from agent.signals import catalog
from agent.signals.batches import in_batches
from agent.signals.decode import Decoder
from agent.signals.model import Frame
from agent.signals.replay import ReplaySource
from agent.signals.table import load_table
from benchmarks.result import Result
from sim.drive import synthetic_drive

ROOT: Final = Path(__file__).parents[1]
RECORDINGS: Final = ROOT.parent / "shared/data/leaf"
FOLDER: Final = ROOT / "configs/vehicles"
ROUNDS: Final = 31
ELEVEN: Final = (
    catalog.PACK_VOLTAGE,
    catalog.PACK_CURRENT,
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


@dataclass(frozen=True, slots=True)
class Case:
    """One recording, its vehicle, the DBCs of its EV-CAN and the twelfth signal of its 0x1DB."""

    title: str
    recording: str
    vehicle: str
    dbcs: tuple[str, ...]
    twelfth: str

    @property
    def paths(self) -> tuple[str, ...]:
        """The twelve signals."""
        return (*ELEVEN, self.twelfth)

    def frames(self) -> tuple[str, list[Frame]]:
        """Return what the frames are, and the frames; our own drive where no recording is."""
        path = RECORDINGS / f"{self.recording}.log.gz"
        if path.exists():
            source = ReplaySource(path, speed=None, clock=SystemClock())
            return self.title, list(source.read_all())
        return f"synthetic drive instead of {self.title}", list(synthetic_drive(1))


DRIVE: Final = Case(
    title="ZE1 eco drive",
    recording="ze1_62kwh_eco_drive",
    vehicle="nissan-leaf-ze1",
    dbcs=("nissan-leaf-ze1", "parts/leaf-ev", "parts/leaf-charger2"),
    twelfth=catalog.POWER_CONNECTED,  # a ZE1 has no usable SOC there
)
PARKED: Final = Case(
    title="AZE0 parked",
    recording="aze0_ready_parked",
    vehicle="nissan-leaf-aze0",
    dbcs=("nissan-leaf-aze0", "parts/leaf-aze0", "parts/leaf-ev", "parts/leaf-charger2"),
    twelfth=catalog.SOC_DISPLAYED,
)


def measure(*, quick: bool = False) -> list[Result]:
    """Return the rows of the table of ``make bench``: ns per bus frame, ratio, must and aim."""
    rounds = 3 if quick else ROUNDS
    return [
        *_measured(DRIVE, rounds, bars=((5.0, 10.0), (4.0, 7.0))),
        *_measured(PARKED, rounds, bars=((10.0, 16.0), None)),
    ]


def _measured(
    case: Case, count: int, *, bars: tuple[tuple[float, float] | None, ...]
) -> list[Result]:
    name, frames = case.frames()
    plain = _decoding(case, frames, checks=False)
    full = _decoding(case, frames, checks=True)
    peer = _peer(case, frames)
    rounds = [[_cpu_ns(side) / len(frames) for side in (peer, plain, full)] for _ in range(count)]
    return [
        _row(f"decode, {name}, no validity checks", rounds, 1, bars[0]),
        _row(f"decode, {name}, full validity chain", rounds, 2, bars[1]),
    ]


def _decoding(case: Case, frames: Sequence[Frame], *, checks: bool) -> Callable[[], None]:
    decoder = Decoder(load_table(case.vehicle), case.paths, checks=checks)
    batches = list(in_batches(frames))

    def run() -> None:
        for batch in batches:
            decoder.feed_all(batch)
            if checks:
                decoder.age(batch[-1].time_s)

    return run


def _peer(case: Case, frames: Sequence[Frame]) -> Callable[[], None]:
    database = cantools.database.can.Database()
    for name in case.dbcs:
        database.add_dbc_file(FOLDER / f"{name}.dbc")
    decode = database.decode_message
    needed = {key.can_id for key in Decoder(load_table(case.vehicle), case.paths).needed}

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
    name: str, rounds: Sequence[Sequence[float]], side: int, bar: tuple[float, float] | None
) -> Result:
    ratio = statistics.median(times[0] / times[side] for times in rounds)
    return {
        "name": name,
        "value": round(statistics.median(times[side] for times in rounds), 1),
        "unit": "ns/frame",
        "peer": round(statistics.median(times[0] for times in rounds), 1),
        "ratio": round(ratio, 2),
        "must": bar[0] if bar else None,
        "aim": bar[1] if bar else None,
        "ok": ratio >= bar[0] if bar else None,
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
            f"{row['name']:44} {row['value']:7.1f} {row['unit']}  cantools {row['peer']:7.1f}"
            f"  {row['ratio']:.2f}x  must {row['must'] or '-'}  aim {row['aim'] or '-'}"
        )


if __name__ == "__main__":
    main()
