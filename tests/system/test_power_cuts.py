"""The power is cut while the store works: what it said is durable is there afterwards."""

import os
import random
import select
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.power import VolatileDisk, reap
from tests.support.power_writer import Verdict, judge, write_for_ever

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

CUTS = int(os.environ.get("OKDRIVE_POWER_CUTS", "500"))
LONGEST_S = 0.12  # of work before the cut


@pytest.fixture
def disk() -> Iterator[VolatileDisk]:
    # the image lies in memory: what a cut keeps is up to nbdkit's cache, not to this machine
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() else None
    with TemporaryDirectory(dir=place, prefix="okdrive-power-") as folder:
        opened = VolatileDisk(Path(folder))
        yield opened
        opened.put_away()


def one_cut(disk: VolatileDisk, number: int, after_s: float, synchronous: str) -> Verdict:
    """Power on, work for ``after_s`` seconds from the first promise on, cut, look."""
    disk.power_on(number)
    folder = disk.mount / "state"
    folder.mkdir()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            write_for_ever(folder, writing, synchronous=synchronous)
        finally:
            os._exit(0)
    os.close(writing)
    said = wait_for_first(reading)
    time.sleep(after_s)  # the moment of the cut is the point of the test
    disk.cut()
    reap(pid)
    while data := os.read(reading, 65_536):
        said += data
    os.close(reading)
    disk.clean_up(number)
    disk.mount_what_is_left()
    try:
        if folder.exists():
            return judge(folder, said)
        lost = said.count(b"confirmed")
        return Verdict(confirmed=lost, lost=lost)
    finally:
        disk.wipe()
        disk.unmount()


def wait_for_first(pipe: int) -> bytes:
    ready, _, _ = select.select([pipe], [], [], 60)
    assert ready, "the writer promised nothing within 60 s"
    return os.read(pipe, 65_536)


def cut_often(disk: VolatileDisk, cuts: int, *, seed: int, synchronous: str = "FULL") -> Verdict:
    dice, total = random.Random(seed), Verdict()
    for number in range(cuts):
        total.add(one_cut(disk, number, dice.uniform(0, LONGEST_S), synchronous))
    return total


def test_after_any_power_cut_what_was_confirmed_waits_and_what_was_delivered_is_gone(
    disk: VolatileDisk,
) -> None:
    total = cut_often(disk, CUTS, seed=20261122)
    print(f"{CUTS} power cuts: {total}")  # noqa: T201 (the figure people want)
    assert total.broken == []
    assert (total.lost, total.back) == (0, 0)
    assert total.confirmed > CUTS
    assert total.delivered > 0


def test_the_bench_is_able_to_lose_something(disk: VolatileDisk) -> None:
    """Without syncing the same cuts lose batches: the disk above really forgets."""
    assert cut_often(disk, 6, seed=1, synchronous="OFF").lost > 0
