"""What the uplink knows of vehicle and network, and how patient a connection is because of it."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.config import load_config
from agent.connections import link_maker
from agent.departure import Surroundings
from agent.limits import data_use
from agent.network.model import NetworkClass
from agent.surroundings import SurroundingsWatch
from agent.vehicle.live import LiveView, Motion
from agent.vehicle.trip import TripState
from tests.support.clock import FakeClock
from tests.unit.agent.test_queue_cli import CONFIG

DRIVING = LiveView(
    silence_s=0.0,
    is_fresh=True,
    is_asleep=False,
    motion=Motion.MOVING,
    speed_km_h=50.0,
    gear=4.0,
    is_ignition_on=True,
    is_charging=False,
    soc_percent=80.0,
    low_voltage_v=13.9,
    ambient_c=20.0,
    states={},
    trip_state=TripState.DRIVING,
    trip=None,
)
PARKED = replace(DRIVING, motion=Motion.PARKED, speed_km_h=0.0)
ASLEEP = replace(PARKED, motion=Motion.UNKNOWN, is_asleep=True)


@dataclass
class Road:
    live: LiveView = DRIVING
    network: NetworkClass = NetworkClass.UNMETERED


@pytest.fixture
def road() -> Road:
    return Road()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def watch(road: Road, clock: FakeClock) -> SurroundingsWatch:
    return SurroundingsWatch(lambda: road.live, network=lambda: road.network, clock=clock)


def test_while_driving_nothing_is_parked(watch: SurroundingsWatch) -> None:
    assert watch.look() == Surroundings(
        network=NetworkClass.UNMETERED, parked_for_s=None, is_charging=False, low_voltage_v=13.9
    )


@pytest.mark.parametrize("still", [PARKED, ASLEEP], ids=["parked", "asleep"])
def test_parked_time_counts_until_the_next_drive_whatever_the_wall_clock_does(
    watch: SurroundingsWatch, road: Road, clock: FakeClock, still: LiveView
) -> None:
    road.live = still
    assert watch.look().parked_for_s == 0.0
    clock.advance_s(600)
    clock.jump_wall_s(-86_400)
    assert watch.look().parked_for_s == 600.0
    road.live = DRIVING
    assert watch.look().parked_for_s is None
    road.live = still
    assert watch.look().parked_for_s == 0.0


def test_the_network_is_the_one_of_this_moment(watch: SurroundingsWatch, road: Road) -> None:
    road.network = NetworkClass.ROAMING
    assert watch.look().network is NetworkClass.ROAMING


def test_a_parked_vehicle_wakes_its_modem_ten_times_less(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(CONFIG)
    config = load_config(tmp_path / "agent.toml")
    is_parked = False
    make = link_maker(config, is_parked=lambda: is_parked)
    driving = make("ab" * 16, lambda _message: None)
    is_parked = True
    parked = make("cd" * 16, lambda _message: None)
    assert [link._settings.keepalive_s for link in (driving, parked)] == [60, 600]


@pytest.mark.parametrize(
    ("network", "budget_bytes"),
    [
        (NetworkClass.UNMETERED, None),
        (NetworkClass.METERED, 20_000_000),
        (NetworkClass.ROAMING, 0),
        (NetworkClass.NONE, 0),
    ],
)
def test_an_update_has_a_budget_of_its_own_for_each_class(
    tmp_path: Path, network: NetworkClass, budget_bytes: int | None
) -> None:
    (tmp_path / "agent.toml").write_text(CONFIG)
    use = data_use(load_config(tmp_path / "agent.toml"), network)
    assert (use.network, use.budget_bytes) == (network, budget_bytes)
