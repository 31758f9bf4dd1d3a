import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.store.schema import STEPS
from agent.store.sessions import MAX_SESSIONS, SessionRow, Sessions
from agent.store.state import State

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def session(name: str, *, minutes: int = 0, is_open: bool = False) -> SessionRow:
    return SessionRow(
        session_id=name,
        summary='{"energy_in_wh": 1000.0}',
        created_utc=NOON + timedelta(minutes=minutes),
        is_open=is_open,
    )


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State.open(tmp_path / "state.sqlite")


def test_sessions_come_back_newest_first(state: State) -> None:
    sessions = Sessions(state.database)
    for minutes, name in enumerate(("a", "b", "c")):
        sessions.put(session(name, minutes=minutes))
    assert [row.session_id for row in sessions.rows(limit=2)] == ["c", "b"]
    assert sessions.rows()[0] == session("c", minutes=2)
    state.close()


def test_there_is_one_open_session_and_closing_it_keeps_it(state: State) -> None:
    sessions = Sessions(state.database)
    assert sessions.open_session() is None
    sessions.put(session("a", is_open=True))
    sessions.put(session("b", is_open=True))
    assert sessions.rows() == [session("b", is_open=True)]
    assert sessions.open_session() == session("b", is_open=True)
    sessions.put(session("b", minutes=5))
    assert sessions.open_session() is None
    assert sessions.rows() == [session("b", minutes=5)]
    state.close()


def test_a_row_that_was_changed_on_the_disk_is_counted_and_left_out(
    state: State, tmp_path: Path
) -> None:
    sessions = Sessions(state.database)
    sessions.put(session("a"))
    sessions.put(session("b"))
    with sqlite3.connect(tmp_path / "state.sqlite") as other:
        other.execute("UPDATE sessions SET summary=replace(summary, '1', '9') WHERE session_id='a'")
    other.close()
    assert sessions.rows() == [session("b")]
    assert sessions.damaged() == 1
    state.close()


def test_the_oldest_sessions_make_room(state: State) -> None:
    sessions = Sessions(state.database)
    with state.database.transaction():
        for number in range(MAX_SESSIONS + 3):
            sessions.put(session(f"{number:05}", minutes=number))
    assert len(sessions.rows(limit=-1)) == MAX_SESSIONS
    assert sessions.rows(limit=-1)[-1].session_id == "00003"
    state.close()


def test_a_state_file_from_before_charge_sessions_gains_their_table(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as old:
        for statement in STEPS[0]:
            old.execute(statement)
        old.execute("PRAGMA user_version=1")
    old.close()
    state = State.open(path)
    Sessions(state.database).put(session("a"))
    assert len(Sessions(state.database).rows()) == 1
    state.close()
