"""One batch: records for one purpose as deterministic CBOR, self-contained and bounded.

Shape (CDDL, RFC 8610; docs/reference/batch.cddl)::

    batch = { 0: 1, 1: "battery", 2: "battery.2", 3: pseudonym, 4: body, 5: counts, 6: nonce }
    body = [month: tstr, soh_percent: 0..100 / null, columns: bstr]
    counts = [rows: uint, missing: uint, invalid: uint]  ; of battery.1: [rows: uint, gaps: uint]
    pseudonym = nonce = bstr .size 16

Deterministic (RFC 8949, section 4.2) for a given nonce: a consent names the hash of what was
shown, so the same records give the same bytes, and bytes written any other way are refused.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from telemetry.codec.cbor import dump, load
from telemetry.codec.cells import INVALID, Cell, count_gaps, number
from telemetry.codec.columns import decode_columns, encode_columns
from telemetry.codec.errors import CodecError
from telemetry.codec.schemas import BATTERY_2, SCHEMAS, AnySchema, Column, Schema
from telemetry.purposes import Purpose
from telemetry.records import BatteryBatch, BatterySample

__all__ = ["BatchLimits", "CodecError", "DecodedBatch", "batch_id", "decode_batch", "encode_batch"]

VERSION = 1
CONTENT_TYPE = "application/vnd.okdrive.batch+cbor"
PSEUDONYM_BYTES = NONCE_BYTES = 16
_KEYS = {0, 1, 2, 3, 4, 5, 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """How much a decoder accepts from outside."""

    max_bytes: int = 1 << 20
    max_rows: int = 100_000  # 27 h at 1 Hz


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedBatch:
    """A batch as its bytes say, every field checked."""

    version: int
    purpose: Purpose
    schema: str
    pseudonym: bytes  # 16 bytes
    nonce: bytes  # 16 bytes
    body: BatteryBatch
    columns: tuple[Column, ...]  # of the schema: what was sent, in which steps
    tells_invalid: bool  # whether a missing value is known not to be an invalid one


def batch_id(payload: bytes) -> bytes:
    """Return the SHA-256 of ``payload``, 32 bytes: what consent, receipt and dedupe name."""
    return hashlib.sha256(payload).digest()


def batch_pseudonym(payload: bytes) -> bytes:
    """Return whose batch this is, 16 bytes, without decoding its columns.

    Raises:
        CodecError: Not a batch.
    """
    return sixteen(load_fields(payload, BatchLimits())[3], "pseudonym")


def claimed_rows(payload: bytes, limits: BatchLimits) -> int:
    """Return how many rows a batch says it has, before anything is unpacked.

    Raises:
        CodecError: Not a batch, or more rows than ``limits`` allow.
    """
    counts = load_fields(payload, limits)[5]
    rows = counts[0] if isinstance(counts, list) and counts else None
    if type(rows) is not int or not 0 <= rows <= limits.max_rows:
        raise CodecError(
            f"batch: expected at most {limits.max_rows} rows, got {rows!r:.80}",
            code="codec.too_large" if type(rows) is int and rows > 0 else "codec.counts",
        )
    return rows


def encode_batch(
    batch: BatteryBatch, *, pseudonym: bytes, nonce: bytes, schema: Schema = BATTERY_2
) -> bytes:
    """Encode ``batch`` as one self-contained payload; values go to the nearest step.

    Args:
        batch: Records of the purpose ``battery``.
        pseudonym: 16 bytes, of this purpose and period; never the VIN.
        nonce: 16 random bytes, so that nobody can test guesses about the hash.
        schema: Which columns, in which resolution; a field that it does not list stays here.

    Raises:
        ValueError: Pseudonym or nonce are not 16 bytes.
    """
    check_sixteen("pseudonym", pseudonym)
    check_sixteen("nonce", nonce)
    columns = [[_raw(sample, column) for sample in batch.samples] for column in schema.columns]
    block = encode_columns(columns, model=schema.model, format_=schema.column_format)
    return dump(
        {
            0: VERSION,
            1: schema.purpose.value,
            2: schema.schema_id,
            3: pseudonym,
            4: [batch.month, batch.soh_percent, block],
            5: _counts(schema, len(batch.samples), *count_gaps(columns)),
            6: nonce,
        }
    )


def decode_batch(
    payload: bytes,
    *,
    limits: BatchLimits = BatchLimits(),
    schemas: Mapping[str, AnySchema] = SCHEMAS,
) -> DecodedBatch:
    """Return what ``payload`` says, or refuse it; work and memory are bounded by ``limits``.

    ``schemas`` are those this decoder knows, old and new side by side.

    Raises:
        CodecError: Too large, not deterministic CBOR of the shape above, another version,
            purpose or schema, or values that no record may hold.
    """
    opened = open_batch(payload, limits=limits, schemas=schemas)
    columns = decode_columns(
        opened.block,
        max_rows=limits.max_rows,
        max_columns=len(opened.schema.columns),
        model=opened.schema.model,
        format_=opened.schema.column_format,
    )
    opened.check_counts(len(columns[0]), *count_gaps(columns))
    return DecodedBatch(
        version=VERSION,
        purpose=opened.schema.purpose,
        schema=opened.schema.schema_id,
        pseudonym=opened.pseudonym,
        nonce=opened.nonce,
        body=_body(opened, columns),
        columns=opened.schema.columns,
        tells_invalid=opened.schema.tells_invalid,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenBatch:
    """A container whose fields have the right shape; its columns are still coded."""

    schema: Schema
    pseudonym: bytes
    nonce: bytes
    month: str
    soh_percent: int | None
    block: bytes  # columns
    counts: list[Any]  # not yet compared

    def check_counts(self, rows: int, missing: int, invalid: int) -> None:
        """Compare what the container says with what the columns hold; raise CodecError."""
        counts = _counts(self.schema, rows, missing, invalid)
        if {type(count) for count in self.counts} != {int} or self.counts != counts:
            raise CodecError("batch: the counts differ from the columns", code="codec.counts")


def open_batch(
    payload: bytes, *, limits: BatchLimits, schemas: Mapping[str, AnySchema] = SCHEMAS
) -> OpenBatch:
    """Return the container of ``payload``; raise CodecError as ``decode_batch``."""
    fields = load_fields(payload, limits)
    schema = schema_of(fields, schemas)
    if not isinstance(schema, Schema):
        raise CodecError(
            f"batch: expected columns, {schema.schema_id} has records", code="codec.schema"
        )
    month, soh_percent, block = list_of(fields[4], 3, "body")
    counts = list_of(fields[5], len(_counts(schema, 0, 0, 0)), "counts")
    if not isinstance(block, bytes):
        raise CodecError("batch: expected the columns as bytes", code="codec.shape")
    if not isinstance(month, str):
        raise CodecError("batch: expected the month as text", code="codec.shape")
    if soh_percent is not None and type(soh_percent) is not int:
        raise CodecError("batch: expected SOH as a whole number or null", code="codec.shape")
    return OpenBatch(
        schema=schema,
        pseudonym=sixteen(fields[3], "pseudonym"),
        nonce=sixteen(fields[6], "nonce"),
        month=month,
        soh_percent=soh_percent,
        block=block,
        counts=counts,
    )


def load_fields(payload: bytes, limits: BatchLimits) -> dict[int, Any]:
    """Return the fields of a container, none looked at; raise CodecError."""
    fields = load(payload, max_bytes=limits.max_bytes, what="batch")
    if not isinstance(fields, dict) or set(fields) != _KEYS:
        raise CodecError("batch: expected the fields 0 to 6", code="codec.shape")
    return cast("dict[int, Any]", fields)


def schema_of(fields: Mapping[int, Any], schemas: Mapping[str, AnySchema]) -> AnySchema:
    """Return the schema that a container names; raise CodecError."""
    version, purpose, schema_id = fields[0], fields[1], fields[2]
    if type(version) is not int or version != VERSION:
        raise CodecError(f"batch: expected version 1, got {version!r:.80}", code="codec.version")
    if not isinstance(schema_id, str) or schema_id not in schemas:
        raise CodecError(f"batch: unknown schema {schema_id!r:.80}", code="codec.schema")
    schema = schemas[schema_id]
    if purpose != schema.purpose.value:
        raise CodecError(
            f"batch: expected purpose {schema.purpose.value}, got {purpose!r:.80}",
            code="codec.purpose",
        )
    return schema


def _counts(schema: Schema, rows: int, missing: int, invalid: int) -> list[int]:
    return [rows, missing, invalid] if schema.tells_invalid else [rows, missing + invalid]


def _body(opened: OpenBatch, columns: list[list[Cell]]) -> BatteryBatch:
    try:
        rows = zip(*columns, strict=True)
        samples = tuple(_sample(row, opened.schema.columns) for row in rows)
        return BatteryBatch(month=opened.month, soh_percent=opened.soh_percent, samples=samples)
    except ValueError as error:
        raise CodecError(f"batch: {error}", code="codec.range") from error


def _sample(row: Sequence[Cell], columns: Sequence[Column]) -> BatterySample:
    cells = {column.field: (cell, column) for cell, column in zip(row, columns, strict=True)}
    values = {field: _value(cell, column) for field, (cell, column) in cells.items()}
    time = number(row[0])
    if time is None:
        raise ValueError("since_start_ms: expected a time in every row, got none")
    return BatterySample(
        since_start_ms=time,
        pack_voltage_v=values.get("pack_voltage_v"),
        pack_current_a=values.get("pack_current_a"),
        soc_percent=values.get("soc_percent"),
        cell_temp_c=values.get("cell_temp_c"),
        invalid=frozenset(field for field, (cell, _) in cells.items() if cell is INVALID),
    )


def _raw(sample: BatterySample, column: Column) -> Cell:
    value: float | None = getattr(sample, column.field)
    if value is None:
        return INVALID if column.field in sample.invalid else None
    return round(value * column.per_unit)


def _value(cell: Cell, column: Column) -> float | None:
    return cell / column.per_unit if isinstance(cell, int) else None


def list_of(value: object, length: int, name: str) -> list[Any]:
    """Return ``value`` as a list of ``length`` items; raise CodecError."""
    if not isinstance(value, list) or len(value) != length:
        raise CodecError(f"batch: expected {name} as {length} items", code="codec.shape")
    return value


def sixteen(value: object, name: str) -> bytes:
    """Return ``value`` as 16 bytes; raise CodecError."""
    if not isinstance(value, bytes) or len(value) != PSEUDONYM_BYTES:
        raise CodecError(f"batch: expected the {name} as 16 bytes", code="codec.shape")
    return value


def check_sixteen(name: str, value: bytes) -> None:
    """Raise ValueError unless ``value`` has 16 bytes."""
    if len(value) != PSEUDONYM_BYTES:
        raise ValueError(f"{name}: expected 16 bytes, got {len(value)}")
