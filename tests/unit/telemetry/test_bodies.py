"""Batches of one record: what was written comes back, and fits the smallest size class."""

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.privacy.cells import cell_at
from telemetry.codec.anybatch import decode_any, encode_any, purpose_in
from telemetry.codec.bodies import decode_body, encode_body
from telemetry.codec.errors import CodecError
from telemetry.records import (
    DISTANCE_BUCKETS_KM,
    DURATION_BUCKETS_MIN,
    LOSSES,
    ChargingBatch,
    CurrentKind,
    DiagnosticsBatch,
    DwellClass,
    JourneyClass,
    JourneysBatch,
    TrafficBatch,
)
from telemetry.seal import SMALLEST_CLASS_BYTES, size_class


def cells(resolution: int) -> st.SearchStrategy[int]:
    return st.builds(cell_at, st.floats(-80, 80), st.floats(-180, 180), st.just(resolution))


def steps(low: int, high: int, step: int) -> st.SearchStrategy[int]:
    return st.integers(low, high).map(lambda count: count * step)


hours = st.integers(0, 167)
bodies = st.one_of(
    st.builds(
        ChargingBatch,
        cell=st.none() | cells(7),
        hour_of_week=hours,
        soc_in_percent=steps(0, 10, 10),
    ),
    st.builds(
        ChargingBatch,
        cell=st.none() | cells(7),
        hour_of_week=hours,
        soc_in_percent=steps(0, 10, 10),
        current=st.sampled_from(CurrentKind),
        quarter_hours_wh=st.lists(steps(0, 200, 500), min_size=1, max_size=96).map(tuple),
        soc_out_percent=steps(0, 10, 10),
        dwell=st.sampled_from(DwellClass),
    ),
    st.builds(
        JourneysBatch,
        kind=st.sampled_from(JourneyClass),
        distance_from_km=st.sampled_from(DISTANCE_BUCKETS_KM),
        duration_from_min=st.sampled_from(DURATION_BUCKETS_MIN),
        consumption_wh_km=st.none() | steps(0, 10, 50),
        ambient_c=st.none() | steps(-4, 6, 10),
    ),
    st.builds(
        TrafficBatch,
        cell=cells(9),
        hour_of_week=hours,
        speed_tenths=st.permutations([0, 0, 0, 1, 2, 3, 4, 0, 0]).map(tuple),
    ),
    st.builds(
        DiagnosticsBatch,
        version=st.just("0.1.0") | st.just("12.0.345"),
        uptime_class=st.integers(0, 3),
        losses=st.dictionaries(st.sampled_from(sorted(LOSSES)), st.integers(1, 9)).map(
            lambda found: tuple(sorted(found.items()))
        ),
    ),
)
JOURNEY = JourneysBatch(
    kind=JourneyClass.ERRAND,
    distance_from_km=5,
    duration_from_min=10,
    consumption_wh_km=150,
    ambient_c=10,
)


def encoded(body: Any) -> bytes:
    return encode_body(body, month="2026-11", pseudonym=bytes(16), nonce=bytes(16))


@given(bodies)
def test_what_is_decoded_is_what_was_encoded_and_all_are_of_one_size_outside(body: Any) -> None:
    payload = encoded(body)
    assert decode_body(payload) == body
    assert encoded(body) == payload
    assert size_class(len(payload)) == SMALLEST_CLASS_BYTES


def test_the_bytes_of_a_journey_stay_as_they_are() -> None:
    assert encoded(JOURNEY).hex() == (
        "a7000101686a6f75726e657973026a6a6f75726e6579732e310350"
        + "00" * 16
        + "048267323032362d3131818502010103010582010006"
        + "50"
        + "00" * 16
    )


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (0, 6, "codec.range"),
        (1, 7, "codec.range"),
        (4, 7, "codec.range"),
        (4, "ten", "codec.range"),
        (0, None, "codec.counts"),
    ],
)
def test_a_record_that_no_type_can_hold_is_refused(at: int, value: Any, code: str) -> None:
    fields = cbor2.loads(encoded(JOURNEY))
    fields[4][1][0][at] = value
    with pytest.raises(CodecError, match="batch:") as caught:
        decode_body(cbor2.dumps(fields, canonical=True))
    assert caught.value.code == code


def test_two_records_under_one_name_are_refused() -> None:
    fields = cbor2.loads(encoded(JOURNEY))
    fields[4][1] *= 2
    fields[5] = [2, 0]
    with pytest.raises(CodecError, match="expected 1 to 1, got 2"):
        decode_body(cbor2.dumps(fields, canonical=True))


def test_shares_that_are_not_ten_tenths_are_refused() -> None:
    traffic = TrafficBatch(
        cell=cell_at(48.1, 11.5, 9), hour_of_week=8, speed_tenths=(0, 0, 0, 5, 5, 0, 0, 0, 0)
    )
    fields = cbor2.loads(encoded(traffic))
    fields[4][1][0][2][0] = 1
    with pytest.raises(CodecError, match="speed_tenths: expected 9 shares"):
        decode_body(cbor2.dumps(fields, canonical=True))


@given(bodies)
def test_any_batch_is_read_by_the_schema_it_names(body: Any) -> None:
    payload = encode_any(body, month="2026-11", pseudonym=bytes(16), nonce=bytes(16))
    assert payload == encoded(body)
    batch = decode_any(payload)
    assert (batch.body, batch.month, batch.pseudonym) == (body, "2026-11", bytes(16))
    assert batch.schema_id == f"{batch.purpose}.1"
    assert purpose_in(payload) is batch.purpose


def test_a_schema_that_nobody_knows_is_refused_whatever_the_purpose() -> None:
    fields = cbor2.loads(encoded(JOURNEY))
    fields[2] = "journeys.9"
    with pytest.raises(CodecError, match=r"unknown schema 'journeys\.9'"):
        decode_any(cbor2.dumps(fields, canonical=True))
