"""Malicious and broken batches, each refused with its code."""

import tracemalloc
from typing import Any

import cbor2
import pytest

from telemetry.codec.batch import CodecError, decode_batch, encode_batch
from telemetry.codec.cbor import load
from telemetry.codec.columns import decode_columns, encode_columns
from telemetry.codec.receipt import decode_receipt, encode_receipt, pack_signed, unpack_signed
from telemetry.codec.schemas import BATTERY_1
from telemetry.records import BatteryBatch, BatterySample, Receipt, ReceiptStatus

SAMPLE = BatterySample(
    since_start_ms=0, pack_voltage_v=355.5, pack_current_a=-12.5, soc_percent=81.3, cell_temp_c=None
)
BATCH = BatteryBatch(month="2026-11", soh_percent=None, samples=(SAMPLE,))
PAYLOAD = encode_batch(BATCH, pseudonym=bytes(16), nonce=bytes(16))
RECEIPT = Receipt(batch_id=bytes(32), part=0, status=ReceiptStatus.STORED, code=None)


def with_field(number: int, value: object) -> bytes:
    return cbor2.dumps(cbor2.loads(PAYLOAD) | {number: value}, canonical=True)


def block(columns: list[list[int | None]]) -> bytes:
    return encode_columns(columns, model=BATTERY_1.model if len(columns) == 5 else None)


@pytest.mark.parametrize(
    ("number", "value", "code"),
    [
        (0, 2, "codec.version"),
        (0, True, "codec.version"),
        (0, 1.0, "codec.version"),
        (1, "traffic", "codec.purpose"),
        (1, 1, "codec.purpose"),
        (2, "battery.9", "codec.schema"),
        (2, None, "codec.schema"),
        (3, bytes(15), "codec.shape"),
        (3, "0" * 16, "codec.shape"),
        (6, bytes(17), "codec.shape"),
        (4, None, "codec.shape"),
        (4, [1, None, block([[0], [1], [1], [1], [None]])], "codec.shape"),
        (4, ["2026-11", None, b""], "codec.truncated"),
        (4, ["2026-11", None, "text"], "codec.shape"),
        (4, ["2026-11", 90.0, block([[0], [1], [1], [1], [None]])], "codec.shape"),
        (4, ["2026-11", 190, block([[0], [1], [1], [1], [None]])], "codec.range"),
        (4, ["2026-99", None, block([[0], [1], [1], [1], [None]])], "codec.range"),
        (4, ["2026-11", None, block([[0], [1], [1], [1]])], "codec.columns"),
        (4, ["2026-11", None, block([[0], [1], [1], [1], [1], [1]])], "codec.too_large"),
        (4, ["2026-11", None, block([[None], [1], [1], [1], [1]])], "codec.range"),
        (4, ["2026-11", None, block([[0], [-1], [1], [1], [None]])], "codec.range"),
        (4, ["2026-11", None, block([[0], [1], [1], [1001], [None]])], "codec.range"),
        (4, ["2026-11", None, block([[-5], [1], [1], [1], [None]])], "codec.range"),
        (5, [1, 0, 0], "codec.counts"),
        (5, [1, 1, 1], "codec.counts"),
        (5, [1, 1], "codec.shape"),
        (5, [-1, 1, 0], "codec.counts"),
        (5, [1.0, 1, 0], "codec.counts"),
        (5, [float("nan"), 1, 0], "codec.counts"),
        (5, 1, "codec.shape"),
    ],
)
def test_a_wrong_field_is_refused_with_its_code(number: int, value: object, code: str) -> None:
    with pytest.raises(CodecError, match=r"(batch|columns): ") as caught:
        decode_batch(with_field(number, value))
    assert caught.value.code == code


def test_times_out_of_order_are_refused() -> None:
    columns = block([[5, 5], [1, 1], [1, 1], [1, 1], [None, None]])
    fields = cbor2.loads(PAYLOAD) | {4: ["2026-11", None, columns], 5: [2, 2, 0]}
    with pytest.raises(CodecError, match="expected rising times"):
        decode_batch(cbor2.dumps(fields, canonical=True))


