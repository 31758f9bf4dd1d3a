import asyncio

from agent.scheduler import Job, run_calendar


async def test_a_job_comes_again_and_stops_with_the_daemon() -> None:
    stop = asyncio.Event()
    runs: list[int] = []

    async def purge() -> None:
        runs.append(len(runs))
        if len(runs) == 2:
            stop.set()

    await run_calendar([Job(name="purge", run=purge, every_s=0.01)], stop)
    assert runs == [0, 1]


async def test_a_failing_job_does_not_end_the_calendar() -> None:
    stop = asyncio.Event()
    runs: list[int] = []

    async def flaky() -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            raise OSError("no network")
        stop.set()

    await run_calendar([Job(name="check", run=flaky, every_s=0.01)], stop)
    assert len(runs) == 2
