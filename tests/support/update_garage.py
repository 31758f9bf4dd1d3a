"""A running agent with an app in it, its publisher, and a vehicle that can drive off."""

import asyncio
import http.client
import json
import os
import random
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.control import ask
from sim.bus import open_bus, standing
from sim.frames import DRIVE, VehicleState
from sim.home import APP, TEMPLATES, Home, HomeSettings, prepare
from sim.stack import Stack
from tests.support.proxy import Fault, counting_proxy
from tests.support.wait import wait_until_sync

BIN = Path(sys.executable).parent
IS_WELL, IS_ILL, IS_SLOW = "exit 0\n", "echo the lamp is dark\nexit 1\n", "exec sleep 50\n"
_MOST_CONNECTIONS = 200
PARKED = VehicleState()
DRIVING = VehicleState(gear=DRIVE, speed_km_h=40.0)


@dataclass
class Said:
    """How a command ended: exit code, its JSON document (empty if none), its complaint."""

    code: int
    document: dict[str, Any]
    complaint: str


@dataclass
class Garage:
    """A vehicle whose agent runs, and the publisher it listens to."""

    home: Home

    async def update(self, *words: str) -> Said:
        """Run ``okdrive-agent update`` with ``words`` and --json."""
        return await self.run("okdrive-agent", "update", *words)

    async def run(self, program: str, *words: str) -> Said:
        process = await asyncio.create_subprocess_exec(
            str(BIN / program),
            *words,
            "--json",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "OKDRIVE_HOME": str(self.home.folder)},
        )
        out, err = await process.communicate()
        document = json.loads(out) if out.strip() else {}
        return Said(process.returncode or 0, document, err.decode())

    async def publish(
        self, version: str, counter: int, check: str, *, to: str = "all", ballast: int = 0
    ) -> None:
        """Release a version of the app whose health check is ``check``.

        ``ballast`` bytes come with it that no compressor makes smaller.
        """
        spec = self.home.folder / "specs" / version
        shutil.copytree(TEMPLATES / "apps" / APP / "1.0.0", spec)
        for name in ("package.toml", "release.toml"):
            text = (spec / name).read_text().replace("1.0.0", version)
            text = text.replace("release_counter = 1", f"release_counter = {counter}")
            (spec / name).write_text(text.replace("timeout_s = 10", "timeout_s = 60"))
        (spec / "files" / "bin" / "check").write_text(f"#!/bin/sh\n{check}")
        (spec / "files" / "ballast").write_bytes(random.Random(counter).randbytes(ballast))
        package = spec / f"{version}.okp"
        built = await self.run("okdrive-ota", "package", "build", str(spec), "-o", str(package))
        released = await self.run("okdrive-ota", "publish", str(package), "--to", to)
        assert (built.code, released.code) == (0, 0), built.complaint + released.complaint

    async def when_idle(self, program: str, *arguments: str) -> Said:
        """Run a command as ``run`` does; again while the agent says that it is just busy."""
        said = await self.run(program, *arguments)
        for _ in range(300):
            if "update.busy" not in said.complaint:
                break
            await asyncio.sleep(0.2)
            said = await self.run(program, *arguments)
        return said

    async def offered(self) -> str:
        """Look for an update; return the content hash of what is offered."""
        found = await self.update("check")
        assert found.code == 0, found.complaint
        assert found.document["offer"] is not None, found.document
        return str(found.document["offer"]["content_hash"])

    async def screen(self, path: str) -> str:
        """Return what the driver's screen shows at ``path``."""
        return await asyncio.to_thread(self._screen, path)

    async def until_screen(self, path: str, words: str) -> str:
        """Return what the driver's screen shows at ``path`` as soon as it holds ``words``."""
        seen: list[str] = []

        def is_shown() -> bool:
            seen.append(self._screen(path))
            return words in seen[-1]

        await asyncio.to_thread(wait_until_sync, is_shown, timeout_s=60)
        return seen[-1]

    def _screen(self, path: str) -> str:
        known = json.loads(self.home.screen_file.read_bytes())
        connection = http.client.HTTPConnection(known["address"].removeprefix("http://"))
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {known['token']}"})
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    async def until(self, **wanted: object) -> None:
        """Return as soon as the agent's view of the update has these values."""
        await self._until(lambda view: wanted.items() <= view.items())

    async def until_comes(self, count: int) -> None:
        """Return as soon as ``count`` bytes of the update have come."""
        await self._until(lambda view: ((view["progress"] or {}).get("done_bytes") or 0) >= count)

    async def until_why(self, code: str) -> None:
        """Return as soon as the agent names ``code`` among what it waits for."""
        await self._until(lambda view: code in {each["code"] for each in view["refusals"]})

    async def _until(self, is_so: Callable[[dict[str, Any]], bool]) -> None:
        control = self.home.folder / "agent" / "run" / "control.sock"
        await asyncio.to_thread(
            wait_until_sync,
            lambda: is_so(json.loads(ask(control, "update-view") or "{}")),
            timeout_s=60,
        )


@asynccontextmanager
async def garage_at(
    folder: Path, *, countdown_s: float = 0.0, way: Fault | None = None, more_config: str = ""
) -> AsyncIterator[tuple[Garage, "Wheels"]]:
    """Start publisher and agent below ``folder``; the vehicle is parked and well.

    ``way`` is what happens to every connection to the Image repository; ``more_config`` stands at
    the end of the agent's configuration.
    """
    settings = HomeSettings(countdown_s=countdown_s)
    home = await asyncio.to_thread(prepare, folder, clock=SystemClock(), settings=settings)
    with (home.folder / "agent.toml").open("a") as config:
        config.write(more_config)
    async with AsyncExitStack() as around:
        if way is not None:
            proxy = await around.enter_async_context(counting_proxy(home.director_port))
            proxy.faults = [way] * _MOST_CONNECTIONS
            _lead_images_to(home, proxy.port)
        yield await around.enter_async_context(_running(home))


def _lead_images_to(home: Home, port: int) -> None:
    config = home.folder / "agent.toml"
    text = config.read_text()
    there = f'image_url = "https://127.0.0.1:{home.director_port}/image"'
    assert there in text
    config.write_text(text.replace(there, there.replace(str(home.director_port), str(port))))


@asynccontextmanager
async def _running(home: Home) -> AsyncIterator[tuple[Garage, "Wheels"]]:
    stack = Stack(home)
    home.logs.mkdir(exist_ok=True)
    try:
        await stack.start_director()
        await stack.start_agent()
        with open_bus(home.bus_socket) as bus:
            async with asyncio.TaskGroup() as group:
                wheels = Wheels(group, bus.play)
                wheels.show(PARKED)
                try:
                    yield Garage(home), wheels
                finally:
                    wheels.stop()
    finally:
        await stack.stop()


class Wheels:
    """What the vehicle does, told on its bus for ever until it does something else."""

    def __init__(self, group: asyncio.TaskGroup, play: Any) -> None:
        self._group, self._play = group, play
        self._task: asyncio.Task[None] | None = None

    def show(self, state: VehicleState) -> None:
        self.stop()
        self._task = self._group.create_task(self._play(standing(replace(state))))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