def test_a_missing_field_is_refused() -> None:
    fields = cbor2.loads(PAYLOAD)
    del fields[5]
    with pytest.raises(CodecError, match="expected the fields 0 to 6"):
        decode_batch(cbor2.dumps(fields, canonical=True))


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("a long form of a small number", PAYLOAD.replace(b"\xa7\x00\x01", b"\xa7\x00\x18\x01")),
        ("indefinite length", b"\xbf" + PAYLOAD[1:] + b"\xff"),
        ("keys out of order", cbor2.dumps(dict(reversed(cbor2.loads(PAYLOAD).items())))),
        ("a double key", b"\xa8\x00\x01" + PAYLOAD[1:]),
    ],
)
def test_cbor_that_we_would_write_otherwise_is_refused(what: str, data: bytes) -> None:
    assert data != PAYLOAD, what
    with pytest.raises(CodecError, match=r"not deterministic|not the CBOR we write"):
        decode_batch(data)


@pytest.mark.parametrize(
    "bomb",
    [
        "c5821b7fffffffffffffff01",  # a bigfloat: two to the power of 2**63
        "c482 1b7fffffffffffffff01",
        "d823 6928 612b2b2b2b2b2b2b2b",  # a regular expression
        "d81d00",  # a shared reference
        "9b7fffffffffffffff",  # an array of 2**63 items
        "5b7fffffffffffffff",  # bytes of that length
        "81" * 100_000,
        "a1" * 100_000,
    ],
)
def test_a_cbor_bomb_is_refused_within_little_memory(bomb: str) -> None:
    data = b"\xa7\x00" + bytes.fromhex(bomb)
    tracemalloc.start()
    with pytest.raises(CodecError, match="batch: "):
        decode_batch(data)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2_000_000


@pytest.mark.parametrize("tagged", [cbor2.CBORTag(258, [1]), cbor2.CBORTag(99_999, 1)])
def test_a_tag_is_refused_before_it_is_looked_at(tagged: cbor2.CBORTag) -> None:
    with pytest.raises(CodecError, match="not the CBOR we write"):
        load(cbor2.dumps([tagged]), max_bytes=100, what="batch")


def test_ten_bytes_that_claim_a_billion_rows_allocate_nothing() -> None:
    claim = bytes([block([])[0]]) + bytes.fromhex("8094ebdc03") + b"\x05\x00\x00\x00"
    tracemalloc.start()
    with pytest.raises(CodecError, match="expected at most 100000 rows") as caught:
        decode_columns(claim, max_rows=100_000, max_columns=16)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.value.code == "codec.too_large"
    assert peak_bytes < 100_000


def test_columns_of_unequal_length_are_our_mistake() -> None:
    with pytest.raises(ValueError, match="expected columns of 2 rows, got one of 1"):
        encode_columns([[1, 2], [1]])


def test_a_value_beyond_64_bits_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="at most 63 bits and a sign"):
        encode_columns([[1 << 63]])


@pytest.mark.parametrize("name", ["pseudonym", "nonce"])
def test_pseudonym_and_nonce_have_sixteen_bytes(name: str) -> None:
    given: dict[str, Any] = {"pseudonym": bytes(16), "nonce": bytes(16), name: bytes(15)}
    with pytest.raises(ValueError, match=f"{name}: expected 16 bytes, got 15"):
        encode_batch(BATCH, **given)


@pytest.mark.parametrize(
    ("number", "value", "code"),
    [
        (0, 2, "codec.version"),
        (1, bytes(31), "codec.range"),
        (1, None, "codec.shape"),
        (2, -1, "codec.range"),
        (3, "lost", "codec.range"),
        (3, "refused", "codec.range"),
        (4, "codec.version", "codec.range"),
        (4, 5, "codec.shape"),
    ],
)
def test_a_wrong_receipt_is_refused_with_its_code(number: int, value: object, code: str) -> None:
    fields = cbor2.loads(encode_receipt(RECEIPT)) | {number: value}
    with pytest.raises(CodecError, match="receipt: ") as caught:
        decode_receipt(cbor2.dumps(fields, canonical=True))
    assert caught.value.code == code


def test_a_receipt_without_a_whole_signature_is_refused() -> None:
    with pytest.raises(ValueError, match="signature: expected 64 bytes, got 63"):
        pack_signed(b"body", bytes(63))
    with pytest.raises(CodecError, match="expected a signature of 64 bytes"):
        unpack_signed(cbor2.dumps([b"body", bytes(63)]))
    with pytest.raises(CodecError, match="expected at most 512 bytes"):
        unpack_signed(bytes(513))
