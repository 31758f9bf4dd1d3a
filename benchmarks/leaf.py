"""A candump recording of a Leaf as the columns that a trip's segment would hold."""

import gzip
from collections.abc import Iterator
from pathlib import Path

from agent.signals.candump import parse_line
from agent.signals.decode import Decoder
from agent.signals.model import Frame
from agent.signals.table import Rule, load_table
from benchmarks.i3 import Table

VEHICLE = "nissan-leaf-ze1"


def read_candump(path: Path, *, rate_hz: int) -> Table:
    """Decode a recording (``.log`` or ``.log.gz``) and sample its columns at ``rate_hz``.

    A value that is not known repeats the last one; a column that begins so takes its first value,
    and one that is never known is all zeros.

    Raises:
        ValueError: A line that is not candump's.
    """
    vehicle = load_table(VEHICLE)
    decoder = Decoder(vehicle, vehicle.record)
    rules = [rule for name in vehicle.record if (rule := vehicle.rule(name)) is not None]
    rows = list(_rows(decoder, rules, path, rate_hz))
    return Table(
        times_ms=[1000 * row // rate_hz for row in range(len(rows))],
        columns=[_filled([row[at] for row in rows]) for at in range(len(rules))],
        names=tuple(rule.path for rule in rules),
        steps=tuple(rule.step for rule in rules),
        offsets=tuple(rule.store_offset for rule in rules),
    )


def _rows(
    decoder: Decoder, rules: list[Rule], path: Path, rate_hz: int
) -> Iterator[list[int | None]]:
    next_s: float | None = None
    for frame in _frames(path):
        if next_s is None:
            next_s = frame.time_s + 1 / rate_hz
        while frame.time_s >= next_s:
            decoder.age(next_s)
            yield [_raw(decoder, rule) for rule in rules]
            next_s += 1 / rate_hz
        decoder.feed(frame)


def _frames(path: Path) -> Iterator[Frame]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        for line in file:
            frame = parse_line(line) if line.strip() else None
            if frame is not None:
                yield frame


def _raw(decoder: Decoder, rule: Rule) -> int | None:
    value = decoder.latest[rule.path].value
    return None if value is None else round((value - rule.store_offset) / rule.step)


def _filled(column: list[int | None]) -> list[int]:
    last = next((value for value in column if value is not None), 0)
    filled = []
    for value in column:
        last = last if value is None else value
        filled.append(last)
    return filled
