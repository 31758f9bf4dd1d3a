"""Killed at every statement of the ways that do not end in a stored batch, and of parts gone lost.

The way from OK to the deleted row is in `test_kill_points.py`. Here: taking back a held batch,
expiry without an answer, a refusal by ingest, giving up what is too old, and an ingest that lost
the parts it had kept. Each is cut before and after each of its statements.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.sharing import Sharing
from agent.store.drops import Quota
from agent.store.queued import OutboxState
from agent.store.rows import TripOutcome
from agent.uplink import Uplink, UplinkSettings
from telemetry.link import Backoff
from telemetry.purposes import Purpose
from tests.support.clock import FakeClock
from tests.support.far_end import FakeFarEnd
from tests.support.kill_points import KilledError, Plug
from tests.support.trips import FakeTrip, open_sharing, write_segment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

DAY_S = 86_400.0
HOLD_S = 600.0


@dataclass
class Scene:
    """One vehicle with one trip; every start is a new process on the same folder."""

    folder: Path
    far_end: FakeFarEnd
    clock: FakeClock

    def start(self, plug: Plug | None = None) -> Sharing:
        sharing = open_sharing(
            self.folder,
            clock=self.clock,
            hold_s=HOLD_S,
            connect=plug.connect if plug else None,
        )
        sharing.outbox._quota = Quota(max_age_days=1)
        return sharing

    def offer(self) -> None:
        sharing = self.start()
        sharing.set_consent(Purpose.BATTERY, is_granted=True)
        sharing.offer_trip(FakeTrip(), write_segment(self.folder / "segments"))
        sharing.state.close()

    def confirm(self) -> None:
        self.offer()
        sharing = self.start()
        sharing.answer("trip-1", [offer.batch_id for offer in sharing.state.offers()], share=True)
        sharing.state.close()

    def send(self, sharing: Sharing) -> None:
        self.clock.advance_s(HOLD_S)
        uplink = Uplink(
            sharing=sharing,
            make_link=self.far_end.make_link,
            clock=self.clock,
            settings=UplinkSettings(),
            backoff=Backoff(lambda: 0.0),
        )
        asyncio.run(uplink.step())


Act = Callable[[Scene, Sharing], None]


def cut_everywhere(
    tmp_path: Path,
    when: str,
    *,
    prepare: Callable[[Scene], None],
    act: Act,
    check: Callable[[Scene, Sharing, str], None],
) -> int:
    """Return at how many statements ``act`` was cut; ``check`` looks at each new start."""
    points = 0
    while True:
        scene = Scene(tmp_path / str(points), FakeFarEnd(), FakeClock())
        scene.folder.mkdir()
        prepare(scene)
        plug = Plug(10**6, when)
        with suppress(KilledError, BaseExceptionGroup):
            dying = scene.start(plug)
            plug.at = plug.count + 1 + points
            act(scene, dying)
        plug.die()
        sharing = scene.start()
        assert sharing.check_ledger() == [], plug.statement
        check(scene, sharing, plug.statement)
        sharing.state.close()
        if not plug.is_pulled:
            return points
        points += 1


def events(sharing: Sharing, event: str) -> int:
    return sum(row.body.count(f'"event":"{event}"'.encode()) for row in sharing.state.ledger())


def outcome(sharing: Sharing) -> TripOutcome:
    trip = sharing.state.trip("trip-1")
    assert trip is not None
    return TripOutcome(trip.outcome)


BOTH = pytest.mark.parametrize("when", ["before", "after"])


@BOTH
def test_killed_while_taking_back_a_batch_is_held_or_gone_and_the_ledger_says_which(
    when: str, tmp_path: Path
) -> None:
    def take_back(_scene: Scene, sharing: Sharing) -> None:
        sharing.take_back([line.batch_id for line in sharing.outbox.lines()])

    def check(scene: Scene, sharing: Sharing, point: str) -> None:
        is_back = not sharing.outbox.lines()
        assert events(sharing, "take_back") == is_back, point
        assert outcome(sharing) is (TripOutcome.KEPT if is_back else TripOutcome.SHARED), point
        scene.send(sharing)
        assert len(scene.far_end.stored) == (not is_back), point

    assert cut_everywhere(tmp_path, when, prepare=Scene.confirm, act=take_back, check=check) > 8


@BOTH
def test_killed_while_an_unanswered_trip_expires_nothing_of_it_ever_leaves(
    when: str, tmp_path: Path
) -> None:
    def expire(scene: Scene, sharing: Sharing) -> None:
        scene.clock.advance_s(8 * DAY_S)
        sharing.expire()

    def check(scene: Scene, sharing: Sharing, point: str) -> None:
        assert sharing.outbox.lines() == [], point
        sharing.expire()
        assert sharing.state.offers() == [], point
        assert list((scene.folder / "segments").iterdir()) == [], point
        assert outcome(sharing) is TripOutcome.EXPIRED, point

    assert cut_everywhere(tmp_path, when, prepare=Scene.offer, act=expire, check=check) > 8


@BOTH
def test_killed_at_a_refusal_the_batch_stops_once_and_expires(when: str, tmp_path: Path) -> None:
    def send(scene: Scene, sharing: Sharing) -> None:
        scene.far_end.refuse_with = "codec.range"
        scene.send(sharing)

    def check(scene: Scene, sharing: Sharing, point: str) -> None:
        scene.send(sharing)
        [line] = sharing.outbox.lines()
        assert (line.state, line.refusal) == (OutboxState.STOPPED, "codec.range"), point
        assert scene.far_end.stored == {}, point
        tries = len(scene.far_end.published)
        scene.send(sharing)
        assert len(scene.far_end.published) == tries, point
        scene.clock.advance_s(8 * DAY_S)
        sharing.expire()
        assert sharing.outbox.lines() == [], point

    assert cut_everywhere(tmp_path, when, prepare=Scene.confirm, act=send, check=check) > 20


@BOTH
def test_killed_while_giving_up_what_is_too_old_it_waits_or_is_explained(
    when: str, tmp_path: Path
) -> None:
    def prepare(scene: Scene) -> None:
        scene.confirm()
        sharing = scene.start()
        scene.clock.advance_s(DAY_S)
        sharing.outbox.age(sharing.moment())
        assert len(sharing.outbox.lines()) == 1
        sharing.state.close()

    def age(scene: Scene, sharing: Sharing) -> None:
        scene.clock.advance_s(DAY_S)
        sharing.expire()

    def check(_scene: Scene, sharing: Sharing, point: str) -> None:
        here, explained = len(sharing.outbox.lines()), len(sharing.outbox.drops())
        assert here + explained == 1, point
        assert outcome(sharing) is (TripOutcome.SHARED if here else TripOutcome.DROPPED), point

    assert cut_everywhere(tmp_path, when, prepare=prepare, act=age, check=check) > 12


@BOTH
def test_killed_while_parts_are_forgotten_the_batch_is_stored_once(
    when: str, tmp_path: Path
) -> None:
    def send(scene: Scene, sharing: Sharing) -> None:
        scene.far_end.max_payload_bytes = 120
        scene.far_end.forgets_parts = True
        scene.send(sharing)

    def check(scene: Scene, sharing: Sharing, point: str) -> None:
        scene.far_end.forgets_parts = False
        for _ in range(3):  # at most one round ends with parts that are said to be lost
            scene.send(sharing)
        assert list(scene.far_end.stored.values()) == [1], point
        assert sharing.outbox.lines() == [], point

    assert cut_everywhere(tmp_path, when, prepare=Scene.confirm, act=send, check=check) > 25
