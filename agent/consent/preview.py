"""Exactly what would be sent, for a person: decoded from the bytes themselves.

The preview is made from the batch, never from the data the batch was made of. What it shows is
therefore what leaves.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import msgspec

from agent.consent.ledger import Recipient
from agent.consent.notices import Notice
from telemetry.codec.batch import batch_id, decode_batch
from telemetry.codec.schemas import Column
from telemetry.purposes import Purpose
from telemetry.records import BatterySample

_LABELS = {
    "since_start_ms": "Time since start",
    "pack_voltage_v": "Pack voltage",
    "pack_current_a": "Pack current",
    "soc_percent": "Charge level",
    "cell_temp_c": "Cell temperature",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewField:
    """One column: how often there is a value, between which bounds, how fine."""

    name: str  # as in the schema
    label: str
    unit: str
    precision: float  # the smallest step that is sent, in ``unit``
    count: int  # values that are not missing
    lowest: float | None  # None if all are missing
    highest: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a person sees of one batch before the OK."""

    batch_id: str  # hex; the SHA-256 of the bytes that would leave
    purpose: Purpose
    title: str
    notice: str
    schema_id: str
    month: str  # "YYYY-MM"
    soh_percent: int | None
    row_count: int
    from_s: float  # since the start of the batch
    to_s: float
    size_bytes: int
    fields: tuple[PreviewField, ...]
    recipient: str
    recipient_key_id: str
    retention: str
    not_sent: tuple[str, ...]


def preview_of(payload: bytes, *, notice: Notice, recipient: Recipient) -> Preview:
    """Decode ``payload`` and describe it; raise CodecError if it is no batch."""
    batch = decode_batch(payload)
    samples = batch.body.samples
    return Preview(
        batch_id=batch_id(payload).hex(),
        purpose=batch.purpose,
        title=notice.title,
        notice=notice.text,
        schema_id=batch.schema,
        month=batch.body.month,
        soh_percent=batch.body.soh_percent,
        row_count=len(samples),
        from_s=samples[0].since_start_ms / 1000,
        to_s=samples[-1].since_start_ms / 1000,
        size_bytes=len(payload),
        fields=tuple(_field(column, samples) for column in batch.columns),
        recipient=recipient.name,
        recipient_key_id=recipient.key_id,
        retention=notice.retention,
        not_sent=notice.not_sent,
    )


def rows_as_json(payload: bytes) -> bytes:
    """Return every row of a batch as a JSON array of objects; raise CodecError if it is none."""
    samples = decode_batch(payload).body.samples
    return msgspec.json.encode(
        [asdict(sample) | {"invalid": sorted(sample.invalid)} for sample in samples]
    )


def _field(column: Column, samples: Sequence[BatterySample]) -> PreviewField:
    values = [value for sample in samples if (value := getattr(sample, column.field)) is not None]
    return PreviewField(
        name=column.field,
        label=_LABELS[column.field],
        unit=column.unit,
        precision=1 / column.per_unit,
        count=len(values),
        lowest=min(values, default=None),
        highest=max(values, default=None),
    )
