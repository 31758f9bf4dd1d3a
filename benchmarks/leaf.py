"""A candump recording as the columns that a trip's segment would hold."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from agent.clock import SystemClock
from agent.signals.decode import Decoder
from agent.signals.detect import Census, detect
from agent.signals.model import Frame
from agent.signals.recording import Recording
from agent.signals.replay import ReplaySource
from agent.signals.table import Rule, VehicleTable, known_vehicles, load_table
from benchmarks.i3 import MAX_ROWS, Table

MAX_RAW_COLUMNS = 48  # of the bytes of an unknown vehicle


def read_candump(path: Path, *, rate_hz: int) -> Table:
    """Decode a recording (``.log``, plain or gzip) and sample its columns at ``rate_hz``.

    The vehicle is told from the ids and lengths in it; of an unknown one the columns are the bytes
    of its frames as they are, those first that change most. A value that is not known repeats the
    last one; a column that begins so takes its first value, one that is never known is all zeros.

    Raises:
        SourceError: No such file, or not one frame in it.
        ValueError: Too short or too long to be sampled.
    """
    vehicle = _vehicle(path)
    return _raw_bytes(path, rate_hz) if vehicle is None else _decoded(path, vehicle, rate_hz)


def _decoded(path: Path, vehicle: VehicleTable, rate_hz: int) -> Table:
    recording = Recording(path, vehicle, clock=SystemClock())
    decoder = Decoder(vehicle, vehicle.record, buses=recording.buses)
    rules = [rule for name in vehicle.record if (rule := vehicle.rule(name)) is not None]
    rows: list[list[int | None]] = []
    for frame, due_s in _paced(recording.frames(), rate_hz):
        for at_s in due_s:
            decoder.age(at_s)
            rows.append([_raw(decoder, rule) for rule in rules])
        decoder.feed(frame)
    return Table(
        times_ms=_times_ms(len(rows), rate_hz),
        columns=[_filled([row[at] for row in rows]) for at in range(len(rules))],
        names=tuple(rule.path for rule in rules),
        steps=tuple(rule.step for rule in rules),
        offsets=tuple(rule.store_offset for rule in rules),
    )


def _raw_bytes(path: Path, rate_hz: int) -> Table:
    latest: dict[tuple[int, int], int] = {}
    rows: list[dict[tuple[int, int], int]] = []
    for frame, due_s in _paced(_source(path).read_all(), rate_hz):
        rows.extend(latest.copy() for _ in due_s)
        latest |= {(frame.can_id, at): byte for at, byte in enumerate(frame.data)}
    found = {place: [row.get(place) for row in rows] for place in latest}
    places = sorted(found, key=lambda place: (-len(set(found[place])), place))[:MAX_RAW_COLUMNS]
    return Table(
        times_ms=_times_ms(len(rows), rate_hz),
        columns=[_filled(found[place]) for place in places],
        names=tuple(f"{can_id:X}.{at}" for can_id, at in places),
        steps=(1.0,) * len(places),
        offsets=(0.0,) * len(places),
    )


def _source(path: Path) -> ReplaySource:
    return ReplaySource(path, speed=None, clock=SystemClock())


def _vehicle(path: Path) -> VehicleTable | None:
    """Return the known vehicle that most in the recording speaks for; None if nothing does."""
    census = Census()
    census.take(_source(path).read_all())
    verdicts = detect((load_table(name) for name in known_vehicles()), census)
    likely = [verdict for verdict in verdicts if verdict.seen and not verdict.against]
    return load_table(likely[0].vehicle) if likely else None


def _paced(frames: Iterable[Frame], rate_hz: int) -> Iterator[tuple[Frame, list[float]]]:
    """Yield each frame with the moments of sampling that have passed since the one before."""
    next_s: float | None = None
    count = 0
    for frame in frames:
        next_s = frame.time_s + 1 / rate_hz if next_s is None else next_s
        due = int((frame.time_s - next_s) * rate_hz) + 1 if frame.time_s >= next_s else 0
        count += due
        if count > MAX_ROWS:
            raise ValueError(f"expected at most {MAX_ROWS:,} sampled rows, found a longer time")
        yield frame, [next_s + at / rate_hz for at in range(due)]
        next_s += due / rate_hz
    if not count:
        raise ValueError(f"expected at least {1 / rate_hz:g} s of frames, found less")


def _times_ms(rows: int, rate_hz: int) -> list[int]:
    return [1000 * row // rate_hz for row in range(rows)]


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
