"""Flow 3: when an update is looked for, what the driver sees, and when it may go ahead."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.gatekeeper import Gatekeeper, UpdatePolicy
from agent.updates import GONE, TOO_LATE, UpdateService, UpdateView
from ota.client.client import UpdateClient
from ota.client.gates import VehicleState
from ota.client.states import UpdateState
from ota.errors import ServerRefusedError
from ota.metadata.custom import Criticality
from ota.metadata.manifest import Outcome
from tests.support.clock import FakeClock
from tests.support.packages import IS_ILL, make_package
from tests.support.repository_simulator import ECU, VEHICLE, RepositorySimulator
from tests.support.update_client import FakeRunner
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

PARKED = VehicleState(is_parked=True, speed_km_h=0.0, soc_percent=60.0, aux_battery_v=12.6)
DRIVING = VehicleState(is_parked=False, speed_km_h=50.0, soc_percent=60.0, aux_battery_v=14.2)


@dataclass
class Vehicle:
    """A vehicle with the update service running in it."""

    simulator: RepositorySimulator
    service: UpdateService
    clock: FakeClock
    runner: FakeRunner
    state: VehicleState = PARKED

    def view(self) -> UpdateView:
        return self.service.view()

    async def waits(self) -> None:
        await wait_until(lambda: self.view().state is UpdateState.AWAITING_OK)
        await wait_until(lambda: self.view().refusals)

    async def rests(self, version: str) -> None:
        await wait_until(lambda: (last := self.view().last) and last.version == version)
        await wait_until(lambda: self.view().state is UpdateState.IDLE)

    def codes(self) -> list[str]:
        return [refusal.code for refusal in self.view().refusals]


@asynccontextmanager
async def driving_with(
    simulator: RepositorySimulator, folder: Path, *, countdown_s: float = 0.0
) -> AsyncIterator[Vehicle]:
    clock, runner = FakeClock(simulator.now), FakeRunner()
    stop = asyncio.Event()
    holder: list[Vehicle] = []

    def open_client(gates: Gatekeeper) -> UpdateClient:
        return UpdateClient(
            simulator.settings(folder),
            fetcher=simulator,
            runner=runner,
            clock=clock,
            gates=gates,
        )

    def make() -> UpdateService:
        return UpdateService(
            open_client,
            vehicle_state=lambda: holder[0].state,
            policy=UpdatePolicy(check_every_s=1_000, countdown_s=countdown_s),
            clock=clock,
        )

    service = await asyncio.to_thread(make)
    holder.append(Vehicle(simulator, service, clock, runner))
    async with asyncio.TaskGroup() as group:
        group.create_task(service.run(stop), name="updates")
        yield holder[0]
        stop.set()
        service.check_now()


@pytest.fixture
def simulator() -> RepositorySimulator:
    made = RepositorySimulator()
    made.release(make_package(version="1.0.0"), "1.0.0", counter=1)
    return made


async def test_the_driver_sees_the_facts_and_installs_with_an_ok(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path) as vehicle:
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        assert (offer.name, offer.from_version, offer.to_version) == (ECU.name, None, "1.0.0")
        assert (offer.criticality, offer.recall_number) == (Criticality.SECURITY, None)
        assert offer.facts["en"].duration_s == 20
        assert offer.size_bytes == len(simulator.images[offer.content_hash])
        assert vehicle.codes() == ["ota.gate.not_approved"]
        assert await vehicle.service.approve(offer.content_hash) is None
        await vehicle.rests("1.0.0")
        last = vehicle.view().last
        assert last is not None
        assert last.result.outcome is Outcome.INSTALLED
        assert vehicle.runner.running[ECU.name].name == offer.content_hash


async def test_an_update_says_what_it_replaces(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path) as vehicle:
        await vehicle.waits()
        first = vehicle.view().offer
        assert first is not None
        await vehicle.service.approve(first.content_hash)
        await vehicle.rests("1.0.0")
        simulator.release(make_package(version="1.1.0"), "1.1.0", counter=2)
        vehicle.service.check_now()
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        assert (offer.from_version, offer.to_version) == ("1.0.0", "1.1.0")


async def test_an_ok_to_anything_else_is_not_an_ok(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path) as vehicle:
        await vehicle.waits()
        assert await vehicle.service.approve("0" * 64) is GONE
        assert vehicle.codes() == ["ota.gate.not_approved"]


async def test_an_ok_while_driving_waits_for_the_vehicle_to_be_parked(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path) as vehicle:
        vehicle.state = DRIVING
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        await vehicle.service.approve(offer.content_hash)
        await wait_until(lambda: vehicle.codes() == ["ota.gate.not_parked", "ota.gate.moving"])
        assert not (tmp_path / "apps").exists()
        vehicle.state = PARKED
        vehicle.clock.advance_s(1)
        await vehicle.rests("1.0.0")


async def test_now_can_be_taken_back_until_the_countdown_ends(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path, countdown_s=120) as vehicle:
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        await vehicle.service.approve(offer.content_hash)
        await wait_until(lambda: vehicle.codes() == ["ota.gate.countdown"])
        vehicle.clock.jump_wall_s(3_600)  # the wall clock is not what counts down
        vehicle.clock.advance_s(100)
        assert vehicle.view().countdown_s == pytest.approx(20)
        assert await vehicle.service.postpone() is None
        await wait_until(lambda: vehicle.codes() == ["ota.gate.not_approved"])
        await vehicle.service.approve(offer.content_hash)
        assert vehicle.view().countdown_s == pytest.approx(120)
        await wait_until(lambda: vehicle.codes() == ["ota.gate.countdown"])
        vehicle.clock.advance_s(121)
        await vehicle.rests("1.0.0")


async def test_the_countdown_begins_when_the_vehicle_is_parked_not_with_the_ok(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path, countdown_s=120) as vehicle:
        vehicle.state = DRIVING
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        await vehicle.service.approve(offer.content_hash)
        await wait_until(lambda: vehicle.codes() == ["ota.gate.not_parked", "ota.gate.moving"])
        vehicle.clock.advance_s(500)
        vehicle.state = PARKED
        await wait_until(lambda: vehicle.codes() == ["ota.gate.countdown"])
        assert vehicle.view().countdown_s == pytest.approx(120)
        assert not (tmp_path / "apps").exists()


async def test_a_technician_needs_no_countdown(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path, countdown_s=120) as vehicle:
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        assert await vehicle.service.approve(offer.content_hash, is_technician=True) is None
        await vehicle.rests("1.0.0")


async def test_an_ok_from_before_a_restart_counts_down_anew(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path, countdown_s=120) as vehicle:
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        await vehicle.service.approve(offer.content_hash)
    async with driving_with(simulator, tmp_path, countdown_s=120) as vehicle:
        await wait_until(lambda: vehicle.codes() == ["ota.gate.countdown"])
        assert not (tmp_path / "apps").exists()
        vehicle.clock.advance_s(121)
        await vehicle.rests("1.0.0")


async def test_it_is_too_late_to_postpone_what_is_installed(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path) as vehicle:
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        await vehicle.service.approve(offer.content_hash)
        await vehicle.rests("1.0.0")
        assert await vehicle.service.postpone() is TOO_LATE


async def test_updates_are_looked_for_again_after_the_interval(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    simulator.director.targets = {}
    simulator.director.publish()
    async with driving_with(simulator, tmp_path) as vehicle:
        await wait_until(lambda: simulator.manifests)
        await wait_until(lambda: vehicle.view().state is UpdateState.IDLE)
        simulator.assign("1.0.0", counter=1)
        vehicle.clock.advance_s(1_001)
        await vehicle.waits()


async def test_a_vehicle_that_starts_without_a_network_looks_again_soon(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    simulator.is_down = True
    async with driving_with(simulator, tmp_path) as vehicle:
        await wait_until(lambda: vehicle.view().problem)
        problem = vehicle.view().problem
        assert problem is not None
        assert problem.sentence == "The update server could not be reached."
        simulator.is_down = False
        begun_s = vehicle.clock.monotonic_s()
        await wait_until(lambda: vehicle.clock.advance_s(1) or vehicle.view().refusals)
        assert vehicle.clock.monotonic_s() - begun_s < 1_000  # the interval
        assert vehicle.view().problem is None


async def test_a_server_that_names_a_time_is_not_asked_before_it(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    def busy() -> Iterator[bytes]:
        raise ServerRefusedError("timestamp.json", status=503, retry_after_s=700.0)
        yield b""

    path = f"director/{VEHICLE}/metadata/timestamp.json"
    simulator.bodies[path] = busy
    async with driving_with(simulator, tmp_path) as vehicle:
        await wait_until(lambda: vehicle.view().problem)
        del simulator.bodies[path]
        begun_s = vehicle.clock.monotonic_s()
        await wait_until(lambda: vehicle.clock.advance_s(10) or vehicle.view().refusals)
        assert vehicle.clock.monotonic_s() - begun_s >= 700


async def test_a_bad_update_tells_the_driver_that_it_went_back(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path) as vehicle:
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        await vehicle.service.approve(offer.content_hash)
        await vehicle.rests("1.0.0")
        bad = simulator.release(make_package(version="1.1.0", check=IS_ILL), "1.1.0", counter=2)
        vehicle.service.check_now()
        await vehicle.waits()
        await vehicle.service.approve(bad)
        await vehicle.rests("1.1.0")
        last = vehicle.view().last
        assert last is not None
        assert last.result.outcome is Outcome.ROLLED_BACK
        assert "went back to the one before" in last.sentence


async def test_an_app_that_was_installed_runs_again_after_a_restart(
    simulator: RepositorySimulator, tmp_path: Path
) -> None:
    async with driving_with(simulator, tmp_path) as vehicle:
        await vehicle.waits()
        offer = vehicle.view().offer
        assert offer is not None
        await vehicle.service.approve(offer.content_hash)
        await vehicle.rests("1.0.0")
    async with driving_with(simulator, tmp_path) as vehicle:
        await wait_until(lambda: ECU.name in vehicle.runner.running)


async def test_an_attack_is_on_view(simulator: RepositorySimulator, tmp_path: Path) -> None:
    simulator.assign("1.0.0", counter=1, ecus={"ecu-9": "board-1"})
    async with driving_with(simulator, tmp_path) as vehicle:
        await wait_until(lambda: vehicle.view().attack == "ota.repository.unknown_ecu")
        assert vehicle.view().offer is None
