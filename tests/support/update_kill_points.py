"""Runs one update again and again, each time killed at a later change to the disk.

Run as ``python -m tests.support.update_kill_points FOLDER good|bad``: prints one JSON object for
each
point, about the vehicle after its restart. A process of its own, which never starts a thread: it
forks for every point, and a fork beside running threads may copy a lock that nobody ever releases.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ota.client.floor import Floor
from ota.client.states import UpdateState
from tests.support.packages import IS_ILL, make_package
from tests.support.repository_simulator import ECU, RepositorySimulator
from tests.support.update_client import FakeRunner, open_client, update, update_to_the_end

KILLED = 9
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.chmod"}
WRITING = os.O_WRONLY | os.O_RDWR


class Countdown:
    """Ends this process, at once and without any clean-up, at the n-th change to the disk."""

    def __init__(self, changes: int) -> None:
        self.left = changes

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        flags = args[2] if event == "open" and len(args) > 2 else 0
        is_writing = isinstance(flags, int) and bool(flags & WRITING)
        if event in CHANGES or event == "sqlite3.connect" or is_writing:
            self.left -= 1
            if self.left == 0:
                os._exit(KILLED)


def in_child(act: Callable[[], None]) -> int:
    """Run ``act`` in a child of its own; return the exit code."""
    child = os.fork()
    if child == 0:
        try:
            act()
            sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001 (a child must not go on as its parent)
            print(repr(error), file=sys.stderr, flush=True)  # noqa: T201
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def first_update(simulator: RepositorySimulator, folder: Path) -> None:
    async def run() -> None:
        await update(await open_client(simulator, folder))

    asyncio.run(run())


async def go_on(simulator: RepositorySimulator, folder: Path) -> dict[str, object]:
    """Restart the vehicle on what is in ``folder``; return how it is in the end."""
    runner = FakeRunner()
    client = await open_client(simulator, folder, runner=runner)
    await client.start_apps()
    entry = await update_to_the_end(client)
    home = folder / "apps" / ECU.name
    installed = (await client.installed())[ECU.ecu_id]
    floor = Floor(folder / "update" / "floor.sqlite")
    return {
        "is_idle": entry.state is UpdateState.IDLE,
        "is_reported": entry.reported,
        "outcome": entry.outcome and entry.outcome.result.outcome,
        "version": installed and installed.version,
        "runs_current": runner.running[ECU.name].resolve() == (home / "current").resolve(),
        "is_on_trial": (home / "trial").is_symlink(),
        "counter_floor": await asyncio.to_thread(floor.release_counter, ECU.ecu_id),
    }


def main(folder: Path, kind: str) -> None:
    """Print one line for each point, until one is past the update's end."""
    simulator = RepositorySimulator()
    simulator.release(make_package(version="1.0.0"), "1.0.0", counter=1)
    if in_child(partial(first_update, simulator, folder / "before")) != 0:
        raise RuntimeError("the first update did not end")
    then = (
        make_package(version="1.1.0", check=IS_ILL)
        if kind == "bad"
        else make_package(version="1.1.0")
    )
    simulator.release(then, "1.1.0", counter=2)
    is_killed, point = True, 0
    while is_killed:
        point += 1
        here = folder / str(point)
        shutil.copytree(folder / "before", here, symlinks=True)
        is_killed = in_child(partial(killed_at, point, simulator, here)) == KILLED
        if in_child(partial(tell, point, simulator, here)) != 0:
            raise RuntimeError(f"point {point}: the vehicle did not come back")
        shutil.rmtree(here)


def killed_at(point: int, simulator: RepositorySimulator, folder: Path) -> None:
    sys.addaudithook(Countdown(point))
    asyncio.run(go_on(simulator, folder))


def tell(point: int, simulator: RepositorySimulator, folder: Path) -> None:
    end = asyncio.run(go_on(simulator, folder))
    print(json.dumps({"point": point, **end}))  # noqa: T201 (read by the test)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
