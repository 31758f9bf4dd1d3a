"""`okdrive-agent queue` and `doctor` beside a running agent whose network changes under it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.clock import SystemClock
from agent.config import load_config
from agent.consents import sharing_of
from agent.folders import Folders
from agent.store.state import State
from sim.home import Home, HomeSettings, prepare
from telemetry.purposes import Purpose
from tests.support.network_services import NetworkServices, system_bus
from tests.support.trips import FakeTrip, write_segment

BIN = Path(sys.executable).parent
PATIENCE_S = 60.0
pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    with system_bus(tmp_path) as address:
        yield address


@pytest.fixture
def home(tmp_path: Path, bus: str) -> Home:
    made = prepare(tmp_path / "home", clock=SystemClock(), settings=HomeSettings(hold_s=0.0))
    path = made.folder / "agent.toml"
    text = path.read_text()
    assert 'network = "unmetered"' in text
    path.write_text(
        text.replace('network = "unmetered"', f'network = "auto"\nsystem_bus = "{bus}"')
    )
    confirm_a_trip(path)
    return made


def confirm_a_trip(path: Path) -> None:
    config = load_config(path)
    folders = Folders(root=config.state_dir)
    folders.make()
    state = State.open(folders.state)
    sharing = sharing_of(config, state, SystemClock())
    assert sharing.start() == []
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.offer_trip(FakeTrip(), write_segment(folders.segments))
    sharing.answer("trip-1", [offer.batch_id for offer in state.offers()], share=True)
    state.close()


async def said(home: Home, *arguments: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run,
        [BIN / "okdrive-agent", *arguments],
        env={**os.environ, "OKDRIVE_HOME": str(home.folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    return str(done.stdout)


async def why(home: Home) -> str:
    found: dict[str, Any] = json.loads(await said(home, "queue", "list", "--json"))
    assert len(found["batches"]) == 1
    return str(found["why"])


async def until_said(home: Home, sentence: str) -> None:
    deadline_s = SystemClock().monotonic_s() + PATIENCE_S
    while sentence not in (last := await why(home)):
        assert SystemClock().monotonic_s() < deadline_s, last


@asynccontextmanager
async def running_agent(home: Home) -> AsyncIterator[None]:
    agent = await asyncio.create_subprocess_exec(
        BIN / "okdrive-agent",
        "run",
        env={**os.environ, "OKDRIVE_HOME": str(home.folder)},
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while "not running" in await why(home):
                assert agent.returncode is None
        yield
    finally:
        agent.terminate()
        _, errors = await agent.communicate()
    assert agent.returncode == 143
    assert b"Traceback" not in errors


async def test_the_queue_says_what_the_network_and_a_person_decide(home: Home, bus: str) -> None:
    services = NetworkServices()
    await services.start(bus)
    services.disconnect()
    async with running_agent(home):
        await until_said(home, "There is no network.")
        services.modem(registration=5)
        await until_said(home, "Nothing is sent while the network is roaming.")
        assert "roaming, says NetworkManager (gsm)" in await said(home, "doctor")

        services.wireless(metered=2)
        await until_said(home, "The last attempt failed: broker")  # nobody listens there
        assert "unmetered, says NetworkManager (802-11-wireless)" in await said(home, "doctor")

        assert "paused" in await said(home, "queue", "pause")
        await until_said(home, "Sending was switched off by hand.")
        assert json.loads(await said(home, "queue", "stats", "--json"))["is_paused"]
        assert "switched off by hand" in await said(home, "doctor")

        assert await said(home, "queue", "resume") == "resumed\n"
        assert await said(home, "queue", "flush") != ""
        await until_said(home, "The last attempt failed: broker")
    assert "The agent is not running." in await why(home)
    await services.stop()
