"""The schemas of `charging`, `journeys`, `traffic` and `diagnostics`, and the way of a body there.

A batch of these purposes holds exactly one record: two records under one name would already be a
sequence. The types of `telemetry/records.py` come first; these schemas say the same to a decoder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from telemetry.codec.batch import BatchLimits
from telemetry.codec.errors import CodecError
from telemetry.codec.schemas import Field, RecordSchema
from telemetry.codec.sessions import Record, decode_records, encode_records
from telemetry.purposes import Purpose
from telemetry.records import (
    AMBIENT_STEP_C,
    CONSUMPTION_STEP_WH_KM,
    DISTANCE_BUCKETS_KM,
    DURATION_BUCKETS_MIN,
    ENERGY_STEP_WH,
    HOURS_OF_WEEK,
    LOSSES,
    MAX_LOSS_DIGITS,
    MAX_QUARTER_HOURS,
    MAX_QUARTER_WH,
    SPEED_BINS_KM_H,
    TENTHS,
    ChargingBatch,
    CurrentKind,
    DiagnosticsBatch,
    DwellClass,
    JourneyClass,
    JourneysBatch,
    TrafficBatch,
)

RecordBody = ChargingBatch | JourneysBatch | TrafficBatch | DiagnosticsBatch
E = TypeVar("E", bound=StrEnum)
_LIMITS = BatchLimits(max_bytes=4_096, max_rows=1)
_CELL_MAX = (1 << 63) - 1
_LOSSES = sorted(LOSSES)


def _classes(kind: type[StrEnum]) -> tuple[str, ...]:
    return tuple(str(one) for one in kind)


def _class(name: str, kind: type[StrEnum], *, is_optional: bool = False) -> Field:
    return Field(name, "", 0, len(kind) - 1, is_optional=is_optional, words=_classes(kind))


_HOUR = Field("hour_of_week", "h", 0, HOURS_OF_WEEK - 1)
CHARGING_1 = RecordSchema(
    schema_id="charging.1",
    purpose=Purpose.CHARGING,
    fields=(
        Field("cell", "H3 7", 0, _CELL_MAX, is_optional=True),
        _HOUR,
        Field("soc_in_percent", "10 %", 0, 10),
        _class("current", CurrentKind, is_optional=True),
        Field(
            "quarter_hours_wh",
            "500 Wh",
            0,
            MAX_QUARTER_WH // ENERGY_STEP_WH,
            most=MAX_QUARTER_HOURS,
        ),
        Field("soc_out_percent", "10 %", 0, 10, is_optional=True),
        _class("dwell", DwellClass, is_optional=True),
    ),
    max_records=1,
)
JOURNEYS_1 = RecordSchema(
    schema_id="journeys.1",
    purpose=Purpose.JOURNEYS,
    fields=(
        _class("kind", JourneyClass),
        Field("distance_from_km", "bucket", 0, len(DISTANCE_BUCKETS_KM) - 1),
        Field("duration_from_min", "bucket", 0, len(DURATION_BUCKETS_MIN) - 1),
        Field("consumption_wh_km", "50 Wh/km", 0, 10, is_optional=True),
        Field("ambient_c", "10 degC", -4, 6, is_optional=True),
    ),
    max_records=1,
)
TRAFFIC_1 = RecordSchema(
    schema_id="traffic.1",
    purpose=Purpose.TRAFFIC,
    fields=(
        Field("cell", "H3 9", 0, _CELL_MAX),
        _HOUR,
        Field("speed_tenths", "1/10", 0, TENTHS, most=len(SPEED_BINS_KM_H)),
    ),
    max_records=1,
)
DIAGNOSTICS_1 = RecordSchema(
    schema_id="diagnostics.1",
    purpose=Purpose.DIAGNOSTICS,
    fields=(
        Field("version", "", 0, 9_999, most=3),
        Field("uptime_class", "", 0, 3),
        Field("losses", "digits", 0, MAX_LOSS_DIGITS, most=len(_LOSSES)),
    ),
    max_records=1,
)


@dataclass(frozen=True, slots=True)
class _Way:
    """How one type of body becomes a record and comes back."""

    schema: RecordSchema
    write: Callable[[Any], Record]
    read: Callable[[Mapping[str, Any]], RecordBody]


def encode_body(body: RecordBody, *, month: str, pseudonym: bytes, nonce: bytes) -> bytes:
    """Encode ``body`` as one self-contained payload; deterministic.

    Raises:
        ValueError: Month, pseudonym or nonce are not what they must be.
    """
    way = _WAYS[type(body)]
    return encode_records(
        way.schema, [way.write(body)], month=month, pseudonym=pseudonym, nonce=nonce
    )


def decode_body(payload: bytes) -> RecordBody:
    """Return the body in ``payload``.

    Raises:
        CodecError: Not a batch of one of the four purposes, or a body that cannot be constructed.
    """
    found = decode_records(payload, limits=_LIMITS, schemas=BODY_SCHEMAS)
    way = next(way for way in _WAYS.values() if way.schema is found.schema)
    try:
        return way.read(found.records[0])
    except ValueError as error:
        raise CodecError(f"batch: {error}", code="codec.range") from error


def _write_charging(body: ChargingBatch) -> Record:
    out = body.soc_out_percent
    return {
        "cell": body.cell,
        "hour_of_week": body.hour_of_week,
        "soc_in_percent": body.soc_in_percent // 10,
        "current": _index(CurrentKind, body.current),
        "quarter_hours_wh": tuple(energy // ENERGY_STEP_WH for energy in body.quarter_hours_wh),
        "soc_out_percent": None if out is None else out // 10,
        "dwell": _index(DwellClass, body.dwell),
    }


def _read_charging(record: Mapping[str, Any]) -> ChargingBatch:
    out = record["soc_out_percent"]
    return ChargingBatch(
        cell=record["cell"],
        hour_of_week=record["hour_of_week"],
        soc_in_percent=record["soc_in_percent"] * 10,
        current=_member(CurrentKind, record["current"]),
        quarter_hours_wh=tuple(steps * ENERGY_STEP_WH for steps in record["quarter_hours_wh"]),
        soc_out_percent=None if out is None else out * 10,
        dwell=_member(DwellClass, record["dwell"]),
    )


def _write_journey(body: JourneysBatch) -> Record:
    return {
        "kind": _index(JourneyClass, body.kind),
        "distance_from_km": DISTANCE_BUCKETS_KM.index(body.distance_from_km),
        "duration_from_min": DURATION_BUCKETS_MIN.index(body.duration_from_min),
        "consumption_wh_km": _steps(body.consumption_wh_km, CONSUMPTION_STEP_WH_KM),
        "ambient_c": _steps(body.ambient_c, AMBIENT_STEP_C),
    }


def _read_journey(record: Mapping[str, Any]) -> JourneysBatch:
    used, ambient = record["consumption_wh_km"], record["ambient_c"]
    return JourneysBatch(
        kind=list(JourneyClass)[record["kind"]],
        distance_from_km=DISTANCE_BUCKETS_KM[record["distance_from_km"]],
        duration_from_min=DURATION_BUCKETS_MIN[record["duration_from_min"]],
        consumption_wh_km=None if used is None else used * CONSUMPTION_STEP_WH_KM,
        ambient_c=None if ambient is None else ambient * AMBIENT_STEP_C,
    )


def _write_traffic(body: TrafficBatch) -> Record:
    return {
        "cell": body.cell,
        "hour_of_week": body.hour_of_week,
        "speed_tenths": body.speed_tenths,
    }


def _write_diagnostics(body: DiagnosticsBatch) -> Record:
    digits = dict(body.losses)
    return {
        "version": tuple(map(int, body.version.split("."))),
        "uptime_class": body.uptime_class,
        "losses": tuple(digits.get(name, 0) for name in _LOSSES),
    }


def _read_diagnostics(record: Mapping[str, Any]) -> DiagnosticsBatch:
    losses = zip(_LOSSES, record["losses"], strict=True)
    return DiagnosticsBatch(
        version=".".join(map(str, record["version"])),
        uptime_class=record["uptime_class"],
        losses=tuple((name, digits) for name, digits in losses if digits),
    )


def _index(kind: type[E], member: E | None) -> int | None:
    return None if member is None else list(kind).index(member)


def _member(kind: type[E], index: int | None) -> E | None:
    return None if index is None else list(kind)[index]


def _steps(value: int | None, step: int) -> int | None:
    return None if value is None else value // step


_WAYS: Final[Mapping[type[RecordBody], _Way]] = {
    ChargingBatch: _Way(CHARGING_1, _write_charging, _read_charging),
    JourneysBatch: _Way(JOURNEYS_1, _write_journey, _read_journey),
    TrafficBatch: _Way(TRAFFIC_1, _write_traffic, lambda record: TrafficBatch(**record)),
    DiagnosticsBatch: _Way(DIAGNOSTICS_1, _write_diagnostics, _read_diagnostics),
}
BODY_SCHEMAS: Final = {way.schema.schema_id: way.schema for way in _WAYS.values()}
