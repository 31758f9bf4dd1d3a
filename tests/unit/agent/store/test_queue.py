"""Who leaves first, who is given up, and what a damaged row may do."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.sharing import Sharing
from agent.store.drops import DropCode, Quota
from agent.store.outbox import Outbox
from agent.store.queued import PRIORITIES, OutboxState, Priority
from agent.store.rows import TripOutcome
from telemetry.purposes import Purpose
from tests.support.clock import FakeClock
from tests.support.trips import FakeTrip, open_sharing, write_segment

DAY_S = 86_400.0


@dataclass
class Bench:
    sharing: Sharing
    clock: FakeClock
    folder: Path

    @property
    def outbox(self) -> Outbox:
        return self.sharing.outbox

    def limit(self, **changes: int) -> None:
        self.outbox._quota = replace(Quota(), **changes)

    def confirm(self, trip_id: str) -> bytes:
        path = write_segment(self.folder / "segments", trip_id)
        [preview] = self.sharing.offer_trip(FakeTrip(trip_id=trip_id), path)
        batch = bytes.fromhex(preview.batch_id)
        self.sharing.answer(trip_id, [batch], share=True)
        return batch

    def execute(self, statement: str, *values: object) -> None:
        with self.sharing.state.database.transaction() as connection:
            connection.execute(statement, values)

    def outcome(self, trip_id: str) -> TripOutcome:
        trip = self.sharing.state.trip(trip_id)
        assert trip is not None
        return trip.outcome

    def due(self) -> list[bytes]:
        return [row.batch_id for row in self.outbox.due(self.sharing.moment())]

    def queued(self) -> list[bytes]:
        return [line.batch_id for line in self.outbox.lines()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = FakeClock()
    sharing = open_sharing(tmp_path, clock=clock)
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    yield Bench(sharing, clock, tmp_path)
    sharing.state.close()


def test_oldest_leaves_first_and_an_alert_before_all(bench: Bench) -> None:
    first, second, third = (bench.confirm(f"trip-{number}") for number in range(3))
    assert bench.due() == [first, second, third]
    bench.execute("UPDATE outbox SET priority=? WHERE batch_id=?", Priority.ALERT, third)
    assert bench.due() == bench.queued() == [third, first, second]


def test_a_person_who_waits_goes_before_trips_and_these_before_diagnostics() -> None:
    order = ["workshop", "battery", "diagnostics"]
    assert sorted(order, key=lambda name: PRIORITIES.get(name, Priority.NORMAL)) == order


def test_beyond_the_quota_the_oldest_of_the_lowest_priority_is_dropped(bench: Bench) -> None:
    bench.limit(max_batches=2)
    first, second = bench.confirm("trip-1"), bench.confirm("trip-2")
    bench.execute("UPDATE outbox SET priority=? WHERE batch_id=?", Priority.BULK, second)
    third = bench.confirm("trip-3")
    assert bench.queued() == [first, third]
    [drop] = bench.outbox.drops()
    assert (drop.batch_id, drop.code, drop.trip_id) == (second, DropCode.NO_ROOM, "trip-2")
    assert bench.sharing.state.counters()["dropped.outbox.no_room"] == 1
    assert bench.outcome("trip-2") is TripOutcome.DROPPED


def test_the_quota_counts_bytes_too(bench: Bench) -> None:
    first = bench.confirm("trip-1")
    size = bench.outbox.lines()[0].size_bytes
    bench.limit(max_bytes=size + size // 2)
    second = bench.confirm("trip-2")
    assert bench.queued() == [second]
    assert [drop.batch_id for drop in bench.outbox.drops()] == [first]


def test_what_was_refused_makes_room_before_anything_that_can_still_leave(bench: Bench) -> None:
    bench.limit(max_batches=2)
    first, second = bench.confirm("trip-1"), bench.confirm("trip-2")
    bench.outbox.stop(second, code="codec.range", now_utc=bench.clock.utc_now())
    third = bench.confirm("trip-3")
    assert bench.queued() == [first, third]


def test_within_the_quota_nothing_is_dropped(bench: Bench) -> None:
    bench.limit(max_batches=2)
    confirmed = [bench.confirm("trip-1"), bench.confirm("trip-2")]
    assert bench.queued() == confirmed
    assert bench.outbox.drops() == []


def test_what_nobody_takes_on_so_many_days_of_use_is_dropped_and_explained(bench: Bench) -> None:
    bench.limit(max_age_days=3)
    batch = bench.confirm("trip-1")
    bench.outbox.age(bench.sharing.moment())
    for _ in range(2):
        bench.clock.advance_s(DAY_S)
        assert bench.outbox.age(bench.sharing.moment()) == 0
    assert [line.age_days for line in bench.outbox.lines()] == [3]
    bench.clock.advance_s(DAY_S)
    assert bench.outbox.age(bench.sharing.moment()) == 1
    [drop] = bench.outbox.drops()
    assert (drop.batch_id, drop.code, drop.age_days) == (batch, DropCode.TOO_OLD, 4)
    assert bench.queued() == []
    assert bench.outcome("trip-1") is TripOutcome.DROPPED


def test_the_same_day_ages_once_however_often_it_is_asked(bench: Bench) -> None:
    bench.confirm("trip-1")
    for _ in range(5):
        bench.outbox.age(bench.sharing.moment())
    assert [line.age_days for line in bench.outbox.lines()] == [1]


@pytest.mark.parametrize("years", [-30, -1, 1, 30])
def test_a_clock_that_jumps_by_years_costs_one_day(bench: Bench, years: int) -> None:
    batch = bench.confirm("trip-1")
    bench.outbox.age(bench.sharing.moment())
    bench.clock.jump_wall_s(years * 365 * DAY_S)
    assert bench.outbox.age(bench.sharing.moment()) == 0
    assert [(line.batch_id, line.age_days) for line in bench.outbox.lines()] == [(batch, 2)]


def test_a_clock_jump_does_not_hold_or_free_a_batch(tmp_path: Path) -> None:
    clock = FakeClock()
    sharing = open_sharing(tmp_path, clock=clock, hold_s=600)
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    held = Bench(sharing, clock, tmp_path)
    batch = held.confirm("trip-1")
    clock.jump_wall_s(10 * DAY_S)
    assert held.due() == []
    clock.jump_wall_s(-20 * DAY_S)
    clock.advance_s(600)
    assert held.due() == [batch]
    sharing.state.close()


DAMAGE = {
    "payload": "payload = x'00'",
    "one-bit-of-payload": "payload = substr(payload, 1, 9) || x'ff' || substr(payload, 11)",
    "purpose": "purpose = 'journeys'",
    "no-text": "purpose = CAST(x'ff' AS TEXT)",
    "entry": "hold_until_s = hold_until_s - 1",
    "hold-text": "hold_until_s = 'soon'",
    "created": "created_utc = 'yesterday'",
    "state": "state = 'sent'",
    "position": "position = 77",
    "trip": "trip_id = 'trip-9'",
    "checksum": "checksum = x''",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_row_is_stopped_and_the_others_leave(bench: Bench, damage: str) -> None:
    broken, whole = bench.confirm("trip-1"), bench.confirm("trip-2")
    bench.execute(f"UPDATE outbox SET {damage} WHERE batch_id=?", broken)
    assert bench.due() == [whole]
    found = {line.batch_id: line for line in bench.outbox.lines()}[broken]
    assert (found.state, found.refusal) == (OutboxState.STOPPED, "outbox.damaged")


def test_a_batch_id_that_is_not_the_hash_is_stopped(bench: Bench) -> None:
    batch = bench.confirm("trip-1")
    bench.execute("UPDATE outbox SET batch_id=x'00' WHERE batch_id=?", batch)
    assert bench.due() == []


def test_parts_that_ingest_keeps_are_remembered_until_the_batch_goes(bench: Bench) -> None:
    batch = bench.confirm("trip-1")
    for part in (1, 3, 3):
        bench.outbox.keep_part(batch, part=part, parts=4)
    assert bench.outbox.kept_parts(batch, parts=4) == {1, 3}
    assert bench.outbox.kept_parts(batch, parts=5) == frozenset()
    bench.outbox.forget_parts(batch)
    assert bench.outbox.kept_parts(batch, parts=4) == frozenset()
    bench.outbox.keep_part(batch, part=2, parts=4)
    bench.execute("DELETE FROM outbox WHERE batch_id=?", batch)
    assert bench.outbox.kept_parts(batch, parts=4) == frozenset()
    bench.outbox.keep_part(batch, part=2, parts=4)
    assert bench.outbox.kept_parts(batch, parts=4) == frozenset()


def test_a_file_of_the_first_release_is_led_forward_with_its_batches(tmp_path: Path) -> None:
    from agent.store.database import Database  # noqa: PLC0415
    from agent.store.schema import STEPS  # noqa: PLC0415
    from agent.store.state import State  # noqa: PLC0415

    old = Database.open(tmp_path / "state.sqlite", STEPS[:1])
    with old.transaction() as connection:
        connection.execute("INSERT INTO ledger VALUES (1, x'01', '{}', x'')")
        connection.execute(
            "INSERT INTO outbox VALUES (x'02', 1, 't', 'battery', x'', x'01', 'b', 0.0,"
            " '2026-11-22T12:00:00.000+00:00', x'', 2, 'queued', NULL, NULL)"
        )
    old.close()
    state = State.open(tmp_path / "state.sqlite")
    [line] = Outbox(state.database).lines()
    assert (line.priority, line.age_days, line.attempts) == (Priority.NORMAL, 0, 2)
    state.close()
