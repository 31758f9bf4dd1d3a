import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from telemetry.codec.batch import BatchLimits, batch_id
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.codec.part import split
from telemetry.ingest import answers, sink
from telemetry.ingest.desk import Desk, DeskSettings, OpenBatch
from telemetry.ingest.errors import StorageError
from telemetry.ingest.files import FolderFiles
from telemetry.ingest.sink import ParquetSink, read_rows
from telemetry.ingest.sqlite import SqliteDatabase
from telemetry.ingest.store import Index, Store
from telemetry.records import Receipt, ReceiptStatus
from tests.support.batches import batch_payload
from tests.support.clock import FakeClock
from tests.support.ingest_store import local_store
from tests.support.sealing import RECIPIENT, FakeRecipient, unsealed

UP = "okdrive/1/up/battery"
DAY_S = 86_400


@dataclass
class Bench:
    folder: Path
    store: Store
    index: Index
    sink: ParquetSink
    desk: Desk
    clock: FakeClock

    def files(self) -> list[Path]:
        return sorted((self.folder / "parquet").glob("*/*/*"))


def open_bench(
    folder: Path,
    clock: FakeClock,
    limits: BatchLimits | None = None,
    open_batch: OpenBatch = unsealed,
) -> Bench:
    store = local_store(folder)
    settings = DeskSettings(limits=limits or BatchLimits(), quarantine_max=3)
    desk = Desk(store=store, open_batch=open_batch, clock=clock, settings=settings)
    return Bench(folder, store, store.index, desk._sink, desk, clock)


@pytest.fixture
def sealed_bench(tmp_path: Path) -> Iterator[Bench]:
    """A desk that opens what comes."""
    opened = open_bench(tmp_path, FakeClock(), open_batch=RECIPIENT.open)
    yield opened
    opened.store.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    opened = open_bench(tmp_path, FakeClock())
    yield opened
    opened.store.close()


def test_a_batch_is_stored_with_its_rows(bench: Bench) -> None:
    payload = batch_payload(rows=5)
    receipt = bench.desk.take(UP, payload)
    assert receipt == Receipt(
        batch_id=batch_id(payload), part=0, status=ReceiptStatus.STORED, code=None
    )
    [batch] = bench.index.batches()
    assert (batch.row_count, batch.size_bytes, batch.month) == (5, len(payload), "2026-11")
    rows = read_rows(bench.store.files.read(batch.file))
    assert [row["since_start_ms"] for row in rows] == [0, 1000, 2000, 3000, 4000]
    assert rows[0]["pack_voltage_v"] == 360.0
    assert rows[0]["cell_temp_c"] is None


def test_a_batch_that_comes_again_is_a_duplicate_and_stored_once(bench: Bench) -> None:
    payload = batch_payload()
    bench.desk.take(UP, payload)
    assert bench.desk.take(UP, payload).status is ReceiptStatus.DUPLICATE
    assert len(bench.index.batches()) == 1
    assert len(bench.files()) == 1
    assert bench.index.counts()["duplicates"] == 1


def test_a_duplicate_does_not_touch_the_stored_file(bench: Bench) -> None:
    bench.desk.take(UP, batch_payload())
    before = bench.files()[0].stat()
    bench.desk.take(UP, batch_payload())
    after = bench.files()[0].stat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


def test_no_table_keeps_the_order_in_which_rows_came(bench: Bench) -> None:
    for table in ("batches", "quarantine", "receipts", "parts", "joined", "erased", "reports"):
        with (
            pytest.raises(StorageError, match="no such column: rowid"),
            bench.index.database.reading() as connection,
        ):
            connection.execute(f"SELECT rowid FROM {table}")


def test_a_crash_between_file_and_row_neither_doubles_nor_loses(
    bench: Bench, tmp_path: Path
) -> None:
    payload = batch_payload()
    bench.desk.take(UP, payload)
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        connection.execute("UPDATE batches SET state='arriving'")  # as if killed before the commit
    assert bench.index.batches() == []
    assert (bench.index.counts()["unfinished"], bench.sink.orphans()) == (1, [])
    assert bench.desk.take(UP, payload).status is ReceiptStatus.STORED
    assert len(bench.files()) == len(bench.index.batches()) == 1
    assert bench.index.counts()["unfinished"] == 0


