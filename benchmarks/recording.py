"""What recording costs the disk: bytes written for each byte of a segment, and bytes an hour.

``python -m benchmarks recording``. Rows go through the real ``SegmentWriter`` with its real
fdatasync, as fast as they can be made; ``write_bytes`` is what the kernel says this process caused
to be written (/proc/self/io: whole pages of 4,096 bytes, without the file system's own journal).
The signals are those of a synthetic drive of a ZE1: all that its frames tell, filled up to 100
with cells of 1 mV noise, at the 10 Hz of an event capture; the vehicle's ``record`` list at the
1 Hz default.
"""

import itertools
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.signals import catalog
from agent.signals.catalog import CATALOG
from agent.signals.decode import Decoder
from agent.signals.table import Product, VehicleTable, load_table
from agent.store.segment_records import SegmentColumn
from agent.store.segments import SegmentWriter
from benchmarks.result import Result
from sim.drive import drive_states
from sim.frames import frames_of

ROOT: Final = Path(__file__).parents[1]
SECONDS: Final = 1_200
SIGNALS: Final = 100
_MB: Final = 1e6


@dataclass(frozen=True)
class Cost:
    """What one run cost."""

    written_bytes: int
    segment_bytes: int
    seconds: float

    def mb_per_hour(self) -> float:
        """Return what the disk writes in an hour, in MB."""
        return self.written_bytes / _MB / self.seconds * 3_600


def measure(*, quick: bool = False) -> list[Result]:
    """Return the rows of the table of ``make bench``."""
    seconds = 60 if quick else SECONDS
    wide, narrow = _run(seconds, wide=True), _run(seconds, wide=False)
    ratio = wide.written_bytes / wide.segment_bytes
    return [
        Result(
            name="recording, 100 signals x 10 Hz, written / segment",
            value=wide.written_bytes,
            unit="bytes",
            peer=wide.segment_bytes,
            ratio=ratio,
            must=2.0,
            aim=1.3,
            ok=ratio <= 2.0,  # noqa: PLR2004 (the must)
        ),
        _hourly("recording, 100 signals x 10 Hz, written an hour", wide, must=3.0, aim=None),
        _hourly("recording, default columns x 1 Hz, written an hour", narrow, must=2.0, aim=1.0),
    ]


def _hourly(name: str, cost: Cost, *, must: float, aim: float | None) -> Result:
    value = cost.mb_per_hour()
    return Result(
        name=name,
        value=value,
        unit="MB/h",
        peer=None,
        ratio=None,
        must=must,
        aim=aim,
        ok=value <= must,
    )


def _run(seconds: int, *, wide: bool) -> Cost:
    columns, rows = _columns(wide=wide), list(_rows(seconds, wide=wide))
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:  # a real disk: /tmp may be memory
        path = Path(place) / "bench.seg"
        before = _written()
        writer = SegmentWriter.create(path, columns, boot_id="bench")
        for time_ms, row in rows:
            writer.append(time_ms, row)
        writer.close()
        return Cost(_written() - before, path.stat().st_size, seconds)


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def _columns(*, wide: bool) -> Sequence[SegmentColumn]:
    table = load_table("nissan-leaf-ze1")
    told = _told(table)
    columns = []
    for path in told if wide else table.record:
        rule = table.rule(path)
        if rule:
            offset = 0.0 if isinstance(rule, Product) else rule.store_offset
            columns.append(SegmentColumn(path, CATALOG[path].unit, rule.step, offset))
    cells = catalog.CELL_VOLTAGES[: SIGNALS - len(columns)] if wide else ()
    return [*columns, *(SegmentColumn(path, "V", 0.001, 0.0) for path in cells)]


def _told(table: VehicleTable) -> list[str]:
    """Return the paths that have a value in the synthetic drive: a column of nothing is free."""
    decoder = Decoder(table)
    states = itertools.islice(drive_states(1), 500)
    decoder.feed_all(list(frames_of(states, start_s=0.0)))
    return [path for path, signal in decoder.latest.items() if signal.value is not None]


def _rows(seconds: int, *, wide: bool) -> Iterator[tuple[int, list[int | None]]]:
    """Yield rows of a drive without end, in time."""
    columns = _columns(wide=wide)
    table = load_table("nissan-leaf-ze1")
    decoder = Decoder(table)
    chance = random.Random(1)  # noqa: S311 (a drive, not a secret)
    ticks = 10 if wide else 100  # of 10 ms between two rows
    counts: dict[int, int] = {}
    states = itertools.chain.from_iterable(drive_states(seed) for seed in itertools.count(1))
    for at in range(seconds * 100 // ticks):
        part = list(itertools.islice(states, ticks))
        decoder.feed_all(list(frames_of(part, start_s=at * ticks / 100, counts=counts)))
        yield at * ticks * 10, [_raw(column, decoder, chance) for column in columns]


def _raw(column: SegmentColumn, decoder: Decoder, chance: random.Random) -> int | None:
    value: float | None
    if column.path not in catalog.CELL_VOLTAGES:
        value = decoder.latest[column.path].value
    else:
        volts = decoder.latest[catalog.PACK_VOLTAGE].value
        value = None if volts is None else volts / catalog.MAX_CELLS + chance.gauss(0, 0.001)
    return None if value is None else column.raw(value)


if __name__ == "__main__":
    for result in measure():
        print(result)
