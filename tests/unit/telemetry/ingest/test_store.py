"""What a store promises, whichever database and place of files stand behind it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from telemetry.codec.batch import batch_id
from telemetry.codec.erase import EraseRequest, Erasure, encode_erase
from telemetry.codec.part import CONTENT_TYPE, split
from telemetry.ingest.config import BrokerConfig, IngestConfig, StoreConfig
from telemetry.ingest.dedupe import Standing
from telemetry.ingest.desk import WITHDRAWN, Desk, DeskSettings
from telemetry.ingest.entries import StoredBatch
from telemetry.ingest.errors import ConfigError, NotFoundError, StorageError
from telemetry.ingest.sink import ParquetSink, read_rows
from telemetry.ingest.store import Store, open_files, open_store, open_to_read
from telemetry.records import Receipt, ReceiptStatus
from tests.support.batches import TOKEN, batch_payload
from tests.support.clock import FakeClock
from tests.support.object_server import BUCKET, object_server
from tests.support.sealing import unsealed

pytestmark = pytest.mark.timeout(120)

UP = "okdrive/1/up/battery"
TODAY = date(2026, 11, 22)
DAY_S = 86_400


def config(folder: Path, **store: Any) -> IngestConfig:
    none = Path("none")
    return IngestConfig(
        folder=folder,
        receipt_key=none,
        sealing_keys=none,
        broker=BrokerConfig(host="none", ca_file=none, cert_file=none, key_file=none),
        store=StoreConfig(**store),
    )


@pytest.fixture(
    params=[
        "sqlite-folder",
        "sqlite-objects",
        pytest.param("postgres-objects", marks=pytest.mark.system),
    ]
)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Open the same store as often as wanted; all are closed in the end."""
    store = {}
    if "objects" in request.param:
        (tmp_path / "bucket").mkdir()
        store["batches"] = f"file://{tmp_path}/bucket"
    if "postgres" in request.param:
        store["index"] = request.getfixturevalue("postgres").new_database()
    stores = []

    def open_again() -> Store:
        stores.append(open_store(config(tmp_path, **store)))
        return stores[-1]

    yield open_again
    for one in stores:
        one.close()


def desk_of(store: Store, **settings: Any) -> Desk:
    return Desk(
        store=store, open_batch=unsealed, clock=FakeClock(), settings=DeskSettings(**settings)
    )


def row(number: int = 0, **changes: Any) -> StoredBatch:
    values: dict[str, Any] = {
        "pseudonym": b"p" * 16,
        "batch_id": number.to_bytes(32),
        "part": 0,
        "purpose": "battery",
        "schema_id": "battery.1",
        "month": "2026-11",
        "row_count": 5,
        "size_bytes": 100,
        "file": f"battery/2026-11/{number}.parquet",
        "stored_day": TODAY,
    }
    return StoredBatch(**values | changes)


def test_a_batch_is_stored_once_and_read_back(opened: Callable[[], Store]) -> None:
    store = opened()
    desk = desk_of(store)
    statuses = [desk.take(UP, batch_payload()).status for _ in range(2)]
    assert statuses == [ReceiptStatus.STORED, ReceiptStatus.DUPLICATE]
    [stored] = store.index.batches()
    assert stored.batch_id == batch_id(batch_payload())
    assert len(read_rows(store.files.read(stored.file))) == stored.row_count == 5
    assert list(store.files.names()) == [stored.file]


def test_what_one_opened_another_knows(opened: Callable[[], Store]) -> None:
    first, second = opened(), opened()
    desk_of(first).take(UP, batch_payload())
    assert desk_of(second).take(UP, batch_payload()).status is ReceiptStatus.DUPLICATE
    assert second.index.counts()["batches"] == 1


def test_eight_desks_with_the_same_batches_store_each_once(opened: Callable[[], Store]) -> None:
    stores = [opened(), opened()]
    desks = [desk_of(stores[number % 2]) for number in range(8)]
    payloads = [batch_payload(number) for number in range(4)]
    with ThreadPoolExecutor(8) as pool:
        taken = [pool.submit(desk.take, UP, payload) for payload in payloads for desk in desks]
        statuses = [one.result().status for one in taken]
    assert statuses.count(ReceiptStatus.STORED) == len(payloads)
    assert statuses.count(ReceiptStatus.DUPLICATE) == len(payloads) * 7
    assert stores[0].index.counts()["batches"] == len(payloads)
    assert stores[0].index.answers() == {"duplicate": 28, "stored": 4}


