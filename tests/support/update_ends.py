"""Runs the benches that end updates everywhere, and says how the vehicles were afterwards."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SHARES = 2  # processes at once

End = dict[str, Any]

WANTED: Mapping[str, tuple[str, str, int]] = {  # outcome, version that runs, floor
    "first": ("installed", "1.1.0", 2),
    "good": ("installed", "1.1.0", 2),
    "bad": ("rolled_back", "1.0.0", 1),
    "small": ("installed", "1.1.0", 2),
    "bundle": ("installed", "1.1.0", 2),
    "bad_bundle": ("rolled_back", "1.0.0", 1),
}
LONG = {f"long_{story}": WANTED[story] for story in ("first", "good", "bad")}  # 500 files each


def wrong(story: str, ends: list[End]) -> list[End]:
    """Return the vehicles of ``ends`` that are not as they should be."""
    outcome, version, floor = (WANTED | LONG)[story]
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


def is_well(end: End) -> bool:
    """Return whether a vehicle whose power was cut is as it should be, every file included."""
    wanted = {
        "changed": [],
        "undone": [],
        "is_idle": True,
        "is_reported": True,
        "outcome": "installed",
        "version": "1.1.0",
        "runs_current": True,
        "is_on_trial": False,
        "counter_floor": 2,
    }
    return {name: end.get(name) for name in wanted} == wanted


async def told(module: str, *arguments: object) -> list[End]:
    """Run a bench of ``tests.support``; return what it says of each vehicle."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", f"tests.support.{module}", *map(str, arguments)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return [json.loads(line) for line in said.splitlines()]


async def ended_everywhere(story: str, folder: Path, *, every: int = 1) -> list[End]:
    """End an update before every ``every``-th change to the disk, and restart the vehicle."""
    parts: list[asyncio.Task[list[End]]] = []
    async with asyncio.TaskGroup() as group:
        for share in range(SHARES):
            place = folder / f"{story}-{share}"
            place.mkdir()
            asked = told("update_kill_points", place, story, share * every, SHARES * every)
            parts.append(group.create_task(asked))
    return [end for part in parts for end in part.result()]
