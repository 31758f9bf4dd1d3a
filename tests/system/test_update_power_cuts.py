"""The power is cut during an update, on a disk that forgets: the car drives the next morning."""

import os
from pathlib import Path

import pytest

from tests.soak.parts import SYNCS
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


async def test_of_an_update_that_was_done_a_power_cut_undoes_nothing(ram: Path) -> None:
    ends = await told("update_power_cuts", ram, 10, 20261122, "done")
    assert [end for end in ends if not is_well(end)] == []
    assert len(ends) == 10


@pytest.mark.parametrize("sync", SYNCS)
async def test_the_bench_notices_a_sync_that_is_left_out(sync: str, ram: Path) -> None:
    ends = await told("update_power_cuts", ram, 3, 1, "done", sync)
    assert [end for end in ends if not is_well(end)] != []
