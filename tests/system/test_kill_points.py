"""An update that is ended before any of its changes to the disk ends well after a restart."""

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.support.update_ends import WANTED, ended_everywhere, told, wrong

EVERY = int(os.environ.get("OKDRIVE_KILL_EVERY", "1"))  # `make test-fast` and friends: leave it
LEAST = {"first": 650, "good": 700, "bad": 700, "small": 250, "bundle": 350, "bad_bundle": 350}


@pytest.mark.system
@pytest.mark.timeout(900)
@pytest.mark.parametrize("story", WANTED)
async def test_ended_before_any_change_to_the_disk_an_update_still_ends_well(
    story: str, ram: Path
) -> None:
    ends = await ended_everywhere(story, ram, every=EVERY)
    calls = Counter(end["call"] for end in ends)
    print(f"{story}: {len(ends)} points, {dict(sorted(calls.items()))}")  # noqa: T201
    assert wrong(story, ends) == []
    assert len(ends) >= LEAST[story] // EVERY


@pytest.mark.system
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("story", "step"), [("small", 60), ("bad_bundle", 200)])
async def test_ended_again_while_it_recovers_an_update_still_ends_well(
    story: str, step: int, ram: Path
) -> None:
    ends = await told("update_kill_pairs", ram, story, 7, step, 20261122)
    print(f"{story}: {len(ends)} pairs of points")  # noqa: T201
    assert wrong(story, ends) == []
    assert len(ends) >= 20


@pytest.mark.system
@pytest.mark.timeout(300)
async def test_a_real_sigkill_leaves_what_the_stop_before_it_shows(ram: Path) -> None:
    points = random.Random(20261122).sample(range(1, LEAST["small"]), 20)
    ends = await told("update_kill_points", ram, "small", "kill", *sorted(points))
    assert wrong("small", ends) == []
    assert len(ends) == len(points)
