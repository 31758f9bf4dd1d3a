"""What a driver can show a workshop: the battery report, the last alert, and how to be reached.

The contact details are kept for the next time if the driver wishes, sealed in the state file. What
goes into a report is read from the battery's own history, in the figures that the screen shows.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from agent.store.battery import AlertRow, BatteryHistory, DayFigure
from agent.store.database import Database
from agent.store.sealed import DamagedNoteError, SealedNote
from telemetry.records import (
    MAX_FIGURE_CHARS,
    MAX_FIGURES,
    WorkshopAlert,
    WorkshopFigure,
    WorkshopReport,
)

_UNITS: Final = {"health": "%", "capacity": "Ah", "resistance": "ohm"}
_KINDS: Final = 8  # lines of the battery report: the latest figure of each kind


class Show(StrEnum):
    """What the driver picks."""

    BATTERY = "battery"  # the battery report
    ALERT = "alert"  # the last alert and what it rests on
    BOTH = "both"


class ReportError(Exception):
    """A report cannot be made of this; nothing was prepared. ``code`` is stable."""

    code = "consent.report"


class Contact(Struct, frozen=True, kw_only=True):
    """How the workshop reaches the driver."""

    contact: str = ""
    name: str = ""


class Contacts:
    """The contact details that the driver keeps in the vehicle. Every method blocks."""

    def __init__(self, database: Database, key: Callable[[], bytes]) -> None:
        """Wire; ``key`` returns the 32 bytes under which they are sealed."""
        self._note = SealedNote(database, "workshop.contact", key)

    def read(self) -> Contact:
        """Return what was kept; empty if nothing was, or if it does not open any more."""
        try:
            text = self._note.read()
            return msgspec.json.decode(text, type=Contact) if text else Contact()
        except (DamagedNoteError, msgspec.DecodeError):
            return Contact()

    def keep(self, contact: Contact) -> None:
        """Keep them for the next time."""
        self._note.write(msgspec.json.encode(contact))


def make_report(
    history_file: Path, show: Show, *, contact: Contact, message: str, today: date
) -> WorkshopReport:
    """Return what would be sent, to be shown first. Blocks.

    Raises:
        ReportError: Nothing to show, no contact, or a text that is too long.
        StoreError: The battery's history cannot be read.
    """
    with closing(BatteryHistory.open_to_read(history_file)) as history:
        figures = tuple(_figures(history.figures())) if show is not Show.ALERT else ()
        alerts = history.alerts(limit=1) if show is not Show.BATTERY else []
    if show is Show.ALERT and not alerts:
        raise ReportError("There has been no alert, so there is none to show.")
    try:
        return WorkshopReport(
            day=today.isoformat(),
            contact=contact.contact.strip(),
            name=contact.name.strip(),
            message=message.strip(),
            figures=figures,
            alert=_alert(alerts[0]) if alerts else None,
        )
    except ValueError as error:
        raise ReportError(f"{error}; nothing was prepared") from error


def _figures(rows: list[DayFigure]) -> Iterator[WorkshopFigure]:
    """Yield the latest figure of each kind, with the day it is of."""
    latest = {f"{row.kind} {row.place}".strip(): row for row in rows}
    for row in list(latest.values())[:_KINDS]:
        unit = f"{_UNITS.get(row.kind, '')} {row.place}".strip()
        yield WorkshopFigure(
            name=row.kind, value=f"{row.mean:.4g} ({row.day})", unit=unit[:MAX_FIGURE_CHARS]
        )


def _alert(row: AlertRow) -> WorkshopAlert:
    body = msgspec.json.decode(row.body)
    evidence = body.get("evidence", [])[:MAX_FIGURES]
    return WorkshopAlert(
        code=row.code,
        severity=row.severity,
        evidence=tuple(
            WorkshopFigure(
                name=str(one["name"]),
                value=_told(one["value"]),
                unit=str(one.get("unit", ""))[:MAX_FIGURE_CHARS],
            )
            for one in evidence
        ),
    )


def _told(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text[:MAX_FIGURE_CHARS] or "-"
