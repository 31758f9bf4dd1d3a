"""The compiled decoder of ingest: the same numbers as the plain one, or none at all."""

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from telemetry.codec.batch import BatchLimits
from telemetry.codec.cells import INVALID, Cell
from telemetry.codec.columns import decode_columns, encode_columns
from telemetry.codec.errors import CodecError
from telemetry.codec.models import Model, generic_model
from telemetry.codec.schemas import BATTERY_1, BATTERY_2, Schema
from telemetry.ingest.compiled import MAX_EXACT, TooWideError, decode_table
from telemetry.ingest.prepare import prepare, prepare_plainly, prepare_quickly
from tests.support.batches import batch_payload

pytestmark = pytest.mark.slow

LIMITS = BatchLimits()
Table = list[list[Cell]]
gaps = st.none() | st.just(INVALID)
near = gaps | st.integers(-300, 300) | st.integers(-(2**31) + 1, 2**31 - 1)
far = near | st.integers(-(2**63) + 1, 2**63 - 1)


def tables(values: st.SearchStrategy[Cell]) -> st.SearchStrategy[Table]:
    return st.integers(1, 30).flatmap(
        lambda rows: st.lists(
            st.lists(values, min_size=rows, max_size=rows), min_size=5, max_size=5
        )
    )


def compiled(data: bytes, model: Model | None) -> Table | None:
    """Return what the compiled decoder says, None if it leaves the answer to the plain one."""
    try:
        table = decode_table(data, max_rows=30, max_columns=5, model=model)
    except TooWideError:
        return None
    columns = zip(table.values, table.gaps, table.invalid, strict=True)
    return [
        [
            value if not is_gap else INVALID if is_invalid else None
            for value, is_gap, is_invalid in zip(values.tolist(), *flags, strict=True)
        ]
        for values, *flags in columns
    ]


@pytest.mark.parametrize("model", [BATTERY_1.model, None], ids=["battery.1", "none"])
@settings(deadline=None)  # the first call compiles
@given(table=tables(near))
@example(table=[[-MAX_EXACT, MAX_EXACT] * 5] * 5)
@example(table=[[None, 0, INVALID]] * 5)
@example(table=[[INVALID, None, INVALID]] * 5)
def test_it_says_what_the_plain_decoder_says(table: Table, model: Model | None) -> None:
    data = encode_columns(table, model=model)
    assert decode_columns(data, max_rows=30, max_columns=5, model=model) == table
    assert compiled(data, model) in (table, None)


@settings(deadline=None)  # the first call compiles
@given(table=tables(gaps | st.integers(-(2**15), 2**15)))
def test_it_answers_for_all_that_vehicles_measure(table: Table) -> None:
    data = encode_columns(table, model=BATTERY_1.model)
    assert compiled(data, BATTERY_1.model) == table


@settings(deadline=None)  # the first call compiles
@given(table=tables(far))
def test_it_never_says_anything_else(table: Table) -> None:
    data = encode_columns(table, model=BATTERY_1.model)
    assert compiled(data, BATTERY_1.model) in (table, None)


@settings(deadline=None)  # the first call compiles
@given(data=st.binary(max_size=60), rows=st.integers(1, 30), form=st.sampled_from([2, 3]))
def test_any_bytes_are_refused_alike(data: bytes, rows: int, form: int) -> None:
    block = bytes([form, rows, 5]) + data
    try:
        plain: Table | None = decode_columns(
            block, max_rows=30, max_columns=5, model=BATTERY_1.model
        )
    except CodecError:
        plain = None
    try:
        quick = compiled(block, BATTERY_1.model)
    except CodecError:
        quick = None
    assert quick in (plain, None)


def test_a_day_of_noise_is_read_alike() -> None:
    noise = random.Random(7)
    table: Table = [[second * 1000 for second in range(30)]]
    table += [[noise.choice([None, noise.randrange(900)]) for _ in range(30)] for _ in range(4)]
    assert compiled(encode_columns(table), generic_model(5)) == table


@pytest.mark.parametrize("rows", [1, 2, 60, 700])
@pytest.mark.parametrize("schema", [BATTERY_1, BATTERY_2], ids=["battery.1", "battery.2"])
def test_a_batch_becomes_the_same_file_both_ways(rows: int, schema: Schema) -> None:
    payload = batch_payload(rows=rows, schema=schema)
    quick = prepare_quickly(payload, LIMITS)
    assert quick == prepare_plainly(payload, LIMITS)
    assert quick == prepare(payload, LIMITS)


def test_every_flipped_bit_ends_the_same_both_ways() -> None:
    payload = batch_payload(rows=20)
    for at in range(8 * len(payload)):
        flipped = bytearray(payload)
        flipped[at // 8] ^= 1 << at % 8
        quick = prepare_quickly(bytes(flipped), LIMITS)
        if quick is not None:
            assert quick == prepare_plainly(bytes(flipped), LIMITS)
