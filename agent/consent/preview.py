"""Exactly what would be sent, for a person: decoded from the bytes themselves.

The preview is made from the batch, never from the data the batch was made of. What it shows is
therefore what leaves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import msgspec

from agent.consent.ledger import Recipient
from agent.consent.notices import Notice
from telemetry.codec.anybatch import AnyBatch, decode_any
from telemetry.codec.batch import batch_id
from telemetry.codec.schemas import Column
from telemetry.purposes import Purpose
from telemetry.records import BatteryBatch, BatterySample, WorkshopAlert, WorkshopFigure
from telemetry.seal import sealed_bytes

_LABELS = {
    "since_start_ms": "Time since start",
    "pack_voltage_v": "Pack voltage",
    "pack_current_a": "Pack current",
    "soc_percent": "Charge level",
    "cell_temp_c": "Cell temperature",
}
# how a record's field reads: label, unit, the smallest step that is told (0: a class)
_RECORD_FIELDS: Mapping[str, tuple[str, str, float]] = {
    "cell": ("Area (H3 cell)", "", 0),
    "hour_of_week": ("Hour of the week", "h", 1),
    "soc_in_percent": ("Charge level on arrival", "%", 10),
    "current": ("Kind of charging", "", 0),
    "quarter_hours_wh": ("Energy per quarter hour", "Wh", 500),
    "soc_out_percent": ("Charge level on leaving", "%", 10),
    "dwell": ("Length of stay", "", 0),
    "kind": ("Kind of trip", "", 0),
    "distance_from_km": ("Distance, at least", "km", 0),
    "duration_from_min": ("Duration, at least", "min", 0),
    "consumption_wh_km": ("Consumption", "Wh/km", 50),
    "ambient_c": ("Outside temperature", "°C", 10),
    "speed_tenths": ("Tenths per speed range", "", 1),
    "version": ("Version of okdrive", "", 0),
    "uptime_class": ("Running time, class", "", 1),
    "losses": ("Lost readings, digits", "", 0),
    "day": ("Day", "", 0),
    "contact": ("How to reach you", "", 0),
    "name": ("Your name", "", 0),
    "message": ("Your words", "", 0),
    "figures": ("Battery figures", "", 0),
    "alert": ("Alert", "", 0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewField:
    """One column or field: how often there is a value, between which bounds, how fine."""

    name: str  # as in the schema
    label: str
    unit: str
    precision: float  # the smallest step that is sent, in ``unit``; 0 for classes
    count: int  # values that are not missing
    lowest: float | None  # None if all are missing, or if it is told as ``text``
    highest: float | None
    text: str = ""  # what has no number: a class, a cell, a list of names


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a person sees of one batch before the OK."""

    batch_id: str  # hex; the SHA-256 of the bytes that would leave
    purpose: Purpose
    title: str
    notice: str
    schema_id: str
    month: str  # "YYYY-MM"
    soh_percent: int | None  # of the purpose battery
    row_count: int
    from_s: float  # since the start of the batch; 0 for a record, which has no time of its own
    to_s: float
    size_bytes: int  # what the batch id is the hash of
    travels_bytes: int  # padded to its size class and sealed: what the network carries and sees
    fields: tuple[PreviewField, ...]
    recipient: str
    recipient_key_id: str
    retention: str
    not_sent: tuple[str, ...]


def preview_of(payload: bytes, *, notice: Notice, recipient: Recipient) -> Preview:
    """Decode ``payload`` and describe it; raise CodecError if it is no batch."""
    batch = decode_any(payload)
    body = batch.body
    times = _times(body.samples) if isinstance(body, BatteryBatch) else (0.0, 0.0)
    return Preview(
        batch_id=batch_id(payload).hex(),
        purpose=batch.purpose,
        title=notice.title,
        notice=notice.text,
        schema_id=batch.schema_id,
        month=batch.month,
        soh_percent=body.soh_percent if isinstance(body, BatteryBatch) else None,
        row_count=len(body.samples) if isinstance(body, BatteryBatch) else 1,
        from_s=times[0],
        to_s=times[1],
        size_bytes=len(payload),
        travels_bytes=sealed_bytes(len(payload), is_hybrid=recipient.is_hybrid),
        fields=_fields(batch),
        recipient=recipient.name,
        recipient_key_id=recipient.key_id,
        retention=notice.retention,
        not_sent=notice.not_sent,
    )


def rows_as_json(payload: bytes) -> bytes:
    """Return every row of a batch as a JSON array of objects; raise CodecError if it is none.

    A batch of one record is an array of one. Cells are written as everybody writes them, in hex.
    """
    body = decode_any(payload).body
    if isinstance(body, BatteryBatch):
        return msgspec.json.encode(
            [asdict(sample) | {"invalid": sorted(sample.invalid)} for sample in body.samples]
        )
    record = asdict(body)
    if isinstance(record.get("cell"), int):
        record["cell"] = f"{record['cell']:x}"
    return msgspec.json.encode([record])


def _times(samples: Sequence[BatterySample]) -> tuple[float, float]:
    return samples[0].since_start_ms / 1000, samples[-1].since_start_ms / 1000


def _fields(batch: AnyBatch) -> tuple[PreviewField, ...]:
    body = batch.body
    if isinstance(body, BatteryBatch):
        return tuple(_column(column, body.samples) for column in batch.columns)
    return tuple(_field(name, getattr(body, name)) for name in body.__dataclass_fields__)


def _column(column: Column, samples: Sequence[BatterySample]) -> PreviewField:
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


def _field(name: str, value: object) -> PreviewField:
    label, unit, precision = _RECORD_FIELDS[name]
    if isinstance(value, tuple) and value and isinstance(value[0], WorkshopFigure):
        value = "; ".join(f"{one.name} {one.value} {one.unit}".strip() for one in value)
    if isinstance(value, WorkshopAlert):
        value = value.code
    numbers, text = _numbers(name, value), _text(name, value)
    return PreviewField(
        name=name,
        label=label,
        unit=unit,
        precision=precision,
        count=len(numbers) or int(bool(text)),
        lowest=min(numbers, default=None),
        highest=max(numbers, default=None),
        text=text,
    )


def _numbers(name: str, value: object) -> Sequence[float]:
    if name in _TOLD_IN_WORDS or value is None or isinstance(value, str):
        return ()
    return [float(one) for one in value] if isinstance(value, tuple) else [float(str(value))]


_TOLD_IN_WORDS = frozenset({"cell", "losses", "speed_tenths"})


def _text(name: str, value: object) -> str:
    if name == "cell" and isinstance(value, int):
        return f"{value:x}"
    if name == "speed_tenths" and isinstance(value, tuple):
        return " ".join(map(str, value))
    if name == "losses" and isinstance(value, tuple):
        return ", ".join(f"{what} {digits}" for what, digits in value) or "none"
    return value if isinstance(value, str) and not isinstance(value, StrEnum) else _word(value)


def _word(value: object) -> str:
    return str(value).replace("_", " ") if isinstance(value, StrEnum) else ""
