"""The class of the network as NetworkManager and ModemManager tell it, on a real D-Bus daemon."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.network.model import NetworkClass
from agent.network.watch import NetworkWatch
from tests.support.network_services import NetworkServices, system_bus
from tests.support.wait import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]
_PATIENCE_S = 60.0


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    with system_bus(tmp_path) as address:
        yield address


@asynccontextmanager
async def following(watch: NetworkWatch) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(watch.run(stop), name="network")
        yield
        stop.set()


async def until(watch: NetworkWatch, expected: NetworkClass) -> None:
    await wait_until(lambda: watch.now() is expected, timeout_s=_PATIENCE_S)


async def test_the_class_follows_the_network_manager_by_its_signals(bus: str) -> None:
    services = NetworkServices()
    await services.start(bus)
    watch = NetworkWatch(bus=bus)
    async with following(watch):
        await until(watch, NetworkClass.UNMETERED)
        assert watch.sentence() == "unmetered, says NetworkManager (802-11-wireless)"
        services.wireless(metered=1)
        await until(watch, NetworkClass.METERED)
        services.disconnect()
        await until(watch, NetworkClass.NONE)
        services.wireless(metered=4)
        await until(watch, NetworkClass.UNMETERED)
    await services.stop()


async def test_a_modem_that_goes_abroad_is_roaming_until_it_is_back(bus: str) -> None:
    services = NetworkServices()
    await services.start(bus)
    changes: list[NetworkClass] = []
    watch = NetworkWatch(bus=bus, on_change=lambda: changes.append(watch.now()))
    async with following(watch):
        await until(watch, NetworkClass.UNMETERED)
        services.modem(registration=5)
        await until(watch, NetworkClass.ROAMING)
        services.register(1)
        await until(watch, NetworkClass.METERED)
    assert changes == [NetworkClass.UNMETERED, NetworkClass.ROAMING, NetworkClass.METERED]
    await services.stop()


async def test_a_manager_that_starts_later_is_heard_and_one_that_ends_is_forgotten(
    bus: str,
) -> None:
    watch = NetworkWatch(bus=bus)
    async with following(watch):
        services = NetworkServices()
        await services.start(bus)
        await until(watch, NetworkClass.UNMETERED)
        await services.stop()
        await until(watch, NetworkClass.METERED)
        assert watch.sentence().startswith("metered, because nobody on this board says")


async def test_a_bus_that_comes_back_is_followed_again(tmp_path: Path) -> None:
    watch = NetworkWatch(bus=f"unix:path={tmp_path / 'bus.sock'}", retry_s=0.05)
    async with following(watch):
        for _ in range(2):
            with system_bus(tmp_path) as address:
                services = NetworkServices()
                await services.start(address)
                await until(watch, NetworkClass.UNMETERED)
                await services.stop()
                await until(watch, NetworkClass.METERED)


async def test_what_the_configuration_says_is_not_asked_for(tmp_path: Path) -> None:
    nowhere = f"unix:path={tmp_path / 'nowhere'}"
    watch = NetworkWatch(said=NetworkClass.ROAMING, bus=nowhere)
    async with following(watch):
        assert watch.sentence() == "roaming, says the configuration"
