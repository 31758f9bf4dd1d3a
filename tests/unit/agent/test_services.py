import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from agent.services import Service, run_services

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
