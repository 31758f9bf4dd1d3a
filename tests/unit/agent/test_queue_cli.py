"""`okdrive-agent queue` on a state folder without a daemon, and with one that answers."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.clock import SystemClock
from agent.store.drops import Quota
from agent.store.state import State
from agent.store.uplink_notes import Failure, UplinkNotes
from telemetry.purposes import Purpose
from tests.support.configs import agent_toml
from tests.support.trips import FakeTrip, open_sharing, write_segment

CONFIG = agent_toml(**{"uplink.cost": {"network": "metered"}})


@dataclass
class Home:
    folder: Path

    def run(self, *arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(
            main, ["--config", str(self.folder / "agent.toml"), "queue", *arguments]
        )
        assert done.exit_code == code, done.output
        return done.output

    def document(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(*arguments, "--json"))
        return found

    def confirm(self, *trips: str, quota: Quota | None = None, hold_s: float = 0.0) -> None:
        agent = self.folder / "agent"
        sharing = open_sharing(agent, clock=SystemClock(), hold_s=hold_s)
        sharing.outbox._quota = quota or Quota()
        sharing.set_consent(Purpose.BATTERY, is_granted=True)
        for trip in trips:
            sharing.offer_trip(FakeTrip(trip_id=trip), write_segment(agent / "segments", trip))
            [offer] = sharing.state.offers(trip)
            sharing.answer(trip, [offer.batch_id], share=True)
        sharing.state.close()

    def note(self, failure: Failure) -> None:
        with closing(State.open(self.folder / "agent" / "state.sqlite")) as state:
            UplinkNotes(state.database).set_failure(failure)


FAILURE = Failure(
    code="link.unreachable", text="no broker", is_permanent=False, boot_id="b", retry_at_s=0.0
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    (tmp_path / "agent.toml").write_text(CONFIG)
    (tmp_path / "agent").mkdir()
    return Home(tmp_path)


def test_without_a_state_file_it_says_what_to_do(home: Home) -> None:
    assert "start `okdrive-agent run` once" in home.run("list", code=6)
    assert "expected a state file, found none" in home.run("pause", code=6)


def test_the_list_shows_what_waits_and_why(home: Home) -> None:
    home.confirm("trip-1", "trip-2")
    found = home.document("list")
    assert found["schema"] == "okdrive-agent.queue.list/1"
    assert [batch["trip_id"] for batch in found["batches"]] == ["trip-1", "trip-2"]
    assert {batch["state"] for batch in found["batches"]} == {"queued"}
    assert found["why"] == "The agent is not running. 2 batches leave when it starts."
    text = home.run("list").splitlines()
    assert text[0] == found["why"]
    assert [line.split()[-1] for line in text[2:]] == ["waiting", "waiting"]


def test_a_trip_is_on_the_way_until_it_is_delivered(home: Home) -> None:
    home.confirm("trip-1")
    shown = CliRunner().invoke(main, ["--config", str(home.folder / "agent.toml"), "trips", "list"])
    assert shown.output.splitlines()[1].endswith("  1 on the way")
    assert max(len(line) for line in shown.output.splitlines()) <= 80


def test_a_held_batch_says_for_how_long(home: Home) -> None:
    home.confirm("trip-1", hold_s=600)
    assert "The driver can still take it back for" in home.run("list")
    assert "held for" in home.run("list")


def test_an_empty_queue_says_so(home: Home) -> None:
    home.confirm()
    assert home.run("list") == "The agent is not running. Nothing is waiting.\n"


def test_what_was_given_up_is_listed_with_its_reason(home: Home) -> None:
    home.confirm("trip-1", "trip-2", quota=replace(Quota(), max_batches=1))
    [dropped] = home.document("list")["dropped"]
    assert (dropped["trip_id"], dropped["code"]) == ("trip-1", "outbox.no_room")
    assert "given up: the queue was full" in home.run("list")
    assert home.document("stats")["dropped"] == {"outbox.no_room": 1}


def test_the_last_failure_of_the_daemon_is_told(home: Home) -> None:
    home.confirm("trip-1")
    home.note(replace_failure(is_permanent=True, text="not authorised"))
    assert "Stopped: not authorised. Waiting does not heal this." in home.run("list")


def replace_failure(**changes: object) -> Failure:
    import msgspec  # noqa: PLC0415

    return msgspec.structs.replace(FAILURE, **changes)


def test_pausing_lasts_and_resuming_ends_it(home: Home) -> None:
    home.confirm("trip-1")
    assert home.run("pause").startswith("paused")
    assert "switched off by hand" in home.run("list")
    assert home.document("stats")["is_paused"] is True
    assert "sends when it starts" in home.run("resume")
    assert home.document("stats")["is_paused"] is False


def test_flushing_needs_a_daemon_and_says_so(home: Home) -> None:
    home.confirm("trip-1")
    assert "expected a running agent to send, found none" in home.run("flush", code=4)


def test_the_figures_of_the_day_are_shown(home: Home) -> None:
    home.confirm("trip-1")
    with closing(State.open(home.folder / "agent" / "state.sqlite")) as state:
        UplinkNotes(state.database).spend(SystemClock().utc_now().date(), "metered", 4_321)
    found = home.document("stats")
    assert found["bytes_today"] == {"unmetered": 0, "metered": 4321, "roaming": 0}
    assert (found["queued"], found["stopped"], found["receipts"]) == (1, 0, {})
    assert "metered 4,321" in home.run("stats")


def test_a_used_budget_is_the_reason(home: Home) -> None:
    home.confirm("trip-1")
    with closing(State.open(home.folder / "agent" / "state.sqlite")) as state:
        UplinkNotes(state.database).spend(SystemClock().utc_now().date(), "metered", 20_000_000)
    assert "Today's budget on a metered network is used" in home.run("list")


def test_traffic_of_old_days_is_forgotten(tmp_path: Path) -> None:
    from datetime import date, timedelta  # noqa: PLC0415

    with closing(State.open(tmp_path / "state.sqlite")) as state:
        notes, first = UplinkNotes(state.database), date(2026, 1, 1)
        for number in range(70):
            notes.spend(first + timedelta(days=number), "metered", 1)
        assert notes.spent(first, "metered") == 0
        assert notes.spent(first + timedelta(days=69), "metered") == 1
