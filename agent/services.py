"""Named services in one TaskGroup: restarted when they fail, drained when the daemon stops.

A service that looks now and then at what waits does so in `Rounds`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One row of the daemon's table: ``run(stop)`` returns soon after ``stop`` is set."""

    name: str
    run: Callable[[asyncio.Event], Awaitable[None]]
    critical: bool = False  # its failure ends the daemon instead of being retried


async def run_services(
    services: Sequence[Service], stop: asyncio.Event, *, restart_delay_s: float, drain_s: float
) -> None:
    """Run all until ``stop``, give them ``drain_s`` to finish, then raise what was critical.

    Raises:
        ExceptionGroup: One critical service or more failed; the others were drained first.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_supervise(service, stop, restart_delay_s), name=service.name)
            for service in services
        ]
        await stop.wait()
        _, late = await asyncio.wait(tasks, timeout=drain_s)
        for task in late:
            log.warning("service_drain_timeout", extra={"service": task.get_name()})
            task.cancel()
    failed = [error for task in tasks if not task.cancelled() and (error := task.result())]
    if failed:
        raise ExceptionGroup("critical services failed", failed)


async def _supervise(
    service: Service, stop: asyncio.Event, restart_delay_s: float
) -> Exception | None:
    while not stop.is_set():
        try:
            await service.run(stop)
        except Exception as error:
            if service.critical:
                log.exception("service_failed_critical", extra={"service": service.name})
                stop.set()
                return error  # a raise inside the group would cancel the others
            log.exception("service_failed", extra={"service": service.name})
            await _pause(stop, restart_delay_s)
        else:
            return None
    return None


class Rounds:
    """The rounds of one service: each begins when its time has come, or at once when woken."""

    def __init__(self, step: Callable[[], Awaitable[float]]) -> None:
        """Wire; ``step`` does one round and returns the seconds until another is worth it."""
        self._step = step
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Begin the next round now: call it in the loop's thread."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Do one round after the other until ``stop``; raises what a round raises, in a group."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wake_at(stop), name="rounds_stop")
            while not stop.is_set():
                self._wake.clear()
                await self._sleep(await self._step())

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return


async def _pause(stop: asyncio.Event, delay_s: float) -> None:
    try:
        async with asyncio.timeout(delay_s):
            await stop.wait()
    except TimeoutError:
        return
