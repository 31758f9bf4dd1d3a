"""Each purpose's type is its allow-list: what is not in it cannot be constructed."""

from dataclasses import fields
from typing import Any

import pytest

from agent.privacy.cells import cell_at
from telemetry.records import (
    LOSSES,
    BatteryBatch,
    BatterySample,
    ChargingBatch,
    CurrentKind,
    DiagnosticsBatch,
    DwellClass,
    JourneyClass,
    JourneysBatch,
    TrafficBatch,
)

HERE = (48.137, 11.575)
SESSION = {
    "cell": cell_at(*HERE, 7),
    "hour_of_week": 17,
    "soc_in_percent": 40,
    "current": CurrentKind.AC,
    "quarter_hours_wh": (2_500, 3_000),
    "soc_out_percent": 80,
    "dwell": DwellClass.LONG,
}
JOURNEY = {
    "kind": JourneyClass.COMMUTE,
    "distance_from_km": 10,
    "duration_from_min": 20,
    "consumption_wh_km": 150,
    "ambient_c": -10,
}
TRAFFIC = {
    "cell": cell_at(*HERE, 9),
    "hour_of_week": 8,
    "speed_tenths": (0, 0, 0, 2, 5, 3, 0, 0, 0),
}
HEALTH = {"version": "0.1.0", "uptime_class": 2, "losses": (("dropped", 3),)}
WHOLE = {ChargingBatch: SESSION, JourneysBatch: JOURNEY, TrafficBatch: TRAFFIC}
WHOLE[DiagnosticsBatch] = HEALTH
# every word a field may be made of: whoever adds one answers for it here
WORDS = {
    BatteryBatch: {"month", "soh_percent", "samples"},
    BatterySample: {
        "since_start_ms",
        "pack_voltage_v",
        "pack_current_a",
        "soc_percent",
        "cell_temp_c",
        "invalid",
    },
    ChargingBatch: set(SESSION),
    JourneysBatch: set(JOURNEY),
    TrafficBatch: set(TRAFFIC),
    DiagnosticsBatch: set(HEALTH),
}


@pytest.mark.parametrize("kind", WORDS, ids=lambda kind: kind.__name__)
def test_a_purpose_has_exactly_these_fields(kind: Any) -> None:
    assert {field.name for field in fields(kind)} == WORDS[kind]


@pytest.mark.parametrize("kind", WORDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("extra", ["latitude", "longitude", "speed_km_h", "vin", "started_utc"])
def test_no_purpose_takes_a_field_that_is_not_its_own(kind: Any, extra: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{extra}'"):
        kind(**WHOLE.get(kind, {}), **{extra: 1})


@pytest.mark.parametrize("kind", WHOLE, ids=lambda kind: kind.__name__)
def test_a_whole_record_can_be_constructed(kind: Any) -> None:
    assert kind(**WHOLE[kind]) == kind(**WHOLE[kind])


def test_an_arrival_without_a_charge_has_three_facts() -> None:
    arrival = ChargingBatch(cell=None, hour_of_week=0, soc_in_percent=10)
    assert arrival.current is None
    assert arrival.quarter_hours_wh == ()


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        (ChargingBatch, {"cell": cell_at(*HERE, 9)}, "cell: expected resolution 7, got 9"),
        (ChargingBatch, {"cell": cell_at(*HERE, 8)}, "cell: expected resolution 7, got 8"),
        (ChargingBatch, {"cell": 4_873_210}, "cell: expected an H3 cell"),
        (ChargingBatch, {"hour_of_week": 168}, "hour_of_week: expected a whole number 0 to 167"),
        (ChargingBatch, {"soc_in_percent": 43}, "soc_in_percent: expected steps of 10"),
        (ChargingBatch, {"quarter_hours_wh": (2_501,)}, "quarter_hours_wh: expected steps of 500"),
        (ChargingBatch, {"quarter_hours_wh": (0,) * 97}, "quarter_hours_wh: expected at most 96"),
        (ChargingBatch, {"soc_out_percent": 81}, "soc_out_percent: expected steps of 10"),
        (ChargingBatch, {"dwell": None}, "expected all of a charge session, or nothing"),
        (JourneysBatch, {"distance_from_km": 12}, "distance_from_km: expected one of"),
        (JourneysBatch, {"duration_from_min": True}, "duration_from_min: expected one of"),
        (JourneysBatch, {"consumption_wh_km": 151}, "consumption_wh_km: expected steps of 50"),
        (JourneysBatch, {"ambient_c": 7}, "ambient_c: expected steps of 10"),
        (TrafficBatch, {"cell": cell_at(*HERE, 10)}, "expected resolution 9, got 10"),
        (TrafficBatch, {"speed_tenths": (10,)}, "speed_tenths: expected 9 shares"),
        (TrafficBatch, {"speed_tenths": (1,) * 9}, "speed_tenths: expected 9 shares"),
        (DiagnosticsBatch, {"version": "0.1.0 of VIN SJN"}, "version: expected 'N.N.N'"),
        (DiagnosticsBatch, {"uptime_class": 4}, "uptime_class: expected a whole number 0 to 3"),
        (DiagnosticsBatch, {"losses": (("street", 1),)}, "losses: expected known names"),
        (DiagnosticsBatch, {"losses": (("dropped", 4_211),)}, "losses: expected a whole number"),
    ],
)
def test_nothing_finer_than_its_floor_can_be_constructed(
    kind: Any, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**{**WHOLE[kind], **changed})


def test_losses_have_names_of_the_agent_only() -> None:
    assert all(name.isidentifier() and name.islower() for name in LOSSES)
