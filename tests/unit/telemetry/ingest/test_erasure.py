"""Taken back: what is left, what is said, and what happens when power goes in the middle of it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from telemetry.codec.batch import batch_id
from telemetry.codec.erase import EraseRequest, Erasure, encode_erase, erase_id
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.codec.part import decode_part, split
from telemetry.ingest.desk import WITHDRAWN, Desk, DeskSettings
from telemetry.ingest.files import FolderFiles
from telemetry.ingest.store import Store
from telemetry.records import Receipt, ReceiptStatus
from tests.support.batches import TOKEN, batch_payload
from tests.support.clock import FakeClock
from tests.support.ingest_store import local_store
from tests.support.sealing import unsealed

UP = "okdrive/1/up/battery"
DAY_S = 86_400
PAYLOADS = [batch_payload(number) for number in range(3)]
IDS = sorted(map(batch_id, PAYLOADS))


class PulledPlugError(Exception):
    """The process is gone at this very moment."""


@dataclass
class Bench:
    folder: Path
    store: Store
    desk: Desk
    clock: FakeClock

    def take(self, *payloads: bytes) -> None:
        for payload in payloads:
            assert self.desk.take(UP, payload).status is ReceiptStatus.STORED

    def erase(self, *ids: bytes, token: bytes = TOKEN) -> Erasure:
        answer = self.desk.erase(message(*ids, token=token))
        assert isinstance(answer, Erasure)
        return answer

    def left(self) -> tuple[int, int]:
        """How many stored batches, and how many files of them."""
        return self.store.index.counts()["batches"], len(list(self.store.files.names()))


def message(*ids: bytes, token: bytes = TOKEN) -> bytes:
    request = EraseRequest(token=token, batch_ids=tuple(sorted(set(ids))))
    return encode_erase(request, nonce=bytes(16))


def counted(erasure: Erasure) -> tuple[int, int, int, int]:
    return erasure.batches, erasure.rows, erasure.aside, erasure.left


def open_bench(folder: Path) -> Bench:
    clock, store = FakeClock(), local_store(folder)
    return Bench(
        folder,
        store,
        Desk(store=store, open_batch=unsealed, clock=clock, settings=DeskSettings()),
        clock,
    )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    opened = open_bench(tmp_path)
    yield opened
    opened.store.close()


def test_without_ids_everything_under_the_pseudonym_goes(bench: Bench) -> None:
    bench.take(*PAYLOADS)
    erasure = bench.erase()
    assert counted(erasure) == (3, 15, 0, 0)
    assert erasure.erase_id == erase_id(message())
    assert bench.left() == (0, 0)
    assert bench.store.index.receipts() == []


def test_with_ids_only_these_batches_go(bench: Bench) -> None:
    bench.take(*PAYLOADS)
    assert counted(bench.erase(batch_id(PAYLOADS[0]), batch_id(PAYLOADS[2]))) == (2, 10, 0, 0)
    assert [stored.batch_id for stored in bench.store.index.batches()] == [batch_id(PAYLOADS[1])]
    assert bench.left() == (1, 1)


def test_a_token_presented_twice_finds_nothing_the_second_time(bench: Bench) -> None:
    bench.take(*PAYLOADS)
    assert counted(bench.erase())[:2] == (3, 15)
    assert counted(bench.erase()) == (0, 0, 0, 0)


@pytest.mark.parametrize("ids", [(), tuple(IDS)], ids=["all", "by-id"])
def test_a_strangers_token_deletes_nothing(bench: Bench, ids: tuple[bytes, ...]) -> None:
    bench.take(*PAYLOADS)
    assert counted(bench.erase(*ids, token=b"s" * 32)) == (0, 0, 0, 0)
    assert bench.left() == (3, 3)
    assert bench.desk.take(UP, PAYLOADS[0]).status is ReceiptStatus.DUPLICATE


@pytest.mark.parametrize("ids", [(), tuple(IDS)], ids=["all", "by-id"])
def test_a_batch_under_way_counts_as_withdrawn(bench: Bench, ids: tuple[bytes, ...]) -> None:
    assert counted(bench.erase(*ids)) == (0, 0, 0, 0)
    receipt = bench.desk.take(UP, PAYLOADS[0])
    assert (receipt.status, receipt.code) == (ReceiptStatus.REFUSED, WITHDRAWN)
    assert bench.left() == (0, 0)
    assert bench.store.index.quarantined() == []
    assert bench.store.index.receipts() == []


def test_parts_under_way_make_no_batch_any_more(bench: Bench) -> None:
    payload = batch_payload(7, rows=400)
    parts = split(payload, max_bytes=len(payload) // 3 + 66)
    bench.desk.take(UP, parts[0], PART_TYPE)
    sealed_id = decode_part(parts[0], max_bytes=1 << 20).sealed_id
    assert counted(bench.erase(sealed_id, batch_id(payload))) == (0, 0, 1, 0)
    receipts = [bench.desk.take(UP, part, PART_TYPE) for part in parts]
    assert (receipts[-1].part, receipts[-1].code) == (0, WITHDRAWN)
    assert bench.store.index.counts()["parts"] == 0


def test_what_was_refused_goes_too_if_it_is_named(bench: Bench) -> None:
    bench.desk.take(UP, b"poison")
    assert counted(bench.erase()) == (0, 0, 0, 0)  # nobody can tell whose it is
    assert counted(bench.erase(batch_id(b"poison"))) == (0, 0, 1, 0)
    assert bench.store.index.quarantined() == []


def test_what_was_refused_but_could_be_read_is_its_pseudonyms_alone(bench: Bench) -> None:
    bench.desk.take("okdrive/1/up/traffic", PAYLOADS[0])
    named = batch_id(PAYLOADS[0])
    assert counted(bench.erase(named, token=b"s" * 32)) == (0, 0, 0, 0)
    assert len(bench.store.index.quarantined()) == 1
    assert counted(bench.erase()) == (0, 0, 1, 0)


def test_a_message_that_asks_nothing_is_refused_and_not_kept(bench: Bench) -> None:
    answer = bench.desk.erase(b"poison")
    assert isinstance(answer, Receipt)
    assert (answer.status, answer.code) == (ReceiptStatus.REFUSED, "codec.shape")
    assert answer.batch_id == erase_id(b"poison")
    assert bench.store.index.quarantined() == []


def test_deleted_rows_are_not_on_the_disk_any_more(bench: Bench) -> None:
    bench.take(*PAYLOADS)
    needles = [batch_id(payload) for payload in PAYLOADS]
    before = (bench.folder / "index.sqlite-wal").read_bytes()
    assert all(needle in before for needle in needles)
    bench.erase()
    after = b"".join(path.read_bytes() for path in bench.folder.glob("index.sqlite*"))
    assert not any(needle in after for needle in needles)


def test_taken_back_while_its_file_is_written_nothing_is_left(bench: Bench) -> None:
    other = Desk(
        store=local_store(bench.folder),
        open_batch=unsealed,
        clock=bench.clock,
        settings=DeskSettings(),
    )
    answers = []

    class Slow(FolderFiles):
        def write(self, file: str, content: bytes, day: date) -> None:
            answers.append(other.erase(message()))
            super().write(file, content, day)

    bench.desk._sink._files = Slow(bench.folder / "parquet")
    receipt = bench.desk.take(UP, PAYLOADS[0])
    assert (receipt.status, receipt.code) == (ReceiptStatus.REFUSED, WITHDRAWN)
    assert bench.left() == (0, 0)
    [erasure] = answers
    assert isinstance(erasure, Erasure)
    assert counted(erasure) == (0, 0, 0, 0)
    other._index.database.close()


def test_a_receiver_that_died_writing_what_was_taken_back_leaves_nothing_after_a_day(
    bench: Bench,
) -> None:
    class Dying(FolderFiles):
        def write(self, file: str, content: bytes, day: date) -> None:
            bench.desk.erase(message())
            super().write(file, content, day)
            raise PulledPlugError("pulled")

    bench.desk._sink._files = Dying(bench.folder / "parquet")
    with pytest.raises(PulledPlugError, match="pulled"):
        bench.desk.take(UP, PAYLOADS[0])
    assert bench.left() == (0, 1)
    bench.clock.advance_s(2 * DAY_S)
    bench.desk.purge()
    assert bench.left() == (0, 0)
    with bench.store.index.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM batches").fetchone() == (0,)


def test_what_was_taken_back_is_remembered_as_long_as_a_batch_may_be_kept(bench: Bench) -> None:
    bench.erase()
    bench.clock.advance_s(731 * DAY_S)
    bench.desk.purge()
    assert bench.desk.take(UP, PAYLOADS[0]).code == WITHDRAWN
    bench.clock.advance_s(DAY_S)
    bench.desk.purge()
    with bench.store.index.database.reading() as connection:
        assert connection.execute("SELECT count(*) FROM erased").fetchone() == (0,)


@dataclass
class Plug:
    """Counts statements, commits and deleted files; at one of them the process is gone."""

    at: int
    seen: int = 0

    def pass_(self) -> None:
        self.seen += 1
        if self.seen == self.at:
            raise PulledPlugError("pulled")


class _Watched:
    def __init__(self, connection: sqlite3.Connection, plug: Plug) -> None:
        self._connection, self._plug = connection, plug

    def execute(self, statement: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        self._plug.pass_()
        return self._connection.execute(statement, values)


def watch(store: Store, plug: Plug) -> None:
    """Let ``plug`` see everything that ``store`` does to the disk."""
    database, files = store.index.database, store.files
    delete, writing, scrub = files.delete, database.writing, database.scrub

    @contextmanager
    def watched(lock: bytes) -> Iterator[_Watched]:
        plug.pass_()
        with writing(lock) as connection:
            yield _Watched(connection, plug)  # type: ignore[arg-type]
            plug.pass_()  # before the commit
        plug.pass_()

    def watched_call(call: Callable[..., None]) -> Callable[..., None]:
        def act(*arguments: object) -> None:
            plug.pass_()
            call(*arguments)
            plug.pass_()

        return act

    database.writing = watched  # type: ignore[method-assign, assignment]
    database.scrub = watched_call(scrub)  # type: ignore[method-assign]
    files.delete = watched_call(delete)  # type: ignore[method-assign]


def points(folder: Path) -> int:
    """How many points an erase of two batches has."""
    bench, plug = open_bench(folder), Plug(at=0)
    bench.take(*PAYLOADS)
    watch(bench.store, plug)
    bench.erase(*IDS[:2])
    bench.store.close()
    return plug.seen


@pytest.mark.slow
def test_killed_at_every_statement_the_next_request_leaves_nothing(tmp_path: Path) -> None:
    count = points(tmp_path / "counted")
    assert count > 20
    for at in range(1, count + 1):
        folder = tmp_path / str(at)
        bench = open_bench(folder)
        bench.take(*PAYLOADS)
        watch(bench.store, Plug(at=at))
        with pytest.raises(PulledPlugError, match="pulled"):
            bench.erase(*IDS[:2])
        bench.store.close()

        again = open_bench(folder)
        erasure = again.erase(*IDS[:2])
        assert erasure.left == 0
        assert erasure.batches in {0, 2}  # 0: all was gone before, only the answer was not
        assert [stored.batch_id for stored in again.store.index.batches()] == IDS[2:]
        assert again.left() == (1, 1)
        assert again.desk.take(UP, PAYLOADS[0]).code in {None, WITHDRAWN}
        again.store.close()
