"""Child processes of the stack: started, waited for, stopped, or killed on purpose."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_POLL_S = 0.05
_TAIL_BYTES = 4_000


class ChildError(Exception):
    """A part of the stack did not start or ended on its own; names its log."""

    code = "sim.child"


class Child:
    """One part of the stack as a process of its own, its output in a log file."""

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._command = list(command)
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._process.pid if self.is_running() and self._process else None

    def is_running(self) -> bool:
        """Tell whether the process was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self, is_ready: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
        """Start it and wait until ``is_ready()``; raise ChildError with the end of its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._env,
            )
        try:
            async with asyncio.timeout(timeout_s):
                while not is_ready():
                    if not self.is_running():
                        raise ChildError(self._story(f"ended with {self._process.returncode}"))
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            await self.stop()
            raise ChildError(self._story(f"not ready within {timeout_s:.0f} s")) from None

    async def kill(self) -> None:
        """End it as a power cut would: SIGKILL, no last words."""
        await self._end(signal.SIGKILL, 10.0)

    async def stop(self, *, timeout_s: float = 15.0) -> int | None:
        """Ask it to end, then insist; return its exit code."""
        return await self._end(signal.SIGTERM, timeout_s)

    async def _end(self, how: signal.Signals, timeout_s: float) -> int | None:
        process = self._process
        if process is None or process.returncode is not None:
            return process.returncode if process else None
        process.send_signal(how)
        try:
            async with asyncio.timeout(timeout_s):
                return await process.wait()
        except TimeoutError:
            process.kill()
            return await process.wait()

    def _story(self, what: str) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
            tail = log.read().decode(errors="replace").strip().splitlines()[-8:]
        return f"{self.name} {what}; the end of {self.log}:\n  " + "\n  ".join(tail)
