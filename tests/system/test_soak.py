"""The soak, short: seeded faults from OK to receipt and in updates; `make soak` is the long one."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.soak.parts import CODEC, OTA
from tests.support.wait import wait_until_sync

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
ROUNDS = 1_000
PARTS = ("batches", "fuzz", "kill-points", "kill-pairs", "power-cuts", "towns")


class Soak:
    """A soak below ``folder``, in a process group of its own as a terminal starts it."""

    def __init__(self, folder: Path, *arguments: object) -> None:
        self.folder, self.results = folder / "work", folder / "soak.json"
        self.folder.mkdir()
        self._mark = f"OKDRIVE_SOAK_MARK={uuid.uuid4()}"  # who belongs to it inherits this
        name, value = self._mark.split("=")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.soak", *map(str, arguments)),
                *("--folder", str(self.folder), "--json", str(self.results)),
            ],
            cwd=ROOT,
            env={**os.environ, name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def press_ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self, code: int = 0) -> tuple[str, dict[str, Any]]:
        """Wait for its end; return what it printed and wrote; it has left nothing behind."""
        out, errors = self.process.communicate(timeout=500)
        assert self.process.returncode == code, out + errors
        assert "Traceback" not in errors
        assert self.left_behind() == []
        return out, json.loads(self.results.read_bytes())

    def left_behind(self) -> list[str]:
        """Return the processes, mounts, loop devices and files of this soak."""
        processes = [path.parent.name for path in Path("/proc").glob("[0-9]*/environ")
                     if self._mark in environment(path)]  # fmt: skip
        backing = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
        places = [*Path("/proc/mounts").read_text().splitlines(), *backing]
        mine = [place for place in places if str(self.folder) in place]
        return processes + mine + [path.name for path in self.folder.iterdir()]

    def is_mounted(self) -> bool:
        return str(self.folder) in Path("/proc/mounts").read_text()


def environment(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").split("\0")
    except OSError:
        return []  # it ended meanwhile


@pytest.mark.parametrize("seed", [1, 2])
def test_thousands_of_rounds_lose_nothing_and_double_nothing(seed: int, ram: Path) -> None:
    _, found = Soak(ram, "batches", "--rounds", ROUNDS, "--seed", seed).end()
    counts = found["parts"]["batches"]["counts"]
    assert (counts["rounds"], counts["doubled"], counts["lost"]) == (ROUNDS, 0, 0)
    assert (counts["without_ok"], counts["waiting"]) == (0, 0)
    assert counts["stored"] == counts["confirmed"] > ROUNDS // 2
    assert sum(" " in name and count > 0 for name, count in counts.items()) >= 14  # faults


def test_a_bit_of_every_other_part_is_well(ram: Path) -> None:
    amounts = ("--inputs", 10, "--points", 40, "--pairs", 30, "--cuts", 3)
    out, found = Soak(ram, "fuzz", "kill-points", "kill-pairs", "power-cuts", *amounts).end()
    counts = {name: part["counts"] for name, part in found["parts"].items()}
    assert counts["fuzz"]["inputs"] == 10 * len(CODEC + OTA)
    assert counts["kill-points"]["points"] >= 40
    assert counts["kill-pairs"]["pairs"] >= 10
    assert counts["power-cuts"]["cuts"] == 3
    assert found["is_well"]
    assert out.endswith("to the end: all well\n")


def test_minutes_bound_every_part_and_each_gets_its_share(ram: Path) -> None:
    out, found = Soak(ram, "--minutes", 0.25).end()
    assert set(found["parts"]) == set(PARTS)
    assert not any(part["is_whole"] for part in found["parts"].values())
    assert out.endswith("ended early; --resume goes on: all well\n")


AT_WORK: dict[str, Callable[[Soak], object]] = {
    "batches": lambda soak: list(soak.folder.glob("*/*/vehicle/*.sqlite")),
    "fuzz": lambda soak: list(soak.folder.glob("*/*")),
    "kill-points": lambda soak: list(soak.folder.glob("*/*/before")),
    "kill-pairs": lambda soak: list(soak.folder.glob("*/*/before")),
    "power-cuts": lambda soak: soak.is_mounted(),
    "towns": lambda soak: list(soak.folder.glob("*/*")),
}


@pytest.mark.parametrize("part", PARTS)
def test_ctrl_c_ends_any_part_with_its_figures_and_leaves_nothing_behind(
    part: str, ram: Path
) -> None:
    soak = Soak(ram, part)
    wait_until_sync(lambda: AT_WORK[part](soak), timeout_s=60)
    soak.press_ctrl_c()
    out, found = soak.end()
    assert set(found["parts"]) == {part}
    assert not found["parts"][part]["is_whole"]
    assert out.startswith(f"{part}: ")
    assert out.endswith("ended early; --resume goes on: all well\n")


@pytest.mark.parametrize("part", ["kill-pairs", "power-cuts"])
def test_a_second_ctrl_c_ends_at_once_and_leaves_nothing_behind_either(
    part: str, ram: Path
) -> None:
    soak = Soak(ram, part)
    wait_until_sync(lambda: AT_WORK[part](soak), timeout_s=60)
    soak.press_ctrl_c()
    assert soak.process.stderr is not None
    assert any("once more to end at once" in line for line in soak.process.stderr)
    soak.press_ctrl_c()
    out, _ = soak.end(code=130)
    assert out.startswith(f"{part}: ")


def test_what_was_played_to_its_end_is_not_played_again(ram: Path) -> None:
    wanted = ("batches", "--rounds", 40)
    first = Soak(ram, *wanted)
    _, before = first.end()
    first.folder.rmdir()
    _, found = Soak(ram, *wanted, "--resume").end()
    assert found == before
