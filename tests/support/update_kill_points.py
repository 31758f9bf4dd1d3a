"""Runs one update, stopped before every change to the disk; restarts the vehicle from each stop.

Run as ``python -m tests.support.update_kill_points FOLDER STORY [FIRST STEP]``: prints one JSON
object for each point, about the vehicle after its restart. A process of its own, which never starts
a thread: it forks for every point, and a fork beside running threads may copy a lock that nobody
ever releases. FIRST and STEP choose every STEP-th point, so that several processes share them.
SIGTERM ends it after the point at which it is.
"""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ota.client.floor import Floor
from ota.client.installers.app import AppInstaller
from ota.client.offer import Ecu
from ota.client.states import UpdateState
from ota.metadata.custom import Delta
from ota.metadata.package import Data
from ota.publisher.delta import make_delta
from tests.support.bundle_simulator import SYSTEM, BundleSimulator
from tests.support.ending import Ending
from tests.support.packages import IS_ILL, IS_WELL, make_package
from tests.support.repository_simulator import ECU, RepositorySimulator
from tests.support.syscalls import Stop, watch
from tests.support.update_client import FakeRunner, open_client, update, update_to_the_end

MANY = {f"data/{number % 7}/{number}.txt": b"%d" % number * 300 for number in range(120)}
LONG = {f"data/{number % 9}/{number}.txt": b"%d" % number * 300 for number in range(500)}
MAP = b"do re mi " * 2_000


@dataclass(frozen=True)
class Story:
    """What is released before, and then: a package, or one for each app of a bundle.

    ``by_difference``: the first app of the bundle is fetched as the difference to the one before.
    """

    before: bytes | Mapping[str, bytes] | None
    then: bytes | Mapping[str, bytes]
    by_difference: bool = False


def both(version: str, *, check: bytes = IS_WELL, schema: int) -> dict[str, bytes]:
    """Return a bundle: an app that can be rebuilt, and a system app that keeps data."""
    data = Data(schema=schema, exec=("bin/migrate",))
    return {
        ECU.name: make_package(
            ECU.name, version, extra={"map": MAP + version.encode()}, is_stored=True
        ),
        SYSTEM.name: make_package(
            SYSTEM.name,
            version,
            check=check,
            kind=SYSTEM.kind,
            data=data,
            extra={"bin/migrate": IS_WELL},
        ),
    }


STORIES: Mapping[str, Story] = {
    "first": Story(None, make_package(version="1.1.0", extra=MANY)),
    "good": Story(
        make_package(version="1.0.0"),
        make_package(version="1.1.0", extra=MANY),
    ),
    "bad": Story(
        make_package(version="1.0.0", extra=MANY),
        make_package(version="1.1.0", check=IS_ILL, extra=MANY),
    ),
    "small": Story(make_package(version="1.0.0"), make_package(version="1.1.0")),
    "bundle": Story(both("1.0.0", schema=1), both("1.1.0", schema=2), by_difference=True),
    "bad_bundle": Story(both("1.0.0", schema=1), both("1.1.0", check=IS_ILL, schema=2)),
    "long_first": Story(None, make_package(version="1.1.0", extra=LONG)),
    "long_good": Story(
        make_package(version="1.0.0", extra=MANY), make_package(version="1.1.0", extra=LONG)
    ),
    "long_bad": Story(
        make_package(version="1.0.0", extra=MANY),
        make_package(version="1.1.0", check=IS_ILL, extra=LONG),
    ),
}


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
    found = [
        await asyncio.to_thread(look, folder, ecu, runner)
        for ecu in simulator.settings(folder).ecus
    ]
    return {
        "is_idle": entry.state is UpdateState.IDLE,
        "is_reported": entry.reported,
        "outcome": entry.outcome and entry.outcome.result.outcome,
        **{name: of_all([each[name] for each in found]) for name in found[0]},
    }


def look(folder: Path, ecu: Ecu, runner: FakeRunner) -> dict[str, object]:
    """Return what one part of the vehicle runs, whether it does, and its floor."""
    home = folder / "apps" / ecu.name
    installer = AppInstaller(folder / "apps", runner)
    installed = installer.installed(ecu.name)
    return {
        "version": installed and installed.version,
        "runs_current": runner.running[ecu.name].resolve() == (home / "current").resolve(),
        "is_on_trial": (home / "trial").is_symlink(),
        "counter_floor": Floor(folder / "update" / "floor.sqlite").release_counter(ecu.ecu_id),
    }