def test_the_last_two_parts_at_the_same_time_complete_the_batch(
    opened: Callable[[], Store],
) -> None:
    payload = batch_payload(rows=400)
    parts = split(payload, max_bytes=len(payload) // 6 + 66)
    desks = [desk_of(opened()) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        taken = [
            pool.submit(desks[number % 3].take, UP, part, CONTENT_TYPE)
            for number, part in enumerate(parts)
        ]
        receipts = [one.result() for one in taken]
    assert [receipt.status for receipt in receipts if not receipt.part] == [ReceiptStatus.STORED]
    assert desks[0]._index.counts()["parts"] == 0


def test_a_row_that_arrives_counts_only_once_it_is_finished(opened: Callable[[], Store]) -> None:
    index = opened().index
    assert index.begin(row()) is Standing.NEW
    assert (index.batches(), index.counts()["unfinished"]) == ([], 1)
    assert index.begin(row()) is Standing.NEW  # a receiver died, another takes over
    assert index.finish(row()) is Standing.STORED
    assert index.finish(row()) is Standing.KNOWN
    assert index.begin(row()) is Standing.KNOWN
    assert index.batches() == [row()]


def test_a_batch_is_found_by_its_first_digits(opened: Callable[[], Store]) -> None:
    index = opened().index
    for number in (0x11, 0x12, 0x22):
        index.begin(row(number))
        index.finish(row(number))
    assert index.matching((0x12).to_bytes(32), (0x12).to_bytes(32)) == [row(0x12)]
    assert len(index.matching(bytes(32), b"\xff" * 32)) == 2


def test_quarantine_parts_and_receipts_behave_alike(opened: Callable[[], Store]) -> None:
    store = opened()
    clock = FakeClock()
    settings = DeskSettings(quarantine_max=3)
    desk = Desk(store=store, open_batch=unsealed, clock=clock, settings=settings)
    for number in range(5):
        desk.take(UP, f"poison {number}".encode())
        clock.advance_s(DAY_S)
    assert store.index.refusals() == {"codec.shape": 3}
    assert len(store.index.quarantined(limit=2)) == 2
    desk.take(UP, split(batch_payload(rows=400), max_bytes=200)[0], CONTENT_TYPE)
    assert store.index.counts()["parts"] == 1
    clock.advance_s(8 * DAY_S)
    assert desk.purge() == 4
    assert {answer.status for answer in store.index.receipts()} == {"refused", "stored"}


def test_a_deleted_file_is_gone_and_deleting_it_again_is_nothing(
    opened: Callable[[], Store],
) -> None:
    files = opened().files
    files.write("battery/2026-11/x.parquet", b"content", TODAY)
    assert files.read("battery/2026-11/x.parquet") == b"content"
    files.delete("battery/2026-11/x.parquet")
    files.delete("battery/2026-11/x.parquet")
    assert list(files.names()) == []
    with pytest.raises(NotFoundError, match=r"expected battery/2026-11/x\.parquet, found none"):
        files.read("battery/2026-11/x.parquet")


def test_a_stored_row_whose_file_is_gone_is_missed(opened: Callable[[], Store]) -> None:
    store = opened()
    desk_of(store).take(UP, batch_payload())
    sink = ParquetSink(store.files, store.index)
    assert (sink.missing(), sink.orphans()) == ([], [])
    [stored] = store.index.batches()
    store.files.delete(stored.file)
    store.files.write("battery/2026-11/strange.parquet", b"", TODAY)
    assert (sink.missing(), sink.orphans()) == (
        [stored.file],
        ["battery/2026-11/strange.parquet"],
    )


@pytest.mark.system
def test_a_server_that_goes_away_is_an_error_and_the_next_try_connects_again(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue("postgres")
    store = open_store(config(tmp_path, index=server.new_database()))
    desk = desk_of(store)
    desk.take(UP, batch_payload())
    with (
        pytest.raises(StorageError, match="terminating connection"),
        store.index.database.writing(b"mine") as connection,
    ):
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert desk.take(UP, batch_payload(1)).status is ReceiptStatus.STORED
    store.close()


@pytest.mark.system
def test_tables_of_a_newer_release_are_refused(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres").new_database()
    with pytest.raises(StorageError, match="expected schema version 4, found 0"):
        open_to_read(config(tmp_path, index=url))
    store = open_store(config(tmp_path, index=url))
    with store.index.database.writing(b"") as connection:
        connection.execute("UPDATE okdrive_schema SET version = 77")
    store.close()
    for open_it in (open_store, open_to_read):
        with pytest.raises(StorageError, match="expected schema version 4, found 77"):
            open_it(config(tmp_path, index=url))


@pytest.mark.parametrize(
    ("store", "match"),
    [
        ({"index": "mysql://host/db"}, r"store\.index: mysql://host/db: expected sqlite:FILE"),
        ({"index": "postgresql://me:secret@host/db"}, "the URL holds a password"),
        ({"index": "postgresql://[::1/db"}, r"store\.index: no URL"),
        ({"batches": "nowhere"}, r"store\.batches: nowhere: "),
        ({"batches": "s3:/x"}, "Unable to recognise URL"),
        ({"batches": "s3://b", "options": {"colour": "red"}}, r"store\.batches: s3://b: .*colour"),
        ({"batches": "s3://b", "secrets_file": Path("/none")}, r"store\.secrets_file: /none"),
    ],
)
def test_a_store_that_cannot_be_is_refused_before_anything_starts(
    tmp_path: Path, store: dict[str, Any], match: str
) -> None:
    with pytest.raises(ConfigError, match=match) as caught:
        open_store(config(tmp_path, **store))
    assert "secret@" not in str(caught.value)
    assert not (tmp_path / "index.sqlite").exists()


def test_secrets_that_others_can_read_are_refused(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text('access_key_id = "id"\nsecret_access_key = "key"\n')
    secrets.chmod(0o644)
    chosen = config(tmp_path, batches="s3://bucket", secrets_file=secrets)
    with pytest.raises(ConfigError, match="mode 0600, found 0644"):
        open_files(chosen)
    secrets.chmod(0o600)
    assert open_files(chosen).name == "s3://bucket"


@pytest.mark.system
def test_a_server_that_cannot_be_reached_is_named_without_its_user(tmp_path: Path) -> None:
    url = "postgresql://me@127.0.0.1:1/db?connect_timeout=2"
    with pytest.raises(StorageError, match=r"postgresql://127\.0\.0\.1/db: connection failed"):
        open_store(config(tmp_path, index=url))


def erase(*numbers: int, token: bytes = TOKEN) -> bytes:
    ids = tuple(sorted(batch_id(batch_payload(number)) for number in numbers))
    return encode_erase(EraseRequest(token=token, batch_ids=ids), nonce=bytes(16))


def test_what_is_taken_back_is_gone_wherever_it_was(opened: Callable[[], Store]) -> None:
    store = opened()
    desk = desk_of(store)
    for number in range(4):
        desk.take(UP, batch_payload(number))
    assert counted(desk.erase(erase(0, 1, token=b"s" * 32))) == (0, 0)
    assert counted(desk.erase(erase(0, 1))) == (2, 10)
    assert desk.take(UP, batch_payload(0)).code == WITHDRAWN
    assert (store.index.counts()["batches"], len(list(store.files.names()))) == (2, 2)
    assert counted(desk.erase(erase())) == (2, 10)
    assert counted(desk.erase(erase())) == (0, 0)
    assert (store.index.counts()["batches"], list(store.files.names())) == (0, [])


def test_taken_back_while_others_store_it_nothing_is_left(opened: Callable[[], Store]) -> None:
    desks = [desk_of(opened()) for _ in range(3)]
    payloads = [batch_payload(number) for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        taken = [
            pool.submit(desks[number % 2].take, UP, payload)
            for number, payload in enumerate(payloads)
        ]
        answers = [pool.submit(desks[2].erase, erase()) for _ in range(2)]
        codes = {one.result().code for one in taken}
        assert all(isinstance(one.result(), Erasure) for one in answers)
    assert codes <= {None, WITHDRAWN}
    last = desks[2].erase(erase())
    assert isinstance(last, Erasure)
    assert last.left == 0
    index = desks[2]._index
    assert index.counts()["batches"] == index.counts()["unfinished"] == 0
    assert list(desks[2]._eraser._files.names()) == []


def counted(answer: Erasure | Receipt) -> tuple[int, int]:
    assert isinstance(answer, Erasure)
    assert answer.left == 0
    return answer.batches, answer.rows


@pytest.mark.slow
def test_over_the_wire_of_an_object_store_a_batch_is_put_read_listed_and_deleted(
    tmp_path: Path,
) -> None:
    with object_server() as server:
        store = open_store(
            config(tmp_path, batches=f"s3://{BUCKET}/in/here", options=server.options)
        )
        desk = desk_of(store)
        assert desk.take(UP, batch_payload()).status is ReceiptStatus.STORED
        [stored] = store.index.batches()
        assert list(server.objects) == [f"in/here/{stored.file}"]
        assert len(read_rows(store.files.read(stored.file))) == 5
        assert list(store.files.names()) == [stored.file]
        assert counted(desk.erase(erase())) == (1, 5)
        assert server.objects == {}
        store.close()
    assert all("Credential=us/" in one for one in server.authorizations)


@pytest.mark.slow
def test_an_object_store_that_refuses_leaves_no_receipt_and_the_next_try_stores(
    tmp_path: Path,
) -> None:
    with object_server() as server:
        store = open_store(config(tmp_path, batches=f"s3://{BUCKET}", options=server.options))
        desk = desk_of(store)
        server.failures = [403]
        with pytest.raises(StorageError, match="s3://okdrive: ") as caught:
            desk.take(UP, batch_payload())
        assert "Debug source" not in str(caught.value)
        assert (store.index.batches(), store.index.receipts()) == ([], [])
        assert desk.take(UP, batch_payload()).status is ReceiptStatus.STORED
        store.close()


@pytest.mark.slow
def test_an_object_store_that_keeps_what_it_should_delete_is_no_erasure(tmp_path: Path) -> None:
    with object_server() as server:
        store = open_store(config(tmp_path, batches=f"s3://{BUCKET}", options=server.options))
        desk = desk_of(store)
        desk.take(UP, batch_payload())
        server.kept = set(server.objects)
        with pytest.raises(StorageError, match="AccessDenied"):
            desk.erase(erase())
        assert desk.take(UP, batch_payload()).code == WITHDRAWN
        server.kept.clear()
        assert counted(desk.erase(erase())) == (1, 5)
        assert server.objects == {}
        store.close()
