"""Programs of a package run as somebody else, know nothing, and end when they must."""

import os
import pwd
import socket
import subprocess
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


# --- what a package may reach --------------------------------------------------------------------

# Every address of the machine is out of reach: the program has a network with nothing in it.
REACH = (
    "exec /usr/bin/env python3 -c "
    '\'import socket,sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 3)\' "$1"'
)


@pytest.mark.parametrize("has_network", [True, False], ids=["allowed", "not allowed"])
def test_without_the_permission_a_program_has_no_network_not_even_loopback(
    *, has_network: bool, runner: UserAppRunner, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as agent:
        port = str(agent.getsockname()[1])
        folder = program(tmp_path, REACH)
        said = runner.run(a(folder, port, has_network=has_network), timeout_s=9, go_on=lambda: True)
    assert (said.exit_code == 0) == has_network, said.output


def test_a_program_cannot_gain_privileges(runner: UserAppRunner, tmp_path: Path) -> None:
    said = check(
        runner, program(tmp_path, "grep -E '^(NoNewPrivs|Cap(Eff|Bnd))' /proc/self/status")
    )
    assert said.output.split() == [
        *("CapEff:", "0" * 16),
        *("CapBnd:", "0" * 16),
        *("NoNewPrivs:", "1"),
    ]


def test_an_app_writes_into_its_own_data_and_nowhere_else(
    runner: UserAppRunner, tmp_path: Path
) -> None:
    folder = program(tmp_path, 'echo "$1" > "$OKDRIVE_APP_DATA/note" && ! touch here ../there')
    data = folder.parent / "data"
    runner.make_data(data, copy_of=None)
    said = runner.run(a(folder, "do re mi", data=data), timeout_s=5, go_on=lambda: True)
    assert said.exit_code == 0, said.output
    assert (data / "note").read_text() == "do re mi\n"
    assert (data / "note").stat().st_uid == WHO.pw_uid


def test_data_that_attacks_is_copied_by_its_own_user_as_it_is(
    runner: UserAppRunner, tmp_path: Path
) -> None:
    secret = tmp_path / "state.sqlite"
    secret.write_text("trips")
    secret.chmod(0o600)
    folder = program(
        tmp_path,
        'cd "$OKDRIVE_APP_DATA" && ln -s "$1" link && mkfifo pipe && mkdir deep && echo a > deep/b',
    )
    old, new = folder.parent / "old", folder.parent / "new"
    runner.make_data(old, copy_of=None)
    said = runner.run(a(folder, str(secret), data=old), timeout_s=5, go_on=lambda: True)
    assert said.exit_code == 0, said.output
    runner.make_data(new, copy_of=old)
    assert (new / "link").readlink() == secret  # still a link, not what it leads to
    assert (new / "pipe").is_fifo()
    assert (new / "deep" / "b").read_text() == "a\n"


def test_a_program_that_is_not_to_go_on_is_ended_at_once(
    runner: UserAppRunner, tmp_path: Path
) -> None:
    looks = iter([True, True, False])
    folder = program(tmp_path, "exec sleep 4646")
    said = runner.run(a(folder), timeout_s=60, go_on=lambda: next(looks))
    assert said.exit_code is None
    assert processes_with("4646") == []


def test_an_app_of_an_agent_that_dies_before_it_is_remembered_never_begins(tmp_path: Path) -> None:
    folder = program(tmp_path, 'echo ran > "$OKDRIVE_APP_DATA/ran"; exec sleep 4747')
    runner = UserAppRunner(OtherUser("nobody"))
    data = folder.parent / "data"
    runner.make_data(data, copy_of=None)
    process = runner._user.start(
        a(folder, data=data), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, waits=True
    )
    assert process.stdin is not None
    process.stdin.close()  # what the kernel does when the agent is killed
    assert process.wait(timeout=60) != 0
    assert not (data / "ran").exists()
