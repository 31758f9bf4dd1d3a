"""A disk that says EIO to a sync, or is read-only, costs the update a retry, never the car."""

from pathlib import Path

import pytest

from tests.support.update_ends import told, wrong

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


@pytest.mark.parametrize(("call", "every"), [("fsync", 6), ("fdatasync", 4)])
async def test_an_update_goes_on_after_a_sync_that_failed(call: str, every: int, ram: Path) -> None:
    said = await told("update_disk_errors", ram, call, every)
    ends = [line for line in said if "point" in line]
    assert wrong("small", ends) == []
    assert len(ends) >= 5
    stopped = {line["stopped_by"] for line in said if "stopped_by" in line}
    assert stopped <= {"ota.install.storage", "ota.floor.unusable"}
    assert sum(line.get("injected", 0) for line in said) >= len(ends) // 2  # the kernel did say it


async def test_a_disk_that_became_read_only_is_said_and_the_update_goes_on_later(
    ram: Path,
) -> None:
    said = await told("update_disk_errors", ram, "read-only", 1)
    (end,) = [line for line in said if "point" in line]
    assert wrong("small", [end]) == []
    assert [line["stopped_by"] for line in said if "stopped_by" in line] == ["ota.install.storage"]
