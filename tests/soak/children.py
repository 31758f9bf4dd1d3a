"""The slices of a part, each a process of its own, some at once; ended together, in good order."""

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.patience import Patience
from tests.support.power import sweep
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
PULSE_S = 0.2
AT_ONCE_S = 10.0  # for a bench to take its mounts away when all ends at once
MAX_LINE = 1 << 22  # bytes that a bench says of one case
TOLD = 500  # characters of what a bench said last

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Slice:
    """A share of a part: what to run after ``python -m``, below a folder that is handed in."""

    name: str
    amount: int  # cases that are asked for, about
    module: str
    arguments: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the process of a slice ended; ``complaint`` is None if it ended well."""

    is_whole: bool
    seconds: float
    complaint: str | None


@dataclass(frozen=True, slots=True)
class Limits:
    """``grace_s``: to end where nothing is half done, one vehicle, one input, one power cut.

    ``silence_s``: who says nothing for so long hangs.
    """

    grace_s: float = 120.0
    silence_s: float = 600.0


@dataclass(eq=False)
class Running:
    """A bench at work, in a session of its own: a Ctrl-C is for us, we end it where it can."""

    process: asyncio.subprocess.Process
    errors: Path
    limits: Limits
    began_s: float = field(default_factory=time.monotonic)
    heard_s: float = field(default_factory=time.monotonic)
    asked_s: float | None = None
    complaint: str | None = None

    def ask(self) -> None:
        """Ask it to end where nothing is half done; after some grace it has to."""
        if self.asked_s is None:
            self.asked_s = time.monotonic()
            self.process.terminate()
        elif time.monotonic() > self.asked_s + self.limits.grace_s:
            self.kill(f"was asked to end and did not within {self.limits.grace_s:g} s")

    def look(self) -> None:
        """End it if it hangs."""
        if time.monotonic() > self.heard_s + self.limits.silence_s:
            self.kill(f"said nothing for {self.limits.silence_s:g} s")

    def kill(self, why: str) -> None:
        self.complaint = self.complaint or f"the bench {why}; it was killed"
        self.end()

    def end(self) -> None:
        """Leave nobody of its session behind."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    @property
    def is_there(self) -> bool:
        """Whether anybody of its session is left."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def ended(self, *, is_over: bool) -> Ended:
        """Return how it ended; its process is gone, perhaps because all ``is_over``."""
        code, complaint = self.process.returncode, self.complaint
        is_ended = is_over and code in {-signal.SIGTERM, -signal.SIGINT}  # before it could listen
        if complaint is None and code != 0 and not is_ended:
            said = self.errors.read_text(errors="replace").strip()[-TOLD:]
            complaint = f"the bench ended with {code}: {said}"
        is_whole = self.asked_s is None and complaint is None and not is_ended
        return Ended(is_whole, time.monotonic() - self.began_s, complaint)


@dataclass
class Children:
    """Runs slices below ``folder``; ``on_line`` hears what they say, ``on_end`` how they ended."""

    folder: Path
    patience: Patience
    on_line: Callable[[Slice, Line], None]
    on_end: Callable[[Slice, Ended], None]
    progress: Callable[[], str]
    limits: Limits = Limits()
    _running: set[Running] = field(default_factory=set)

    async def run(self, slices: Iterable[Slice], *, jobs: int) -> None:
        """Play all of them, ``jobs`` at once, unless patience ends first."""
        waiting = deque(slices)
        async with asyncio.TaskGroup() as group:
            pulse = group.create_task(self._pulse())
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(jobs, len(waiting))):
                    workers.create_task(self._work(waiting))
            pulse.cancel()

    async def _pulse(self) -> None:
        while True:
            await asyncio.sleep(PULSE_S)
            self.patience.tell(self.progress)
            for running in self._running:
                running.look()
                if self.patience.is_over:
                    running.ask()

    async def _work(self, waiting: deque[Slice]) -> None:
        while waiting and not self.patience.is_over:
            one = waiting.popleft()
            place = self.folder / one.folder
            place.mkdir()
            try:
                await self._play(one, place)
            finally:
                sweep(place)
                shutil.rmtree(place)

    async def _play(self, one: Slice, place: Path) -> None:
        running = await start(one, place, self.limits)
        self._running.add(running)
        try:
            await self._listen(one, running)
        finally:
            self._running.discard(running)
            await see_off(running)
        self.on_end(one, running.ended(is_over=self.patience.is_over))
        running.errors.unlink()

    async def _listen(self, one: Slice, running: Running) -> None:
        assert running.process.stdout is not None
        async for text in running.process.stdout:
            running.heard_s = time.monotonic()
            try:
                line = json.loads(text)
            except ValueError:
                running.kill(f"said no JSON: {text[:TOLD]!r}")
            else:
                self.on_line(one, line)
        await running.process.wait()


async def start(one: Slice, place: Path, limits: Limits) -> Running:
    errors = place.with_suffix(".errors")
    with errors.open("wb") as complaints:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", one.module, str(place), *one.arguments),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            limit=MAX_LINE,
            start_new_session=True,
        )
    return Running(process, errors, limits)


async def see_off(running: Running) -> None:
    """Wait until it is gone, with its whole session; ask it first if nobody has."""
    if running.process.returncode is None:
        running.ask()
        with suppress(TimeoutError):
            async with asyncio.timeout(AT_ONCE_S):
                await running.process.wait()
    running.end()
    await running.process.wait()
    with suppress(TimeoutError):
        await wait_until(lambda: not running.is_there, timeout_s=AT_ONCE_S)
