"""Batches of records: an allow-list on both sides."""

from typing import Any

import cbor2
import pytest

from telemetry.codec.errors import CodecError
from telemetry.codec.schemas import Field
from telemetry.codec.sessions import decode_records, encode_records
from tests.golden.schema_examples import ALL, EXAMPLES, SESSION_2, SESSIONS_2

PAYLOAD = EXAMPLES["session_2.hex"]


def encoded(*records: dict[str, Any], month: str = "2026-11") -> bytes:
    return encode_records(SESSION_2, records, month=month, pseudonym=bytes(16), nonce=bytes(16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vin": 1}, r"expected exactly the fields of example\.session\.2: \['vin'\]"),
        ({"hour_of_week": 168}, "hour_of_week: expected 0 to 167, got 168"),
        ({"hour_of_week": True}, "hour_of_week: expected 0 to 167, got True"),
        ({"hour_of_week": None}, "hour_of_week: expected 0 to 167, got None"),
        ({"hour_of_week": 1.0}, r"hour_of_week: expected 0 to 167, got 1\.0"),
        ({"energy_kwh": 5}, "energy_kwh: expected a list"),
        ({"energy_kwh": (1,) * 97}, "energy_kwh: expected at most 96 numbers"),
        ({"kind": (1,)}, "kind: expected one number"),
    ],
)
def test_what_the_schema_does_not_list_cannot_leave(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encoded(SESSIONS_2[0] | change)


def test_a_record_without_one_of_its_fields_cannot_leave() -> None:
    with pytest.raises(ValueError, match=r"\['kind'\]"):
        encoded({name: value for name, value in SESSIONS_2[0].items() if name != "kind"})


def test_no_records_and_too_many_cannot_leave() -> None:
    with pytest.raises(ValueError, match="expected 1 to 1000, got 0"):
        encoded()
    with pytest.raises(ValueError, match="expected 1 to 1000, got 1001"):
        encoded(*[SESSIONS_2[0]] * 1001)
    with pytest.raises(ValueError, match="month: expected 'YYYY-MM'"):
        encoded(SESSIONS_2[0], month="2026-13")


@pytest.mark.parametrize(
    ("number", "value", "code"),
    [
        (2, "example.session.1", "codec.range"),
        (4, ["2026-11"], "codec.shape"),
        (4, ["2026-11", 5], "codec.shape"),
        (4, ["2026-11", [5]], "codec.shape"),
        (4, ["2026-11", [[18, 0, [1], 80, 5]]], "codec.counts"),
        (4, ["2026-11", [[18, 0, [1], 180], [18, 0, [1], None]]], "codec.range"),
        (4, ["2026-11", [[18, 0, [-1], 80], [18, 0, [1], None]]], "codec.range"),
        (4, ["2026-11", [[18, 0, "xx", 80], [18, 0, [1], None]]], "codec.range"),
        (4, ["2026-11", [[18, 0, [float("nan")], 80], [18, 0, [1], None]]], "codec.range"),
        (4, [2026, [[18, 0, [1], 80], [18, 0, [1], None]]], "codec.range"),
        (5, [-2, 1], "codec.counts"),
        (5, [2, 2**40], "codec.counts"),
        (5, [2, 10**30], "codec.shape"),
        (3, bytes(3), "codec.shape"),
    ],
)
def test_a_wrong_field_is_refused_with_its_code(number: int, value: object, code: str) -> None:
    payload = cbor2.dumps(cbor2.loads(PAYLOAD) | {number: value}, canonical=True)
    with pytest.raises(CodecError, match="batch: ") as caught:
        decode_records(payload, schemas=ALL)
    assert caught.value.code == code


def test_a_field_with_impossible_bounds_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="a word for each class"):
        Field("kind", "", 0, 2, words=("AC", "DC"))
