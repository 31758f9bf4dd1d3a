"""SIGKILL at every change an update makes to the disk: it ends well after a restart."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.system
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("kind", "version", "outcome", "floor"),
    [("good", "1.1.0", "installed", 2), ("bad", "1.0.0", "rolled_back", 1)],
)
async def test_killed_at_any_change_to_the_disk_an_update_still_ends_well(
    kind: str, version: str, outcome: str, floor: int, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.update_kill_points", str(tmp_path), kind),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    ends = [json.loads(line) for line in said.splitlines()]
    wanted = {
        "is_idle": True,
        "is_reported": True,
        "outcome": outcome,
        "version": version,
        "runs_current": True,
        "is_on_trial": False,
        "counter_floor": floor,
    }
    assert [end for end in ends if end != {"point": end["point"], **wanted}] == []
    assert len(ends) > 50  # or the hook no longer sees what changes the disk