def test_two_receivers_with_one_batch_at_the_same_time_store_it_once(bench: Bench) -> None:
    other = Desk(
        store=local_store(bench.folder),
        open_batch=unsealed,
        clock=bench.clock,
        settings=bench.desk._settings,
    )
    genuine, statuses = bench.sink._files, []

    class Late(FolderFiles):
        def write(self, file: str, content: bytes, day: date) -> None:
            statuses.append(other.take(UP, batch_payload()).status)
            genuine.write(file, content, day)

    bench.sink._files = Late(bench.folder / "parquet")
    statuses.append(bench.desk.take(UP, batch_payload()).status)
    other._index.database.close()
    assert statuses == [ReceiptStatus.STORED, ReceiptStatus.DUPLICATE]
    assert len(bench.files()) == len(bench.index.batches()) == 1


def test_an_unfinished_file_of_an_earlier_run_is_cleaned_away(bench: Bench) -> None:
    bench.desk.take(UP, batch_payload())
    unfinished = bench.files()[0].with_suffix(".tmp")
    unfinished.write_bytes(b"half")
    assert FolderFiles(bench.folder / "parquet").clean_unfinished() == 1
    assert not unfinished.exists()
    assert len(bench.files()) == 1


def test_only_the_day_of_an_arrival_is_known_to_anybody(bench: Bench) -> None:
    bench.clock.advance_s(17.5)
    bench.desk.take(UP, batch_payload())
    bench.desk.take(UP, b"poison")
    bench.desk.take(UP, split(batch_payload(1, rows=400), max_bytes=200)[0], PART_TYPE)
    today = bench.clock.utc_now().date()
    [batch] = bench.index.batches()
    assert (type(batch.stored_day), batch.stored_day) == (date, today)
    noon = datetime.combine(today, time(12), UTC).timestamp()
    assert os.stat(bench.files()[0]).st_mtime == noon  # noqa: PTH116 (float)
    with bench.index.database.reading() as connection:
        for table in ("quarantine", "receipts", "parts"):
            days = {row[0] for row in connection.execute(f"SELECT day FROM {table}").fetchall()}
            assert days == {today.isoformat()}


def test_the_order_of_arrival_within_a_minute_is_lost(tmp_path: Path) -> None:
    listed = []
    for name, order in (("a", range(5)), ("b", reversed(range(5)))):
        bench = open_bench(tmp_path / name, FakeClock())
        for number in order:
            bench.desk.take(UP, batch_payload(number))
        listed.append([batch.batch_id for batch in bench.index.batches()])
        bench.store.close()
    assert listed[0] == listed[1]


@pytest.mark.parametrize(
    ("topic", "payload", "code"),
    [
        (UP, b"", "codec"),
        (UP, b"no batch", "codec"),
        (UP, batch_payload()[:-1], "codec"),
        ("okdrive/1/up/nothing", batch_payload(), "telemetry.topic.unknown"),
    ],
    ids=["empty", "text", "cut", "other-topic"],
)
def test_poison_is_refused_with_its_code_and_kept_aside_as_it_came(
    sealed_bench: Bench, topic: str, payload: bytes, code: str
) -> None:
    bench, sealed = sealed_bench, RECIPIENT.seal(payload)
    receipt = bench.desk.take(topic, sealed)
    assert receipt.status is ReceiptStatus.REFUSED
    assert receipt.code is not None
    assert receipt.code.startswith(code)
    [kept] = bench.index.quarantined()
    assert (kept.batch_id, kept.payload, kept.code) == (receipt.batch_id, sealed, receipt.code)
    assert bench.index.batches() == []
    assert bench.files() == []


def test_a_batch_that_was_opened_is_refused_under_its_own_id(sealed_bench: Bench) -> None:
    receipt = sealed_bench.desk.take(UP, RECIPIENT.seal(b"no batch"))
    assert receipt.batch_id == batch_id(b"no batch")


@pytest.mark.parametrize("payload", [b"", batch_payload()], ids=["empty", "a-batch-as-it-is"])
def test_what_is_not_sealed_is_refused_and_only_the_reason_is_kept(
    sealed_bench: Bench, payload: bytes
) -> None:
    receipt = sealed_bench.desk.take(UP, payload)
    assert (receipt.batch_id, receipt.code) == (batch_id(payload), "seal.shape")
    [kept] = sealed_bench.index.quarantined()
    assert (kept.payload, kept.size_bytes) == (None, len(payload))


def test_what_was_sealed_to_another_key_or_changed_is_refused_under_the_hash_that_came(
    sealed_bench: Bench,
) -> None:
    changed = bytearray(RECIPIENT.seal(batch_payload()))
    changed[-1] ^= 1
    strange = FakeRecipient().seal(batch_payload())
    for sealed, code in ((bytes(changed), "seal.broken"), (strange, "seal.key")):
        receipt = sealed_bench.desk.take(UP, sealed)
        assert (receipt.batch_id, receipt.code) == (batch_id(sealed), code)
    kept = {batch.code: batch.payload for batch in sealed_bench.index.quarantined()}
    assert kept == {"seal.broken": bytes(changed), "seal.key": strange}
    assert batch_payload() not in (sealed_bench.folder / "index.sqlite").read_bytes()


