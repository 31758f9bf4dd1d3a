"""`make bench` at its smallest settings: it runs, it can be interrupted, it says what it lacks."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as bench
from benchmarks.catalog import BENCHES, CATALOG, Bench, missing
from benchmarks.runner import BenchError, run
from tests.support.wait import wait_until_sync

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
ROOT = Path(__file__).parents[2]


def children_of(pid: int) -> list[int]:
    """Return all processes below ``pid``."""
    found = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [below for child in found for below in children_of(child)]


def start(*arguments: str) -> subprocess.Popen[str]:
    command: Sequence[str] = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_quick_benchmark_prints_its_figures_and_keeps_nothing(tmp_path: Path) -> None:
    arguments = ["recording", "--quick", "--json", "--into", str(tmp_path)]
    found = CliRunner().invoke(bench.main, arguments)
    assert found.exit_code == 0, found.output  # no quick figure is met or missed
    assert '"name": "recording, 100 signals x 10 Hz, written / segment"' in found.stdout
    assert "1/1 recording: bytes the disk writes" in found.stderr
    assert not list(tmp_path.iterdir())


def test_an_interrupt_ends_everything_that_was_started_and_keeps_what_was_kept(
    tmp_path: Path,
) -> None:
    process = start("agent_memory", "--into", str(tmp_path))
    wait_until_sync(lambda: len(children_of(process.pid)) >= 4, timeout_s=60)  # the stack comes up
    started = children_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "interrupted; what was measured before is kept" in said
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert not list(tmp_path.iterdir())


def test_a_benchmark_that_fails_ends_with_what_it_said_last() -> None:
    with pytest.raises(BenchError, match=r"nobody: exit code 1\n[^$]*No module named"):
        run(Bench("nobody", "nothing", 1), quick=True)


def test_missing_recordings_are_a_sentence(tmp_path: Path) -> None:
    assert missing(BENCHES["wire_size"], tmp_path) == (
        "wire_size needs the recordings in ../shared/data/trips, and they are not there; "
        "it was left out"
    )
    assert missing(BENCHES["decode"], tmp_path) is None


def test_the_help_names_every_benchmark() -> None:
    said = CliRunner().invoke(bench.main, ["--help"]).output
    assert all(f"  {one.name} " in said for one in CATALOG)
