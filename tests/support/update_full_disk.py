"""Updates a vehicle on disks that are full one page later each time; then makes room and goes on.

Run as ``python -m tests.support.update_full_disk FOLDER``: prints one JSON object for each disk. A
process of its own, without threads: it forks for each.
"""

import asyncio
import json
import shutil
import sys
from functools import partial
from pathlib import Path

from ota.errors import OtaError
from tests.support.packages import make_package
from tests.support.power import run
from tests.support.repository_simulator import RepositorySimulator
from tests.support.update_kill_points import Story, drop, go_on, in_child, prepare
from tests.support.update_power_cuts import changed

PAGE = 4_096
FILES = {f"data/{number}.txt": b"%d" % number * 50 for number in range(25)}
STORY = Story(make_package(version="1.0.0"), make_package(version="1.1.0", extra=FILES))
MOST_PAGES = 200


def until_full(simulator: RepositorySimulator, vehicle: Path) -> None:
    """Update; only an error of our own tree may end it."""
    try:
        drop(asyncio.run(go_on(simulator, vehicle)))
    except OtaError as error:
        print(json.dumps({"stopped_by": error.code}))  # noqa: T201


def tell(simulator: RepositorySimulator, vehicle: Path, pages: int) -> None:
    end = asyncio.run(go_on(simulator, vehicle))
    print(json.dumps({"pages": pages, "changed": changed(vehicle), **end}))  # noqa: T201


def main(folder: Path) -> None:
    simulator = prepare(STORY, folder / "before")
    mount = folder / "mount"
    mount.mkdir()
    used = pages_of(folder / "before")
    for pages in range(1, MOST_PAGES):
        run("mount", "-t", "tmpfs", "-o", f"size={(used + pages) * PAGE}", "tmpfs", mount)
        try:
            vehicle = mount / "vehicle"
            shutil.copytree(folder / "before", vehicle, symlinks=True)
            code = in_child(partial(until_full, simulator, vehicle))
            run("mount", "-o", "remount,size=64m", mount)
            if code or in_child(partial(tell, simulator, vehicle, pages)):
                print(json.dumps({"pages": pages, "problem": code}))  # noqa: T201
        finally:
            run("umount", mount)


def pages_of(folder: Path) -> int:
    """Return how many pages a copy of ``folder`` takes at most."""
    return sum(-(-path.lstat().st_size // PAGE) for path in folder.rglob("*"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
