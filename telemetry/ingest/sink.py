"""Where batches go: one Parquet file per batch, then one row in the index.

The file is whole before the index names it, and its name follows from its content. A crash between
the two leaves a file without a row: the vehicle has no receipt, sends again, and the same name is
written again. Nothing is stored twice and nothing is lost.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from telemetry.codec.batch import DecodedBatch
from telemetry.ingest.dedupe import Index, StoredBatch
from telemetry.ingest.errors import StorageError

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
    ]
)
_TMP = ".tmp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A decoded batch on its way into a sink."""

    batch_id: bytes
    part: int
    batch: DecodedBatch
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
            self._write(self.folder / row.file, _table(arrival.batch), arrival.minute)
        return self._index.add(row)

    def clean(self) -> int:
        """Delete unfinished files of an earlier run; return how many."""
        with _translated(self.folder):
            unfinished = list(self.folder.glob(f"*/*/*{_TMP}"))
            for path in unfinished:
                path.unlink()
        return len(unfinished)

    def orphans(self) -> list[str]:
        """Return files that no row names: their vehicles will send again."""
        known = {batch.file for batch in self._index.batches()}
        found = (path.relative_to(self.folder) for path in self.folder.glob("*/*/*.parquet"))
        return sorted(str(path) for path in found if str(path) not in known)

    def missing(self) -> list[str]:
        """Return files that a row names and the folder does not hold."""
        files = (batch.file for batch in self._index.batches())
        return sorted(file for file in files if not (self.folder / file).exists())

    def _write(self, path: Path, table: pa.Table, minute: datetime) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(_TMP)
        try:
            with beside.open("wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            os.utime(beside, (minute.timestamp(), minute.timestamp()))  # not the second it came
            beside.rename(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        for folder in (path.parent, path.parent.parent, self.folder):
            _sync_folder(folder)


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
        schema_id=batch.schema,
        month=batch.body.month,
        row_count=len(batch.body.samples),
        size_bytes=arrival.size_bytes,
        file=f"{batch.purpose}/{batch.body.month}/{name}",
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
        ],
        schema=_SCHEMA,
    )


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
