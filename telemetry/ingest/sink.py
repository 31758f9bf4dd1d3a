"""Where batches go: a row that says *arriving*, one Parquet file, and the row says *stored*.

The name of the file follows from its content. A crash leaves a row that is still arriving, and
perhaps its file: the vehicle has no receipt, sends again, and the same name is written again.
Nothing is stored twice, nothing is lost, and there is no file that no row names.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from telemetry.ingest.dedupe import Batches, Standing
from telemetry.ingest.entries import StoredBatch
from telemetry.ingest.errors import StorageError
from telemetry.ingest.files import Files
from telemetry.ingest.prepare import Prepared

_AT_ONCE = 1_000  # rows in memory while old ones are deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A checked batch on its way into a sink."""

    batch_id: bytes
    part: int
    batch: Prepared
    size_bytes: int
    day: date  # all that is known of when it came


class ParquetSink:
    """One Parquet file for each batch, and the row that names it. Blocks."""

    def __init__(self, files: Files, batches: Batches) -> None:
        self._files = files
        self._batches = batches

    def store(self, arrival: Arrival) -> Standing:
        """Write the row, the file, and the row again: now it counts.

        Returns:
            Whether it is stored now, was known or is withdrawn.

        Raises:
            StorageError: It is not stored; the next try finds everything in order.
        """
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

    def expire(self, today: date, *, days: int) -> int:
        """Delete batches that came more than ``days`` ago, file first; return how many."""
        expired = 0
        while found := self._batches.older(today - timedelta(days=days), limit=_AT_ONCE):
            for row in found:
                self._files.delete(row.file)
                self._batches.expire(row)
            expired += len(found)
        return expired

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
