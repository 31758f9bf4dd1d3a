import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.store.database import Database, StoreError
from agent.store.rows import TripOutcome, TripRow
from agent.store.schema import STEPS
from agent.store.state import State

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def trip(name: str, summary: str = "{}") -> TripRow:
    return TripRow(
        trip_id=name,
        summary=summary,
        segment=None,
        created_utc=NOW,
        outcome=TripOutcome.NOTHING,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "okdrive", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(state: State) -> None:
    for number in range(100):
        state.add_trip(trip(f"trip-{number:03}", "x" * 50_000), [])


def code_of(error: pytest.ExceptionInfo[StoreError]) -> str:
    return error.value.code


def test_a_new_file_is_a_write_ahead_log_that_syncs_fully(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.sqlite")
    with state.database.reading() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(STEPS)
    state.close()


def test_a_segment_that_made_way_leaves_its_trip_and_is_counted(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.sqlite")
    state.add_trip(replace(trip("a"), segment="a.seg"), [])
    state.add_trip(replace(trip("b"), segment="b.seg"), [])
    state.forget_segments(["a.seg"], freed_bytes=1_000)
    assert [row.segment for row in state.trips()] == ["b.seg", None]
    assert state.counters() == {"segments.evicted": 1, "segments.evicted_bytes": 1_000}
    state.close()


def test_what_was_stored_is_there_after_opening_again(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.sqlite")
    state.add_trip(trip("a", '{"distance_m": 1}'), [])
    state.close()
    again = State.open(tmp_path / "state.sqlite")
    assert again.trips() == [trip("a", '{"distance_m": 1}')]
    again.close()


def test_a_file_of_a_newer_okdrive_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    Database.open(path, (*STEPS, ("CREATE TABLE later (x)",))).close()
    before = path.read_bytes()
    wanted = f"found {len(STEPS) + 1}: a newer okdrive wrote it"
    with pytest.raises(StoreError, match=wanted) as caught:
        State.open(path)
    assert code_of(caught) == "store.newer"
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["state.sqlite"]


def test_a_newer_version_that_stands_only_in_the_log_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    newer = State.open(path)
    with newer.database.transaction() as connection:
        connection.execute("PRAGMA user_version=9")
    with pytest.raises(StoreError, match="found 9") as caught:
        State.open(path)
    assert code_of(caught) == "store.newer"
    newer.close()


def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_text("this is a shopping list, and it is longer than one hundred bytes. " * 9)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="expected an SQLite file, found other bytes") as caught:
        State.open(path)
    assert code_of(caught) == "store.not_a_database"
    assert path.read_bytes() == before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="check that the folder exists") as caught:
        State.open(tmp_path / "nowhere" / "state.sqlite")
    assert code_of(caught) == "store.cannot_open"


def test_steps_lead_an_old_file_forward_and_keep_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    old = State.open(path)
    old.add_trip(trip("a"), [])
    old.close()
    newer = Database.open(path, (*STEPS, ("ALTER TABLE trips ADD COLUMN note TEXT",)))
    with newer.reading() as connection:
        assert connection.execute("SELECT trip_id, note FROM trips").fetchall() == [("a", None)]
        assert connection.execute("PRAGMA user_version").fetchone()[0] == len(STEPS) + 1
    newer.close()


def test_a_step_that_fails_leaves_the_old_version(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    State.open(path).close()
    broken = (*STEPS, ("CREATE TABLE extra (x)", "CREATE TABLE trips (y)"))
    with pytest.raises(StoreError, match="already exists"):
        Database.open(path, broken)
    state = State.open(path)
    with state.database.reading() as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema")}
    assert "extra" not in names
    state.close()


def test_a_file_that_stays_in_another_journal_mode_is_refused(tmp_path: Path) -> None:
    class Stubborn(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            wanted = "PRAGMA journal_mode" if sql == "PRAGMA journal_mode=WAL" else sql
            return super().execute(wanted, *args)

    def connect(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, factory=Stubborn)

    with pytest.raises(StoreError, match="expected journal mode wal, the file stayed in delete"):
        State.open(tmp_path / "state.sqlite", connect=connect)


def test_a_full_disk_is_one_clear_error_and_nothing_is_half_written(small_disk: Path) -> None:
    state = State.open(small_disk / "state.sqlite")
    state.add_trip(trip("first"), [])
    with pytest.raises(StoreError, match="the disk is full; free some space") as caught:
        fill(state)
    assert code_of(caught) == "store.full"
    kept = {row.trip_id for row in state.trips()}
    state.close()
    again = State.open(small_disk / "state.sqlite")
    assert {row.trip_id for row in again.trips()} == kept
    assert "first" in kept
    with again.database.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    again.close()


def test_a_disk_that_is_full_from_the_start_is_named(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(bytes(1024 * 1024))
    with pytest.raises(StoreError, match="free some space") as caught:
        State.open(small_disk / "state.sqlite")
    assert code_of(caught) == "store.full"


def test_a_read_only_disk_is_named_and_what_is_stored_can_be_read(small_disk: Path) -> None:
    state = State.open(small_disk / "state.sqlite")
    state.add_trip(trip("first"), [])
    state.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreError, match="nothing was half-written") as caught:
        State.open(small_disk / "state.sqlite")
    assert code_of(caught) in {"store.read_only", "store.cannot_open"}


def test_a_reader_sees_what_the_daemon_wrote_and_cannot_write(tmp_path: Path) -> None:
    daemon = State.open(tmp_path / "state.sqlite")
    daemon.add_trip(trip("a"), [])
    reader = State.open_to_read(tmp_path / "state.sqlite")
    assert [row.trip_id for row in reader.trips()] == ["a"]
    with pytest.raises(StoreError, match="read-only") as caught:
        reader.add_trip(trip("b"), [])
    assert code_of(caught) == "store.read_only"
    reader.close()
    daemon.close()


def test_a_reader_without_a_file_says_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected a state file, found none"):
        State.open_to_read(tmp_path / "state.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_after_closing_every_use_is_refused(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.sqlite")
    state.close()
    state.close()
    with pytest.raises(StoreError, match="was closed"):
        state.trips()


def test_the_ledger_table_can_only_be_appended_to(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.sqlite")
    with state.database.transaction() as connection:
        connection.execute(
            "INSERT INTO ledger (sequence, entry_hash, body, signature) VALUES (1, x'00', '{}', '')"
        )
    for statement in ("UPDATE ledger SET sequence=2", "DELETE FROM ledger"):
        with (
            pytest.raises(sqlite3.IntegrityError, match="append-only"),
            state.database.transaction() as connection,
        ):
            connection.execute(statement)
    state.close()


def test_a_text_that_is_no_text_is_a_damaged_file(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state.sqlite")
    with state.database.transaction() as connection:
        connection.execute("INSERT INTO counters VALUES (CAST(x'ff' AS TEXT), 1)")
    with pytest.raises(StoreError, match="move the file away or restore it") as caught:
        state.counters()
    assert code_of(caught) == "store.damaged"
    state.close()
