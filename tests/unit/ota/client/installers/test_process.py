"""Programs of a package run as somebody else, know nothing, and end when they must."""

import os
import pwd
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ota.client.installers.process import OtherUser, OtherUserError, UserAppRunner
from ota.client.ports import CheckResult, Program
from tests.support.wait import wait_until_sync

WHO = pwd.getpwnam("nobody")


@pytest.fixture
def runner() -> Iterator[UserAppRunner]:
    made = UserAppRunner(OtherUser("nobody"))
    yield made
    made.stop_all()


def program(folder: Path, body: str) -> Path:
    """Write an executable below a folder that only its owner may enter."""
    version = folder / "closed" / "version"
    (version / "bin").mkdir(parents=True)
    (folder / "closed").chmod(0o700)
    path = version / "bin" / "check"
    path.write_text(f"#!/bin/sh\n{body}\n")
    for each in (version, version / "bin", path):
        each.chmod(0o755)
    return version


def a(folder: Path, *arguments: str, **fields: Any) -> Program:
    return Program(folder=folder, command=("bin/check", *arguments), **fields)


def check(
    runner: UserAppRunner, folder: Path, *arguments: str, timeout_s: float = 5
) -> CheckResult:
    return runner.run(a(folder, *arguments), timeout_s=timeout_s, go_on=lambda: True)


def test_a_check_runs_as_another_user_without_its_groups(
    runner: UserAppRunner, tmp_path: Path
) -> None:
    result = check(runner, program(tmp_path, "id -u; id -G"), timeout_s=5)
    assert result.exit_code == 0
    assert result.output.split() == [str(WHO.pw_uid), str(WHO.pw_gid)]
    assert WHO.pw_uid != os.geteuid()


def test_a_check_inherits_neither_environment_nor_open_files(
    runner: UserAppRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "42")
    version = program(tmp_path, "env; ls /proc/self/fd")
    with (tmp_path / "state.sqlite").open("w") as file:
        os.set_inheritable(file.fileno(), True)  # noqa: FBT003 (it has no name)
        said = check(runner, version, timeout_s=5).output
    assert "SECRET" not in said
    assert set(said.split()) - {"0", "1", "2", "3"} == {
        word for word in said.split() if "=" in word
    }


def test_a_check_cannot_look_into_the_folders_above_it(
    runner: UserAppRunner, tmp_path: Path
) -> None:
    version = program(tmp_path, "ls ..")
    (version.parent / "state.sqlite").write_text("trips")
    result = check(runner, version, timeout_s=5)
    assert result.exit_code != 0
    assert "state.sqlite" not in result.output


def test_a_check_cannot_change_what_it_belongs_to(runner: UserAppRunner, tmp_path: Path) -> None:
    version = program(tmp_path, "echo evil > bin/check || echo evil > new")
    assert check(runner, version, timeout_s=5).exit_code != 0
    assert [path.name for path in version.iterdir()] == ["bin"]


def test_arguments_reach_the_program_as_they_are(runner: UserAppRunner, tmp_path: Path) -> None:
    version = program(tmp_path, 'echo "$1"')
    result = check(runner, version, "a b; $HOME", timeout_s=5)
    assert result.output == "a b; $HOME"


def test_a_check_without_an_end_is_ended_with_all_it_started(
    runner: UserAppRunner, tmp_path: Path
) -> None:
    version = program(tmp_path, "sleep 4242 & echo begun; sleep 4242")
    result = check(runner, version, timeout_s=0.3)
    assert (result.exit_code, result.output) == (None, "begun")
    wait_until_sync(lambda: not processes_with("4242"))


def test_what_a_check_leaves_running_is_ended_too(runner: UserAppRunner, tmp_path: Path) -> None:
    version = program(tmp_path, "sleep 4343 & exit 0")
    assert check(runner, version, timeout_s=5).exit_code == 0
    wait_until_sync(lambda: not processes_with("4343"))


def test_a_check_that_says_too_much_is_heard_in_part(runner: UserAppRunner, tmp_path: Path) -> None:
    version = program(tmp_path, "yes | head -c 10000000; exit 7")
    result = check(runner, version, timeout_s=9)
    assert result.exit_code == 7
    assert 1_000 < len(result.output) <= 4_096


def test_an_app_is_up_until_it_is_stopped(runner: UserAppRunner, tmp_path: Path) -> None:
    version = program(tmp_path, "exec sleep 4444")
    runner.start("trip-light", a(version))
    assert not runner.exits_within("trip-light", 0.1)
    (process,) = processes_with("4444")
    assert Path(f"/proc/{process}").stat().st_uid == WHO.pw_uid
    runner.stop("trip-light")
    assert runner.exits_within("trip-light", 0)
    assert processes_with("4444") == []


def test_starting_again_replaces_what_ran(runner: UserAppRunner, tmp_path: Path) -> None:
    version = program(tmp_path, "exec sleep 4545")
    runner.start("trip-light", a(version))
    runner.start("trip-light", a(version))
    wait_until_sync(lambda: len(processes_with("4545")) == 1)


def test_an_app_that_ends_is_noticed_at_once(runner: UserAppRunner, tmp_path: Path) -> None:
    runner.start("trip-light", a(program(tmp_path, "exit 3")))
    begun = time.monotonic()
    assert runner.exits_within("trip-light", 8)
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("name", ["root", pwd.getpwuid(os.geteuid()).pw_name, "no-such-user"])
def test_neither_root_nor_the_agent_nor_nobody_at_all_runs_a_package(name: str) -> None:
    with pytest.raises(OtherUserError, match="nothing of the package was run"):
        OtherUser(name)


def test_a_program_that_cannot_be_started_is_an_error_of_this_vehicle(
    runner: UserAppRunner, tmp_path: Path
) -> None:
    version = program(tmp_path, "exit 0")
    (version / "bin" / "check").chmod(0o644)
    with pytest.raises(OtherUserError, match="to start bin/check"):
        check(runner, version, timeout_s=5)


def processes_with(argument: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[:2] == [b"sleep", argument.encode()]:
            found.append(int(path.parent.name))
    return found
