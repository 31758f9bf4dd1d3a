"""The power is cut during an update, on a disk that forgets: the car drives the next morning."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CUTS = int(os.environ.get("OKDRIVE_UPDATE_POWER_CUTS", "300"))
WELL = {
    "changed": [],
    "is_idle": True,
    "is_reported": True,
    "outcome": "installed",
    "version": "1.1.0",
    "runs_current": True,
    "is_on_trial": False,
    "counter_floor": 2,
}

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_200)]


async def ends_of(*arguments: object) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.update_power_cuts", *map(str, arguments)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return [json.loads(line) for line in said.splitlines()]


def is_well(end: dict[str, Any]) -> bool:
    return {name: end.get(name) for name in WELL} == WELL


async def test_after_any_power_cut_the_update_ends_well_and_every_file_is_whole(
    ram: Path,
) -> None:
    ends = await ends_of(ram, CUTS, 20261122)
    print(f"{len(ends)} power cuts, {sum(map(is_well, ends))} ended well")  # noqa: T201
    assert [end for end in ends if not is_well(end)] == []
    assert len(ends) == CUTS


async def test_the_bench_notices_a_sync_that_is_left_out(ram: Path) -> None:
    ends = await ends_of(ram, 30, 1, "broken")
    assert [end for end in ends if not is_well(end)] != []
