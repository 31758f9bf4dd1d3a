"""One batch: records for one purpose as deterministic CBOR, self-contained and bounded.

Shape (CDDL, RFC 8610; docs/reference/batch.cddl)::

    batch = { 0: 1, 1: "battery", 2: "battery.1", 3: pseudonym, 4: body, 5: counts, 6: nonce }
    body = [month: tstr, soh_percent: 0..100 / null, columns: bstr]
    counts = [rows: uint, missing: uint]
    pseudonym = nonce = bstr .size 16

Deterministic (RFC 8949, section 4.2) for a given nonce: a consent names the hash of what was
shown, so the same records give the same bytes, and bytes written any other way are refused.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from telemetry.codec.cbor import dump, load
from telemetry.codec.columns import decode_columns, encode_columns
from telemetry.codec.errors import CodecError
from telemetry.codec.schemas import BATTERY_1, SCHEMAS, Column, Schema
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


def batch_id(payload: bytes) -> bytes:
    """Return the SHA-256 of ``payload``, 32 bytes: what consent, receipt and dedupe name."""
    return hashlib.sha256(payload).digest()


def batch_pseudonym(payload: bytes) -> bytes:
    """Return whose batch this is, 16 bytes, without decoding its columns.

    Raises:
        CodecError: Not a batch.
    """
    return _sixteen(_load(payload, BatchLimits())[3], "pseudonym")


def claimed_rows(payload: bytes, limits: BatchLimits) -> int:
    """Return how many rows a batch says it has, before anything is unpacked.

    Raises:
        CodecError: Not a batch, or more rows than ``limits`` allow.
    """
    rows = _list_of(_load(payload, limits)[5], 2, "counts")[0]
    if type(rows) is not int or not 0 <= rows <= limits.max_rows:
        raise CodecError(
            f"batch: expected at most {limits.max_rows} rows, got {rows!r:.80}",
            code="codec.too_large" if type(rows) is int and rows > 0 else "codec.counts",
        )
    return rows


def encode_batch(batch: BatteryBatch, *, pseudonym: bytes, nonce: bytes) -> bytes:
    """Encode ``batch`` as one self-contained payload; values go to the nearest step.

    Args:
        batch: Records of the purpose ``battery``.
        pseudonym: 16 bytes, of this purpose and period; never the VIN.
        nonce: 16 random bytes, so that nobody can test guesses about the hash.

    Raises:
        ValueError: Pseudonym or nonce are not 16 bytes.
    """
    _check_sixteen("pseudonym", pseudonym)
    _check_sixteen("nonce", nonce)
    columns = [[_raw(sample, column) for sample in batch.samples] for column in BATTERY_1.columns]
    missing = sum(column.count(None) for column in columns)
    return dump(
        {
            0: VERSION,
            1: BATTERY_1.purpose.value,
            2: BATTERY_1.schema_id,
            3: pseudonym,
            4: [batch.month, batch.soh_percent, encode_columns(columns, model=BATTERY_1.model)],
            5: [len(batch.samples), missing],
            6: nonce,
        }
    )


def decode_batch(payload: bytes, *, limits: BatchLimits = BatchLimits()) -> DecodedBatch:
    """Return what ``payload`` says, or refuse it; work and memory are bounded by ``limits``.

    Raises:
        CodecError: Too large, not deterministic CBOR of the shape above, another version,
            purpose or schema, or values that no record may hold.
    """
    opened = open_batch(payload, limits=limits)
    columns = decode_columns(
        opened.block,
        max_rows=limits.max_rows,
        max_columns=len(opened.schema.columns),
        model=opened.schema.model,
    )
    opened.check_counts(len(columns[0]), sum(column.count(None) for column in columns))
    return DecodedBatch(
        version=VERSION,
        purpose=opened.schema.purpose,
        schema=opened.schema.schema_id,
        pseudonym=opened.pseudonym,
        nonce=opened.nonce,
        body=_body(opened.month, opened.soh_percent, columns),
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

    def check_counts(self, rows: int, missing: int) -> None:
        """Compare what the container says with what the columns hold; raise CodecError."""
        if [type(count) for count in self.counts] != [int, int] or self.counts != [rows, missing]:
            raise CodecError("batch: the counts differ from the columns", code="codec.counts")


def open_batch(payload: bytes, *, limits: BatchLimits) -> OpenBatch:
    """Return the container of ``payload``; raise CodecError as ``decode_batch``."""
    fields = _load(payload, limits)
    schema = _schema(fields)
    month, soh_percent, block = _list_of(fields[4], 3, "body")
    counts = _list_of(fields[5], 2, "counts")
    if not isinstance(block, bytes):
        raise CodecError("batch: expected the columns as bytes", code="codec.shape")
    if not isinstance(month, str):
        raise CodecError("batch: expected the month as text", code="codec.shape")
    if soh_percent is not None and type(soh_percent) is not int:
        raise CodecError("batch: expected SOH as a whole number or null", code="codec.shape")
    return OpenBatch(
        schema=schema,
        pseudonym=_sixteen(fields[3], "pseudonym"),
        nonce=_sixteen(fields[6], "nonce"),
        month=month,
        soh_percent=soh_percent,
        block=block,
        counts=counts,
    )


def _load(payload: bytes, limits: BatchLimits) -> dict[int, Any]:
    fields = load(payload, max_bytes=limits.max_bytes, what="batch")
    if not isinstance(fields, dict) or set(fields) != _KEYS:
        raise CodecError("batch: expected the fields 0 to 6", code="codec.shape")
    return cast("dict[int, Any]", fields)


def _schema(fields: dict[int, Any]) -> Schema:
    version, purpose, schema_id = fields[0], fields[1], fields[2]
    if type(version) is not int or version != VERSION:
        raise CodecError(f"batch: expected version 1, got {version!r:.80}", code="codec.version")
    if not isinstance(schema_id, str) or schema_id not in SCHEMAS:
        raise CodecError(f"batch: unknown schema {schema_id!r:.80}", code="codec.schema")
    schema = SCHEMAS[schema_id]
    if purpose != schema.purpose.value:
        raise CodecError(
            f"batch: expected purpose {schema.purpose.value}, got {purpose!r:.80}",
            code="codec.purpose",
        )
    return schema


def _body(month: str, soh_percent: int | None, columns: list[list[int | None]]) -> BatteryBatch:
    try:
        samples = tuple(_sample(row) for row in zip(*columns, strict=True))
        return BatteryBatch(month=month, soh_percent=soh_percent, samples=samples)
    except ValueError as error:
        raise CodecError(f"batch: {error}", code="codec.range") from error


def _sample(row: Sequence[int | None]) -> BatterySample:
    time_ms, voltage, current, soc, temp = row
    if time_ms is None:
        raise ValueError("since_start_ms: expected a time in every row, got none")
    _, v, a, s, t = BATTERY_1.columns
    return BatterySample(
        since_start_ms=time_ms,
        pack_voltage_v=_value(voltage, v),
        pack_current_a=_value(current, a),
        soc_percent=_value(soc, s),
        cell_temp_c=_value(temp, t),
    )


def _raw(sample: BatterySample, column: Column) -> int | None:
    value = getattr(sample, column.field)
    return None if value is None else round(value * column.per_unit)


def _value(raw: int | None, column: Column) -> float | None:
    return None if raw is None else raw / column.per_unit


def _list_of(value: object, length: int, name: str) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise CodecError(f"batch: expected {name} as {length} items", code="codec.shape")
    return value


def _sixteen(value: object, name: str) -> bytes:
    if not isinstance(value, bytes) or len(value) != PSEUDONYM_BYTES:
        raise CodecError(f"batch: expected the {name} as 16 bytes", code="codec.shape")
    return value


def _check_sixteen(name: str, value: bytes) -> None:
    if len(value) != PSEUDONYM_BYTES:
        raise ValueError(f"{name}: expected 16 bytes, got {len(value)}")
