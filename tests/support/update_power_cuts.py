"""Updates a vehicle on a disk that forgets, cuts the power, and looks.

Run as ``python -m tests.support.update_power_cuts FOLDER CUTS SEED [MOMENT [LEFT_OUT]]``: prints
one JSON object for each cut, about the vehicle after its restart. MOMENT is ``random``, any time of
the update or just after it, or ``done``, as soon as it is idle and has reported: then ``undone``
names what the disk has forgotten of an update that had ended. LEFT_OUT is a sync that is left out,
to show that the bench would notice (``LEFT_OUT``). A process of its own, without threads: it forks
for every cut. SIGTERM ends it after the cut at which it is.
"""

import asyncio
import hashlib
import json
import os
import random
import select
import shutil
import signal
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ota.client import floor
from ota.client.floor import Floor
from ota.client.installers import archive
from ota.client.journal import Journal
from ota.client.states import UpdateState
from ota.metadata.package import MANIFEST_NAME, parse_package_manifest
from tests.support.ending import Ending
from tests.support.power import VolatileDisk, reap
from tests.support.repository_simulator import ECU, RepositorySimulator
from tests.support.update_kill_points import STORIES, drop, go_on, in_child, prepare

DONE, COUNTER = b"d", 2  # what the child says; of the version that is offered


def without_unpacked() -> None:
    archive.sync_tree = drop


def without_files() -> None:
    sync_only(stat.S_ISDIR)


def without_names() -> None:
    sync_only(stat.S_ISREG)


def without_floor() -> None:
    opened = floor._open

    def open_and_forget(path: Path) -> sqlite3.Connection:
        database = opened(path)
        database.execute("PRAGMA synchronous = OFF")
        return database

    floor._open = open_and_forget


def sync_only(is_kind: Callable[[int], bool]) -> None:
    fsync = os.fsync

    def fsync_some(descriptor: int) -> None:
        if is_kind(os.fstat(descriptor).st_mode):
            fsync(descriptor)

    os.fsync = fsync_some  # type: ignore[assignment]


LEFT_OUT: Mapping[str, Callable[[], None]] = {
    "unpacked": without_unpacked,  # the files of the new version
    "files": without_files,  # what every file holds: image, journal, new version
    "names": without_names,  # what every folder holds: each rename
    "floor": without_floor,  # the lowest versions that are still accepted
}


class Bench:
    """One prepared disk: version 1.0.0 runs, 1.1.0 is offered."""

    def __init__(self, folder: Path, leave_out: Callable[[], None]) -> None:
        self.leave_out = leave_out
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

    def cut(self, number: int, after_s: float | None) -> None:
        """Update, cut after ``after_s`` seconds or when it is done, restart, print how it ended."""
        is_done, after_s = self.run(number, after_s)
        self.disk.mount_what_is_left()
        try:
            if in_child(partial(self._tell, number, after_s, is_done=is_done)) != 0:
                said = {"cut": number, "after_s": after_s, "problem": "did not come back"}
                print(json.dumps(said), flush=True)  # noqa: T201
        finally:
            self.disk.unmount()

    def run(self, number: int, after_s: float | None) -> tuple[bool, float]:
        """Update until the power is cut; return whether it was done, and the seconds it had."""
        shutil.copyfile(self.saved, self.image)
        self.disk.power_on(number)
        reading, writing = os.pipe()
        began_s = time.monotonic()
        child = os.fork()
        if child == 0:
            os.close(reading)
            self._update(writing)
        os.close(writing)
        if after_s is None:
            said = os.read(reading, 1)
        else:
            time.sleep(after_s)  # the moment of the cut is the point of the test
            # what it says later it may say of the disk that is gone
            said = os.read(reading, 1) if select.select([reading], [], [], 0)[0] else b""
        took_s = time.monotonic() - began_s
        self.disk.cut()
        reap(child)
        os.close(reading)
        self.disk.clean_up(number)
        return said == DONE, took_s

    def _update(self, writing: int) -> None:
        try:
            self.leave_out()
            drop(asyncio.run(go_on(self.simulator, self.vehicle)))
            os.write(writing, DONE)
            signal.pause()
        finally:
            os._exit(0)

    def _tell(self, number: int, after_s: float, *, is_done: bool) -> None:
        lost = undone(self.vehicle) if is_done else []
        end = asyncio.run(go_on(self.simulator, self.vehicle))
        found = {"cut": number, "after_s": round(after_s, 3), "undone": lost}
        print(json.dumps({**found, "changed": changed(self.vehicle), **end}))  # noqa: T201


def undone(vehicle: Path) -> list[str]:
    """Return what the disk has forgotten of an update that was done, before any restart."""
    journal = Journal(vehicle / "update" / "journal").read()
    current = vehicle / "apps" / ECU.name / "current"
    found = {
        "journal": journal.state is UpdateState.IDLE and journal.reported,
        "floor": Floor(vehicle / "update" / "floor.sqlite").release_counter(ECU.ecu_id) == COUNTER,
        "version": (current / MANIFEST_NAME).is_file() and changed(vehicle) == [],
    }
    return [name for name, is_kept in found.items() if not is_kept]


def changed(vehicle: Path) -> list[str]:
    """Return the installed files that are not what the signed manifest says."""
    current = vehicle / "apps" / ECU.name / "current"
    manifest = parse_package_manifest((current / MANIFEST_NAME).read_bytes())
    return [
        file.path
        for file in manifest.files
        if hashlib.sha256((current / file.path).read_bytes()).hexdigest() != file.sha256
    ]


def main(folder: Path, cuts: int, seed: int, moment: str, leave_out: Callable[[], None]) -> None:
    ending, dice = Ending(), random.Random(seed)
    bench = Bench(folder, leave_out)
    try:
        longest_s = bench.run(0, None)[1] if moment == "random" else 0.0
        for number in range(1, cuts + 1):
            if ending.is_asked:
                break
            after_s = dice.uniform(0, 1.2 * longest_s)  # also just after its end
            bench.cut(number, after_s if moment == "random" else None)
    finally:
        bench.disk.put_away()


if __name__ == "__main__":
    place, how_many, first_seed, *others = sys.argv[1:]
    when = others[0] if others else "random"
    left_out = LEFT_OUT[others[1]] if len(others) > 1 else bool
    main(Path(place), int(how_many), int(first_seed), when, left_out)
