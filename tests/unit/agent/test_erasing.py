"""Erase: first the list of what ingest shall erase, then the rest; and asked until it answers."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from agent.departure import DepartureLimits, Surroundings
from agent.erasing import EraseError, Scope, Wish
from agent.erasures import rows_document, rows_lines
from agent.network.model import NetworkClass
from agent.store.cover import UncoveredError
from agent.store.database import StoreError
from agent.store.events import EventFiles, StoredEvent
from agent.store.rows import ReceiptRow
from agent.store.state import State
from telemetry.purposes import Purpose
from tests.support.erase_side import Bench
from tests.support.kill_points import KilledError, Plug
from tests.support.trips import open_sharing

ALL = Wish(scope=Scope.ALL, name="all")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.share("trip-1", "trip-2")
    yield made
    made.sharing.state.close()


def erase(bench: Bench, wish: Wish) -> int:
    return bench.eraser.carry_out(bench.eraser.plan(wish))


def ask_all(bench: Bench) -> None:
    takeback = bench.takeback()
    while bench.erasures.waiting() and not bench.far_end.is_offline:
        bench.wait_a_day()
        asyncio.run(takeback.step())


def test_a_trip_is_gone_here_and_ingest_is_to_be_asked(bench: Bench) -> None:
    [sent] = bench.sharing.claims.of_trip("trip-1")
    assert erase(bench, bench.eraser.trip("trip-1")) == 1
    assert [row.trip_id for row in bench.sharing.state.trips()] == ["trip-2"]
    assert {path.stem for path in (bench.folder / "segments").iterdir()} == {"trip-2"}
    assert sent.batch_id not in {line.batch_id for line in bench.sharing.outbox.lines()}
    [request] = bench.erasures.waiting()
    assert request.wish == "trip trip-1"
    assert request.not_before_utc >= bench.clock.utc_now()
    assert bench.secrets_destroyed == 0


def test_ingest_is_told_the_token_and_exactly_these_batches(bench: Bench) -> None:
    [claim] = bench.sharing.claims.of_trip("trip-1")
    pseudonym = bench.sharing.offering.pseudonym(claim)
    erase(bench, bench.eraser.trip("trip-1"))
    ask_all(bench)
    assert bench.far_end.asked == [(pseudonym, (claim.batch_id,))]
    assert bench.erasures.waiting() == []
    told = list(rows_lines(rows_document(bench.erasures.rows())))
    assert told[0].endswith("ingest confirms: 1 batch, 0 rows left")


def test_erased_while_it_is_sent_ingest_is_asked_and_a_late_receipt_brings_nothing_back(
    bench: Bench,
) -> None:
    [claim] = bench.sharing.claims.of_trip("trip-1")
    assert bench.sharing.outbox.rows()[0].attempts == 1  # it is on its way
    erase(bench, bench.eraser.trip("trip-1"))
    with pytest.raises(UncoveredError, match="no such batch in the outbox"):
        bench.sharing.outbox.begin_attempt(claim.batch_id, recipient=bench.recipient_name())
    late = ReceiptRow(
        batch_id=claim.batch_id,
        part=0,
        status="stored",
        code=None,
        body=b"",
        signature=b"",
        received_utc=bench.clock.utc_now(),
    )
    assert bench.sharing.outbox.confirm(late) is False
    assert bench.sharing.state.receipts() == []
    ask_all(bench)
    assert [batches for _, batches in bench.far_end.asked] == [(claim.batch_id,)]


def test_everything_means_every_pseudonym_and_ends_the_secrets(bench: Bench) -> None:
    assert erase(bench, ALL) == 2
    assert bench.secrets_destroyed == 1
    assert bench.sharing.state.trips() == []
    assert bench.sharing.outbox.lines() == []
    ask_all(bench)
    assert len({pseudonym for pseudonym, _ in bench.far_end.asked}) == 2
    assert {batches for _, batches in bench.far_end.asked} == {()}


def test_each_request_travels_alone_under_an_id_of_its_own(bench: Bench) -> None:
    erase(bench, ALL)
    ask_all(bench)
    assert len(set(bench.far_end.client_ids)) == 2


def test_what_never_left_is_not_told_to_anybody(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.share("trip-1")
    bench.sharing.set_consent(Purpose.BATTERY, is_granted=True)
    erase(bench, bench.eraser.trip("trip-1"))
    bench.share()
    assert len(bench.erasures.rows()) == 1
    bench.sharing.state.close()


def test_the_ledger_says_that_it_was_taken_back_and_stays_whole(bench: Bench) -> None:
    before = len(bench.sharing.state.ledger())
    erase(bench, bench.eraser.trip("trip-1"))
    assert len(bench.sharing.state.ledger()) == before + 1
    assert b'"erase"' in bench.sharing.state.ledger()[-1].body
    assert bench.sharing.check_ledger() == []


def test_an_unknown_trip_erases_nothing(bench: Bench) -> None:
    with pytest.raises(EraseError, match="exactly one, found 0"):
        bench.eraser.trip("nobody")
    with pytest.raises(EraseError, match="exactly one, found 2"):
        bench.eraser.trip("trip")
    assert len(bench.sharing.state.trips()) == 2


def test_since_a_day_leaves_what_was_before(bench: Bench) -> None:
    tomorrow = bench.clock.utc_now() + timedelta(days=1)
    later = Wish(scope=Scope.SINCE, name="x", since_utc=tomorrow)
    assert erase(bench, later) == 0
    assert len(bench.sharing.state.trips()) == 2


def test_a_vehicle_offline_for_months_asks_when_it_is_back(bench: Bench) -> None:
    erase(bench, bench.eraser.trip("trip-1"))
    bench.far_end.is_offline = True
    takeback = bench.takeback()
    for _ in range(120):
        bench.wait_a_day()
        asyncio.run(takeback.step())
    [waiting] = bench.erasures.waiting()
    assert waiting.attempts == 120
    bench.far_end.is_offline = False
    ask_all(bench)
    assert bench.erasures.waiting() == []


def test_without_an_answer_it_is_asked_again_later_and_not_at_once(bench: Bench) -> None:
    erase(bench, bench.eraser.trip("trip-1"))
    bench.far_end.is_silent = True
    bench.wait_a_day()
    takeback = bench.takeback()
    asyncio.run(takeback.step())
    assert asyncio.run(takeback.step()) > 30
    assert len(bench.far_end.asked) == 1


METERED = Surroundings(network=NetworkClass.METERED)


def a_day_of(size_bytes: int) -> DepartureLimits:
    return DepartureLimits(bytes_per_day={NetworkClass.METERED: size_bytes})


def spent_today(bench: Bench) -> int:
    return bench.notes.spent(bench.clock.utc_now().date(), NetworkClass.METERED)


@pytest.mark.parametrize("is_silent", [False, True])
def test_what_an_erase_request_cost_counts_against_the_budget_of_the_day(
    bench: Bench, *, is_silent: bool
) -> None:
    erase(bench, bench.eraser.trip("trip-1"))
    bench.far_end.connection_bytes, bench.far_end.is_silent = 4_000, is_silent
    bench.wait_a_day()
    asyncio.run(bench.takeback(METERED).step())
    assert len(bench.far_end.asked) == 1
    assert spent_today(bench) > 4_000


def test_an_erase_request_waits_for_tomorrow_when_the_day_is_spent(bench: Bench) -> None:
    erase(bench, bench.eraser.trip("trip-1"))
    bench.wait_a_day()
    bench.notes.spend(bench.clock.utc_now().date(), NetworkClass.METERED, 20_000)
    takeback = bench.takeback(METERED, a_day_of(20_000))
    assert asyncio.run(takeback.step()) == 3_600
    assert (bench.far_end.asked, spent_today(bench)) == ([], 20_000)
    bench.wait_a_day()
    asyncio.run(takeback.step())
    assert bench.erasures.waiting() == []


def test_an_erase_request_stops_where_its_connection_has_used_the_day(bench: Bench) -> None:
    erase(bench, bench.eraser.trip("trip-1"))
    bench.far_end.connection_bytes = 20_000
    bench.wait_a_day()
    bench.notes.spend(bench.clock.utc_now().date(), NetworkClass.METERED, 1)
    asyncio.run(bench.takeback(METERED, a_day_of(20_000)).step())
    assert (bench.far_end.asked, spent_today(bench)) == ([], 20_001)
    assert bench.erasures.waiting() != []


def test_a_forged_answer_confirms_nothing(bench: Bench) -> None:
    erase(bench, bench.eraser.trip("trip-1"))
    bench.far_end.mangle = lambda answer: answer[:-1] + bytes([answer[-1] ^ 1])
    bench.wait_a_day()
    asyncio.run(bench.takeback().step())
    assert bench.erasures.waiting() != []


def test_what_was_withdrawn_on_its_way_is_taken_back(bench: Bench) -> None:
    bench.sharing.set_consent(Purpose.BATTERY, is_granted=False)
    bench.wait_a_day()
    takeback = bench.takeback()
    asyncio.run(takeback.step())
    assert {row.wish for row in bench.erasures.rows()} == {"withdrawn"}
    ask_all(bench)
    assert sum(len(batches) for _, batches in bench.far_end.asked) == 2


def test_what_was_captured_goes_with_its_time(bench: Bench) -> None:
    files = EventFiles(bench.folder / "events", quota_bytes=1 << 20)
    now = bench.clock.utc_now()
    for hours in (-3, 0):
        at = now + timedelta(hours=hours)
        files.put(StoredEvent(name="sag", condition="", at_utc=at, is_time_proven=True,
                              boot_id="b", time_s=0.0, is_cut=False, readings=()))  # fmt: skip
    since = Wish(scope=Scope.SINCE, name="x", since_utc=now - timedelta(hours=1))
    erase(bench, since)
    assert [row.event.at_utc for row in files.rows()] == [now - timedelta(hours=3)]
    erase(bench, ALL)
    assert files.rows() == []


def test_the_wish_can_be_repeated(bench: Bench) -> None:
    plan = bench.eraser.plan(bench.eraser.trip("trip-1"))
    assert bench.eraser.carry_out(plan) == 1
    bench.eraser.carry_out(plan)
    assert [row.trip_id for row in bench.sharing.state.trips()] == ["trip-2"]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_statement_nothing_is_left_that_nobody_can_name(
    when: str, tmp_path: Path
) -> None:
    points, before = 0, tmp_path / "before"
    before.mkdir()
    bench = Bench(before)
    bench.share("trip-1")
    bench.sharing.state.close()
    while True:
        folder = tmp_path / str(points)
        shutil.copytree(before, folder)
        bench.folder, bench.secrets_destroyed = folder, 0
        plug = Plug(points, when)
        with suppress(KilledError, StoreError):
            bench.sharing = open_sharing(folder, clock=bench.clock, connect=plug.connect)
            erase(bench, ALL)
        plug.die()
        check_named_or_there(bench, folder, plug.statement)
        if not plug.is_pulled:
            break
        points += 1
    assert points > 20


def check_named_or_there(bench: Bench, folder: Path, point: str) -> None:
    """Either the trip is still here, or ingest will be asked: never neither."""
    bench.sharing = open_sharing(folder, clock=bench.clock)
    is_here = bench.sharing.claims.sent() != []
    is_listed = bench.erasures.waiting() != []
    assert is_here != is_listed, point
    assert not bench.secrets_destroyed or is_listed, point
    erase(bench, ALL)
    assert bench.sharing.state.trips() == [], point
    assert bench.erasures.waiting() != [], point
    bench.sharing.state.close()


def test_a_state_file_keeps_what_ingest_swore(bench: Bench) -> None:
    erase(bench, bench.eraser.trip("trip-1"))
    ask_all(bench)
    state = State.open_to_read(bench.folder / "state.sqlite")
    with state.database.reading() as connection:
        [(message, body)] = connection.execute("SELECT message, body FROM erasures").fetchall()
    state.close()
    assert message is None  # the token is not needed any more
    assert body
