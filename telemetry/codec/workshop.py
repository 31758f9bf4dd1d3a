"""The one report of the purpose `workshop`: text for a person, in the container of every batch.

Shape (CDDL, RFC 8610; docs/reference/batch.cddl): the container of ``batch.py`` with this body::

    body = [day: tstr, contact: tstr, name: tstr, message: tstr, [* figure], alert / null]
    alert = [code: tstr, severity: tstr, [* figure]]
    figure = [name: tstr, value: tstr, unit: tstr]
    counts = [1, 0]

Figures travel as the text that the driver saw. Ingest cannot read any of it: a report is sealed to
the workshop's key.
"""

from typing import Any

from telemetry.codec.batch import (
    VERSION,
    BatchLimits,
    check_sixteen,
    list_of,
    load_fields,
    sixteen,
)
from telemetry.codec.cbor import dump
from telemetry.codec.errors import CodecError
from telemetry.purposes import Purpose
from telemetry.records import WorkshopAlert, WorkshopFigure, WorkshopReport

SCHEMA_ID = "workshop.1"
_LIMITS = BatchLimits(max_bytes=64 * 1024, max_rows=1)
_COUNTS = [1, 0]


def encode_report(report: WorkshopReport, *, pseudonym: bytes, nonce: bytes) -> bytes:
    """Encode ``report`` as one self-contained payload; deterministic.

    Args:
        report: What the driver saw and sends.
        pseudonym: 16 bytes, made for this report alone.
        nonce: 16 random bytes.

    Raises:
        ValueError: Pseudonym or nonce are not 16 bytes.
    """
    check_sixteen("pseudonym", pseudonym)
    check_sixteen("nonce", nonce)
    return dump(
        {
            0: VERSION,
            1: Purpose.WORKSHOP.value,
            2: SCHEMA_ID,
            3: pseudonym,
            4: [
                report.day,
                report.contact,
                report.name,
                report.message,
                _rows(report.figures),
                _alert_row(report.alert),
            ],
            5: _COUNTS,
            6: nonce,
        }
    )


def decode_report(payload: bytes) -> WorkshopReport:
    """Return the report in ``payload``.

    Raises:
        CodecError: Not a report of this schema, or one that cannot be constructed.
    """
    fields = load_fields(payload, _LIMITS)
    _check_head(fields)
    day, contact, name, message, figures, alert = list_of(fields[4], 6, "body")
    try:
        return WorkshopReport(
            day=_text(day),
            contact=_text(contact),
            name=_text(name),
            message=_text(message),
            figures=_figures(figures),
            alert=_alert(alert),
        )
    except CodecError:
        raise
    except ValueError as error:
        raise CodecError(f"batch: {error}", code="codec.range") from error


def _check_head(fields: dict[int, Any]) -> None:
    if type(fields[0]) is not int or fields[0] != VERSION:
        raise CodecError("batch: expected version 1", code="codec.version")
    if fields[1] != Purpose.WORKSHOP.value:
        raise CodecError(
            f"batch: expected purpose workshop, got {fields[1]!r:.80}", code="codec.purpose"
        )
    if fields[2] != SCHEMA_ID:
        raise CodecError(
            f"batch: expected schema {SCHEMA_ID}, got {fields[2]!r:.80}", code="codec.schema"
        )
    if fields[5] != _COUNTS or any(type(count) is not int for count in fields[5]):
        raise CodecError("batch: expected the counts of one report", code="codec.counts")
    sixteen(fields[3], "pseudonym")
    sixteen(fields[6], "nonce")


def _rows(figures: tuple[WorkshopFigure, ...]) -> list[list[str]]:
    return [[figure.name, figure.value, figure.unit] for figure in figures]


def _alert_row(alert: WorkshopAlert | None) -> list[Any] | None:
    return None if alert is None else [alert.code, alert.severity, _rows(alert.evidence)]


def _figures(rows: object) -> tuple[WorkshopFigure, ...]:
    if not isinstance(rows, list):
        raise CodecError("batch: expected figures as a list", code="codec.shape")
    triples = (list_of(row, 3, "a figure") for row in rows)
    return tuple(
        WorkshopFigure(name=_text(name), value=_text(value), unit=_text(unit))
        for name, value, unit in triples
    )


def _alert(row: object) -> WorkshopAlert | None:
    if row is None:
        return None
    code, severity, evidence = list_of(row, 3, "the alert")
    return WorkshopAlert(code=_text(code), severity=_text(severity), evidence=_figures(evidence))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise CodecError("batch: expected text in a report", code="codec.shape")
    return value
