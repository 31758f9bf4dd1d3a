"""A batch of any purpose: encoded from the type of its body, decoded by the schema it names.

The type is the allow-list: there is no way to hand a field to the encoder that the body of this
purpose does not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from telemetry.codec import workshop
from telemetry.codec.batch import (
    BatchLimits,
    batch_pseudonym,
    decode_batch,
    encode_batch,
    load_fields,
    schema_of,
)
from telemetry.codec.bodies import BODY_SCHEMAS, decode_body, encode_body
from telemetry.codec.schemas import SCHEMAS, AnySchema, Column, RecordSchema
from telemetry.codec.sessions import decode_records
from telemetry.purposes import Purpose
from telemetry.records import BatteryBatch, Body, WorkshopReport

AnyBody = Body | WorkshopReport
ALL_SCHEMAS: Final[Mapping[str, AnySchema]] = {**SCHEMAS, **BODY_SCHEMAS}
_LIMITS = BatchLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyBatch:
    """A batch of any purpose as its bytes say, every field checked."""

    purpose: Purpose
    schema_id: str
    pseudonym: bytes  # 16 bytes
    month: str  # "YYYY-MM"
    body: AnyBody
    columns: tuple[Column, ...] = ()  # of a batch of columns: what was sent, in which steps


def encode_any(body: AnyBody, *, month: str, pseudonym: bytes, nonce: bytes) -> bytes:
    """Encode ``body`` as one self-contained payload; deterministic for a given nonce.

    Args:
        body: One of the types that say what a purpose may hold.
        month: Calendar month, "YYYY-MM"; battery batches and reports bring their own.
        pseudonym: 16 bytes, of this purpose and period.
        nonce: 16 random bytes, so that nobody can test guesses about the hash.

    Raises:
        ValueError: Month, pseudonym or nonce are not what they must be.
    """
    if isinstance(body, BatteryBatch):
        return encode_batch(body, pseudonym=pseudonym, nonce=nonce)
    if isinstance(body, WorkshopReport):
        return workshop.encode_report(body, pseudonym=pseudonym, nonce=nonce)
    return encode_body(body, month=month, pseudonym=pseudonym, nonce=nonce)


def decode_any(payload: bytes, *, limits: BatchLimits = _LIMITS) -> AnyBatch:
    """Return what ``payload`` says, whatever its purpose.

    Raises:
        CodecError: As ``telemetry.codec.batch.decode_batch``.
    """
    fields = load_fields(payload, limits)
    if fields[2] == workshop.SCHEMA_ID:
        return _report(payload)
    schema = schema_of(fields, ALL_SCHEMAS)
    if isinstance(schema, RecordSchema):
        found = decode_records(payload, limits=limits, schemas=ALL_SCHEMAS)
        return AnyBatch(
            purpose=schema.purpose,
            schema_id=schema.schema_id,
            pseudonym=found.pseudonym,
            month=found.month,
            body=decode_body(payload),
        )
    batch = decode_batch(payload, limits=limits)
    return AnyBatch(
        purpose=batch.purpose,
        schema_id=batch.schema,
        pseudonym=batch.pseudonym,
        month=batch.body.month,
        body=batch.body,
        columns=batch.columns,
    )


def _report(payload: bytes) -> AnyBatch:
    report = workshop.decode_report(payload)
    return AnyBatch(
        purpose=Purpose.WORKSHOP,
        schema_id=workshop.SCHEMA_ID,
        pseudonym=batch_pseudonym(payload),
        month=report.day[:7],
        body=report,
    )


def purpose_in(payload: bytes, *, limits: BatchLimits = _LIMITS) -> Purpose:
    """Return the purpose that ``payload`` names, its contents unread; raise CodecError."""
    fields = load_fields(payload, limits)
    if fields[2] == workshop.SCHEMA_ID:
        return Purpose.WORKSHOP
    return schema_of(fields, ALL_SCHEMAS).purpose
