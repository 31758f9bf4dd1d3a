"""From the bytes of a batch to the bytes of its Parquet file: decoded, checked, laid out. Pure.

Old and new schemas side by side: every id ever released is read, and rows of one purpose have the
same columns whatever their schema.
"""

import importlib
import importlib.util
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from telemetry.codec.anybatch import decode_any
from telemetry.codec.batch import BatchLimits, DecodedBatch, decode_batch, load_fields
from telemetry.codec.bodies import BODY_SCHEMAS
from telemetry.records import (
    BATTERY_FIELDS,
    BatterySample,
    ChargingBatch,
    DiagnosticsBatch,
    JourneysBatch,
    TrafficBatch,
)

_SCHEMA = pa.schema(
    [
        ("pseudonym", pa.binary(16)),
        ("since_start_ms", pa.int64()),
        ("pack_voltage_v", pa.float64()),
        ("pack_current_a", pa.float64()),
        ("soc_percent", pa.float64()),
        ("cell_temp_c", pa.float64()),
        ("soh_percent", pa.int8()),
        ("month", pa.string()),
        # true: a reading came and was wrong; false: none came, or there is a value;
        # null: an older schema, which did not tell
        *((f"{name}_invalid", pa.bool_()) for name in BATTERY_FIELDS),
    ]
)
_HEAD = [("pseudonym", pa.binary(16)), ("month", pa.string())]
_BODIES: dict[type[Any], list[tuple[str, pa.DataType]]] = {  # fields as in telemetry/records.py
    ChargingBatch: [
        ("cell", pa.uint64()),
        ("hour_of_week", pa.int16()),
        ("soc_in_percent", pa.int8()),
        ("current", pa.string()),
        ("quarter_hours_wh", pa.list_(pa.int32())),
        ("soc_out_percent", pa.int8()),
        ("dwell", pa.string()),
    ],
    JourneysBatch: [
        ("kind", pa.string()),
        ("distance_from_km", pa.int16()),
        ("duration_from_min", pa.int16()),
        ("consumption_wh_km", pa.int16()),
        ("ambient_c", pa.int8()),
    ],
    TrafficBatch: [
        ("cell", pa.uint64()),
        ("hour_of_week", pa.int16()),
        ("speed_tenths", pa.list_(pa.int8())),
    ],
    DiagnosticsBatch: [
        ("version", pa.string()),
        ("uptime_class", pa.int8()),
        ("losses", pa.map_(pa.string(), pa.int8())),
    ],
}
# A dictionary only where a column says one thing: half the bytes, a quarter less time (measured)
_LAYOUT = {
    "use_dictionary": [
        "pseudonym",
        "soh_percent",
        "month",
        *(f"{name}_invalid" for name in BATTERY_FIELDS),
    ],
    "column_encoding": {"since_start_ms": "DELTA_BINARY_PACKED"},
    "write_statistics": False,  # a file is one batch: nobody skips half of it
}
HAS_COMPILER = importlib.util.find_spec("numba") is not None


class Prepared(Struct, frozen=True, kw_only=True):
    """A batch that was decoded and checked, as it goes to disk; a worker process hands it over."""

    purpose: str
    schema_id: str
    pseudonym: bytes
    month: str
    row_count: int
    parquet: bytes


def warm_up() -> None:
    """Load the compiled decoder where there is one, so that the first batch does not wait."""
    if HAS_COMPILER:
        importlib.import_module("telemetry.ingest.tables")


def prepare(payload: bytes, limits: BatchLimits) -> Prepared:
    """Decode ``payload`` within ``limits`` and build its file; raise CodecError.

    The compiled decoder goes first where it is installed; what it does not take, and every refusal,
    is the plain decoder's. Both give the same file.
    """
    quick = prepare_quickly(payload, limits) if HAS_COMPILER else None
    return quick or prepare_plainly(payload, limits)


