"""An app that a killed agent left running is ended by the next one; nobody else is."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ota.client.installers.leftovers import RunningFile, identify
from ota.client.installers.process import OtherUser, UserAppRunner
from ota.client.ports import Program


@pytest.fixture
def orphan() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sleep", "100"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_what_an_earlier_agent_left_running_is_ended(
    orphan: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    RunningFile(tmp_path / "running.json").add("trip-light", orphan.pid)
    UserAppRunner(OtherUser("nobody"), RunningFile(tmp_path / "running.json"))
    assert orphan.wait(timeout=5) == -9
    assert RunningFile(tmp_path / "running.json").read() == {}


@pytest.mark.parametrize("change", [{"started": 1}, {"boot": "another"}])
def test_a_process_that_only_has_the_same_number_is_left_alone(
    change: dict[str, object], orphan: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    found = identify(orphan.pid)
    assert found is not None
    path = tmp_path / "running.json"
    path.write_bytes(msgspec.json.encode({"trip-light": msgspec.structs.replace(found, **change)}))
    UserAppRunner(OtherUser("nobody"), RunningFile(path))
    assert orphan.poll() is None


def test_a_file_that_cannot_be_read_ends_nobody(tmp_path: Path) -> None:
    (tmp_path / "running.json").write_bytes(b"{")
    assert RunningFile(tmp_path / "running.json").read() == {}


def test_what_runs_is_remembered_until_it_is_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "run").write_text("#!/bin/sh\nexec sleep 100\n")
    (folder / "bin" / "run").chmod(0o755)
    remembered = RunningFile(tmp_path / "running.json")
    runner = UserAppRunner(OtherUser("nobody"), remembered)
    runner.start("trip-light", Program(folder=folder, command=("bin/run",)))
    known = remembered.read()["trip-light"]
    assert known == identify(known.pid)
    assert known.pid != os.getpid()
    runner.stop("trip-light")
    assert remembered.read() == {}


def test_nobody_has_no_name() -> None:
    assert identify(2**22 + 1) is None
