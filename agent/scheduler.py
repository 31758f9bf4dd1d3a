"""Calendar-like jobs: the only module that knows APScheduler 3.11.

Sampling, timeouts and retries are not for this module: they live on monotonic time (docs/adr/0009).
Jobs are idempotent and their due times are rebuilt from configuration at every start.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

_GRACE_S = 3_600  # APScheduler's own 1 s would drop a job after every suspend


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row of the calendar: ``run`` every ``every_s`` seconds, shifted by up to ``jitter_s``."""

    name: str
    run: Callable[[], Awaitable[None]]
    every_s: float
    jitter_s: float = 0.0  # a fleet must not knock at the same second


async def run_calendar(jobs: Sequence[Job], stop: asyncio.Event) -> None:
    """Run ``jobs`` until ``stop`` is set. A late job runs once, never twice at a time."""
    scheduler = AsyncIOScheduler(
        timezone=UTC,
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": _GRACE_S},
    )
    for job in jobs:
        trigger = IntervalTrigger(seconds=job.every_s, jitter=job.jitter_s or None, timezone=UTC)
        scheduler.add_job(job.run, trigger, id=job.name, name=job.name)
    scheduler.start()
    try:
        await stop.wait()
    finally:
        scheduler.shutdown(wait=False)
