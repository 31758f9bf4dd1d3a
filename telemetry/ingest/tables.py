"""A batch as columns of numbers, checked as the records check them but all rows at once.

This is the quick way for batches that are in order. Whatever is not, and whatever the compiled
decoder cannot tell, goes the plain way through the records, which says what is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from telemetry.codec.batch import BatchLimits, OpenBatch, open_batch
from telemetry.codec.errors import CodecError
from telemetry.codec.schemas import BATTERY_1, BATTERY_2
from telemetry.ingest.compiled import Table, TooWideError, decode_table
from telemetry.records import (
    MAX_CURRENT_A,
    MAX_SINCE_START_MS,
    MAX_TEMP_C,
    MAX_VOLTAGE_V,
    MIN_TEMP_C,
    BatteryBatch,
    BatterySample,
)

_TAKEN = (BATTERY_1, BATTERY_2)
_RANGES = (  # of their columns, in their units, as BatterySample has them
    (0.0, float(MAX_SINCE_START_MS)),
    (0.0, MAX_VOLTAGE_V),
    (-MAX_CURRENT_A, MAX_CURRENT_A),
    (0.0, 100.0),
    (MIN_TEMP_C, MAX_TEMP_C),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryTable:
    """The records of a ``battery`` batch as columns; every value is within its range."""

    opened: OpenBatch
    since_start_ms: NDArray[np.int64]
    values: tuple[NDArray[np.float64], ...]  # volts, amps, percent, degrees: in their units
    gaps: tuple[NDArray[np.bool_], ...]  # where there is no value
    invalid: tuple[NDArray[np.bool_], ...]  # the gaps where a reading was not to be believed

    @property
    def rows(self) -> int:
        """How many samples."""
        return len(self.since_start_ms)


def battery_table(payload: bytes, *, limits: BatchLimits) -> BatteryTable | None:
    """Return ``payload`` as a table, or None if the plain decoder must look at it."""
    try:
        opened = open_batch(payload, limits=limits)
        if opened.schema not in _TAKEN:
            return None
        table = decode_table(
            opened.block,
            max_rows=limits.max_rows,
            max_columns=len(opened.schema.columns),
            model=opened.schema.model,
            format_=opened.schema.column_format,
        )
        gaps, invalid = _count(table.gaps), _count(table.invalid)
        opened.check_counts(len(table.values[0]), gaps - invalid, invalid)
        return _checked(opened, table)
    except (CodecError, TooWideError, ValueError):
        return None


def _count(columns: Sequence[NDArray[np.bool_]]) -> int:
    return sum(int(flags.sum()) for flags in columns)


def _checked(opened: OpenBatch, table: Table) -> BatteryTable | None:
    times, gaps = table.values[0], table.gaps
    if gaps[0].any() or not len(times) or (np.diff(times) <= 0).any():
        return None
    columns = zip(table.values, gaps, opened.schema.columns, _RANGES, strict=True)
    units = []
    for raw, flags, column, (low, high) in columns:
        value = raw / column.per_unit
        if not (((low <= value) & (value <= high)) | flags).all():
            return None
        units.append(value)
    _check_head(opened, int(times[0]))
    return BatteryTable(
        opened=opened,
        since_start_ms=times,
        values=tuple(units[1:]),
        gaps=tuple(gaps[1:]),
        invalid=tuple(table.invalid[1:]),
    )


def _check_head(opened: OpenBatch, first_ms: int) -> None:
    """Let the records judge month and state of health; raise ValueError."""
    sample = BatterySample(
        since_start_ms=first_ms,
        pack_voltage_v=None,
        pack_current_a=None,
        soc_percent=None,
        cell_temp_c=None,
    )
    BatteryBatch(month=opened.month, soh_percent=opened.soh_percent, samples=(sample,))
