"""The time by NTS from a real chronyd: believed when every source proves itself, and only then."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.timesources import ChronyNtsTime
from ota.client.floor import Floor, RepositoryState
from ota.client.timekeeper import TimeKeeper
from tests.support.nts import chrony, stranger, time_server

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

CLOCK = SystemClock()


def root_of(repository: str) -> RepositoryState:
    """A repository as it was a day ago; no time beyond its root's month is believed."""
    return RepositoryState(
        repository=repository,
        root_version=1,
        root_expires=CLOCK.utc_now() + timedelta(days=30),
        issued=CLOCK.utc_now() - timedelta(days=1),
        roles=(),
    )


async def test_a_server_that_proves_itself_ends_time_unknown_and_raises_the_floor(
    ram: Path,
) -> None:
    async with (
        time_server(ram) as server,
        chrony(ram, server.line(), trusted=server.ca) as vehicle,
    ):
        await vehicle.until_asked("tracking", ",Normal")
        source = ChronyNtsTime(CLOCK, vehicle.command)
        found = await asyncio.to_thread(source.read)
        assert found is not None
        assert abs(found - CLOCK.utc_now()) < timedelta(seconds=60)
        floor = Floor(ram / "floor.sqlite")
        await asyncio.to_thread(floor.admit, (root_of("director"), root_of("image")))
        keeper = TimeKeeper(CLOCK, [source], floor)
        assert await asyncio.to_thread(keeper.is_known)
        lowest = await asyncio.to_thread(floor.lowest_time)
        assert lowest is not None
        assert lowest > found - timedelta(seconds=2)  # it was a day before


async def test_a_server_whose_certificate_nobody_vouches_for_says_nothing(ram: Path) -> None:
    async with time_server(ram) as server:
        other = await asyncio.to_thread(stranger, ram / "stranger")
        async with chrony(ram, server.line(), trusted=other) as vehicle:
            await vehicle.until_logged("TLS handshake with")
            assert await asyncio.to_thread(ChronyNtsTime(CLOCK, vehicle.command).read) is None


async def test_one_source_that_proves_nothing_spoils_the_word_of_the_other(ram: Path) -> None:
    async with time_server(ram) as server, time_server(ram, "127.0.0.2") as other:
        lines = (server.line(), other.line(is_nts=False))
        async with chrony(ram, *lines, trusted=server.ca) as vehicle:
            await vehicle.until_asked("tracking", ",Normal")
            await vehicle.until_asked("authdata", ",256,")
            assert await asyncio.to_thread(ChronyNtsTime(CLOCK, vehicle.command).read) is None


async def test_without_a_daemon_there_is_no_word(ram: Path) -> None:
    command = ("chronyc", "-h", str(ram / "nobody.sock"), "-c", "-n")
    assert await asyncio.to_thread(ChronyNtsTime(CLOCK, command).read) is None
