"""`okdrive-agent erase`, `erasures`, `wipe`: the name has to be typed, and the answer is told."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.cli import main
from telemetry.purposes import Purpose
from tests.support.trips import FakeTrip, write_segment
from tests.unit.agent.test_consents_cli import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path)
    sharing = made.sharing()
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.offer_trip(FakeTrip(), write_segment(tmp_path / "agent" / "segments"))
    sharing.state.close()
    return made


def run(home: Home, *words: str, code: int = 0, typed: str = "") -> str:
    done = CliRunner().invoke(
        main, ["--config", str(home.folder / "agent.toml"), *words], input=typed
    )
    assert done.exit_code == code, done.output
    return done.output


def trips(home: Home) -> list[str]:
    sharing = home.sharing()
    found = [row.trip_id for row in sharing.state.trips()]
    sharing.state.close()
    return found


def test_what_it_covers_is_shown_before_the_name_is_asked(home: Home) -> None:
    said = run(home, "erase", "--trip", "trip", typed="trip-1\n")
    assert said.index("1 trip, 0 charges") < said.index("type trip-1 to erase it")
    assert trips(home) == []


@pytest.mark.parametrize("typed", ["", "\n", "trip\n", "yes\n"])
def test_another_name_erases_nothing(home: Home, typed: str) -> None:
    run(home, "erase", "--trip", "trip-1", code=2 if typed else 1, typed=typed)
    assert trips(home) == ["trip-1"]


def test_the_name_may_be_given_beforehand(home: Home) -> None:
    found: dict[str, Any] = json.loads(
        run(home, "erase", "--all", "--confirm", "all", "--json").splitlines()[-1]
    )
    assert (found["trips"], found["requests"]) == (["trip-1"], 0)
    assert trips(home) == []


def test_exactly_one_scope_is_asked_for(home: Home) -> None:
    run(home, "erase", code=2)
    run(home, "erase", "--all", "--trip", "x", code=2)


def test_an_unknown_trip_is_an_error_and_nothing_changes(home: Home) -> None:
    assert "exactly one, found 0" in run(home, "erase", "--trip", "zz", "--confirm", "zz", code=6)
    assert trips(home) == ["trip-1"]


def test_without_a_wish_there_is_nothing_to_tell(home: Home) -> None:
    assert "nothing was ever taken back" in run(home, "erasures")


def test_the_vehicle_is_wiped_only_under_its_own_id(home: Home) -> None:
    run(home, "wipe", "--confirm", "another", code=2)
    assert trips(home) == ["trip-1"]
    name = "v-1"
    assert "wiped" in run(home, "wipe", "--confirm", name)
    assert trips(home) == []
