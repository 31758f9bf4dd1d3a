"""A trip's stored samples, reduced to what the purpose ``battery`` may hold.

An allow-list: a column leaves only if this table names it. Position, speed, torque and throttle
have no place in the record and no line here. Time is seconds since the slice began; the finest date
is the calendar month.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from telemetry.codec.cells import INVALID, Cell, Gap
from telemetry.records import (
    MAX_CURRENT_A,
    MAX_TEMP_C,
    MAX_VOLTAGE_V,
    MIN_TEMP_C,
    BatteryBatch,
    BatterySample,
)

MAX_ROWS = 50_000  # of one batch, 14 h at 1 Hz: well inside what a receiver accepts
SLICE_MS = 300_000  # five minutes
MIN_GAP_MS, MAX_GAP_MS = 30_000, 120_000  # between slices; never told

_TB = "Vehicle.Powertrain.TractionBattery"  # source: COVESA VSS, section TractionBattery
_SOH = f"{_TB}.StateOfHealth"
_FIELDS = {  # field -> (paths in order of preference, lowest, highest)
    "pack_voltage_v": ((f"{_TB}.CurrentVoltage",), 0.0, MAX_VOLTAGE_V),
    "pack_current_a": ((f"{_TB}.CurrentCurrent",), -MAX_CURRENT_A, MAX_CURRENT_A),
    "soc_percent": (
        (f"{_TB}.StateOfCharge.Current", f"{_TB}.StateOfCharge.Displayed"),
        0.0,
        100.0,
    ),
    "cell_temp_c": (
        (f"{_TB}.Temperature.Max", f"{_TB}.Temperature.Average"),
        MIN_TEMP_C,
        MAX_TEMP_C,
    ),
}

Row = tuple[int, Sequence[Cell]]  # milliseconds, raw integers in column order


class StoredColumn(Protocol):
    """A column of stored samples: value = raw * step + offset."""

    @property
    def path(self) -> str:
        """Return the VSS path."""

    @property
    def step(self) -> float:
        """Return the unit of one raw step."""

    @property
    def offset(self) -> float:
        """Return the value of raw 0."""


def sources(field: str) -> tuple[str, ...]:
    """Return the VSS paths that a field of a sample is read from, best first."""
    return _FIELDS[field][0]


def month_of(started_utc: datetime) -> str:
    """Return the calendar month "YYYY-MM" of a moment in UTC."""
    return started_utc.strftime("%Y-%m")


def battery_batches(
    columns: Sequence[StoredColumn], rows: Sequence[Row], *, month: str, max_rows: int = MAX_ROWS
) -> list[BatteryBatch]:
    """Return the batches of one trip, at most one sample a second; empty if nothing is valid.

    Args:
        columns: What the integers of a row mean.
        rows: Oldest first; None is missing, INVALID a reading that was wrong.
        month: Calendar month of the trip, "YYYY-MM".
        max_rows: A longer trip becomes several batches, each on its own relative time.
    """
    kept = [row for row in _one_a_second(rows) if _has_field(columns, row)]
    soh = _last_soh(columns, rows)
    return [
        BatteryBatch(
            month=month, soh_percent=soh, samples=_samples(columns, kept[at : at + max_rows])
        )
        for at in range(0, len(kept), max_rows)
    ]


def battery_slices(
    columns: Sequence[StoredColumn],
    rows: Sequence[Row],
    *,
    month: str,
    fraction: Callable[..., float],
) -> list[BatteryBatch]:
    """Return the slices of one trip: five minutes at most, gaps between them, shuffled.

    Each is a batch of its own on its own relative time, to be sent under a pseudonym of its own, so
    that only a battery's likeness can join them again. A short trip is one slice, whole.

    Args:
        columns: What the integers of a row mean.
        rows: Oldest first; None is missing, INVALID a reading that was wrong.
        month: Calendar month of the trip, "YYYY-MM".
        fraction: Draws a number from 0 to 1 for a label; decides gaps and order.
    """
    slices = [
        batch
        for piece in _pieces(rows, fraction)
        for batch in battery_batches(columns, piece, month=month)
    ]
    order = sorted(range(len(slices)), key=lambda at: fraction("order", at))
    return [slices[at] for at in order]


def _pieces(rows: Sequence[Row], fraction: Callable[..., float]) -> Iterable[Sequence[Row]]:
    if not rows:
        return
    from_ms, number, piece = rows[0][0], 0, list[Row]()
    for row in rows:
        if row[0] >= from_ms + SLICE_MS:
            yield piece
            number, piece = number + 1, []
            gap_ms = MIN_GAP_MS + (MAX_GAP_MS - MIN_GAP_MS) * fraction("gap", number)
            from_ms = row[0] + round(gap_ms)
        if row[0] >= from_ms:
            piece.append(row)
    yield piece


def _one_a_second(rows: Iterable[Row]) -> Iterable[Row]:
    last_s = None
    for row in rows:
        second = row[0] // 1000
        if last_s is None or second > last_s:
            last_s = second
            yield row


def _has_field(columns: Sequence[StoredColumn], row: Row) -> bool:
    return any(isinstance(_value(columns, row, field), float) for field in _FIELDS)


def _samples(columns: Sequence[StoredColumn], rows: Sequence[Row]) -> tuple[BatterySample, ...]:
    start_s = rows[0][0] // 1000
    return tuple(_sample(columns, row, start_s) for row in rows)


def _sample(columns: Sequence[StoredColumn], row: Row, start_s: int) -> BatterySample:
    found = {field: _value(columns, row, field) for field in _FIELDS}
    values = {field: value for field, value in found.items() if isinstance(value, float)}
    return BatterySample(
        since_start_ms=(row[0] // 1000 - start_s) * 1000,
        pack_voltage_v=values.get("pack_voltage_v"),
        pack_current_a=values.get("pack_current_a"),
        soc_percent=values.get("soc_percent"),
        cell_temp_c=values.get("cell_temp_c"),
        invalid=frozenset(field for field, value in found.items() if value is INVALID),
    )


def _value(columns: Sequence[StoredColumn], row: Row, field: str) -> float | Gap | None:
    """Return the best source's value; what no record may hold is invalid, too."""
    paths, low, high = _FIELDS[field]
    is_invalid = False
    for path in paths:
        value = _read(columns, row, path)
        if isinstance(value, float) and low <= value <= high:
            return value
        is_invalid |= value is not None
    return INVALID if is_invalid else None


def _read(columns: Sequence[StoredColumn], row: Row, path: str) -> float | Gap | None:
    found: float | Gap | None = None
    for column, raw in zip(columns, row[1], strict=True):
        if column.path == path and isinstance(raw, int):
            return float(raw * column.step + column.offset)
        if column.path == path and raw is not None:
            found = INVALID
    return found


def _last_soh(columns: Sequence[StoredColumn], rows: Sequence[Row]) -> int | None:
    for row in reversed(rows):
        value = _read(columns, row, _SOH)
        if isinstance(value, float) and 0 <= value <= 100:  # noqa: PLR2004 (percent)
            return round(value)
    return None
