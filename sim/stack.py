"""Broker, Director, ingest and one agent on this machine, each as a process of its own."""

import asyncio
import logging
import socket
import sys
from pathlib import Path
from typing import Any, Self

import msgspec

from sim.broker import Broker
from sim.children import Child
from sim.home import Home

log = logging.getLogger(__name__)

BIN = Path(sys.executable).parent


class Stack:
    """The parts of one home; each can be killed and started again."""

    def __init__(self, home: Home) -> None:
        self.home = home
        env = {"OKDRIVE_HOME": str(home.folder)}
        self.broker = Broker(
            home.folder / "mosquitto.conf",
            port=home.broker_port,
            log_file=home.logs / "mosquitto.log",
        )
        self.director = self._child("okdrive-ota", ["serve"], env)
        self.ingest = self._child("okdrive-ingest", ["-v", "run"], env)
        self.agent = self._child("okdrive-agent", ["-v", "run"], env)

    async def __aenter__(self) -> Self:
        self.home.logs.mkdir(exist_ok=True)
        try:
            await self.start_broker()
            async with asyncio.TaskGroup() as group:
                group.create_task(self.start_director())
                group.create_task(self.start_ingest())
            await self.start_agent()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    async def start_broker(self) -> None:
        """Start mosquitto; raise BrokerError."""
        await asyncio.to_thread(self.broker.start)

    async def start_director(self) -> None:
        """Start both repositories; raise ChildError."""
        await self.director.start(lambda: _listens(self.home.director_port))

    async def start_ingest(self) -> None:
        """Start ingest; raise ChildError."""
        seen = self.ingest.log.stat().st_size if self.ingest.log.exists() else 0
        await self.ingest.start(lambda: b"receiving" in self.ingest.log.read_bytes()[seen:])

    async def start_agent(self) -> None:
        """Start the agent and wait for its screen; raise ChildError."""
        self.home.screen_file.unlink(missing_ok=True)
        await self.agent.start(self.home.screen_file.exists)

    async def stop(self) -> None:
        """Stop what runs, the agent first."""
        for child in (self.agent, self.ingest, self.director):
            await child.stop()
        await asyncio.to_thread(self.broker.stop)

    async def command(self, program: str, *arguments: str) -> dict[str, Any]:
        """Run one of the four commands with --json; return its document.

        Raises:
            CommandError: It exited with another code than 0.
        """
        process = await asyncio.create_subprocess_exec(
            str(BIN / program),
            *arguments,
            "--json",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"OKDRIVE_HOME": str(self.home.folder), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        )
        out, err = await process.communicate()
        if process.returncode:
            raise CommandError(f"{program} {' '.join(arguments)}: {err.decode().strip()}")
        document: dict[str, Any] = msgspec.json.decode(out)
        return document

    def _child(self, program: str, arguments: list[str], env: dict[str, str]) -> Child:
        command = [str(BIN / program), *arguments]
        return Child(program, command, log=self.home.logs / f"{program}.log", env=env)


class CommandError(Exception):
    """One of our own commands failed; holds what it said."""

    code = "sim.command"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
