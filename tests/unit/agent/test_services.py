import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from agent.services import Rounds, Service, run_services

Run = Callable[[asyncio.Event], Awaitable[None]]


def _service(name: str, run: Run, *, critical: bool = False) -> Service:
    return Service(name=name, run=run, critical=critical)


async def test_a_failed_service_is_started_again() -> None:
    stop = asyncio.Event()
    starts: list[int] = []

    async def flaky(stop: asyncio.Event) -> None:
        starts.append(len(starts))
        if len(starts) < 3:
            raise OSError("the sensor is gone")
        stop.set()

    await run_services([_service("flaky", flaky)], stop, restart_delay_s=0.0, drain_s=1.0)
    assert starts == [0, 1, 2]


async def test_a_critical_failure_drains_the_others_and_is_raised() -> None:
    drained: list[str] = []

    running = asyncio.Event()

    async def critical(stop: asyncio.Event) -> None:
        await running.wait()
        raise ValueError("no identity")

    async def other(stop: asyncio.Event) -> None:
        running.set()
        await stop.wait()
        drained.append("other")

    with pytest.raises(ExceptionGroup, match="critical services failed") as caught:
        await run_services(
            [_service("critical", critical, critical=True), _service("other", other)],
            asyncio.Event(),
            restart_delay_s=0.0,
            drain_s=1.0,
        )
    assert drained == ["other"]
    assert isinstance(caught.value.exceptions[0], ValueError)


async def test_a_service_that_does_not_drain_is_cancelled_and_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop = asyncio.Event()
    cancelled: list[str] = []

    async def stubborn(_stop: asyncio.Event) -> None:
        stop.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("stubborn")
            raise

    with caplog.at_level(logging.WARNING):
        await run_services([_service("stubborn", stubborn)], stop, restart_delay_s=0.0, drain_s=0.0)
    assert cancelled == ["stubborn"]
    assert [record.message for record in caplog.records] == ["service_drain_timeout"]


async def test_a_round_begins_at_once_when_somebody_wakes_it_and_none_after_the_stop() -> None:
    stop, begun = asyncio.Event(), 0

    async def step() -> float:
        nonlocal begun
        begun += 1
        if begun == 3:
            stop.set()
        rounds.wake()  # while it runs: the next one does not wait for its hour
        return 3_600.0

    rounds = Rounds(step)
    await rounds.run(stop)
    assert begun == 3


async def test_a_stop_ends_the_wait_for_the_next_round() -> None:
    stop = asyncio.Event()

    async def step() -> float:
        asyncio.get_running_loop().call_soon(stop.set)
        return 3_600.0

    await Rounds(step).run(stop)
    assert stop.is_set()


async def test_a_round_that_fails_ends_the_rounds() -> None:
    async def step() -> float:
        raise OSError("gone")

    with pytest.raises(ExceptionGroup, match="unhandled errors") as caught:
        await Rounds(step).run(asyncio.Event())
    assert caught.group_contains(OSError, match="gone")
