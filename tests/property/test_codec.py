"""What the codec promises for any input."""

from dataclasses import replace

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.codec.batch import (
    BatchLimits,
    CodecError,
    DecodedBatch,
    batch_id,
    decode_batch,
    encode_batch,
)
from telemetry.codec.cells import INVALID, Cell, numbers
from telemetry.codec.columns import MAX_VALUE, PLAIN_FORMAT, decode_columns, encode_columns
from telemetry.codec.receipt import decode_receipt, encode_receipt, pack_signed, unpack_signed
from telemetry.records import BATTERY_FIELDS, BatteryBatch, BatterySample, Receipt, ReceiptStatus

SIXTEEN = st.binary(min_size=16, max_size=16)
PSEUDONYM, NONCE = bytes(16), bytes(range(16))


def steps(low: int, high: int, per_unit: int) -> st.SearchStrategy[float | None]:
    return st.none() | st.integers(low, high).map(lambda raw: raw / per_unit)


def with_invalid(sample: BatterySample, names: set[str]) -> BatterySample:
    gaps = {name for name in names if getattr(sample, name) is None}
    return replace(sample, invalid=frozenset(gaps))


sound_samples = st.builds(
    BatterySample,
    since_start_ms=st.integers(0, 7 * 24 * 3600 * 1000),
    pack_voltage_v=steps(0, 2000, 2),
    pack_current_a=steps(-4000, 4000, 2),
    soc_percent=steps(0, 1000, 10),
    cell_temp_c=steps(-60, 150, 1),
)
samples = st.builds(with_invalid, sound_samples, st.sets(st.sampled_from(BATTERY_FIELDS)))
batches = st.builds(
    BatteryBatch,
    month=st.sampled_from(["2000-01", "2026-11", "2099-12"]),
    soh_percent=st.none() | st.integers(0, 100),
    samples=st.lists(samples, min_size=1, max_size=40, unique_by=lambda s: s.since_start_ms).map(
        lambda rows: tuple(sorted(rows, key=lambda s: s.since_start_ms))
    ),
)
values = st.none() | st.just(INVALID) | st.integers(-MAX_VALUE, MAX_VALUE) | st.integers(-300, 300)
tables = st.integers(0, 30).flatmap(
    lambda rows: st.lists(st.lists(values, min_size=rows, max_size=rows), max_size=5)
)
receipts = st.builds(
    Receipt,
    batch_id=st.binary(min_size=32, max_size=32),
    part=st.integers(0, 65535),
    status=st.sampled_from([ReceiptStatus.STORED, ReceiptStatus.DUPLICATE]),
    code=st.none(),
) | st.builds(
    Receipt,
    batch_id=st.binary(min_size=32, max_size=32),
    part=st.integers(0, 65535),
    status=st.just(ReceiptStatus.REFUSED),
    code=st.from_regex(r"\A[a-z0-9_]{1,20}(\.[a-z0-9_]{1,20}){0,2}\Z"),
)


