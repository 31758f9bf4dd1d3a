"""Batches of records: sessions and events, a list of numbers for each.

Shape (CDDL, RFC 8610; docs/reference/batch.cddl): the container of ``batch.py`` with another body::

    body = [month: tstr, [* record]]
    record = [* (int / null / [* int])]     ; one item for each field of the schema, in its order
    counts = [records: uint, missing: uint]

Records are few and short: one after the other they compress no better than they are, so they stay
plain, deterministic CBOR.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telemetry.codec.batch import (
    VERSION,
    BatchLimits,
    check_sixteen,
    list_of,
    load_fields,
    schema_of,
    sixteen,
)
from telemetry.codec.cbor import dump
from telemetry.codec.errors import CodecError
from telemetry.codec.schemas import SCHEMAS, AnySchema, Field, RecordSchema

_LIMITS = BatchLimits()
_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")

Value = int | tuple[int, ...] | None  # raw: in steps of the field
Record = Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedRecords:
    """A batch of records as its bytes say, every field checked."""

    schema: RecordSchema
    pseudonym: bytes  # 16 bytes
    nonce: bytes  # 16 bytes
    month: str  # "YYYY-MM"
    records: tuple[dict[str, Value], ...]


def encode_records(
    schema: RecordSchema, records: Sequence[Record], *, month: str, pseudonym: bytes, nonce: bytes
) -> bytes:
    """Encode ``records`` as one self-contained payload. Deterministic.

    Raises:
        ValueError: A field that the schema does not list, one that is missing, a number beyond its
            bounds, no record or too many, or pseudonym or nonce of another size.
    """
    check_sixteen("pseudonym", pseudonym)
    check_sixteen("nonce", nonce)
    _check_frame(schema, month, len(records))
    rows = [_row(schema, record) for record in records]
    return dump(
        {
            0: VERSION,
            1: schema.purpose.value,
            2: schema.schema_id,
            3: pseudonym,
            4: [month, rows],
            5: [len(rows), _missing(rows)],
            6: nonce,
        }
    )


def decode_records(
    payload: bytes,
    *,
    limits: BatchLimits = _LIMITS,
    schemas: Mapping[str, AnySchema] = SCHEMAS,
) -> DecodedRecords:
    """Return what ``payload`` says, or refuse it; work and memory are bounded by ``limits``.

    Raises:
        CodecError: As ``telemetry.codec.batch.decode_batch``.
    """
    fields = load_fields(payload, limits)
    schema = schema_of(fields, schemas)
    if not isinstance(schema, RecordSchema):
        raise CodecError(
            f"batch: expected records, {schema.schema_id} has columns", code="codec.schema"
        )
    month, rows = list_of(fields[4], 2, "body")
    _check_counts(fields[5], rows)
    try:
        _check_frame(schema, month, len(rows))
        records = tuple(_record(schema, row) for row in rows)
    except ValueError as error:
        raise CodecError(f"batch: {error}", code="codec.range") from error
    return DecodedRecords(
        schema=schema,
        pseudonym=sixteen(fields[3], "pseudonym"),
        nonce=sixteen(fields[6], "nonce"),
        month=month,
        records=records,
    )


def _check_frame(schema: RecordSchema, month: object, count: int) -> None:
    if not isinstance(month, str) or not _MONTH.fullmatch(month):
        raise ValueError(f"month: expected 'YYYY-MM' from 2000 to 2099, got {month!r:.40}")
    if not 0 < count <= schema.max_records:
        raise ValueError(f"records: expected 1 to {schema.max_records}, got {count}")


def _check_counts(counts: object, rows: object) -> None:
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise CodecError("batch: expected the records as lists", code="codec.shape")
    found = list_of(counts, 2, "counts")
    if [type(count) for count in found] != [int, int] or found != [len(rows), _missing(rows)]:
        raise CodecError("batch: the counts differ from the records", code="codec.counts")


def _missing(rows: Iterable[list[Any]]) -> int:
    return sum(row.count(None) for row in rows)


def _row(schema: RecordSchema, record: Record) -> list[Any]:
    names = {field.name for field in schema.fields}
    if set(record) != names:
        wrong = sorted(set(record) ^ names)
        raise ValueError(f"record: expected exactly the fields of {schema.schema_id}: {wrong}")
    values = [_checked(field, record[field.name]) for field in schema.fields]
    return [list(value) if isinstance(value, tuple) else value for value in values]


def _record(schema: RecordSchema, row: list[Any]) -> dict[str, Value]:
    if len(row) != len(schema.fields):
        raise ValueError(f"record: expected {len(schema.fields)} fields, got {len(row)}")
    values = (tuple(value) if isinstance(value, list) else value for value in row)
    return {
        field.name: _checked(field, value)
        for field, value in zip(schema.fields, values, strict=True)
    }


def _checked(field: Field, value: Value) -> Value:
    if value is None and field.is_optional:
        return None
    if isinstance(value, tuple) != bool(field.most):
        raise ValueError(f"{field.name}: expected {'a list' if field.most else 'one number'}")
    numbers = value if isinstance(value, tuple) else (value,)
    if field.most and len(numbers) > field.most:
        raise ValueError(f"{field.name}: expected at most {field.most} numbers")
    for number in numbers:
        if type(number) is not int or not field.low <= number <= field.high:
            raise ValueError(
                f"{field.name}: expected {field.low} to {field.high}, got {number!r:.40}"
            )
    return value
