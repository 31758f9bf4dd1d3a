"""The data map: what may leave, why, how fine, for how long, to whom; made from the code's tables.

The types of `telemetry/records.py` are the truth; a field without a line here, or a line without a
field, is an error, so that the page cannot promise something else than the code does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from agent.privacy.battery import SLICE_MS, sources
from agent.privacy.selection import BOUNDS
from telemetry import records
from telemetry.purposes import Purpose

BODIES: Final[Mapping[Purpose, tuple[type[Any], ...]]] = {
    Purpose.BATTERY: (records.BatterySample, records.BatteryBatch),
    Purpose.CHARGING: (records.ChargingBatch,),
    Purpose.JOURNEYS: (records.JourneysBatch,),
    Purpose.TRAFFIC: (records.TrafficBatch,),
    Purpose.DIAGNOSTICS: (records.DiagnosticsBatch,),
    Purpose.WORKSHOP: (records.WorkshopReport, records.WorkshopFigure, records.WorkshopAlert),
}
_HOUR = "hour of the week, local"
_MAP: Final[Mapping[str, tuple[str, str]]] = {  # type.field -> what it is made of, how fine
    "BatterySample.since_start_ms": ("clock of the board", "1 s, from the start of the slice"),
    "BatterySample.pack_voltage_v": ("", "0.5 V"),
    "BatterySample.pack_current_a": ("", "0.5 A"),
    "BatterySample.soc_percent": ("", "0.1 %"),
    "BatterySample.cell_temp_c": ("", "1 °C"),
    "BatterySample.invalid": ("checks of each reading", "which of these four was wrong, by name"),
    "BatteryBatch.month": ("clock of the board", "calendar month"),
    "BatteryBatch.soh_percent": ("Vehicle…TractionBattery.StateOfHealth", "1 %"),
    "ChargingBatch.cell": (
        "position of the stop",
        f"H3 resolution {records.CHARGING_RESOLUTION}; nothing at or beside private places",
    ),
    "ChargingBatch.hour_of_week": ("time of arrival", _HOUR),
    "ChargingBatch.soc_in_percent": ("charge level", f"{records.SOC_STEP_PERCENT} %"),
    "ChargingBatch.current": ("kind of charging", "AC or DC"),
    "ChargingBatch.quarter_hours_wh": ("pack energy", f"{records.ENERGY_STEP_WH} Wh, 15 min"),
    "ChargingBatch.soc_out_percent": ("charge level", f"{records.SOC_STEP_PERCENT} %"),
    "ChargingBatch.dwell": ("length of the stay", f"{len(records.DwellClass)} classes"),
    "JourneysBatch.kind": (
        "distance, hour, stay before",
        f"{len(records.JourneyClass)} classes, told apart in the vehicle",
    ),
    "JourneysBatch.distance_from_km": ("distance", f"ranges from {records.DISTANCE_BUCKETS_KM}"),
    "JourneysBatch.duration_from_min": ("duration", f"ranges from {records.DURATION_BUCKETS_MIN}"),
    "JourneysBatch.consumption_wh_km": (
        "pack energy, distance",
        f"{records.CONSUMPTION_STEP_WH_KM} Wh/km",
    ),
    "JourneysBatch.ambient_c": ("outside temperature", f"{records.AMBIENT_STEP_C} °C"),
    "TrafficBatch.cell": (
        "positions after cropping",
        f"H3 resolution {records.TRAFFIC_RESOLUTION}, alone",
    ),
    "TrafficBatch.hour_of_week": ("time of passing", _HOUR),
    "TrafficBatch.speed_tenths": (
        "speed",
        f"shares in tenths of {len(records.SPEED_BINS_KM_H)} ranges",
    ),
    "DiagnosticsBatch.version": ("okdrive", "as released"),
    "DiagnosticsBatch.uptime_class": ("okdrive", "4 classes"),
    "DiagnosticsBatch.losses": ("counters of okdrive", "number of decimal digits"),
    "WorkshopReport.day": ("clock of the board", "1 day"),
    "WorkshopReport.contact": ("the driver", "as typed"),
    "WorkshopReport.name": ("the driver", "as typed"),
    "WorkshopReport.message": ("the driver", "as typed"),
    "WorkshopReport.figures": ("battery report", "as shown"),
    "WorkshopReport.alert": ("battery watch", "the last alert, as shown"),
    "WorkshopFigure.name": ("battery report", "code"),
    "WorkshopFigure.value": ("battery report", "as shown"),
    "WorkshopFigure.unit": ("battery report", "as shown"),
    "WorkshopAlert.code": ("battery watch", "code"),
    "WorkshopAlert.severity": ("battery watch", "code"),
    "WorkshopAlert.evidence": ("battery watch", "figures, as shown"),
}


def data_map(notices: Mapping[Purpose, Any]) -> str:
    """Return the page (Markdown) for the shipped ``notices``.

    Raises:
        ValueError: A field of a record has no line here, or a line has no field.
    """
    _expect_whole()
    return "\n".join(_lines(notices)) + "\n"


def _lines(notices: Mapping[Purpose, Any]) -> Iterator[str]:
    yield "# Data map"
    yield ""
    yield "Everything that may leave a vehicle. Made from the code's tables; a test compares it."
    for purpose, kinds in BODIES.items():
        notice = notices[purpose]
        yield from ("", f"## `{purpose}`: {notice.title}", "")
        yield f"* how often: {how_often(purpose)}"
        yield f"* recipient: {notice.controller}"
        yield f"* kept: {notice.retention}"
        yield f"* never in it: {', '.join(notice.not_sent)}"
        yield from ("", "| field | made of | how fine |", "|---|---|---|")
        for kind in kinds:
            yield from (_row(kind, field.name) for field in fields(kind) if field.name != "samples")


def _row(kind: type[Any], name: str) -> str:
    made_of, precision = _MAP[f"{kind.__name__}.{name}"]
    return f"| `{name}` | {made_of or ' or '.join(sources(name))} | {precision} |"


def how_often(purpose: Purpose) -> str:
    """Return when a batch of ``purpose`` may leave, in words."""
    if purpose is Purpose.WORKSHOP:
        return "only when the driver presses send, one report each time"
    if purpose not in BOUNDS:
        return f"every confirmed trip, in slices of at most {SLICE_MS // 60_000} minutes"
    bound = BOUNDS[purpose]
    if purpose is Purpose.TRAFFIC:
        return (
            f"each area on one day of {bound.turn_days} by one cell and hour,"
            f" at most {bound.per_day} a day"
        )
    return f"on one day of {bound.turn_days}, at most {bound.per_day} a day"


def _expect_whole() -> None:
    known = {
        f"{kind.__name__}.{field.name}"
        for kinds in BODIES.values()
        for kind in kinds
        for field in fields(kind)
        if field.name != "samples"
    }
    if known != set(_MAP):
        raise ValueError(f"data map: expected a line for every field: {known ^ set(_MAP)}")
