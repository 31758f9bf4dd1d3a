"""The demo as a person runs it, whole and through killed processes; then its state is read."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sim.broker import free_port
from tests.support.wait import wait_until_sync

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent.parent
pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


def play(home: Path, *options: str) -> str:
    done = subprocess.run(
        [BIN / "okdrive-sim", "demo", "--home", home, "--debug", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ask(home: Path, program: str, *arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [BIN / program, *arguments, "--json"],
        env={**os.environ, "OKDRIVE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


def told(story: str, word: str) -> list[str]:
    """The lines that begin with ``word`` after their time."""
    return [line[9:] for line in story.splitlines() if line[9:].startswith(word)]


def test_every_line_of_the_demo_comes_from_the_parts_it_leaves_behind(tmp_path: Path) -> None:
    story = play(tmp_path / "home")
    home = tmp_path / "home"
    batches = ask(home, "okdrive-ingest", "batches", "list")["batches"]
    (batch,) = batches  # type: ignore[misc]
    assert batch["batch_id"] in story
    assert f"= received {batch['bytes']:,}" in story
    assert told(story, "Driver")[0].startswith("Driver     Chromium")
    status = ask(home, "okdrive-agent", "status")
    assert status["queue"] == {"batches": 0, "bytes": 0, "stopped": 0}
    assert status["last_receipt"]["batch_id"] == batch["batch_id"]  # type: ignore[index]
    assert status["apps"] == {"trip-light": "1.1.0"}
    checks = ask(home, "okdrive-agent", "doctor")["checks"]
    assert [check for check in checks if check["level"] == "fail"] == []  # type: ignore[attr-defined,index]
    (trip,) = ask(home, "okdrive-agent", "trips", "list")["trips"]  # type: ignore[misc]
    assert told(story, "Trip")[0].startswith(f"Trip       {trip['distance_m'] / 1000:.2f} km")
    released = ask(home, "okdrive-ota", "status")["vehicles"]
    assert released[0]["ecus"][0]["withdrawn"] == "ota.install.unhealthy"  # type: ignore[index]


def test_whatever_is_killed_each_confirmed_batch_is_stored_once(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10_000)
    print(f"seed {seed}: okdrive-sim demo --kills 3 --kill-seed {seed}")  # noqa: T201 (to repeat it)
    story = play(tmp_path / "home", "--kills", "3", "--kill-seed", str(seed))
    assert len(told(story, "Killed")) == 3
    stored = ask(tmp_path / "home", "okdrive-ingest", "batches", "list")["batches"]
    shown = [line.split()[-1] for line in story.splitlines() if "batch id" in line]
    assert sorted(one["batch_id"] for one in stored) == sorted(shown)  # type: ignore[attr-defined,index]
    assert shown
    assert ask(tmp_path / "home", "okdrive-agent", "status")["queue"]["batches"] == 0  # type: ignore[index]


def test_the_stack_ends_with_everything_it_started(tmp_path: Path) -> None:
    home, port = tmp_path / "home", free_port()
    with (tmp_path / "said").open("w+") as said:
        stack = subprocess.Popen(
            [BIN / "okdrive-sim", "stack", "--home", home, "--port", str(port)],
            cwd=ROOT,
            stdout=said,
            stderr=said,
        )
        try:  # the line is said when all of it runs
            wait_until_sync(lambda: "Vehicle " in (tmp_path / "said").read_text(), timeout_s=60)
            assert ask(home, "okdrive-agent", "status")["screen"] == f"http://127.0.0.1:{port}"
            ports = [port, *ports_of(home)]
            assert [is_taken(one) for one in ports] == [True] * len(ports)
            stack.terminate()  # goes on as Ctrl-C
            assert stack.wait(60) == 128 + signal.SIGTERM
        finally:
            stack.kill()
            stack.wait()
    assert [is_taken(one) for one in ports] == [False] * len(ports)
    assert f"stopped; its state stays in {home}" in (tmp_path / "said").read_text()


def ports_of(home: Path) -> list[int]:
    """The broker's two ports and the repositories', as their own configuration has them."""
    broker = re.findall(r"^listener (\d+)", (home / "mosquitto.conf").read_text(), re.MULTILINE)
    director = re.findall(r"127\.0\.0\.1:(\d+)", (home / "publisher.toml").read_text())
    return [int(one) for one in (*broker, *director)]


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
