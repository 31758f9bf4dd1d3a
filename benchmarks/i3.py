"""The twelve signals of the size figures, read from a recorded BMW i3 trip.

Source of the trips: M. Steinstraeter, J. Buberger, D. Trifonov, "Battery and Heating Data in Real
Driving Cycles", IEEE DataPort, 2020. Their recorder writes ten rows a second, partly
interpolated; one row a second is the honest rate.
"""

import gzip
import math
import statistics
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import BinaryIO

RECORDED_HZ = 10
MAX_ROWS = 1_000_000  # sampled rows of one file, eleven days at 1 Hz
_MAX_LINE_BYTES = 65_536  # an i3's has about 150
_MAX_RAW = 2**31 - 1  # what every compared form can hold
_MAX_TIME_S = 1e9
_HEAD_ROWS = 101  # enough to tell the rate at which a file was recorded
_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class I3Signal:
    """One column: how its name in the file begins, its short name, step and offset."""

    header: str
    name: str
    step: float
    offset: float = 0.0


SIGNALS = (
    I3Signal("Battery Voltage [V]", "voltage", 0.5),
    I3Signal("Battery Current [A]", "current", 0.5),
    I3Signal("SoC [%]", "soc", 0.1),
    I3Signal("displayed SoC [%]", "dsoc", 0.5),
    I3Signal("Battery Temperature [°C]", "temp", 1.0, -40.0),
    I3Signal("Velocity [km/h]", "speed", 0.01),
    I3Signal("Motor Torque [Nm]", "torque", 0.5),
    I3Signal("Throttle [%]", "throttle", 0.5),
    I3Signal("Ambient Temperature [°C]", "ambient", 0.5, -40.0),
    I3Signal("AirCon Power [kW]", "aircon", 0.05),
    I3Signal("Heating Power CAN [kW]", "heating", 0.3),
    I3Signal("Regenerative Braking Signal ", "regen", 1.0),
)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one recording: times in ms and one integer column for each signal."""

    times_ms: list[int]
    columns: list[list[int]]  # raw integers: value = raw * step + offset
    names: tuple[str, ...]
    steps: tuple[float, ...]
    offsets: tuple[float, ...]

    @property
    def values(self) -> int:
        """How many values, times not counted."""
        return len(self.times_ms) * len(self.columns)

    def value(self, column: int, row: int) -> float:
        """Return a value in its unit, as the decimal number that is meant: 0.15, not 0.1500…2."""
        exact = self.columns[column][row] * self.steps[column] + self.offsets[column]
        return round(exact, _DECIMALS)

    def first_columns(self, count: int) -> "Table":
        """Return the same rows with the first ``count`` columns only."""
        return Table(
            times_ms=self.times_ms,
            columns=self.columns[:count],
            names=self.names[:count],
            steps=self.steps[:count],
            offsets=self.offsets[:count],
        )

    def windows(self, length_ms: int | None) -> Iterator["Table"]:
        """Yield the rows in windows of ``length_ms``, or all of them if None.

        Each window's times begin at 0, as those of a batch do.
        """
        start = 0
        while start < len(self.times_ms):
            end = self._window_end(start, length_ms)
            yield self._slice(start, end)
            start = end

    def _window_end(self, start: int, length_ms: int | None) -> int:
        if length_ms is None:
            return len(self.times_ms)
        limit_ms = self.times_ms[start] + length_ms
        later = (at for at in range(start, len(self.times_ms)) if self.times_ms[at] >= limit_ms)
        return next(later, len(self.times_ms))

    def _slice(self, start: int, end: int) -> "Table":
        first_ms = self.times_ms[start]
        return Table(
            times_ms=[time_ms - first_ms for time_ms in self.times_ms[start:end]],
            columns=[column[start:end] for column in self.columns],
            names=self.names,
            steps=self.steps,
            offsets=self.offsets,
        )


@dataclass(frozen=True, slots=True)
class _Row:
    """The cells of one line: the time first, then the twelve signals."""

    line: int
    cells: list[str]


def read_i3(path: Path, *, rate_hz: int) -> Table:
    """Read a trip, plain or gzip, at ``rate_hz``.

    Every so-many-th row is taken, as its own times say: every tenth at 1 Hz of a file with ten rows
    a second. A file with fewer rows than ``rate_hz`` a second gives them all.

    Raises:
        ValueError: Not such a file; the message says what is wrong in which line.
        OSError: It cannot be read.
    """
    with path.open("rb") as raw:
        rows = _rows(_lines(raw))
        head = list(islice(rows, _HEAD_ROWS))
        stride = _stride(head, rate_hz)
        kept = list(islice(chain(head, rows), 0, stride * MAX_ROWS + 1, stride))
    if not kept:
        raise ValueError("expected rows below the header, found none")
    if len(kept) > MAX_ROWS:
        raise ValueError(f"expected at most {MAX_ROWS:,} sampled rows, found more; cut it up")
    return Table(
        times_ms=_times_ms(kept),
        columns=[_raw(kept, at, signal) for at, signal in enumerate(SIGNALS, start=1)],
        names=tuple(signal.name for signal in SIGNALS),
        steps=tuple(signal.step for signal in SIGNALS),
        offsets=tuple(signal.offset for signal in SIGNALS),
    )


def _lines(raw: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each line that is not blank."""
    is_gzip = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    file: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if is_gzip else raw
    number = 0
    try:
        while line := file.readline(_MAX_LINE_BYTES):
            number += 1
            if len(line) == _MAX_LINE_BYTES:
                raise ValueError(f"line {number}: expected less than {_MAX_LINE_BYTES:,} bytes")
            if not line.isspace():
                text = line.decode("utf-8-sig", errors="replace")
                yield number, [cell.strip() for cell in text.split(";")]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"damaged gzip after line {number}: {error}") from error


