"""Each gate closes for its own reason, also when it does not know."""

import math
from dataclasses import replace
from typing import Any

import pytest

from ota.client.gates import GATES, GateLimits, Situation, VehicleState, closed_gates

HASH, OTHER = "a" * 64, "b" * 64
PARKED = VehicleState(is_parked=True, speed_km_h=0.0, soc_percent=60.0, aux_battery_v=12.6)
READY = Situation(vehicle=PARKED, limits=GateLimits(), offered=HASH, approved=HASH)

CLOSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("in gear", {"is_parked": False}, "ota.gate.not_parked", "until the vehicle is parked"),
    ("gear unknown", {"is_parked": None}, "ota.gate.not_parked", "not known"),
    ("moving", {"speed_km_h": 12.0}, "ota.gate.moving", "moves at 12 km/h"),
    ("rolling back", {"speed_km_h": -3.0}, "ota.gate.moving", "stands still"),
    ("speed unknown", {"speed_km_h": None}, "ota.gate.moving", "speed is not known"),
    ("speed no number", {"speed_km_h": math.nan}, "ota.gate.moving", "stands still"),
    ("empty", {"soc_percent": 19.9}, "ota.gate.battery_low", "holds 20 %"),
    ("charge unknown", {"soc_percent": None}, "ota.gate.battery_low", "not known"),
    ("charge no number", {"soc_percent": math.nan}, "ota.gate.battery_low", "battery"),
    ("weak 12 V", {"aux_battery_v": 11.9}, "ota.gate.aux_battery_low", "it has 11.9 V"),
    ("12 V unknown", {"aux_battery_v": None}, "ota.gate.aux_battery_low", "not known"),
    ("12 V no number", {"aux_battery_v": math.nan}, "ota.gate.aux_battery_low", "12 V"),
]


def test_all_gates_are_open_for_a_parked_vehicle_and_an_ok_to_this_image() -> None:
    assert closed_gates(READY) == ()


@pytest.mark.parametrize(
    ("change", "code", "words"), [row[1:] for row in CLOSED], ids=[row[0] for row in CLOSED]
)
def test_a_gate_closes_alone_and_says_why(change: dict[str, Any], code: str, words: str) -> None:
    (refusal,) = closed_gates(replace(READY, vehicle=replace(PARKED, **change)))
    assert refusal.code == code
    assert words in refusal.sentence


@pytest.mark.parametrize("approved", [None, OTHER])
def test_an_ok_is_needed_and_is_bound_to_the_content(approved: str | None) -> None:
    (refusal,) = closed_gates(replace(READY, approved=approved))
    assert refusal.code == "ota.gate.not_approved"


def test_a_vehicle_that_knows_nothing_installs_nothing() -> None:
    unknown = replace(READY, vehicle=VehicleState(), approved=None)
    assert [refusal.code for refusal in closed_gates(unknown)] == [gate.code for gate in GATES]


def test_every_refusal_is_one_sentence() -> None:
    unknown = replace(READY, vehicle=VehicleState(), approved=None)
    for refusal in closed_gates(unknown):
        assert refusal.sentence.endswith(".")
        assert refusal.sentence.count(". ") == 0