def of_all(values: list[object]) -> object:
    """Return what all parts have in common; a list of what each has if they differ."""
    return values[0] if all(value == values[0] for value in values) else values


def prepare(story: Story, folder: Path) -> RepositorySimulator:
    """Return the repositories of ``story``, and let the vehicle in ``folder`` install what was."""
    is_bundle = isinstance(story.then, Mapping)
    simulator = BundleSimulator() if is_bundle else RepositorySimulator()
    if story.before is not None:
        release(simulator, story.before, "1.0.0", 1)
        if in_child(partial(first_update, simulator, folder)) != 0:
            raise RuntimeError("the first update did not end")
    folder.mkdir(exist_ok=True)
    deltas = difference(story, simulator) if story.by_difference else ()
    release(simulator, story.then, "1.1.0", 2, deltas)
    return simulator


def release(
    simulator: RepositorySimulator,
    what: bytes | Mapping[str, bytes],
    version: str,
    counter: int,
    deltas: tuple[Delta, ...] = (),
) -> None:
    if isinstance(what, bytes):
        simulator.release(what, version, counter=counter)
    elif isinstance(simulator, BundleSimulator):
        simulator.release_all(what, version, counter=counter, delta=deltas)


def difference(story: Story, simulator: RepositorySimulator) -> tuple[Delta, ...]:
    """Return the signed difference between the first apps of both bundles, and serve it."""
    assert isinstance(story.before, Mapping)
    assert isinstance(story.then, Mapping)
    with tempfile.TemporaryDirectory() as name:
        old, new, out = (Path(name, each) for each in ("old", "new", "out"))
        old.write_bytes(story.before[ECU.name])
        new.write_bytes(story.then[ECU.name])
        made = make_delta(new, out, old=old)
        simulator.images[made.sha256] = out.read_bytes()
    return (Delta(sha256=made.sha256, length=made.length, from_sha256=made.from_sha256),)


def main(folder: Path, story: str, first: int = 0, step: int = 1) -> None:
    """Print one line for each chosen point of ``story``, until somebody asks it to end."""
    ending = Ending()
    before = folder / "before"
    simulator = prepare(STORIES[story], before)

    def at_stop(stop: Stop) -> None:
        if ending.is_asked:
            os.kill(stop.pid, signal.SIGKILL)
        elif stop.number % step == first:
            here = folder / str(stop.number)
            shutil.copytree(before, here, symlinks=True)
            restart(stop, simulator, here)

    code = watch(lambda: drop(asyncio.run(go_on(simulator, before))), before, at_stop)
    if code != 0 and not ending.is_asked:
        raise RuntimeError("the update that was watched did not end")


def kill_for_good(folder: Path, story: str, point: int) -> None:
    """Really end an update by SIGKILL at ``point``, and restart what is left."""
    here = folder / f"killed-{point}"
    simulator = prepare(STORIES[story], here)

    def at_stop(stop: Stop) -> None:
        if stop.number == point:
            os.kill(stop.pid, signal.SIGKILL)

    code = watch(lambda: drop(asyncio.run(go_on(simulator, here))), here, at_stop)
    if code != -signal.SIGKILL:
        raise RuntimeError(f"point {point}: the update ended with {code} before it was killed")
    restart(Stop(point, "SIGKILL", 0), simulator, here)


def restart(stop: Stop, simulator: RepositorySimulator, here: Path) -> None:
    if in_child(partial(tell, stop, simulator, here)) != 0:
        said = {"point": stop.number, "call": stop.call, "problem": "did not come back"}
        print(json.dumps(said), flush=True)  # noqa: T201
    shutil.rmtree(here)


def tell(stop: Stop, simulator: RepositorySimulator, folder: Path) -> None:
    end = asyncio.run(go_on(simulator, folder))
    print(json.dumps({"point": stop.number, "call": stop.call, **end}))  # noqa: T201


def drop(_: object) -> None:
    """Forget a result."""


if __name__ == "__main__":
    if sys.argv[3] == "kill":
        for each in sys.argv[4:]:
            kill_for_good(Path(sys.argv[1]), sys.argv[2], int(each))
    else:
        main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
