"""What connections cost: written down as it is spent, and never more than a network may."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.network.model import NetworkClass
from agent.spending import Spending
from agent.store.state import State
from agent.store.uplink_notes import UplinkNotes
from telemetry.link import LinkError
from tests.support.clock import FakeClock

LIMITS = {NetworkClass.METERED: 1_000, NetworkClass.ROAMING: 0}


@dataclass
class Road:
    """A vehicle that drives from one network into another."""

    network: NetworkClass = NetworkClass.METERED
    traffic_bytes: int = 0
    clock: FakeClock = field(default_factory=FakeClock)


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[UplinkNotes]:
    state = State.open(tmp_path / "state.sqlite")
    yield UplinkNotes(state.database)
    state.close()


def spending_on(road: Road, notes: UplinkNotes) -> Spending:
    return Spending(notes, clock=road.clock, network=lambda: road.network, bytes_per_day=LIMITS)


def test_what_was_charged_is_on_disk_before_the_connection_ends(notes: UplinkNotes) -> None:
    road = Road()
    spending = spending_on(road, notes)
    spending.begin(0)
    for traffic in (300, 300, 450):
        road.traffic_bytes = traffic
        spending.charge(road)
    assert spending_on(road, notes).today() == 450


def test_each_class_of_network_has_its_own_account(notes: UplinkNotes) -> None:
    road = Road(traffic_bytes=200)
    spending = spending_on(road, notes)
    spending.begin(0)
    spending.charge(road)
    road.network, road.traffic_bytes = NetworkClass.UNMETERED, 5_000
    spending.charge(road)
    assert spending.today() == 4_800
    road.network = NetworkClass.METERED
    assert spending.today() == 200


def test_the_border_ends_a_connection_that_began_at_home(notes: UplinkNotes) -> None:
    road = Road()
    spending = spending_on(road, notes)
    spending.begin(0)
    spending.expect_affordable(road, 500)
    road.network = NetworkClass.ROAMING
    with pytest.raises(LinkError, match="roaming network's budget of 0 bytes a day is used"):
        spending.expect_affordable(road, 1)


def test_a_batch_larger_than_a_day_may_use_one_whole_day(notes: UplinkNotes) -> None:
    road = Road()
    spending = spending_on(road, notes)
    spending.begin(0)
    spending.expect_affordable(road, 5_000)
    spending.begin(1)
    with pytest.raises(LinkError, match="metered network's budget of 1,000 bytes a day is used"):
        spending.expect_affordable(road, 1_000)


def test_where_nothing_is_limited_nothing_is_asked(notes: UplinkNotes) -> None:
    road = Road(network=NetworkClass.UNMETERED)
    spending = spending_on(road, notes)
    spending.begin(10**9)
    spending.expect_affordable(road, 10**9)


def test_a_new_day_starts_a_new_account(notes: UplinkNotes) -> None:
    road = Road(traffic_bytes=900)
    spending = spending_on(road, notes)
    spending.begin(0)
    spending.charge(road)
    assert spending.today() == 900
    road.clock.advance_s(86_400)
    assert spending.today() == 0
