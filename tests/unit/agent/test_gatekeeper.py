"""Deadlines, windows, deferrals and the countdown of one vehicle."""

from datetime import time, timedelta
from pathlib import Path

import msgspec
import pytest

from agent.gatekeeper import Gatekeeper, UpdatePolicy, is_in_window
from ota.client.gates import VehicleState
from ota.client.journal import JournalEntry
from ota.client.states import UpdateState
from ota.metadata.custom import Criticality, Release
from ota.metadata.models import format_utc
from tests.support.bundle_simulator import BundleSimulator
from tests.support.clock import FakeClock
from tests.support.packages import make_package
from tests.support.repository_simulator import ECU, FACTS, RepositorySimulator
from tests.support.wait import wait_until
from tests.unit.agent.test_updates import driving_with
from tests.unit.ota.client.test_bundle import offer_for

PARKED = VehicleState(is_parked=True, speed_km_h=0.0, soc_percent=60.0, aux_battery_v=12.6)
RECALL = Release(criticality=Criticality.RECALL, recall_number="R-1", facts={"en": FACTS})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def recall(clock: FakeClock) -> JournalEntry:
    """A recall whose deadline is in one hour."""
    deadline = format_utc(clock.utc_now() + timedelta(hours=1))
    offer = msgspec.structs.replace(offer_for("a", release=RECALL), deadline=deadline)
    return JournalEntry(state=UpdateState.AWAITING_OK, offer=offer)


def keeper(clock: FakeClock, **policy: object) -> Gatekeeper:
    return Gatekeeper(lambda: PARKED, UpdatePolicy(**policy), clock)  # type: ignore[arg-type]


def codes(gates: Gatekeeper, entry: JournalEntry) -> list[str]:
    return [refusal.code for refusal in gates.closed(entry)]


def test_a_recall_past_its_deadline_needs_no_ok_but_counts_down(
    clock: FakeClock, recall: JournalEntry
) -> None:
    gates = keeper(clock)
    assert codes(gates, recall) == ["ota.gate.not_approved"]
    clock.advance_s(3_600)
    assert codes(gates, recall) == ["ota.gate.countdown"]
    clock.advance_s(119)
    assert codes(gates, recall) == ["ota.gate.countdown"]
    clock.advance_s(2)
    assert codes(gates, recall) == []


def test_cancelling_an_overdue_recall_leaves_the_driver_alone_for_a_while(
    clock: FakeClock, recall: JournalEntry
) -> None:
    gates = keeper(clock, put_off_s=28_800)
    clock.advance_s(3_600)
    assert codes(gates, recall) == ["ota.gate.countdown"]
    recall = msgspec.structs.replace(recall, put_off_until=gates.put_off_until())
    assert codes(gates, recall) == ["ota.gate.put_off"]
    clock.advance_s(28_801)
    assert codes(gates, recall) == ["ota.gate.countdown"]
    assert gates.countdown_s(recall) == pytest.approx(120)


def test_an_agent_that_starts_anew_knows_how_long_a_recall_was_put_off(
    clock: FakeClock, recall: JournalEntry
) -> None:
    clock.advance_s(3_600)
    recall = msgspec.structs.replace(recall, put_off_until=keeper(clock).put_off_until())
    clock.advance_s(20_000)
    (refusal,) = keeper(clock).closed(recall)
    assert refusal.sentence == "Put off by the driver; asked again in 147 min."
    clock.advance_s(8_801)
    assert codes(keeper(clock), recall) == ["ota.gate.countdown"]


def test_a_clock_that_jumps_puts_nothing_off_for_longer(
    clock: FakeClock, recall: JournalEntry
) -> None:
    clock.advance_s(3_600)
    gates = keeper(clock)
    recall = msgspec.structs.replace(recall, put_off_until=gates.put_off_until())
    assert codes(gates, recall) == ["ota.gate.put_off"]
    clock.jump_wall_s(7 * 86_400)
    assert codes(gates, recall) == ["ota.gate.put_off"]  # what was said lasts as long as it was
    clock.jump_wall_s(-7 * 86_400)
    clock.advance_s(28_801)
    assert codes(gates, recall) == ["ota.gate.countdown"]
    clock.jump_wall_s(-7_200)  # over a restart: the clock was set back, past the deadline it stays
    again = keeper(clock)
    assert codes(again, recall) == ["ota.gate.put_off"]
    clock.advance_s(28_801)
    assert codes(again, recall) == ["ota.gate.countdown"]


def test_a_deadline_of_a_release_that_is_no_recall_forces_nothing(
    clock: FakeClock, recall: JournalEntry
) -> None:
    assert recall.offer is not None
    feature = msgspec.structs.replace(offer_for("a"), deadline=recall.offer.deadline)
    clock.advance_s(7_200)
    assert codes(keeper(clock), msgspec.structs.replace(recall, offer=feature)) == [
        "ota.gate.not_approved"
    ]


@pytest.mark.parametrize(
    ("window", "now", "is_in"),
    [
        (None, time(13), True),
        ("02:00-05:00", time(2), True),
        ("02:00-05:00", time(5), False),
        ("02:00-05:00", time(13), False),
        ("22:00-05:00", time(23), True),
        ("22:00-05:00", time(4, 59), True),
        ("22:00-05:00", time(12), False),
    ],
)
def test_a_window_is_a_time_of_day_and_may_go_past_midnight(
    window: str | None, now: time, *, is_in: bool
) -> None:
    assert is_in_window(window, now) is is_in


async def test_later_is_an_answer_only_so_often(tmp_path: Path) -> None:
    simulator = RepositorySimulator()
    simulator.release(make_package(version="1.0.0"), "1.0.0", counter=1)  # security: five times
    async with driving_with(simulator, tmp_path) as vehicle:
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        refusals = [await vehicle.service.defer(offer.content_hash) for _ in range(6)]
        assert refusals[:5] == [None] * 5
        assert refusals[5] is not None
        assert refusals[5].code == "update.no_more_later"
        left = vehicle.view().offer
        assert left is not None
        assert not left.can_defer
        gone = await vehicle.service.defer("0" * 64)
        assert gone is not None
        assert gone.code == "update.gone"
        vehicle.service.check_now()  # the same offer again: what was said to it stands
        await vehicle.waits()
        refusal = await vehicle.service.defer(offer.content_hash)
        assert refusal is not None
    assert ECU.name not in vehicle.runner.running


@pytest.mark.slow
async def test_a_recall_that_was_put_off_is_still_put_off_after_a_restart(tmp_path: Path) -> None:
    simulator = BundleSimulator()
    past = format_utc(simulator.now - timedelta(hours=1))
    package = make_package(version="1.0.0")
    simulator.release_all({ECU.name: package}, "1.0.0", counter=1, release=RECALL, deadline=past)
    async with driving_with(simulator, tmp_path, countdown_s=120) as vehicle:
        await wait_until(lambda: vehicle.codes() == ["ota.gate.countdown"])
        assert await vehicle.service.postpone() is None
        await wait_until(lambda: vehicle.codes() == ["ota.gate.put_off"])
    async with driving_with(simulator, tmp_path, countdown_s=120) as vehicle:
        await wait_until(lambda: vehicle.codes() == ["ota.gate.put_off"])
        vehicle.clock.advance_s(28_801)
        await wait_until(lambda: vehicle.codes() == ["ota.gate.countdown"])