def _rows(lines: Iterator[tuple[int, list[str]]]) -> Iterator[_Row]:
    _, header = next(lines, (0, []))
    if not header:
        raise ValueError("expected a header and rows, found an empty file")
    places = [_position(header, begins) for begins in ("Time", *(one.header for one in SIGNALS))]
    for number, cells in lines:
        yield _Row(number, [cells[at] if at < len(cells) else "" for at in places])


def _position(header: Sequence[str], begins: str) -> int:
    wanted = begins.replace("°", "").strip()
    for at, name in enumerate(header):
        if name.replace("°", "").replace("\ufffd", "").startswith(wanted):
            return at
    raise ValueError(
        f"expected a column that begins with {begins!r}, found none among {len(header)} columns "
        "separated by ';'"
    )


def _stride(head: Sequence[_Row], rate_hz: int) -> int:
    times_s = [time_s for row in head if (time_s := _number(row, 0)) is not None]
    steps_s = [later - time_s for time_s, later in pairwise(times_s)]
    step_s = statistics.median(steps_s) if steps_s else 1 / RECORDED_HZ
    return max(1, round(1 / (rate_hz * step_s))) if step_s > 0 else RECORDED_HZ // rate_hz


def _times_ms(rows: Sequence[_Row]) -> list[int]:
    times_ms: list[int] = []
    for row, time_s in zip(rows, _filled(rows, 0), strict=True):
        if not 0 <= time_s < _MAX_TIME_S:
            raise ValueError(f"line {row.line}: expected seconds since the start, got {time_s}")
        time_ms = round(time_s * 1000)
        if times_ms and time_ms <= times_ms[-1]:
            raise ValueError(
                f"line {row.line}: expected times that rise, got {time_ms} ms after "
                f"{times_ms[-1]} ms"
            )
        times_ms.append(time_ms)
    return times_ms


def _raw(rows: Sequence[_Row], at: int, signal: I3Signal) -> list[int]:
    values = _filled(rows, at)
    raw = [round((value - signal.offset) / signal.step) for value in values]
    for row, one in zip(rows, raw, strict=True):
        if abs(one) > _MAX_RAW:
            raise ValueError(f"line {row.line}: {signal.header.strip()}: no vehicle has {one}")
    return raw


def _filled(rows: Sequence[_Row], at: int) -> list[float]:
    cells = [_number(row, at) for row in rows]
    last = next((cell for cell in cells if cell is not None), 0.0)
    filled = []
    for cell in cells:
        last = last if cell is None else cell
        filled.append(last)
    return filled


def _number(row: _Row, at: int) -> float | None:
    """Return a cell's number; None if it is empty or says that it is none."""
    text = row.cells[at]
    try:
        value = float(text) if text else None
    except ValueError:
        name = SIGNALS[at - 1].header.strip() if at else "Time"
        raise ValueError(
            f"line {row.line}: {name}: expected a number such as 379.5, got {text[:40]!r}"
        ) from None
    if value is not None and math.isinf(value):
        raise ValueError(f"line {row.line}: expected a finite number, got {text[:40]!r}")
    return None if value is None or math.isnan(value) else value
