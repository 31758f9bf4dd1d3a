"""A batch of any purpose: encoded from the type of its body, decoded by the schema it names.

The type is the allow-list: there is no way to hand a field to the encoder that the body of this
purpose does not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from telemetry.codec.batch import (
    BatchLimits,
    decode_batch,
    encode_batch,
    load_fields,
    schema_of,
)
from telemetry.codec.bodies import BODY_SCHEMAS, decode_body, encode_body
from telemetry.codec.schemas import SCHEMAS, AnySchema, RecordSchema
from telemetry.codec.sessions import decode_records
from telemetry.purposes import Purpose
from telemetry.records import BatteryBatch, Body

ALL_SCHEMAS: Final[Mapping[str, AnySchema]] = {**SCHEMAS, **BODY_SCHEMAS}
_LIMITS = BatchLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyBatch:
    """A batch of any purpose as its bytes say, every field checked."""

    schema: AnySchema
    pseudonym: bytes  # 16 bytes
    month: str  # "YYYY-MM"
    body: Body

    @property
    def purpose(self) -> Purpose:
        """Return what it is for."""
        return self.schema.purpose


def encode_any(body: Body, *, month: str, pseudonym: bytes, nonce: bytes) -> bytes:
    """Encode ``body`` as one self-contained payload; deterministic for a given nonce.

    Args:
        body: One of the types that say what a purpose may hold.
        month: Calendar month, "YYYY-MM"; a battery batch brings its own.
        pseudonym: 16 bytes, of this purpose and period.
        nonce: 16 random bytes, so that nobody can test guesses about the hash.

    Raises:
        ValueError: Month, pseudonym or nonce are not what they must be.
    """
    if isinstance(body, BatteryBatch):
        return encode_batch(body, pseudonym=pseudonym, nonce=nonce)
    return encode_body(body, month=month, pseudonym=pseudonym, nonce=nonce)


def decode_any(payload: bytes, *, limits: BatchLimits = _LIMITS) -> AnyBatch:
    """Return what ``payload`` says, whatever its purpose.

    Raises:
        CodecError: As ``telemetry.codec.batch.decode_batch``.
    """
    schema = schema_in(payload, limits=limits)
    if isinstance(schema, RecordSchema):
        found = decode_records(payload, limits=limits, schemas=ALL_SCHEMAS)
        return AnyBatch(
            schema=schema,
            pseudonym=found.pseudonym,
            month=found.month,
            body=decode_body(payload),
        )
    batch = decode_batch(payload, limits=limits)
    return AnyBatch(
        schema=schema, pseudonym=batch.pseudonym, month=batch.body.month, body=batch.body
    )


def schema_in(payload: bytes, *, limits: BatchLimits = _LIMITS) -> AnySchema:
    """Return the schema that ``payload`` names, its contents unread; raise CodecError."""
    return schema_of(load_fields(payload, limits), ALL_SCHEMAS)
