"""Two hundred recorders killed at random moments: ten seconds at most are lost, nothing is torn."""

import multiprocessing
import os
import random
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from agent.recovery import recover_trips
from agent.store.segments import Segment, read_segment
from tests.support.doomed_recorder import PROGRESS, record
from tests.support.wait import wait_until_sync

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

KILLS = 200
BLOCKS = 4  # groups, so that the second core has something to do
LONGEST_S = 0.4  # about two minutes of driving as fast as it can be recorded
MAX_LOST_S = 10.0
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.support.doomed_recorder"])


def kill_at_a_random_moment(process: BaseProcess, seed: int) -> None:
    """Let it live for a random time after it has begun, then SIGKILL."""
    assert process.pid is not None
    process.join(random.Random(seed).uniform(0.0, LONGEST_S))
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def check(folder: Path) -> tuple[float, int]:
    """Return how many seconds were lost and how many segments are whole; fail on anything torn."""
    began_s, reached_s = PROGRESS.unpack((folder / "progress").read_bytes())
    segments = [read_segment(path) for path in sorted((folder / "segments").glob("*.seg"))]
    for segment in segments:
        assert segment.damaged_bytes == 0
    kept_s = max([began_s, *(_end_s(segment) for segment in segments)])
    lost_s = reached_s - kept_s if began_s else 0.0
    whole = len(segments)
    recovered = recover_trips(folder / "segments", lambda _trip: False)
    assert len(recovered) <= whole
    assert list((folder / "segments").glob("*.new")) == []
    return lost_s, whole


def _end_s(segment: Segment) -> float:
    times = [time_ms for time_ms, _ in segment.rows]
    assert times == sorted(times)
    return times[-1] / 1_000 if times else 0.0


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_killed_recorder_loses_ten_seconds_at_most_and_tears_nothing(
    block: int, tmp_path: Path
) -> None:
    seeds = range(block * KILLS // BLOCKS, (block + 1) * KILLS // BLOCKS)
    worst_s, whole = 0.0, 0
    for seed in seeds:
        folder = tmp_path / str(seed)
        (folder / "segments").mkdir(parents=True)
        process = CONTEXT.Process(target=record, args=(str(folder),))
        process.start()
        wait_until_sync((folder / "progress").exists, timeout_s=30)
        wait_until_sync(lambda at=folder: (at / "progress").stat().st_size == PROGRESS.size)  # type: ignore[misc]
        if seed % 2:  # the others are killed while they start, however busy the machine is
            wait_until_sync(lambda at=folder: list((at / "segments").glob("*.seg")))  # type: ignore[misc]
        kill_at_a_random_moment(process, seed)
        lost_s, found = check(folder)
        assert lost_s <= MAX_LOST_S, f"seed {seed}"
        worst_s, whole = max(worst_s, lost_s), whole + found
    print(f"seeds {seeds.start} to {seeds.stop - 1}: at most {worst_s:.2f} s lost, {whole} whole")  # noqa: T201 (the figure is the result)
    assert whole >= len(seeds) // 2
