"""An update that is ended before any of its changes to the disk ends well after a restart."""

import asyncio
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SHARES = 2  # processes at once
EVERY = int(os.environ.get("OKDRIVE_KILL_EVERY", "1"))  # `make test-fast` and friends: leave it
LEAST = {"first": 650, "good": 700, "bad": 700, "small": 250}
WANTED = {
    "first": ("installed", "1.1.0", 2),
    "good": ("installed", "1.1.0", 2),
    "bad": ("rolled_back", "1.0.0", 1),
    "small": ("installed", "1.1.0", 2),
}


async def told(*arguments: object) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.update_kill_points", *map(str, arguments)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return [json.loads(line) for line in said.splitlines()]


def wrong(story: str, ends: list[dict[str, Any]]) -> list[dict[str, Any]]:
    outcome, version, floor = WANTED[story]
    wanted = {
        "is_idle": True,
        "is_reported": True,
        "outcome": outcome,
        "version": version,
        "runs_current": True,
        "is_on_trial": False,
        "counter_floor": floor,
    }
    return [end for end in ends if end != {"point": end["point"], "call": end["call"], **wanted}]


@pytest.mark.system
@pytest.mark.timeout(900)
@pytest.mark.parametrize("story", WANTED)
async def test_ended_before_any_change_to_the_disk_an_update_still_ends_well(
    story: str, ram: Path
) -> None:
    parts: list[asyncio.Task[list[dict[str, Any]]]] = []
    async with asyncio.TaskGroup() as group:
        for share in range(SHARES):
            folder = ram / str(share)
            folder.mkdir()
            step = SHARES * EVERY
            parts.append(group.create_task(told(folder, story, share * EVERY, step)))
    ends = [end for part in parts for end in part.result()]
    calls = Counter(end["call"] for end in ends)
    print(f"{story}: {len(ends)} points, {dict(sorted(calls.items()))}")  # noqa: T201
    assert wrong(story, ends) == []
    assert len(ends) >= LEAST[story] // EVERY


@pytest.mark.system
@pytest.mark.timeout(300)
async def test_a_real_sigkill_leaves_what_the_stop_before_it_shows(ram: Path) -> None:
    points = random.Random(20261122).sample(range(1, LEAST["small"]), 20)
    ends = await told(ram, "small", "kill", *sorted(points))
    assert wrong("small", ends) == []
    assert len(ends) == len(points)
