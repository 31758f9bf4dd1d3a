"""The kernel kills the store at every write and every sync, or answers with an error there."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.store.database import StoreError
from agent.store.rows import TripOutcome, TripRow
from agent.store.state import State
from tests.support.clock import FakeClock
from tests.support.power_writer import judge
from tests.support.trips import open_sharing

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]


def child_under(folder: Path, call: str, inject: str = "") -> subprocess.CompletedProcess[bytes]:
    """Run the writer in ``folder`` with one system call watched, or tampered with."""
    folder.mkdir()
    command = ["strace", "-f", "-qq", "-o", str(folder / "trace")]
    if "signal" not in inject:
        command.append("--seccomp-bpf")  # faster, but strace 6.1 delivers no signal with it
    command += ["-e", f"trace={call}"] + (["-e", f"inject={call}:{inject}"] if inject else [])
    command += [sys.executable, "-m", "tests.support.power_writer", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False)


def points(tmp_path: Path, call: str, what: str) -> Iterator[tuple[Path, bytes, int]]:
    """Yield (folder, what it said, exit code) for each occurrence of ``call`` in turn."""
    whole = child_under(tmp_path / "whole", call)
    assert (whole.returncode, whole.stdout.count(b"\n")) == (0, 3), whole.stderr
    count = (tmp_path / "whole" / "trace").read_text().count(f"{call}(")
    folders = [tmp_path / str(number) for number in range(1, count + 1)]
    with ThreadPoolExecutor(2) as pool:
        every = pool.map(
            lambda folder: child_under(folder, call, f"{what}:when={folder.name}"), folders
        )
        for folder, done in zip(folders, every, strict=True):
            yield folder, done.stdout, done.returncode


@pytest.mark.parametrize(("call", "least"), [("fdatasync", 8), ("pwrite64", 30)])
def test_killed_at_any_write_or_sync_nothing_that_was_promised_is_lost(
    tmp_path: Path, call: str, least: int
) -> None:
    killed = 0
    for folder, said, code in points(tmp_path, call, "signal=KILL"):
        verdict = judge(folder, said)
        assert (verdict.lost, verdict.back, verdict.broken) == (0, 0, []), folder.name
        killed += code != 0
    assert killed >= least


@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_an_error_of_the_disk_is_one_clear_stop_and_nothing_promised_is_lost(
    tmp_path: Path, call: str
) -> None:
    codes = set()
    for folder, said, _ in points(tmp_path, call, "error=EIO"):
        verdict = judge(folder, said)
        assert (verdict.lost, verdict.back, verdict.broken) == (0, 0, []), folder.name
        codes |= {line.split()[1] for line in said.splitlines() if line.startswith(b"stopped")}
    # store.full: SQLite tells no room for the log's index and an error there apart by nothing
    assert codes <= {b"store.io", b"store.full", b"store.journal", b"segment"}
    assert b"store.io" in codes


def test_a_disk_that_becomes_read_only_stops_with_its_code_and_keeps_what_it_has(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "okdrive", disk], check=True)
    try:
        sharing = open_sharing(disk, clock=FakeClock())
        trip = TripRow(
            trip_id="a",
            summary="{}",
            segment=None,
            created_utc=FakeClock().utc_now(),
            outcome=TripOutcome.NOTHING,
        )
        sharing.state.add_trip(trip, [])
        sharing.state.close()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(StoreError, match=r"read-only|unable to open") as caught:
            State.open(disk / "state.sqlite")
        assert caught.value.code in {"store.read_only", "store.cannot_open", "store.io"}
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        again = State.open(disk / "state.sqlite")
        assert again.trips() == [trip]
        again.close()
    finally:
        subprocess.run(["umount", disk], check=True)
