"""The battery watch over whole drives: silent on healthy ones, quick on each injected fault."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.signals.table import known_vehicles
from agent.vehicle.battery.memory import Memory
from agent.vehicle.battery.rules import RULES, Code, Severity
from sim.battery_faults import (
    RECORDINGS,
    Fault,
    fault_line,
    faults,
    faulty_drive,
    healthy_drive,
    is_as_promised,
    recorded,
)
from sim.cli import main

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.code)
def test_a_fault_raises_its_alert_within_the_stated_time_and_no_other(fault: Fault) -> None:
    run = faulty_drive(fault)
    after_s = run.seconds_to(fault)
    assert after_s is not None
    assert after_s <= RULES[fault.code].within_s
    assert run.others(fault) == []


def test_every_named_fault_of_the_issue_is_injected() -> None:
    injected = {fault.code for fault in faults()}
    assert injected >= {
        Code.WEAK_CELL,
        Code.HOT_MODULE,
        Code.RESISTANCE,
        Code.SOC_MISMATCH,
        Code.LOW_VOLTAGE,
        Code.ISOLATION,
        Code.SENSOR_INVALID,
    }
    assert injected >= {code for code, rule in RULES.items() if rule.severity is Severity.CRITICAL}


@pytest.mark.parametrize("seed", range(4))
def test_a_healthy_drive_raises_nothing(seed: int) -> None:
    assert healthy_drive(seed).changes == []


def test_three_healthy_drives_of_one_vehicle_raise_nothing() -> None:
    memory = Memory()
    assert [healthy_drive(7, memory).changes for _ in range(3)] == [[], [], []]
    assert any(baseline.is_firm for baseline in memory.baselines.values())


@pytest.mark.recorded
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_healthy_recording_raises_nothing(name: str, recordings: Path) -> None:
    run = recorded(recordings / "leaf", name)
    if RECORDINGS[name] in known_vehicles():
        assert run is not None
        assert run.seconds > 20
        assert run.changes == []


def test_the_command_prints_both_tables_within_80_columns_and_as_json() -> None:
    arguments = ["battery-faults", "--drives", "1", "--only", "low_voltage"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert all(len(line) <= 80 for line in result.output.splitlines())
    assert "1 of 1 faults" in result.output
    document = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert document["faults"][0]["after_s"] <= document["faults"][0]["within_s"]


def test_a_fault_that_is_told_too_late_or_not_alone_breaks_the_promise() -> None:
    told = {"name": "x", "alert": "weak_cell", "within_s": 10.0, "after_s": 5.0, "others": []}
    healthy = {"name": "drive", "seconds": 60.0, "alerts": []}
    assert is_as_promised([healthy], [told])
    for bad in ({"after_s": 11.0}, {"after_s": None}, {"others": ["isolation"]}):
        assert not is_as_promised([healthy], [told | bad])
    assert not is_as_promised([healthy | {"alerts": ["isolation"]}], [told])
    assert "never" in fault_line(told | {"after_s": None})
