"""Decoders in processes of their own, and everything malicious that may reach them."""

import os
import signal
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest

from telemetry.codec.batch import BatchLimits, batch_id
from telemetry.codec.errors import CodecError
from telemetry.ingest.desk import Desk, DeskSettings
from telemetry.ingest.pool import DecodePool, PoolSettings
from telemetry.ingest.prepare import prepare
from telemetry.records import ReceiptStatus
from tests.support.batches import batch_payload
from tests.support.clock import FakeClock
from tests.support.ingest_store import local_store
from tests.support.sealing import unsealed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

SETTINGS = PoolSettings(limits=BatchLimits())
UP = "okdrive/1/up/battery"


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    opened = DecodePool(SETTINGS)
    yield opened
    opened.close()


def pid_of(pool: DecodePool) -> int:
    child = pool._free.get()
    pool._free.put(child)
    return child._process.pid


def test_a_child_prepares_what_this_process_would(pool: DecodePool) -> None:
    payload = batch_payload(rows=50)
    assert pool.prepare(payload) == prepare(payload, BatchLimits())


def test_a_refusal_comes_back_with_its_code(pool: DecodePool) -> None:
    with pytest.raises(CodecError, match="not the CBOR we write") as caught:
        pool.prepare(b"poison")
    assert caught.value.code == "codec.shape"


def test_one_child_serves_batch_after_batch(pool: DecodePool) -> None:
    before = (pid_of(pool), pool.deaths)
    for number in range(20):
        pool.prepare(batch_payload(number))
    assert (pid_of(pool), pool.deaths) == before


def test_a_killed_child_is_replaced_and_the_batch_is_not_lost(pool: DecodePool) -> None:
    pool.prepare(batch_payload())
    deaths = pool.deaths
    os.kill(pid_of(pool), signal.SIGKILL)
    assert pool.prepare(batch_payload(1)).row_count == 5
    assert pool.deaths == deaths + 1


def test_a_batch_that_takes_too_long_is_refused_and_the_next_is_served() -> None:
    slow = DecodePool(replace(SETTINGS, time_limit_s=20.0))
    slow.prepare(batch_payload())
    child = slow._free.get()
    slow._free.put(child)
    os.kill(child._process.pid, signal.SIGSTOP)
    child._time_limit_s = 0.05
    assert slow.prepare(batch_payload(1)).row_count == 5
    assert slow.deaths == 1
    slow.close()


def test_what_kills_two_children_is_refused() -> None:
    dying = DecodePool(replace(SETTINGS, time_limit_s=0.0))
    with pytest.raises(CodecError, match="not decoded within 0 s") as caught:
        dying.prepare(batch_payload())
    assert (caught.value.code, dying.deaths) == ("ingest.too_slow", 2)
    dying.close()


def test_a_child_without_memory_dies_of_it_and_the_batch_is_refused() -> None:
    small = DecodePool(replace(SETTINGS, memory_bytes=64 * 1024 * 1024, time_limit_s=30))
    with pytest.raises(CodecError, match="the decoder died") as caught:
        small.prepare(batch_payload())
    assert caught.value.code == "ingest.decoder_died"
    small.close()


def test_closing_the_pool_ends_the_children() -> None:
    closing = DecodePool(SETTINGS)
    closing.prepare(batch_payload())
    child = pid_of(closing)
    closing.close()
    with pytest.raises(ProcessLookupError, match="No such process"):
        os.kill(child, 0)


GOOD: dict[int, Any] = cbor2.loads(batch_payload(rows=5))


def changed(**changes: object) -> bytes:
    fields = {**GOOD, **{int(key[1:]): value for key, value in changes.items()}}
    return cbor2.dumps(fields, canonical=True)


def columns(rows: int, count: int = 5) -> bytes:
    """A block that says how much it holds and holds nothing."""
    return cbor2.dumps([rows, count, b""], canonical=True)


def nested(depth: int) -> bytes:
    return b"\x81" * depth + b"\x00"


