"""A disk that is full at any page of an update costs the update, never the car."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.support.update_full_disk import MOST_PAGES

ROOT = Path(__file__).parents[2]


@pytest.mark.system
@pytest.mark.timeout(600)
async def test_a_disk_that_is_full_at_any_page_leaves_an_update_that_goes_on(ram: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.update_full_disk", str(ram)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    lines = [json.loads(line) for line in said.splitlines()]
    ends = [line for line in lines if "pages" in line]
    well = {"version": "1.1.0", "outcome": "installed", "counter_floor": 2, "changed": []}
    assert [end for end in ends if {name: end.get(name) for name in well} != well] == []
    assert len(ends) == MOST_PAGES - 1
    assert {"stopped_by": "ota.install.storage"} in lines  # or no disk was ever too small
    assert complaints == b""
