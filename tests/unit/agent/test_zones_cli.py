"""`okdrive-agent zones` on a state folder, without a daemon and with one that knows where it is."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.folders import Folders
from telemetry.purposes import Purpose
from tests.support.life import SECRET, WORK, Life, day_of
from tests.unit.agent.test_consents_cli import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def zones(home: Home, *arguments: object, code: int = 0) -> str:
    return home.call("zones", *arguments, code=code)


def listed(home: Home) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(zones(home, "list", "--json"))["zones"]
    return found


def test_a_place_is_added_listed_and_removed_by_its_name(home: Home) -> None:
    said = zones(home, "add", "--at", "48.13714, 11.57536", "--name", "Doctor")
    assert "nothing within 500 m of it is told from now on" in said
    [one] = listed(home)
    assert (one["name"], one["latitude"], one["radius_m"]) == ("Doctor", 48.13714, 500.0)
    text = zones(home, "list")
    assert "Doctor" in text
    assert "1 of 20; they stay in the vehicle, encrypted" in text
    assert max(map(len, text.splitlines())) <= 80
    assert "removed" in zones(home, "remove", "Doctor")
    assert "no place was drawn" in zones(home, "list")


def test_the_southern_hemisphere_can_be_typed(home: Home) -> None:
    zones(home, "add", "--at", "-33.86,151.21", "--radius", "250")
    assert [(one["latitude"], one["longitude"]) for one in listed(home)] == [(-33.86, 151.21)]


def test_without_a_fix_here_is_where_the_last_trip_ended(home: Home) -> None:
    (home.folder / "secrets").mkdir()
    secret = home.folder / "secrets" / "traffic.secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    life = Life(home.folder / "agent", Purpose.TRAFFIC, on=day_of(Purpose.TRAFFIC))
    life.drive()
    life.sharing.state.close()
    said = zones(home, "add", "--here", "--json")
    document = json.loads(said)
    assert document["schema"] == "okdrive-agent.zones.add/1"
    assert document["where"] == "where the last trip ended"
    assert (document["zone"]["latitude"], document["zone"]["longitude"]) == WORK
    assert (document["offered"], document["queued"], document["under_way"]) == (0, 0, 0)


def test_nobody_knows_where_here_is_before_the_first_trip(home: Home) -> None:
    said = zones(home, "add", "--here", code=6)
    assert "zones.no_position" in said
    assert "--at LATITUDE,LONGITUDE" in said
    assert listed(home) == []


@contextmanager
def daemon(home: Home, answers: dict[str, str]) -> Iterator[list[str]]:
    """Something that listens where the daemon would, for two words."""
    heard: list[str] = []
    folders = Folders(root=home.folder / "agent")
    folders.make()

    def serve() -> None:
        for _ in range(2):
            connection, _ = server.accept()
            with connection, connection.makefile("rw") as line:
                heard.append(line.readline().strip())
                line.write(answers.get(heard[-1], "loaded") + "\n")

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folders.control))
        server.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join()


def test_the_running_agent_is_asked_where_here_is_and_told_what_changed(home: Home) -> None:
    fix = json.dumps({"latitude": 52.5, "longitude": 13.4, "age_s": 300.0})
    with daemon(home, {"here": fix}) as heard:
        said = zones(home, "add", "--here")
    assert "52.50000, 13.40000 (the last fix, 5 min ago)" in said
    assert heard == ["here", "consents"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["add"],
        ["add", "--here", "--at", "1,1"],
        ["add", "--at", "48"],
        ["add", "--at", "48,11,5"],
        ["add", "--at", "91,0"],
        ["add", "--at", "48,11", "--radius", "99"],
        ["remove"],
        ["remove", "x", "--all"],
    ],
    ids=" ".join,
)
def test_what_is_not_a_place_is_said_with_exit_code_two(home: Home, arguments: list[str]) -> None:
    assert "xpected" in (said := zones(home, *arguments, code=2)) or "say w" in said


def test_places_whose_key_is_lost_are_said_and_can_be_begun_anew(home: Home) -> None:
    zones(home, "add", "--at", "48,11")
    (home.folder / "secrets" / "traffic.secret").write_bytes(bytes(32))
    assert "zones.unreadable" in zones(home, "list", code=1)
    assert "zones.unreadable" in zones(home, "add", "--at", "49,11", code=1)
    zones(home, "remove", "--all")
    assert listed(home) == []


def test_drawn_places_are_in_the_export_and_gone_after_a_full_erase(home: Home) -> None:
    zones(home, "add", "--at", "48.5,11.5", "--name", "Doctor")
    home.call("export", "-o", home.folder / "all.json")
    document = json.loads((home.folder / "all.json").read_text())
    [table] = [table for table in document["tables"] if table["name"] == "drawn_places"]
    assert table["rows"][0][1:5] == ["Doctor", 48.5, 11.5, 500.0]
    home.call("erase", "--all", "--confirm", "all")
    assert listed(home) == []


def test_drawn_places_are_gone_after_a_wipe(home: Home) -> None:
    zones(home, "add", "--at", "48.5,11.5")
    home.call("wipe", "--confirm", "v-1")
    assert listed(home) == []