MALICIOUS = {
    "empty": b"",
    "ten-bytes-that-claim-a-billion-rows": b"\xa7" + struct.pack(">I", 10**9) + b"\x00" * 5,
    "a-billion-rows-in-the-counts": changed(_5=[10**9, 0]),
    "rows-beyond-any-integer": changed(_5=[10**40, 0]),
    "a-billion-rows-in-the-block": changed(_4=["2026-11", 91, b"\x01\xff\xff\xff\xff\x0f\x05"]),
    "more-rows-than-bytes-can-hold": changed(_5=[99_999, 0], _4=["2026-11", 91, b""]),
    "negative-counts": changed(_5=[-1, -1]),
    "count-nan": changed(_5=[float("nan"), 0]),
    "count-infinite": changed(_5=[float("inf"), 0]),
    "soh-nan": changed(_4=["2026-11", float("nan"), GOOD[4][2]]),
    "zip-bomb": changed(_4=["2026-11", 91, zlib.compress(bytes(1 << 24))]),
    "zstd-magic": changed(_4=["2026-11", 91, b"\x28\xb5\x2f\xfd" + bytes(60)]),
    "block-of-noise": changed(_4=["2026-11", 91, bytes(range(256)) * 64]),
    "block-cut": changed(_4=["2026-11", 91, GOOD[4][2][:-1]]),
    "block-longer": changed(_4=["2026-11", 91, GOOD[4][2] + b"\x00"]),
    "deep-lists": nested(100_000),
    "deep-maps": b"\xa1\x00" * 50_000 + b"\x00",
    "deep-body": changed(_4=cbor2.loads(nested(30))),
    "endless-list": b"\x9f" + b"\x00" * 1000,
    "list-of-four-billion": b"\x9a\xff\xff\xff\xff",
    "text-of-four-billion": b"\x7a\xff\xff\xff\xff",
    "bytes-of-all-memory": b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
    "tag-regular-expression": b"\xd8\x23\x78\x10" + b"(a+)+$aaaaaaaaaa",
    "tag-power-of-two": b"\xc5\x82\x1b\x00\x00\x00\xff\xff\xff\xff\xff\x01",
    "tag-shared": b"\xd8\x1c\x81\xd8\x1d\x00",
    "two-values": batch_payload() + batch_payload(),
    "double-key": b"\xa2\x00\x01\x00\x01",
    "keys-as-text": cbor2.dumps({str(key): value for key, value in GOOD.items()}, canonical=True),
    "wrong-version": changed(_0=2),
    "version-true": changed(_0=True),
    "wrong-purpose": changed(_1="journeys"),
    "wrong-schema": changed(_2="battery.99"),
    "schema-of-a-bench": changed(_2="bench.i3"),
    "schema-path": changed(_2="../../etc/passwd"),
    "month-path": changed(_4=["../../../tmp", 91, GOOD[4][2]]),
    "short-pseudonym": changed(_3=b"p"),
    "long-nonce": changed(_6=bytes(17)),
    "extra-field": changed(_7=0),
    "one-mebibyte-and-one": b"\x58" * ((1 << 20) + 1),
    "sixty-four-mebibytes": bytes(64 << 20),
}


@pytest.fixture
def desk(pool: DecodePool, tmp_path: Path) -> Iterator[Desk]:
    store = local_store(tmp_path)
    yield Desk(
        store=store,
        open_batch=unsealed,
        clock=FakeClock(),
        settings=DeskSettings(),
        prepare_batch=pool.prepare,
    )
    store.close()


@pytest.mark.parametrize("payload", MALICIOUS.values(), ids=MALICIOUS)
def test_malicious_input_is_refused_with_a_reason_and_the_worker_lives(
    desk: Desk, pool: DecodePool, payload: bytes
) -> None:
    worker, deaths = pid_of(pool), pool.deaths
    receipt = desk.take(UP, payload)
    assert receipt.status is ReceiptStatus.REFUSED
    assert receipt.code is not None
    [kept] = desk._index.quarantined()
    assert (kept.batch_id, kept.code, kept.size_bytes) == (
        batch_id(payload),
        receipt.code,
        len(payload),
    )
    assert kept.reason
    assert kept.payload is None or len(kept.payload) <= BatchLimits().max_bytes
    assert (pid_of(pool), pool.deaths) == (worker, deaths)
    assert desk.take(UP, batch_payload(7)).status is ReceiptStatus.STORED


def test_a_batch_that_claims_too_many_rows_for_its_bytes_is_not_even_decoded(
    tmp_path: Path,
) -> None:
    store = local_store(tmp_path)
    desk = Desk(
        store=store,
        open_batch=unsealed,
        clock=FakeClock(),
        settings=DeskSettings(max_rows_per_byte=1),
        prepare_batch=lambda payload: pytest.fail("decoded"),
    )
    receipt = desk.take(UP, changed(_5=[90_000, 0]))
    assert receipt.code == "ingest.ratio"
    store.close()
