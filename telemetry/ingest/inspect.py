"""Any batch in plain words: what it holds, in which steps, and what it costs. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from telemetry.codec.anybatch import ALL_SCHEMAS
from telemetry.codec.batch import (
    BatchLimits,
    DecodedBatch,
    batch_id,
    decode_batch,
    load_fields,
    schema_of,
)
from telemetry.codec.bodies import BODY_SCHEMAS, decode_body
from telemetry.codec.schemas import AnySchema, Column, Field, RecordSchema
from telemetry.codec.sessions import DecodedRecords, Value, decode_records
from telemetry.codec.workshop import SCHEMA_ID as REPORT_SCHEMA
from telemetry.codec.workshop import decode_report
from telemetry.purposes import Purpose
from telemetry.records import BatterySample
from telemetry.seal import SealError, key_id_of

_INVALID = "invalid"
_NAMES_OF_ROWS = 5  # shown at the beginning in plain words; JSON has all


def inspect_batch(
    payload: bytes, *, limits: BatchLimits, schemas: Mapping[str, AnySchema] = ALL_SCHEMAS
) -> dict[str, Any]:
    """Return everything a batch says as a JSON document; raise CodecError if it is none.

    Keys of all kinds: batch_id, bytes, version, kind. What is *sealed* has key_id beside them
    and no more; every other kind has purpose, schema_id, pseudonym and nonce. The one record of
    a purpose is a *body*, and a workshop report a *report*: both have it under body, in its own
    units. *Columns* and *records* have month, rows, missing, fields, values; columns also
    soh_percent, bits_per_value and invalid (null where the schema does not tell it from
    missing), and a row with readings that were not to be believed names them under "invalid".
    """
    head = {"batch_id": batch_id(payload).hex(), "bytes": len(payload), "version": 1}
    with suppress(SealError):
        return head | {"kind": "sealed", "key_id": key_id_of(payload).hex()}
    fields = load_fields(payload, limits)
    if fields[2] == REPORT_SCHEMA:
        return head | _report(payload, fields)
    schema = schema_of(fields, schemas)
    head |= {"purpose": schema.purpose.value, "schema_id": schema.schema_id}
    if not isinstance(schema, RecordSchema):
        batch = decode_batch(payload, limits=limits, schemas=schemas)
        return head | _columns(batch, len(payload))
    found = _records(decode_records(payload, limits=limits, schemas=schemas))
    if schema.schema_id in BODY_SCHEMAS:
        found |= {"kind": "body", "body": _in_words(asdict(decode_body(payload)))}
    return head | found


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Return the same in plain words, for a person."""
    if document["kind"] == "sealed":
        key = document["key_id"]
        return [
            f"{document['bytes']} bytes, sealed; only who holds the key {key} can say more",
            f"as it travels {document['batch_id']}",
        ]
    what = f"{document['rows']} {_unit(document)} of {document['month']}"
    lines = [
        f"batch {document['batch_id']}",
        f"{document['bytes']} bytes for the purpose {document['purpose']!r}: {what}, schema "
        + document["schema_id"],
        f"from pseudonym {document['pseudonym']}; random {document['nonce']}",
    ]
    if document["kind"] == "columns":
        soh = document["soh_percent"]
        lines.append(
            f"{document['from_s']:g} s to {document['to_s']:g} s of the trip, state of health "
            f"{'not known' if soh is None else f'{soh} %'}, "
            f"{document['bits_per_value']:.2f} bits for each value"
        )
    if "body" in document:
        return [*lines, "", *_body_lines(document["body"])]
    lines += ["", *(_field_line(field) for field in document["fields"])]
    return [*lines, "", *_first_rows(document)]


def _body_lines(body: Mapping[str, Any]) -> Iterator[str]:
    for name, value in body.items():
        if isinstance(value, (list, tuple)):
            yield f"{name:18} {', '.join(map(_one, value)) or 'none'}"
        else:
            yield f"{name:18} {_one(value)}"


