"""Batches that come in parts: any order, twice, from several workers, forged, never completed."""

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import pytest

from telemetry.codec.batch import BatchLimits, batch_id
from telemetry.codec.cbor import dump
from telemetry.codec.part import CONTENT_TYPE, decode_part, split
from telemetry.ingest.desk import Desk, DeskSettings
from telemetry.ingest.store import Index
from telemetry.records import Receipt, ReceiptStatus
from tests.support.batches import batch_payload
from tests.support.clock import FakeClock
from tests.support.ingest_store import local_store
from tests.support.sealing import unsealed

UP = "okdrive/1/up/battery"
DAY_S = 86_400
PAYLOAD = batch_payload(rows=400)
CUT = split(PAYLOAD, max_bytes=len(PAYLOAD) // 3 + 66)


@dataclass
class Bench:
    index: Index
    desk: Desk
    clock: FakeClock

    def take(self, part: bytes) -> Receipt:
        return self.desk.take(UP, part, CONTENT_TYPE)

    def stored(self) -> list[bytes]:
        return [batch.batch_id for batch in self.index.batches()]


def open_bench(folder: Path, clock: FakeClock, **settings: object) -> Bench:
    store = local_store(folder)
    chosen = DeskSettings(**settings)  # type: ignore[arg-type]
    desk = Desk(store=store, open_batch=unsealed, clock=clock, settings=chosen)
    return Bench(store.index, desk, clock)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    opened = open_bench(tmp_path, FakeClock())
    yield opened
    opened.index.database.close()


def says(receipt: Receipt) -> tuple[int, str]:
    return (receipt.part, receipt.status.value)


def test_there_are_parts_to_test_with() -> None:
    assert len(CUT) == 3


def test_only_the_last_part_answers_for_the_whole_batch(bench: Bench) -> None:
    answers = [bench.take(part) for part in CUT]
    assert [says(answer) for answer in answers] == [(1, "stored"), (2, "stored"), (0, "stored")]
    assert {answer.batch_id for answer in answers} == {batch_id(PAYLOAD)}
    assert bench.stored() == [batch_id(PAYLOAD)]
    assert bench.index.counts()["parts"] == 0


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_parts_may_come_in_any_order(bench: Bench, order: tuple[int, ...]) -> None:
    answers = [bench.take(CUT[number]) for number in order]
    assert [answer.part for answer in answers] == [order[0] + 1, order[1] + 1, 0]
    assert bench.stored() == [batch_id(PAYLOAD)]


def test_a_part_that_comes_twice_counts_once(bench: Bench) -> None:
    for number in (0, 0, 1, 0, 1):
        assert bench.take(CUT[number]).part == number + 1
    assert says(bench.take(CUT[2])) == (0, "stored")
    assert bench.stored() == [batch_id(PAYLOAD)]


def test_a_part_of_a_stored_batch_is_answered_for_the_whole_batch(bench: Bench) -> None:
    for part in CUT:
        bench.take(part)
    receipt = bench.take(CUT[1])
    assert (says(receipt), receipt.batch_id) == ((0, "duplicate"), batch_id(PAYLOAD))
    assert bench.index.counts()["parts"] == 0


def test_parts_of_a_batch_that_came_whole_before_end_as_a_duplicate(bench: Bench) -> None:
    bench.desk.take(UP, PAYLOAD)
    answers = [bench.take(part) for part in CUT]
    assert says(answers[-1]) == (0, "duplicate")
    assert bench.index.counts()["parts"] == 0


def test_two_workers_complete_one_batch_between_them(bench: Bench, tmp_path: Path) -> None:
    other = open_bench(tmp_path, FakeClock())
    assert bench.take(CUT[0]).part == 1
    assert other.take(CUT[1]).part == 2
    assert says(bench.take(CUT[2])) == (0, "stored")
    assert other.stored() == bench.stored() == [batch_id(PAYLOAD)]
    other.index.database.close()


def test_parts_of_another_cut_do_not_mix(bench: Bench) -> None:
    halves = split(PAYLOAD, max_bytes=len(PAYLOAD) // 2 + 66)
    assert bench.take(CUT[0]).part == 1
    assert bench.take(halves[1]).part == 2
    assert bench.take(CUT[1]).part == 2
    assert says(bench.take(CUT[2])) == (0, "stored")


def test_killed_between_store_and_clean_up_the_next_part_is_a_duplicate(
    bench: Bench, tmp_path: Path
) -> None:
    for part in CUT:
        bench.take(part)
    with sqlite3.connect(tmp_path / "index.sqlite") as connection:
        connection.execute("DELETE FROM joined")
        for number in (0, 2):
            part = decode_part(CUT[number], max_bytes=1 << 20)
            connection.execute(
                "INSERT INTO parts VALUES (?, 3, ?, ?, ?, '2026-11-22')",
                (part.sealed_id, part.part, part.size_bytes, part.chunk),
            )
    assert says(bench.take(CUT[1])) == (0, "duplicate")
    assert bench.index.counts()["parts"] == 0
    assert bench.stored() == [batch_id(PAYLOAD)]


def test_after_some_days_nobody_knows_any_more_which_parts_were_a_batch(bench: Bench) -> None:
    for part in CUT:
        bench.take(part)
    sealed_id = decode_part(CUT[0], max_bytes=1 << 20).sealed_id
    assert bench.index.joined(sealed_id) == batch_id(PAYLOAD)
    bench.clock.advance_s(8 * DAY_S)
    bench.desk.purge()
    assert bench.index.joined(sealed_id) is None


def test_parts_that_nobody_completes_go_after_some_days(bench: Bench) -> None:
    bench.take(CUT[0])
    bench.clock.advance_s(7 * DAY_S)
    assert bench.desk.purge() == 0
    bench.clock.advance_s(DAY_S)
    assert bench.desk.purge() == 1
    assert bench.take(CUT[1]).part == 2
    assert bench.take(CUT[2]).part == 3
    assert says(bench.take(CUT[0])) == (0, "stored")


def test_parts_have_a_quota_and_the_oldest_unfinished_batch_goes(tmp_path: Path) -> None:
    bench = open_bench(tmp_path, FakeClock(), parts_max_bytes=len(PAYLOAD))
    others = split(batch_payload(1, rows=400), max_bytes=len(PAYLOAD) // 3 + 66)
    bench.take(CUT[0])
    bench.clock.advance_s(DAY_S)
    for part in others[:2]:
        bench.take(part)
    bench.take(CUT[1])
    assert bench.index.counts()["parts_bytes"] <= len(PAYLOAD)
    assert bench.take(CUT[2]).part == 3
    assert says(bench.take(CUT[0])) == (0, "stored")
    bench.index.database.close()


def test_forged_parts_are_refused_when_they_make_no_batch(bench: Bench) -> None:
    genuine = decode_part(CUT[1], max_bytes=1 << 20)
    forged = dump(
        {
            0: 1,
            1: genuine.sealed_id,
            2: 2,
            3: 3,
            4: genuine.size_bytes,
            5: b"x" * len(genuine.chunk),
        }
    )
    bench.take(CUT[0])
    bench.take(forged)
    answer = bench.take(CUT[2])
    assert (says(answer), answer.code) == ((0, "refused"), "codec.parts_differ")
    assert bench.stored() == []
    assert bench.index.counts()["parts"] == 0
    for part in CUT:
        answer = bench.take(part)
    assert says(answer) == (0, "stored")


def test_a_part_that_is_no_part_is_refused_under_the_hash_of_its_bytes(bench: Bench) -> None:
    answer = bench.take(b"poison")
    assert (answer.batch_id, answer.code) == (batch_id(b"poison"), "codec.shape")
    assert bench.index.counts()["quarantined"] == 1


def test_parts_of_a_batch_that_would_be_too_large_are_refused_at_once(tmp_path: Path) -> None:
    bench = open_bench(tmp_path, FakeClock(), limits=BatchLimits(max_bytes=2_000))
    answer = bench.take(split(bytes(5_000), max_bytes=1_000)[0])
    assert (answer.status, answer.code) == (ReceiptStatus.REFUSED, "codec.too_large")
    assert bench.index.counts()["parts"] == 0
    bench.index.database.close()


@pytest.mark.parametrize("seed", range(10))
def test_parts_of_many_batches_in_any_order_store_each_once(bench: Bench, seed: int) -> None:
    dice = random.Random(seed)
    payloads = [batch_payload(number, rows=200) for number in range(4)]
    parts = [part for payload in payloads for part in split(payload, max_bytes=130)]
    parts += dice.sample(parts, 5)
    dice.shuffle(parts)
    for part in parts:
        bench.take(part)
    assert sorted(bench.stored()) == sorted(map(batch_id, payloads))
