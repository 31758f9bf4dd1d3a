"""The power is cut during an update, on a disk that forgets: the car drives the next morning."""

import os
from pathlib import Path

import pytest

from tests.support.update_ends import is_well, told

CUTS = int(os.environ.get("OKDRIVE_UPDATE_POWER_CUTS", "300"))

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_200)]


async def test_after_any_power_cut_the_update_ends_well_and_every_file_is_whole(
    ram: Path,
) -> None:
    ends = await told("update_power_cuts", ram, CUTS, 20261122)
    print(f"{len(ends)} power cuts, {sum(map(is_well, ends))} ended well")  # noqa: T201
    assert [end for end in ends if not is_well(end)] == []
    assert len(ends) == CUTS


async def test_the_bench_notices_a_sync_that_is_left_out(ram: Path) -> None:
    ends = await told("update_power_cuts", ram, 30, 1, "broken")
    assert [end for end in ends if not is_well(end)] != []
