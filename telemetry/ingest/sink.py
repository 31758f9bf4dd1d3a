"""Where batches go: a row that says *arriving*, one Parquet file, and the row says *stored*.

The name of the file follows from its content. A crash leaves a row that is still arriving, and
perhaps its file: the vehicle has no receipt, sends again, and the same name is written again.
Nothing is stored twice, nothing is lost, and there is no file that no row names.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from telemetry.codec.batch import BatchLimits, DecodedBatch, decode_batch
from telemetry.ingest.dedupe import Batches, Standing
from telemetry.ingest.entries import StoredBatch
from telemetry.ingest.errors import StorageError
from telemetry.ingest.files import Files
from telemetry.records import BATTERY_FIELDS, BatterySample

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
    batch = decode_batch(payload, limits=limits)
    return Prepared(
        purpose=batch.purpose.value,
        schema_id=batch.schema,
        pseudonym=batch.pseudonym,
        month=batch.body.month,
        row_count=len(batch.body.samples),
        parquet=_parquet(_table(batch)),
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
        *(pa.array(value, mask=gaps) for value, gaps in zip(table.values, table.gaps, strict=True)),
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
        parquet=_parquet(pa.table(arrays, schema=_SCHEMA)),
    )


def _parquet(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out, compression="zstd")
    file: bytes = out.getvalue().to_pybytes()
    return file


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A checked batch on its way into a sink."""

    batch_id: bytes
    part: int
    batch: Prepared
    size_bytes: int
    day: date  # all that is known of when it came


class Sink(Protocol):
    """Stores each part of each batch once."""

    def store(self, arrival: Arrival) -> Standing:
        """Store durably; say whether it is stored, was known or is withdrawn.

        Raises:
            StorageError: It is not stored; the next try finds everything in order.
        """


class ParquetSink:
    """One Parquet file for each batch, and the row that names it. Blocks."""

    def __init__(self, files: Files, batches: Batches) -> None:
        self._files = files
        self._batches = batches

    def store(self, arrival: Arrival) -> Standing:
        """Write the row, the file, and the row again: now it counts."""
        row = _row(arrival)
        standing = self._batches.begin(row)
        if standing is not Standing.NEW:
            return standing
        self._files.write(row.file, arrival.batch.parquet, row.stored_day)
        standing = self._batches.finish(row)
        if standing is Standing.WITHDRAWN:
            self._files.delete(row.file)
            self._batches.forget(row)
        return standing

    def sweep(self, today: date) -> int:
        """Delete what was taken back while a receiver that died wrote it; return how many."""
        halted = self._batches.halted(today - timedelta(days=1))
        for row in halted:
            self._files.delete(row.file)
            self._batches.forget(row)
        return len(halted)

    def orphans(self) -> list[str]:
        """Return files that no row names."""
        known = {row.file for row in (*self._batches.batches(), *self._batches.unfinished())}
        return sorted(name for name in self._files.names() if name not in known)

    def missing(self) -> list[str]:
        """Return files that a stored row names and nobody holds."""
        there = set(self._files.names())
        return sorted(row.file for row in self._batches.batches() if row.file not in there)


def read_rows(content: bytes) -> list[dict[str, object]]:
    """Return the rows in the file of one stored batch; raise StorageError."""
    try:
        rows: list[dict[str, object]] = pq.read_table(pa.BufferReader(content)).to_pylist()
    except pa.ArrowException as error:
        raise StorageError(
            f"a stored file: {error}",
            intact="the file was only read",
            advice="restore it from a backup; okdrive-ingest doctor compares index and files",
        ) from error
    return rows


def _row(arrival: Arrival) -> StoredBatch:
    batch = arrival.batch
    name = f"{arrival.batch_id.hex()}-{arrival.part}.parquet"
    return StoredBatch(
        pseudonym=batch.pseudonym,
        batch_id=arrival.batch_id,
        part=arrival.part,
        purpose=batch.purpose,
        schema_id=batch.schema_id,
        month=batch.month,
        row_count=batch.row_count,
        size_bytes=arrival.size_bytes,
        file=f"{batch.purpose}/{batch.month}/{name}",
        stored_day=arrival.day,
    )


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
