"""A wish for an app goes to the Director and comes back as a target; No removes it at once."""

import asyncio
from pathlib import Path

from ota.client.client import UpdateClient
from ota.client.states import UpdateState
from ota.client.wishes import Wishes
from tests.support.packages import make_package
from tests.support.repository_simulator import ECU, RepositorySimulator
from tests.support.update_client import FakeRunner, open_client, update


async def vehicle_with_1_0_0(
    folder: Path, runner: FakeRunner
) -> tuple[UpdateClient, RepositorySimulator]:
    simulator = RepositorySimulator()
    simulator.release(make_package(version="1.0.0"), "1.0.0", counter=1)
    client = await open_client(simulator, folder, runner=runner)
    await update(client)
    return client, simulator


async def test_an_app_that_is_not_wanted_is_removed_and_not_offered_again(tmp_path: Path) -> None:
    runner = FakeRunner()
    client, simulator = await vehicle_with_1_0_0(tmp_path, runner)
    await client.wish(ECU.name, is_wanted=False)
    assert ECU.name not in runner.running
    assert not (tmp_path / "apps" / ECU.name).exists()
    entry = await update(client)  # the Director has not heard of it before
    assert (entry.state, entry.offers) == (UpdateState.IDLE, ())
    report = simulator.manifests[-1].ecus[0]
    assert (report.wanted, report.installed) == (False, None)


async def test_a_wish_is_told_and_what_is_assigned_is_installed(tmp_path: Path) -> None:
    client, simulator = await vehicle_with_1_0_0(tmp_path, FakeRunner())
    await client.wish(ECU.name, is_wanted=False)
    await update(client)
    await client.wish(ECU.name, is_wanted=True)
    await update(client)
    assert simulator.manifests[-1].ecus[0].wanted is True
    installed = (await client.installed())[ECU.ecu_id]
    assert installed is not None
    assert installed.version == "1.0.0"


async def test_a_wish_survives_a_restart_and_a_torn_file_is_no_wish(tmp_path: Path) -> None:
    wishes = Wishes(tmp_path / "update" / "wishes.json")
    await asyncio.to_thread(wishes.set, "a", is_wanted=True)
    await asyncio.to_thread(wishes.set, "b", is_wanted=False)
    again = Wishes(tmp_path / "update" / "wishes.json")
    assert await asyncio.to_thread(again.read) == {"a": True, "b": False}
    (tmp_path / "update" / "wishes.json").write_bytes(b"{")
    assert await asyncio.to_thread(again.read) == {}
