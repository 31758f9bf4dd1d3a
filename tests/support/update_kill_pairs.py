"""Stops one update before a change to the disk, and its recovery before another; restarts again.

Run as ``python -m tests.support.update_kill_pairs FOLDER STORY FIRST STEP SEED``: at every STEP-th
point of the update from FIRST on, some points of the recovery are chosen by the dice. Prints one
JSON object for each pair, about the vehicle after its second restart. SIGTERM ends it after the
pair at which it is. A process of its own, without threads, as ``update_kill_points`` is.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

from tests.support.ending import Ending
from tests.support.repository_simulator import RepositorySimulator
from tests.support.syscalls import Stop, watch
from tests.support.update_kill_points import STORIES, drop, go_on, in_child, prepare

EVERY = 16  # of the recovery's changes, from a number on that the dice say


class Pairs:
    """The second ends of one first end; made and used in a process that has no other children."""

    def __init__(
        self, simulator: RepositorySimulator, first: Stop, from_: int, ending: Ending
    ) -> None:
        self._simulator, self._first, self._from = simulator, first, from_
        self._ending = ending

    def play(self, here: Path) -> None:
        """Recover the vehicle in ``here``; stop, copy and restart it now and then."""

        def at_stop(stop: Stop) -> None:
            if self._ending.is_asked:
                os.kill(stop.pid, signal.SIGKILL)
            elif stop.number % EVERY == self._from:
                again = here.with_name(f"{here.name}-{stop.number}")
                shutil.copytree(here, again, symlinks=True)
                self._restart(stop, again)
                shutil.rmtree(again)

        code = watch(lambda: drop(asyncio.run(go_on(self._simulator, here))), here, at_stop)
        if code != 0 and not self._ending.is_asked:
            self._say(self._first, {"problem": "the recovery that was watched did not end"})

    def _restart(self, stop: Stop, again: Path) -> None:
        if in_child(partial(self._tell, stop, again)) != 0:
            self._say(stop, {"problem": "did not come back"})

    def _tell(self, stop: Stop, again: Path) -> None:
        self._say(stop, asyncio.run(go_on(self._simulator, again)))

    def _say(self, stop: Stop, end: dict[str, object]) -> None:
        said = {"point": [self._first.number, stop.number], "call": stop.call, **end}
        print(json.dumps(said), flush=True)  # noqa: T201 (its output)


def main(folder: Path, story: str, first: int, step: int, seed: int) -> None:
    """Print one line for each pair."""
    ending, dice = Ending(), random.Random(seed)
    before = folder / "before"
    simulator = prepare(STORIES[story], before)

    def at_stop(stop: Stop) -> None:
        if ending.is_asked:
            os.kill(stop.pid, signal.SIGKILL)
        elif stop.number % step == first:
            here = folder / str(stop.number)
            shutil.copytree(before, here, symlinks=True)
            pairs = Pairs(simulator, stop, dice.randrange(EVERY), ending)
            # a tracer of its own: ours would hear the threads of both updates
            if in_child(partial(pairs.play, here)) != 0:
                raise RuntimeError(f"point {stop.number}: nobody could watch its recovery")
            shutil.rmtree(here)

    code = watch(lambda: drop(asyncio.run(go_on(simulator, before))), before, at_stop)
    if code != 0 and not ending.is_asked:
        raise RuntimeError("the update that was watched did not end")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
