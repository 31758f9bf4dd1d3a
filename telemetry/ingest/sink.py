"""Where batches go: one Parquet file per batch, then one row in the index.

The file is whole before the index names it, and its name follows from its content. A crash between
the two leaves a file without a row: the vehicle has no receipt, sends again, and the same name is
written again. Nothing is stored twice and nothing is lost.
"""

import importlib
import importlib.util
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from telemetry.codec.batch import BatchLimits, DecodedBatch, decode_batch
from telemetry.ingest.dedupe import Index, StoredBatch
from telemetry.ingest.errors import StorageError
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
_TMP = ".tmp"
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
    minute: datetime  # all that is known of when it came


class Sink(Protocol):
    """Stores each part of each batch once."""

    def store(self, arrival: Arrival) -> bool:
        """Store durably; return False if it was there already; raise StorageError."""


class ParquetSink:
    """A folder of Parquet files beside the index. Blocks."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self._index = index

    def store(self, arrival: Arrival) -> bool:
        """Write the file, then the row; return False if the batch was stored before."""
        row = _row(arrival)
        if self._index.knows(row):
            return False
        with _translated(self.folder):
            self._write(self.folder / row.file, arrival.batch.parquet, arrival.minute)
        return self._index.add(row)

    def orphans(self) -> list[str]:
        """Return files that no row names: their vehicles will send again."""
        known = {batch.file for batch in self._index.batches()}
        found = (path.relative_to(self.folder) for path in self.folder.glob("*/*/*.parquet"))
        return sorted(str(path) for path in found if str(path) not in known)

    def missing(self) -> list[str]:
        """Return files that a row names and the folder does not hold."""
        files = (batch.file for batch in self._index.batches())
        return sorted(file for file in files if not (self.folder / file).exists())

    def _write(self, path: Path, content: bytes, minute: datetime) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}{_TMP}")
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.utime(beside, (minute.timestamp(), minute.timestamp()))  # not the second it came
            beside.rename(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        for folder in (path.parent, path.parent.parent, self.folder):
            _sync_folder(folder)


def clean_unfinished(folder: Path) -> int:
    """Delete unfinished files of an earlier run, while nobody writes; return how many."""
    with _translated(folder):
        unfinished = list(folder.glob(f"*/*/*{_TMP}"))
        for path in unfinished:
            path.unlink()
    return len(unfinished)


def read_rows(path: Path) -> list[dict[str, object]]:
    """Return the rows of one stored batch; raise StorageError."""
    with _translated(path):
        rows: list[dict[str, object]] = pq.read_table(path, schema=_SCHEMA).to_pylist()
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
        stored_minute=arrival.minute,
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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StorageError(
            f"{path}: {error}",
            intact="what was stored is intact; nothing was half-written and no receipt was sent",
            advice="check that the disk has room and is writable",
        ) from error
