"""Each gate closes for its own reason, also when it does not know."""

import math
from dataclasses import replace
from typing import Any

import pytest

from ota.client.gates import (
    GateLimits,
    Refusal,
    Situation,
    VehicleState,
    broken_gate,
    closed_gates,
)

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
    assert [refusal.code for refusal in closed_gates(unknown)] == [
        "ota.gate.not_parked",
        "ota.gate.moving",
        "ota.gate.battery_low",
        "ota.gate.aux_battery_low",
        "ota.gate.not_approved",
    ]


WISHES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("switched on", {"needs_ignition_off": True}, {"is_ignition_on": True}, "ignition_on"),
    ("ignition unknown", {"needs_ignition_off": True}, {}, "ignition_on"),
    ("not charging", {"needs_charging": True}, {"is_charging": False}, "not_charging"),
    ("charging unknown", {"needs_charging": True}, {}, "not_charging"),
    ("too cold", {"min_ambient_c": -10.0}, {"ambient_c": -10.5}, "temperature"),
    ("too hot", {"max_ambient_c": 45.0}, {"ambient_c": 46.0}, "temperature"),
    ("temperature no number", {"max_ambient_c": 45.0}, {"ambient_c": math.nan}, "temperature"),
    ("temperature unknown", {"max_ambient_c": 45.0}, {}, "temperature"),
    ("no link", {"needs_link": True}, {"has_link": False}, "no_link"),
]


@pytest.mark.parametrize(
    ("limits", "vehicle", "code"), [row[1:] for row in WISHES], ids=[row[0] for row in WISHES]
)
def test_a_gate_that_is_wanted_closes_and_one_that_is_not_wanted_does_not(
    limits: dict[str, Any], vehicle: dict[str, Any], code: str
) -> None:
    now = replace(READY, vehicle=replace(PARKED, **vehicle))
    assert closed_gates(now) == ()
    (refusal,) = closed_gates(replace(now, limits=GateLimits(**limits)))
    assert refusal.code == f"ota.gate.{code}"


def test_an_update_for_a_technician_needs_one_and_a_technician_needs_no_window() -> None:
    wanted = replace(READY, needs_technician=True, window="02:00-05:00", is_in_window=False)
    codes = [refusal.code for refusal in closed_gates(wanted)]
    assert codes == ["ota.gate.outside_window", "ota.gate.technician"]
    assert closed_gates(replace(wanted, is_technician=True)) == ()


def test_an_overdue_recall_needs_no_ok_unless_it_was_just_put_off() -> None:
    overdue = replace(READY, approved=None, is_overdue=True)
    assert closed_gates(overdue) == ()
    (refusal,) = closed_gates(replace(overdue, put_off_s=600.0))
    assert refusal == Refusal("ota.gate.put_off", "Put off by the driver; asked again in 10 min.")


BROKEN: list[tuple[str, dict[str, Any], str | None]] = [
    ("driven off", {"is_parked": False}, "ota.gate.not_parked"),
    ("rolling", {"speed_km_h": 4.0}, "ota.gate.moving"),
    ("12 V sags a little", {"aux_battery_v": 11.6}, None),
    ("12 V sags", {"aux_battery_v": 11.4}, "ota.gate.aux_battery_low"),
    ("nearly empty", {"soc_percent": 14.0}, "ota.gate.battery_low"),
    ("used a little", {"soc_percent": 16.0}, None),
    ("asleep", {"is_parked": None, "speed_km_h": None, "aux_battery_v": None}, None),
]


@pytest.mark.parametrize(
    ("change", "code"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_what_is_known_to_be_wrong_ends_an_installation_and_nothing_else_does(
    change: dict[str, Any], code: str | None
) -> None:
    broken = broken_gate(replace(READY, vehicle=replace(PARKED, **change)))
    assert (broken.code if broken else None) == code


def test_switching_the_vehicle_on_ends_an_installation_that_wanted_it_off() -> None:
    off = replace(READY, limits=GateLimits(needs_ignition_off=True))
    running = replace(off, vehicle=replace(PARKED, is_ignition_on=True))
    broken = broken_gate(running)
    assert broken is not None
    assert broken.code == "ota.gate.ignition_on"
    assert broken_gate(off) is None  # not known: that ends nothing


def test_a_consent_that_is_taken_back_or_a_window_that_ends_does_not_end_an_installation() -> None:
    late = replace(READY, approved=None, window="02:00-05:00", is_in_window=False)
    assert broken_gate(late) is None


def test_every_refusal_is_one_sentence() -> None:
    unknown = replace(READY, vehicle=VehicleState(), approved=None)
    for refusal in closed_gates(unknown):
        assert refusal.sentence.endswith(".")
        assert refusal.sentence.count(". ") == 0
