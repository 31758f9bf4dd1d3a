"""The soak, short: seeded faults from OK to receipt; the long one is `make soak`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
ROUNDS = 1_000


@pytest.mark.parametrize("seed", [1, 2])
def test_thousands_of_rounds_lose_nothing_and_double_nothing(seed: int) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.soak",
            "--rounds",
            str(ROUNDS),
            "--seed",
            str(seed),
            "--fuzz",
            "20",
            "--kill-points",
            "40",
            "--power-cuts",
            "3",
            "--towns",
            "0",
            "--json",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["doubled"], found["lost"], found["without_ok"], found["waiting"]) == (0, 0, 0, 0)
    assert found["stored"] == found["confirmed"] > ROUNDS // 2
    assert len(found["faults"]) >= 14
    assert min(found["faults"].values()) > 0
    assert found["fuzz_fault"] is None
    assert len(found["fuzz_edges"]) >= 8
    assert found["updates"]["points"] >= 40
    assert (found["updates"]["cuts"], found["updates"].get("ill", 0)) == (3, 0)


def test_ended_early_it_prints_what_it_found_until_then() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--rounds", "1000000", "--minutes", "0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("/ doubled 0 / lost 0")
    assert "1000000 rounds" not in done.stdout