def prepare_plainly(payload: bytes, limits: BatchLimits) -> Prepared:
    """Do what ``prepare`` does, record by record."""
    if (records := prepare_records(payload, limits)) is not None:
        return records
    batch = decode_batch(payload, limits=limits)
    return Prepared(
        purpose=batch.purpose.value,
        schema_id=batch.schema,
        pseudonym=batch.pseudonym,
        month=batch.body.month,
        row_count=len(batch.body.samples),
        parquet=_parquet(_table(batch), **_LAYOUT),
    )


def prepare_quickly(payload: bytes, limits: BatchLimits) -> Prepared | None:
    """Do what ``prepare`` does, column by column; None if the plain decoder must look at it."""
    from telemetry.ingest.tables import battery_table  # noqa: PLC0415 (loads numba, 1 s)

    table = battery_table(payload, limits=limits)
    if table is None:
        return None
    opened, rows = table.opened, table.rows
    arrays = [
        pa.repeat(pa.scalar(opened.pseudonym, pa.binary(16)), rows),
        pa.array(table.since_start_ms),
        *(
            pa.array(value, mask=gaps if gaps.any() else None)  # without one nothing is copied
            for value, gaps in zip(table.values, table.gaps, strict=True)
        ),
        pa.repeat(pa.scalar(opened.soh_percent, pa.int8()), rows),
        pa.repeat(pa.scalar(opened.month, pa.string()), rows),
        *(
            pa.array(flags) if opened.schema.tells_invalid else pa.nulls(rows, pa.bool_())
            for flags in table.invalid
        ),
    ]
    return Prepared(
        purpose=opened.schema.purpose.value,
        schema_id=opened.schema.schema_id,
        pseudonym=opened.pseudonym,
        month=opened.month,
        row_count=rows,
        parquet=_parquet(pa.table(arrays, schema=_SCHEMA), **_LAYOUT),
    )


def prepare_records(payload: bytes, limits: BatchLimits) -> Prepared | None:
    """Do what ``prepare`` does for a purpose whose batch is one record; None for any other."""
    schema_id = load_fields(payload, limits)[2]
    if not isinstance(schema_id, str) or schema_id not in BODY_SCHEMAS:
        return None
    found = decode_any(payload, limits=limits)
    row = {"pseudonym": found.pseudonym, "month": found.month, **asdict(found.body)}
    schema = pa.schema([*_HEAD, *_BODIES[type(found.body)]])
    return Prepared(
        purpose=found.purpose.value,
        schema_id=found.schema_id,
        pseudonym=found.pseudonym,
        month=found.month,
        row_count=1,
        parquet=_parquet(pa.Table.from_pylist([row], schema=schema)),
    )


def _parquet(table: pa.Table, **layout: object) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out, compression="zstd", **layout)
    file: bytes = out.getvalue().to_pybytes()
    return file


def _table(batch: DecodedBatch) -> pa.Table:
    samples = batch.body.samples
    count = len(samples)
    return pa.table(
        [
            pa.array([batch.pseudonym] * count, pa.binary(16)),
            pa.array([sample.since_start_ms for sample in samples], pa.int64()),
            pa.array([sample.pack_voltage_v for sample in samples], pa.float64()),
            pa.array([sample.pack_current_a for sample in samples], pa.float64()),
            pa.array([sample.soc_percent for sample in samples], pa.float64()),
            pa.array([sample.cell_temp_c for sample in samples], pa.float64()),
            pa.array([batch.body.soh_percent] * count, pa.int8()),
            pa.array([batch.body.month] * count, pa.string()),
            *(
                pa.array([_is_invalid(batch, sample, name) for sample in samples], pa.bool_())
                for name in BATTERY_FIELDS
            ),
        ],
        schema=_SCHEMA,
    )


def _is_invalid(batch: DecodedBatch, sample: BatterySample, name: str) -> bool | None:
    return name in sample.invalid if batch.tells_invalid else None
