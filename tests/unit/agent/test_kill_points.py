"""Killed at every statement from OK to the deleted row: each batch is stored exactly once."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from agent.sharing import Sharing
from agent.store.drops import Quota
from agent.store.queued import OutboxState
from agent.uplink import Uplink, UplinkSettings
from telemetry.link import Backoff
from telemetry.purposes import Purpose
from tests.support.clock import FakeClock
from tests.support.far_end import FakeFarEnd
from tests.support.kill_points import KilledError, Plug
from tests.support.trips import FakeTrip, open_sharing, write_segment

pytestmark = pytest.mark.slow


def play(sharing: Sharing, far_end: FakeFarEnd, folder: Path) -> None:
    """Everything from switching on to the receipt; each step may have happened before."""
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.offer_trip(FakeTrip(), folder / "segments" / "trip-1.seg")
    for card in sharing.cards():
        batches = [bytes.fromhex(preview.batch_id) for preview in card.previews]
        sharing.answer(card.trip.trip_id, batches, share=True)
    uplink = Uplink(
        sharing=sharing,
        make_link=far_end.make_link,
        clock=FakeClock(),
        settings=UplinkSettings(),
        backoff=Backoff(lambda: 0.0),
    )
    asyncio.run(uplink.step())


def play_until_killed(plug: Plug, far_end: FakeFarEnd, folder: Path) -> bool:
    """Return whether the plug was pulled."""
    with suppress(KilledError, BaseExceptionGroup):  # the groups of the services hold it
        sharing = open_sharing(folder, connect=plug.connect)
        play(sharing, far_end, folder)
    plug.die()
    return plug.is_pulled


@pytest.mark.timeout(120)
@pytest.mark.parametrize("max_payload_bytes", [None, 120], ids=["whole", "in-parts"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_statement_a_confirmed_batch_is_stored_once(
    when: str, max_payload_bytes: int | None, tmp_path: Path
) -> None:
    points = 0
    while True:
        folder = tmp_path / str(points)
        write_segment(folder / "segments")
        plug, far_end = Plug(points, when), FakeFarEnd(max_payload_bytes=max_payload_bytes)
        was_killed = play_until_killed(plug, far_end, folder)
        check_ends_well(far_end, folder, plug.statement)
        if not was_killed:
            break
        points += 1
    assert points > (60 if max_payload_bytes is None else 75)


def check_ends_well(far_end: FakeFarEnd, folder: Path, point: str) -> None:
    sharing = open_sharing(folder)
    assert sharing.check_ledger() == [], point
    play(sharing, far_end, folder)
    assert list(far_end.stored.values()) == [1], point
    assert sharing.outbox.rows() == [], point
    assert [receipt.batch_id for receipt in sharing.state.receipts()] == list(far_end.stored), point
    events = [row.body.count(b'"event":"ok"') for row in sharing.state.ledger()]
    assert sum(events) == 1, point
    sharing.state.close()


def test_killed_between_ok_and_commit_the_card_is_still_there(tmp_path: Path) -> None:
    write_segment(tmp_path / "segments")
    sharing = open_sharing(tmp_path)
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    [preview] = sharing.offer_trip(FakeTrip(), tmp_path / "segments" / "trip-1.seg")
    sharing.state.close()

    plug = Plug(10**6, "before")
    dying = open_sharing(tmp_path, connect=plug.connect)
    plug.at = plug.count + 6
    with pytest.raises(KilledError, match=r"^$"):
        dying.answer("trip-1", [bytes.fromhex(preview.batch_id)], share=True)
    plug.die()

    again = open_sharing(tmp_path)
    assert [card.trip.trip_id for card in again.cards()] == ["trip-1"]
    assert [row for row in again.outbox.rows() if row.state is OutboxState.QUEUED] == []
    again.state.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_making_room_a_batch_is_queued_or_explained(when: str, tmp_path: Path) -> None:
    """The second OK drops the first batch: at no statement is a batch neither here nor there."""
    points = 0
    while True:
        folder = tmp_path / str(points)
        prepare_full_queue(folder)
        plug = Plug(10**6, when)
        with suppress(KilledError):
            dying = open_full(folder, plug)
            plug.at = plug.count + 1 + points
            confirm_second(dying)
        plug.die()
        sharing = open_full(folder)
        here = {line.trip_id for line in sharing.outbox.lines()}
        dropped = {drop.trip_id for drop in sharing.outbox.drops()}
        assert sharing.check_ledger() == [], plug.statement
        assert (here, dropped) in [({"trip-1"}, set()), ({"trip-2"}, {"trip-1"})], plug.statement
        sharing.state.close()
        if not plug.is_pulled:
            break
        points += 1
    assert points > 15


def open_full(folder: Path, plug: Plug | None = None) -> Sharing:
    sharing = open_sharing(folder, connect=plug.connect if plug else None)
    sharing.outbox._quota = Quota(max_batches=1)
    return sharing


def prepare_full_queue(folder: Path) -> None:
    folder.mkdir()
    sharing = open_full(folder)
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    for trip_id in ("trip-1", "trip-2"):
        path = write_segment(folder / "segments", trip_id)
        sharing.offer_trip(FakeTrip(trip_id=trip_id), path)
    [offer] = sharing.state.offers("trip-1")
    sharing.answer("trip-1", [offer.batch_id], share=True)
    sharing.state.close()


def confirm_second(sharing: Sharing) -> None:
    [offer] = sharing.state.offers("trip-2")
    sharing.answer("trip-2", [offer.batch_id], share=True)