def _one(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(_one(part) for part in value.values() if part or part == 0)
    if isinstance(value, (list, tuple)):
        return " ".join(map(_one, value))
    return "none" if value is None or value == "" else _printable(str(value))


def _printable(text: str) -> str:
    """Return ``text`` on one line: what a stranger wrote does nothing to a terminal."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def _in_words(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with its cell as everybody writes cells, in hex."""
    cell = body.get("cell")
    return body | {"cell": f"{cell:x}"} if isinstance(cell, int) else body


def _report(payload: bytes, fields: Mapping[int, Any]) -> dict[str, Any]:
    report = decode_report(payload)
    return {
        "purpose": Purpose.WORKSHOP.value,
        "schema_id": REPORT_SCHEMA,
        "kind": "report",
        "pseudonym": fields[3].hex(),
        "nonce": fields[6].hex(),
        "month": report.day[:7],
        "rows": 1,
        "body": asdict(report),
    }


def _unit(document: Mapping[str, Any]) -> str:
    name = {"columns": "row", "report": "report"}.get(document["kind"], "record")
    return name if document["rows"] == 1 else f"{name}s"


def _field_line(field: Mapping[str, Any]) -> str:
    steps = f"in steps of {field['step']:g} {field['unit']}".rstrip()
    missing = f", {field['missing']} missing" if field["missing"] else ""
    missing += f", {field['invalid']} invalid" if field.get("invalid") else ""
    if field["least"] is None:
        return f"{field['name']:16} {steps}: no value{missing}"
    return f"{field['name']:16} {steps}: {field['least']:g} to {field['most']:g}{missing}"


def _first_rows(document: Mapping[str, Any]) -> list[str]:
    values = document["values"]
    lines = [
        ", ".join(f"{name} {_word(row, name)}" for name in row if name != _INVALID)
        for row in values[:_NAMES_OF_ROWS]
    ]
    more = len(values) - len(lines)
    return [*lines, f"... and {more} more; --json prints all"] if more else lines


def _word(row: Mapping[str, Any], name: str) -> object:
    if name in row.get(_INVALID, ()):
        return _INVALID
    return "none" if row[name] is None else row[name]


def _columns(batch: DecodedBatch, size: int) -> dict[str, Any]:
    samples = batch.body.samples
    rows = [asdict(sample) for sample in samples]
    names = [column.field for column in batch.columns]
    values = [{name: row[name] for name in names} for row in rows]
    gaps = sum(value is None for row in values for value in row.values())
    invalid = sum(len(sample.invalid) for sample in samples)
    told = [_invalid(sample) for sample in samples]
    return {
        "kind": "columns",
        "pseudonym": batch.pseudonym.hex(),
        "nonce": batch.nonce.hex(),
        "month": batch.body.month,
        "soh_percent": batch.body.soh_percent,
        "rows": len(rows),
        "missing": gaps - invalid,
        "invalid": invalid if batch.tells_invalid else None,
        "from_s": rows[0]["since_start_ms"] / 1000,
        "to_s": rows[-1]["since_start_ms"] / 1000,
        "bits_per_value": round(8 * size / (len(rows) * len(names)), 3),
        "fields": [
            _column(column, [row[column.field] for row in values], samples)
            for column in batch.columns
        ],
        "values": [value | wrong for value, wrong in zip(values, told, strict=True)],
    }


def _invalid(sample: BatterySample) -> dict[str, list[str]]:
    return {_INVALID: sorted(sample.invalid)} if sample.invalid else {}


def _column(
    column: Column, values: Sequence[float | None], samples: Sequence[BatterySample]
) -> dict[str, Any]:
    found = _summary(column.field, column.unit, 1 / column.per_unit, values)
    invalid = sum(column.field in sample.invalid for sample in samples)
    return found | {"missing": found["missing"] - invalid, "invalid": invalid}


def _records(batch: DecodedRecords) -> dict[str, Any]:
    fields = batch.schema.fields
    values = [
        {field.name: _in_units(field, record[field.name]) for field in fields}
        for record in batch.records
    ]
    return {
        "kind": "records",
        "pseudonym": batch.pseudonym.hex(),
        "nonce": batch.nonce.hex(),
        "month": batch.month,
        "rows": len(values),
        "missing": sum(value is None for row in values for value in row.values()),
        "fields": [
            _field(field, [record[field.name] for record in batch.records]) for field in fields
        ],
        "values": values,
    }


def _in_units(field: Field, value: Value) -> object:
    if isinstance(value, tuple):
        return [_in_units(field, number) for number in value]
    if value is None:
        return None
    if field.words:
        return field.words[value]
    return value / field.per_unit if field.per_unit != 1 else value


def _field(field: Field, values: Sequence[Value]) -> dict[str, Any]:
    numbers: list[float | None] = []
    for value in values:
        parts = value if isinstance(value, tuple) else (value,)
        numbers += [None if part is None else part / field.per_unit for part in parts]
    return _summary(field.name, field.unit, 1 / field.per_unit, numbers)


def _summary(name: str, unit: str, step: float, values: Sequence[float | None]) -> dict[str, Any]:
    present = [value for value in values if value is not None]
    return {
        "name": name,
        "unit": unit,
        "step": step,
        "least": min(present, default=None),
        "most": max(present, default=None),
        "missing": len(values) - len(present),
    }