def test_a_batch_sealed_again_is_a_duplicate_of_itself(sealed_bench: Bench) -> None:
    first, second = (RECIPIENT.seal(batch_payload()) for _ in range(2))
    assert first != second
    assert sealed_bench.desk.take(UP, first).status is ReceiptStatus.STORED
    assert sealed_bench.desk.take(UP, second).status is ReceiptStatus.DUPLICATE


def test_what_is_too_large_is_refused_and_not_kept(tmp_path: Path) -> None:
    bench = open_bench(tmp_path, FakeClock(), BatchLimits(max_bytes=100))
    receipt = bench.desk.take(UP, b"\xa7" + b"x" * 200)
    assert receipt.code == "codec.too_large"
    [kept] = bench.index.quarantined()
    assert (kept.payload, kept.size_bytes) == (None, 201)
    bench.store.close()


def test_a_batch_with_too_many_rows_is_refused(tmp_path: Path) -> None:
    bench = open_bench(tmp_path, FakeClock(), BatchLimits(max_rows=4))
    assert bench.desk.take(UP, batch_payload(rows=5)).status is ReceiptStatus.REFUSED
    assert bench.desk.take(UP, batch_payload(rows=4)).status is ReceiptStatus.STORED
    bench.store.close()


def test_quarantine_is_bounded_and_emptied_after_seven_days(bench: Bench) -> None:
    for number in range(5):
        bench.desk.take(UP, f"poison {number}".encode())
        bench.clock.advance_s(DAY_S)
    assert len(bench.index.quarantined()) == 3
    bench.clock.advance_s(5 * DAY_S)
    assert bench.desk.purge() == 1
    bench.clock.advance_s(2 * DAY_S)
    assert bench.desk.purge() == 2
    assert bench.index.quarantined() == []


def test_a_disk_that_takes_no_file_gives_no_answer(bench: Bench) -> None:
    (bench.folder / "parquet").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="parquet"):
        bench.desk.take(UP, batch_payload())
    assert bench.index.batches() == []
    assert bench.index.receipts() == []


def test_answers_are_counted(bench: Bench) -> None:
    payload = batch_payload()
    for _ in range(3):
        bench.desk.take(UP, payload)
    answers = {receipt.status: receipt.answers for receipt in bench.index.receipts()}
    assert answers == {"stored": 1, "duplicate": 2}


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    local_store(tmp_path).close()
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        connection.execute("PRAGMA user_version=77")
    with pytest.raises(StorageError, match="expected schema version 4, found 77"):
        local_store(tmp_path)


def test_a_reader_without_an_index_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="expected the index of an ingest, found none"):
        SqliteDatabase.open_to_read(tmp_path / "index.sqlite")


def test_a_batch_is_deleted_after_24_months_as_its_notice_says(bench: Bench) -> None:
    bench.desk.take(UP, batch_payload(0))
    bench.clock.advance_s(400 * DAY_S)
    bench.desk.take(UP, batch_payload(1))
    bench.clock.advance_s(331 * DAY_S)
    bench.desk.purge()
    assert len(bench.index.batches()) == 2
    bench.clock.advance_s(DAY_S)
    bench.desk.purge()
    assert [batch.batch_id for batch in bench.index.batches()] == [batch_id(batch_payload(1))]
    assert len(bench.files()) == 1


def test_old_batches_go_however_many_there_are(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "_AT_ONCE", 2)
    for number in range(5):
        bench.desk.take(UP, batch_payload(number))
    assert bench.sink.expire(bench.clock.utc_now().date() + timedelta(days=2), days=1) == 5
    assert (bench.index.batches(), bench.files()) == ([], [])


def test_an_answer_is_forgotten_after_half_a_year(bench: Bench) -> None:
    bench.desk.take(UP, batch_payload())
    bench.clock.advance_s(180 * DAY_S)
    bench.desk.purge()
    assert len(bench.index.receipts()) == 1
    bench.clock.advance_s(DAY_S)
    bench.desk.purge()
    assert bench.index.receipts() == []
    assert len(bench.index.batches()) == 1


def test_what_waits_is_counted_without_looking_at_what_is_stored(bench: Bench) -> None:
    bench.desk.take(UP, batch_payload())
    with bench.index.database.reading() as connection:
        for statement in answers._WAITING.values():
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            assert not any("SCAN batches" in step[3] and "INDEX" not in step[3] for step in plan)
    assert "batches" not in bench.index.waiting()
