"""How many trip batches one core of ingest decodes, checks and stores in a second.

Real trips, joined until a batch holds 40,000 values (8,000 rows of the purpose ``battery``), are
sealed as a vehicle does, opened with ingest's key and go through the desk of the receiver into
Parquet and SQLite on disk. What is counted is CPU time, so
that a busy machine or a slow disk does not change the figure; the receipt's signature and the
network are not in it. Run ``python -m benchmarks.ingest_rate``.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from benchmarks.catalog import RECORDINGS
from benchmarks.i3 import Table, read_i3
from benchmarks.result import Result
from benchmarks.wire_size import REPORTED
from telemetry.codec.batch import BatchLimits, encode_batch
from telemetry.ingest.desk import Desk, DeskSettings
from telemetry.ingest.files import FolderFiles
from telemetry.ingest.prepare import HAS_COMPILER, Prepared, prepare_plainly, prepare_quickly
from telemetry.ingest.sqlite import SqliteDatabase
from telemetry.ingest.store import Index, Store
from telemetry.purposes import Purpose
from telemetry.records import BatteryBatch, BatterySample, ReceiptStatus
from telemetry.seal import OpeningKey, open_sealed, seal
from telemetry.topics import uplink_topic

ROWS = 8_000  # times 5 columns: 40,000 values
_KEY = OpeningKey(X25519PrivateKey.generate())
_LIMITS = BatchLimits()
_TOPIC = uplink_topic(Purpose.BATTERY)


class _Clock:
    """Always the same minute."""

    def utc_now(self) -> datetime:
        """Return a fixed time."""
        return datetime(2026, 11, 1, tzinfo=UTC)

    def monotonic_s(self) -> float:
        """Return a fixed time."""
        return 0.0


def measure(
    recordings: Path = RECORDINGS, *, batches: int = 30, plain_batches: int = 5, quick: bool = False
) -> list[Result]:
    """Return the rate with the compiled decoder and with the plain one."""
    batches, plain_batches = (2, 1) if quick else (batches, plain_batches)
    trips = [read_i3(recordings / "trips" / f"Trip{name}.csv.gz", rate_hz=1) for name in REPORTED]
    results = [_result("ingest, plain decoder", _rate(trips, _plainly, plain_batches), None)]
    if HAS_COMPILER:
        rate = _rate(trips, _quickly, batches)
        results.append(_result("ingest, compiled decoder", rate, results[0]["value"]))
    return results


def payloads(trips: Sequence[Table], count: int) -> Iterator[bytes]:
    """Yield ``count`` batches of 40,000 values each, none like another."""
    rows = _rows(trips)
    for number in range(count):
        samples = tuple(
            BatterySample(
                since_start_ms=1000 * at,
                pack_voltage_v=table.value(0, row),
                pack_current_a=table.value(1, row),
                soc_percent=min(100.0, max(0.0, table.value(2, row))),
                cell_temp_c=table.value(4, row),
            )
            for at, (table, row) in enumerate(islice(rows, ROWS))
        )
        batch = BatteryBatch(month="2026-11", soh_percent=91, samples=samples)
        yield encode_batch(batch, pseudonym=bytes(16), nonce=number.to_bytes(16))


def _rows(trips: Sequence[Table]) -> Iterator[tuple[Table, int]]:
    while True:
        for table in trips:
            for row in range(len(table.times_ms)):
                yield table, row


def _plainly(payload: bytes) -> Prepared:
    return prepare_plainly(payload, _LIMITS)


def _quickly(payload: bytes) -> Prepared:
    prepared = prepare_quickly(payload, _LIMITS)
    if prepared is None:
        raise RuntimeError("expected the compiled decoder to take a batch of a real trip")
    return prepared


def _rate(trips: Sequence[Table], prepare: Callable[[bytes], Prepared], batches: int) -> float:
    """Return batches per second of CPU time: the median over batches, the first one left out."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(
            Index(SqliteDatabase.open(Path(folder) / "index.sqlite")),
            FolderFiles(Path(folder) / "parquet"),
        )
        try:
            desk = Desk(
                store=store,
                open_batch=_open,
                clock=_Clock(),
                settings=DeskSettings(limits=_LIMITS),
                prepare_batch=prepare,
            )
            times_s = [_take_s(desk, payload) for payload in payloads(trips, batches + 1)]
        finally:
            store.close()
    return 1 / statistics.median(times_s[1:])


def _open(purpose: str, sealed: bytes) -> bytes:
    return open_sealed(sealed, purpose=purpose, key=_KEY)


def _take_s(desk: Desk, payload: bytes) -> float:
    sealed = seal(payload, purpose=Purpose.BATTERY, key=_KEY.public)
    start_s = time.process_time()
    receipt = desk.take(_TOPIC, sealed)
    took_s = time.process_time() - start_s
    if receipt.status is not ReceiptStatus.STORED:
        raise RuntimeError(f"expected the batch to be stored, got {receipt.status}")
    return took_s


def _result(name: str, rate: float, plain: float | None, *, must: float = 40) -> Result:
    is_compiled = plain is not None
    return Result(
        name=f"{name}: sealed batches of 40,000 values per core and second",
        value=round(rate, 1),
        unit="1/s",
        peer=plain,
        ratio=round(rate / plain, 2) if plain else None,
        must=must if is_compiled else None,
        aim=200 if is_compiled else None,
        ok=rate >= must if is_compiled else None,
    )


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=30, help="how many are stored")
    print(json.dumps(measure(batches=parser.parse_args().batches), indent=2))


if __name__ == "__main__":
    main()
