"""SIGKILL at every change an update makes to the disk: it ends well after a restart.

Each point runs in a child that ends itself, without any clean-up, at the n-th operation that
changes the disk; the parent then restarts the vehicle from what is left.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ota.client.floor import Floor
from ota.client.states import UpdateState
from ota.metadata.manifest import Outcome
from tests.support.packages import IS_ILL, make_package
from tests.support.repository_simulator import ECU, RepositorySimulator
from tests.support.update_client import FakeRunner, open_client, update, update_to_the_end

KILLED = 9
CHANGES = {
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.symlink",
    "os.chmod",
    "os.truncate",
}
WRITING = os.O_WRONLY | os.O_RDWR

_on_change: list[Callable[[], None]] = []


def _hook(event: str, args: tuple[object, ...]) -> None:
    if not _on_change:
        return
    flags = args[2] if event == "open" and len(args) > 2 else 0
    is_writing = isinstance(flags, int) and bool(flags & WRITING)
    if event in CHANGES or event == "sqlite3.connect" or is_writing:
        _on_change[0]()


sys.addaudithook(_hook)


@contextmanager
def counting(act: Callable[[], None]) -> Iterator[None]:
    _on_change.append(act)
    try:
        yield
    finally:
        _on_change.clear()


class Countdown:
    """Ends this process, at once, at the n-th change."""

    def __init__(self, changes: int) -> None:
        self.left = changes

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            os._exit(KILLED)


def start(folder: Path, then: bytes) -> RepositorySimulator:
    simulator = RepositorySimulator()
    simulator.release(make_package(version="1.0.0"), "1.0.0", counter=1)

    async def first() -> None:
        await update(await open_client(simulator, folder))

    asyncio.run(first())
    simulator.release(then, "1.1.0", counter=2)
    return simulator


async def go_on(simulator: RepositorySimulator, folder: Path) -> FakeRunner:
    runner = FakeRunner()
    client = await open_client(simulator, folder, runner=runner)
    await client.start_apps()
    entry = await update_to_the_end(client)
    assert entry.state is UpdateState.IDLE
    return runner


def dies_at(simulator: RepositorySimulator, folder: Path, change: int) -> bool:
    """Update in a child that is killed at ``change``; return False if it ended before that."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with counting(Countdown(change)):
                asyncio.run(go_on(simulator, folder))
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, KILLED}
    return status == KILLED


@pytest.mark.system
@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("then", "wanted", "outcome"),
    [
        (make_package(version="1.1.0"), "1.1.0", Outcome.INSTALLED),
        (make_package(version="1.1.0", check=IS_ILL), "1.0.0", Outcome.ROLLED_BACK),
    ],
    ids=["a good update", "a bad update"],
)
def test_killed_at_any_change_to_the_disk_an_update_still_ends_well(
    then: bytes, wanted: str, outcome: Outcome, tmp_path: Path
) -> None:
    simulator = start(tmp_path / "before", then)
    points, is_killed = 0, True
    while is_killed:
        points += 1
        folder = tmp_path / str(points)
        shutil.copytree(tmp_path / "before", folder, symlinks=True)
        is_killed = dies_at(simulator, folder, points)
        runner = asyncio.run(go_on(simulator, folder))
        result = simulator.manifests[-1].ecus[0].result
        assert result is not None, points
        assert result.outcome is outcome, points
        installed = simulator.manifests[-1].ecus[0].installed
        assert installed is not None, points
        assert installed.version == wanted, points
        current = (folder / "apps" / ECU.name / "current").resolve()
        assert runner.running[ECU.name].resolve() == current, points
        assert not (folder / "apps" / ECU.name / "trial").is_symlink(), points
        floor = Floor(folder / "update" / "floor.sqlite").release_counter(ECU.ecu_id)
        assert floor == (2 if outcome is Outcome.INSTALLED else 1), points
    assert points > 50  # or the hook no longer sees what changes the disk
