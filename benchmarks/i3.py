"""The twelve signals of the size figures, read from a recorded BMW i3 trip.

Source of the trips: M. Steinstraeter, J. Buberger, D. Trifonov, "Battery and Heating Data in Real
Driving Cycles", IEEE DataPort, 2020. Their recorder writes ten rows a second, partly
interpolated; one row a second is the honest rate.
"""

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

RECORDED_HZ = 10
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


def read_i3(path: Path, *, rate_hz: int) -> Table:
    """Read a trip (``.csv`` or ``.csv.gz``) at ``rate_hz``, a divisor of 10.

    Raises:
        ValueError: Not such a file; the message names what is missing.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", errors="replace", newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))
    header, body = rows[0], rows[1 :: RECORDED_HZ // rate_hz]
    times_s = _filled(body, _position(header, "Time"))
    return Table(
        times_ms=[round(time_s * 1000) for time_s in times_s],
        columns=[_raw(body, header, signal) for signal in SIGNALS],
        names=tuple(signal.name for signal in SIGNALS),
        steps=tuple(signal.step for signal in SIGNALS),
        offsets=tuple(signal.offset for signal in SIGNALS),
    )


def _raw(body: Sequence[Sequence[str]], header: Sequence[str], signal: I3Signal) -> list[int]:
    values = _filled(body, _position(header, signal.header))
    return [round((value - signal.offset) / signal.step) for value in values]


def _position(header: Sequence[str], begins: str) -> int:
    wanted = begins.replace("°", "")
    for at, name in enumerate(header):
        if name.replace("°", "").replace("\ufffd", "").startswith(wanted):
            return at
    raise ValueError(f"expected a column that begins with {begins!r}, found none")


def _filled(body: Sequence[Sequence[str]], at: int) -> list[float]:
    cells = [float(row[at]) if row[at].strip() else None for row in body]
    last = next((cell for cell in cells if cell is not None), 0.0)
    filled = []
    for cell in cells:
        last = last if cell is None else cell
        filled.append(last)
    return filled
