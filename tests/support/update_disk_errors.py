"""Updates a vehicle whose disk says EIO to a sync, or is read-only, and then lets it go on.

Run as ``python -m tests.support.update_disk_errors FOLDER CALL EVERY``: for each EVERY-th CALL
(fsync, fdatasync) of a thread the kernel says EIO; CALL ``read-only`` makes the disk that.
Prints one JSON object for each vehicle. A process of its own, without threads: it forks for each.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from tests.support.power import run
from tests.support.repository_simulator import RepositorySimulator
from tests.support.syscalls import Stop
from tests.support.update_full_disk import STORY, until_full
from tests.support.update_kill_points import in_child, prepare, tell

MOST_CALLS = {"fsync": 50, "fdatasync": 18}


def with_error(simulator: RepositorySimulator, vehicle: Path, call: str, number: int) -> int:
    """Update under strace, which lets the ``number``-th ``call`` of each thread fail."""
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(in_child(partial(until_full, simulator, vehicle)))
    os.waitpid(child, os.WUNTRACED)
    trace = vehicle.parent.parent / "trace"
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when={number}"]
    strace = subprocess.Popen(
        ["strace", "-f", "-o", str(trace), *inject, "-p", str(child)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert strace.stderr is not None
    strace.stderr.readline()  # "attached"
    os.kill(child, signal.SIGCONT)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    strace.communicate()
    print(json.dumps({"injected": trace.read_text().count("(INJECTED)")}))  # noqa: T201
    return code


def read_only(simulator: RepositorySimulator, vehicle: Path) -> int:
    mount = vehicle.parent
    run("mount", "-o", "remount,ro", mount)
    try:
        return in_child(partial(until_full, simulator, vehicle))
    finally:
        run("mount", "-o", "remount,rw", mount)


def main(folder: Path, call: str, every: int) -> None:
    simulator = prepare(STORY, folder / "before")
    mount = folder / "mount"
    mount.mkdir()
    for number in range(1, MOST_CALLS.get(call, 1) + 1, every):
        run("mount", "-t", "tmpfs", "tmpfs", mount)
        try:
            vehicle = mount / "vehicle"
            shutil.copytree(folder / "before", vehicle, symlinks=True)
            if call == "read-only":
                code = read_only(simulator, vehicle)
            else:
                code = with_error(simulator, vehicle, call, number)
            restarted = in_child(partial(tell, Stop(number, call, 0), simulator, vehicle))
            if code or restarted:
                print(json.dumps({"point": number, "call": call, "problem": code}))  # noqa: T201
        finally:
            run("umount", mount)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
