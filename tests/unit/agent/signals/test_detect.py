import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.signals.detect import Census, detect, matches, roles_of
from agent.signals.model import Frame
from agent.signals.table import known_vehicles, load_table
from sim.drive import synthetic_drive
from sim.frames import write_candump

TABLES = [load_table(name) for name in known_vehicles()]
LEAF = {
    "nissan-leaf-ze0": [(0x5BF, 8), (0x380, 8), (0x5A9, 8)],
    "nissan-leaf-aze0": [(0x390, 8), (0x5A9, 8), (0x5B9, 7)],
    "nissan-env200": [(0x390, 8), (0x5A9, 7), (0x5B9, 7)],
    "nissan-leaf-ze1": [(0x390, 8), (0x1ED, 3), (0x355, 8)],
}


def census(seen: list[tuple[int, int]], bus: str = "can0") -> Census:
    found = Census()
    found.take(Frame(1.0, bus, can_id, bytes(length)) for can_id, length in seen)
    return found


@pytest.mark.parametrize("name", LEAF)
def test_each_generation_is_told_by_its_ids_and_lengths(name: str) -> None:
    (found,) = matches(detect(TABLES, census(LEAF[name], "can7")))
    assert (found.vehicle, found.interface) == (name, "can7")
    assert all("(1 frame)" in evidence for evidence in found.seen)


def test_a_mixture_of_two_vehicles_is_neither() -> None:
    both = census(LEAF["nissan-leaf-ze0"] + LEAF["nissan-leaf-ze1"])
    assert matches(detect(TABLES, both)) == []


def test_a_verdict_says_what_is_missing_and_what_speaks_against() -> None:
    verdicts = detect(TABLES, census(LEAF["nissan-leaf-aze0"]))
    (other,) = [verdict for verdict in verdicts if verdict.vehicle == "nissan-leaf-ze1"]
    assert other.missing == ("1ED/3", "355/8")
    assert other.against == ("5A9 (1 frame)", "5B9 (1 frame)")
    assert "missing 1ED/3, 355/8; but also 5A9 (1 frame)" in other.evidence()


def test_a_census_is_bounded() -> None:
    found = Census()
    found.take(Frame(1.0, "can0", can_id, b"") for can_id in range(5_000))
    assert len(found.counts) == 4_096
    assert found.left_out == 904


def test_a_recording_with_other_interface_names_is_mapped_by_what_is_on_them() -> None:
    table = load_table("nissan-leaf-ze1")
    frames = [Frame(f.time_s, "slcan3", f.can_id, f.data) for f in synthetic_drive(1, hops=1)]
    found = Census()
    found.take(frame for frame in frames if frame.can_id != 0x292)
    assert roles_of(table, found)["ev"] == "slcan3"


def test_interfaces_that_fit_keep_their_roles() -> None:
    table = load_table("nissan-leaf-ze1")
    found = Census()
    found.take(synthetic_drive(1, hops=1))
    assert roles_of(table, found) == {"ev": "can0", "car": "can1", "chademo": "can2"}


def test_the_command_names_the_vehicle_and_its_evidence(tmp_path: Path) -> None:
    log = tmp_path / "leaf.log"
    write_candump((Frame(1.0, "can0", i, bytes(n)) for i, n in LEAF["nissan-leaf-ze1"]), log)
    result = CliRunner().invoke(main, ["vehicle", "detect", str(log)])
    assert result.stdout.splitlines()[0] == "nissan-leaf-ze1"
    shown = json.loads(CliRunner().invoke(main, ["vehicle", "detect", str(log), "--json"]).stdout)
    assert shown["vehicle"] == "nissan-leaf-ze1"
    assert shown["verdicts"][0]["seen"] == ["1ED/3 (1 frame)", "355/8 (1 frame)"]


def test_the_command_fails_where_it_cannot_be_told(tmp_path: Path) -> None:
    log = tmp_path / "other.log"
    write_candump([Frame(1.0, "can0", 0x123, bytes(8))], log)
    result = CliRunner().invoke(main, ["vehicle", "detect", str(log)])
    assert result.exit_code == 1
    assert result.stdout.startswith("none of the known vehicles")