def example_batch(rows: int = 40) -> BatteryBatch:
    return BatteryBatch(
        month="2026-11",
        soh_percent=91,
        samples=tuple(
            BatterySample(
                since_start_ms=row * 1000,
                pack_voltage_v=355 + row % 5 / 2,
                pack_current_a=-row * 1.5,
                soc_percent=(813 - row // 4) / 10,
                cell_temp_c=None if row % 9 == 0 else 21,
            )
            for row in range(rows)
        ),
    )


@given(batches, SIXTEEN, SIXTEEN)
def test_what_is_decoded_is_what_was_encoded(
    batch: BatteryBatch, pseudonym: bytes, nonce: bytes
) -> None:
    decoded = decode_batch(encode_batch(batch, pseudonym=pseudonym, nonce=nonce))
    assert decoded.body == batch
    assert (decoded.pseudonym, decoded.nonce) == (pseudonym, nonce)


@given(batches)
def test_the_same_batch_gives_the_same_bytes(batch: BatteryBatch) -> None:
    payload = encode_batch(batch, pseudonym=PSEUDONYM, nonce=NONCE)
    assert encode_batch(batch, pseudonym=PSEUDONYM, nonce=NONCE) == payload
    assert len(batch_id(payload)) == 32


@given(st.floats(0, 1000), st.floats(-2000, 2000), st.floats(0, 100), st.floats(-60, 150))
def test_any_value_goes_to_the_nearest_step(
    volt: float, amp: float, soc: float, temp: float
) -> None:
    reading = BatterySample(
        since_start_ms=0,
        pack_voltage_v=volt,
        pack_current_a=amp,
        soc_percent=soc,
        cell_temp_c=temp,
    )
    batch = BatteryBatch(month="2026-11", soh_percent=None, samples=(reading,))
    back = decode_batch(encode_batch(batch, pseudonym=PSEUDONYM, nonce=NONCE)).body.samples[0]
    assert back.pack_voltage_v == pytest.approx(volt, abs=0.25 + 1e-9)
    assert back.pack_current_a == pytest.approx(amp, abs=0.25 + 1e-9)
    assert back.soc_percent == pytest.approx(soc, abs=0.05 + 1e-9)
    assert back.cell_temp_c == pytest.approx(temp, abs=0.5 + 1e-9)


@given(tables)
def test_any_columns_come_back(table: list[list[Cell]]) -> None:
    data = encode_columns(table)
    assert decode_columns(data, max_rows=30, max_columns=5) == table
    assert encode_columns(table) == data


@given(tables)
def test_where_no_difference_is_told_an_invalid_value_is_a_missing_one(
    table: list[list[Cell]],
) -> None:
    data = encode_columns(table, format_=PLAIN_FORMAT)
    plain = [numbers(column) for column in table]
    assert decode_columns(data, max_rows=30, max_columns=5) == plain
    assert encode_columns(plain, format_=PLAIN_FORMAT) == data


@given(receipts)
def test_any_receipt_comes_back(receipt: Receipt) -> None:
    body = encode_receipt(receipt)
    assert decode_receipt(body) == receipt
    assert unpack_signed(pack_signed(body, bytes(64))) == (body, bytes(64))


def decoded_or_refused(payload: bytes) -> DecodedBatch | None:
    try:
        return decode_batch(payload)
    except CodecError as error:
        refusal = error
    assert refusal.code.startswith("codec.")
    assert len(str(refusal)) < 400
    return None


def test_every_truncation_is_refused() -> None:
    payload = encode_batch(example_batch(), pseudonym=PSEUDONYM, nonce=NONCE)
    for cut in range(len(payload)):
        with pytest.raises(CodecError, match=r"(batch|columns): "):
            decode_batch(payload[:cut])


def test_every_trailing_byte_is_refused() -> None:
    payload = encode_batch(example_batch(), pseudonym=PSEUDONYM, nonce=NONCE)
    with pytest.raises(CodecError, match=r"not the CBOR we write|not deterministic"):
        decode_batch(payload + b"\x00")


def test_every_flipped_bit_is_refused_or_gives_a_valid_batch() -> None:
    payload = encode_batch(example_batch(), pseudonym=PSEUDONYM, nonce=NONCE)
    for at in range(8 * len(payload)):
        flipped = bytearray(payload)
        flipped[at // 8] ^= 1 << at % 8
        decoded = decoded_or_refused(bytes(flipped))
        assert decoded is None or decoded.version == 1


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_as_a_batch(data: bytes) -> None:
    assert decoded_or_refused(data) is None


@settings(max_examples=300)
@given(st.binary(max_size=60), st.sampled_from([b"", b"\x01\x05\x02", b"\x02", b"\x02\x05\x02"]))
def test_any_bytes_are_refused_or_a_bounded_block(data: bytes, head: bytes) -> None:
    try:
        table = decode_columns(head + data, max_rows=50, max_columns=4)
    except CodecError:
        return
    assert len(table) <= 4
    assert all(len(column) <= 50 for column in table)
    assert all(value is None or abs(value) <= MAX_VALUE for column in table for value in column)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
anything = st.recursive(
    scalars | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.integers(0, 6), anything)
def test_any_field_of_another_shape_is_refused(field: int, value: object) -> None:
    fields = cbor2.loads(encode_batch(example_batch(), pseudonym=PSEUDONYM, nonce=NONCE))
    original = fields[field]
    fields[field] = value
    decoded = decoded_or_refused(cbor2.dumps(fields, canonical=True))
    assert decoded is None or value == original or isinstance(value, bytes)


@given(anything)
def test_an_eighth_field_is_refused(value: object) -> None:
    fields = cbor2.loads(encode_batch(example_batch(), pseudonym=PSEUDONYM, nonce=NONCE))
    with pytest.raises(CodecError, match=r"expected the fields|not the CBOR|deterministic"):
        decode_batch(cbor2.dumps(fields | {7: value}, canonical=True))


@given(st.binary(max_size=120))
def test_any_bytes_are_refused_as_a_receipt(data: bytes) -> None:
    for decode in (decode_receipt, unpack_signed):
        with pytest.raises(CodecError, match="receipt: "):
            decode(data)


def test_a_batch_beyond_the_limits_is_refused_before_it_is_read() -> None:
    payload = encode_batch(example_batch(), pseudonym=PSEUDONYM, nonce=NONCE)
    with pytest.raises(CodecError, match="expected at most 50 bytes") as caught:
        decode_batch(payload, limits=BatchLimits(max_bytes=50))
    assert caught.value.code == "codec.too_large"
    with pytest.raises(CodecError, match="expected at most 39 rows"):
        decode_batch(payload, limits=BatchLimits(max_rows=39))
