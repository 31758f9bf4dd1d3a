"""Updates a vehicle on a disk that forgets, cuts the power at a random moment, and looks.

Run as ``python -m tests.support.update_power_cuts FOLDER CUTS SEED [broken]``: prints one JSON
object for each cut, about the vehicle after its restart. ``broken`` leaves out the sync of the
unpacked files, to show that the bench would notice. A process of its own, without threads: it forks
for every cut. SIGTERM ends it after the cut at which it is.
"""

import asyncio
import hashlib
import json
import os
import random
import shutil
import sys
import time
from functools import partial
from pathlib import Path

from ota.client.installers import archive
from ota.metadata.package import MANIFEST_NAME, parse_package_manifest
from tests.support.ending import Ending
from tests.support.power import VolatileDisk, reap
from tests.support.repository_simulator import ECU, RepositorySimulator
from tests.support.update_kill_points import STORIES, drop, go_on, in_child, prepare


class Bench:
    """One prepared disk: version 1.0.0 runs, 1.1.0 is offered."""

    def __init__(self, folder: Path, *, is_broken: bool) -> None:
        self.is_broken = is_broken
        self.disk = VolatileDisk(folder / "disk")
        self.image = self.disk._image
        self.saved = folder / "saved.img"
        self.simulator: RepositorySimulator = prepare(STORIES["good"], folder / "before")
        self.disk.mount_what_is_left()
        shutil.copytree(folder / "before", self.vehicle, symlinks=True)
        self.disk.unmount()
        shutil.copyfile(self.image, self.saved)

    @property
    def vehicle(self) -> Path:
        return self.disk.mount / "vehicle"

    def length_s(self) -> float:
        """Return how long the update takes when nobody cuts it."""
        return self._run(0, after_s=None)

    def cut(self, number: int, after_s: float) -> None:
        """Begin the update, cut after ``after_s`` seconds, restart, and print how it ended."""
        self._run(number, after_s=after_s)
        self.disk.mount_what_is_left()
        try:
            if in_child(partial(self._tell, number, after_s)) != 0:
                said = {"cut": number, "after_s": after_s, "problem": "did not come back"}
                print(json.dumps(said), flush=True)  # noqa: T201
        finally:
            self.disk.unmount()

    def _run(self, number: int, *, after_s: float | None) -> float:
        shutil.copyfile(self.saved, self.image)
        self.disk.power_on(number)
        reading, writing = os.pipe()
        began_s = time.monotonic()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._update()
            os._exit(0)
        os.close(writing)
        if after_s is None:
            os.read(reading, 1)  # returns when the child ends
        else:
            time.sleep(after_s)  # the moment of the cut is the point of the test
        took_s = time.monotonic() - began_s
        self.disk.cut()
        reap(child)
        os.close(reading)
        self.disk.clean_up(number)
        return took_s

    def _update(self) -> None:
        if self.is_broken:
            archive.sync_tree = drop
        try:
            drop(asyncio.run(go_on(self.simulator, self.vehicle)))
        finally:
            os._exit(0)

    def _tell(self, number: int, after_s: float) -> None:
        end = asyncio.run(go_on(self.simulator, self.vehicle))
        found = {"cut": number, "after_s": round(after_s, 3), "changed": changed(self.vehicle)}
        print(json.dumps({**found, **end}))  # noqa: T201


def changed(vehicle: Path) -> list[str]:
    """Return the installed files that are not what the signed manifest says."""
    current = vehicle / "apps" / ECU.name / "current"
    manifest = parse_package_manifest((current / MANIFEST_NAME).read_bytes())
    return [
        file.path
        for file in manifest.files
        if hashlib.sha256((current / file.path).read_bytes()).hexdigest() != file.sha256
    ]


def main(folder: Path, cuts: int, seed: int, *, is_broken: bool) -> None:
    ending, dice = Ending(), random.Random(seed)
    bench = Bench(folder, is_broken=is_broken)
    try:
        longest_s = bench.length_s()
        for number in range(1, cuts + 1):
            if ending.is_asked:
                break
            bench.cut(number, dice.uniform(0, 1.2 * longest_s))  # also just after its end
    finally:
        bench.disk.put_away()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), is_broken="broken" in sys.argv)
