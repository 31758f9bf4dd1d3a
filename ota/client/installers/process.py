"""Runs programs of a package as another user than the agent: an app, its check, its migration.

Only root can do that. ``setpriv`` changes the user and takes every way back to privileges,
``unshare`` takes the network away from programs without that permission, also loopback. A program
is started by a path relative to its own folder, and reaches its data through an open folder, so
that the folders above them, which hold the agent's state, need not be open to anybody.

An app begins only when it has been remembered: until then it waits on a pipe, and ends if the agent
does. A killed agent thus leaves no app that the next one does not know.
"""

import contextlib
import logging
import os
import pwd
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO

from ota.client.installers.leftovers import RunningFile, identify
from ota.client.ports import CheckResult, Program
from ota.errors import InstallError, MigrationError

log = logging.getLogger(__name__)

DATA_VARIABLE = "OKDRIVE_APP_DATA"  # where a program finds its own folder
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_OUTPUT_BYTES = 4_096  # what is kept of what a check says
_STOP_S = 5.0  # an app is asked to end this long, then it is ended
_LOOK_S = 0.25  # how soon a program is ended that is not to go on
_COPY_S = 600.0  # a copy of data that takes longer has a broken disk below it
_WAIT = ("/bin/sh", "-c", 'read -r go && exec "$0" "$@" </dev/null')
_COPY = ("/bin/sh", "-c", 'cp -a "$0/." "$1/" && sync -f "$1"')
_SYNC = ("/bin/sh", "-c", 'sync -f "$0"')


class OtherUserError(InstallError):
    """A program of a package cannot be run as another user, and is never run as the agent."""

    code = "ota.install.no_other_user"
    advice = "Run the agent as root, or without apps; they need a user of their own."


class OtherUser:
    """The user ``name``, who owns nothing of the agent's.

    Raises:
        OtherUserError: There is no such user, or it is root or the agent itself.
    """

    def __init__(self, name: str) -> None:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise _refused(name, "a user of this machine", "none of that name") from None
        if entry.pw_uid in {0, os.getuid(), os.geteuid()}:
            raise _refused(name, "a user other than root and the agent", f"uid {entry.pw_uid}")
        self.name, self._uid, self._gid = name, entry.pw_uid, entry.pw_gid

    @cached_property
    def has_own_network(self) -> bool:
        """Return whether this machine lets a program have a network of its own, with nothing in it.

        Containers often do not; then programs without the permission share the agent's network.
        """
        probe = ["unshare", "--net", "true"]
        return subprocess.run(probe, check=False, capture_output=True).returncode == 0  # noqa: S603

    def start(
        self,
        program: Program,
        *,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int,
        waits: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Start ``program`` in a session of its own, with an empty environment.

        ``waits``: it begins only when a line comes through ``stdin``, and ends if none comes.

        Raises:
            OtherUserError: It cannot be started as this user.
        """
        name, *arguments = program.command
        if not (program.folder / name).is_file() or not os.access(program.folder / name, os.X_OK):
            raise _refused(self.name, f"to start {name}", "no program")
        command = [*(_WAIT if waits else ()), f"./{name}", *arguments]
        with ExitStack() as files:
            data = [files.enter_context(_opened(program.data))] if program.data else []
            environment = {DATA_VARIABLE: _path_of(data[0])} if data else {}
            return self._start(
                command,
                program.folder,
                data,
                environment,
                has_network=program.has_network,
                stdin=stdin,
                stdout=stdout,
            )

    def run_tool(self, command: Sequence[str], folders: Sequence[Path]) -> tuple[int, str]:
        """Run ``command`` of this machine, with ``folders`` as its last arguments, to its end.

        Return its exit code and what it complained about.

        Raises:
            OtherUserError: It cannot be started as this user.
        """
        with ExitStack() as files:
            opened = [files.enter_context(_opened(folder)) for folder in folders]
            arguments = [*command, *map(_path_of, opened)]
            process = self._start(
                arguments,
                Path("/"),
                opened,
                {},
                has_network=False,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
        try:
            said, _ = process.communicate(timeout=_COPY_S)
        except subprocess.TimeoutExpired:
            said = b"no end"
        finally:
            self.end(process)
        return process.returncode, said.decode("utf-8", "replace")[:200]

    def own(self, folder: Path) -> None:
        """Give the new, empty ``folder`` to this user."""
        os.chown(folder, self._uid, self._gid)

    def end(self, process: subprocess.Popen[bytes], *, grace_s: float = 0.0) -> None:
        """End ``process`` and everything in its session; leave it ``grace_s`` to do so itself."""
        if grace_s and process.poll() is None:
            self.end_session(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=grace_s)
        self.end_session(process.pid)
        process.wait()

    def end_session(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """End the process ``pid`` and everything in its session."""
        with contextlib.suppress(ProcessLookupError):  # the whole session has ended
            os.killpg(pid, number)

    def _start(  # noqa: PLR0913 (what a process needs, all by name at the call)
        self,
        command: Sequence[str],
        folder: Path,
        files: Sequence[int],
        environment: dict[str, str],
        *,
        has_network: bool,
        stdin: int | IO[bytes],
        stdout: int,
    ) -> subprocess.Popen[bytes]:
        if os.geteuid() != 0:
            raise _refused(self.name, "an agent that runs as root", f"uid {os.geteuid()}")
        alone = [] if has_network or not self.has_own_network else ["unshare", "--net", "--"]
        drop = [
            "setpriv",
            f"--reuid={self._uid}",
            f"--regid={self._gid}",
            "--clear-groups",
            "--no-new-privs",
            "--bounding-set=-all",
            "--",
        ]
        try:
            return subprocess.Popen(  # noqa: S603 (a program of a signed package, as another user)
                [*alone, *drop, *command],
                cwd=folder,
                env={**_ENVIRONMENT, **environment},
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=files,
            )
        except OSError as error:
            raise _refused(self.name, f"to start {command[0]}", str(error)) from error


class UserAppRunner:
    """Meets ``ports.AppRunner`` with one other user; one child for each app.

    ``remembered`` (None: nothing is) keeps what runs across a SIGKILL of the agent.
    """

    def __init__(self, user: OtherUser, remembered: RunningFile | None = None) -> None:
        """End what an earlier agent left running. Blocks."""
        self._user = user
        self._remembered = remembered
        if remembered is not None:
            _end_leftovers(user, remembered)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, program: Program) -> None:
        """Start the app; see ``ports.AppRunner``."""
        self.stop(name)
        process = self._user.start(
            program, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, waits=True
        )
        self._running[name] = process
        if self._remembered is not None:
            self._remembered.add(name, process.pid)
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), process.stdin as go:  # it has ended already
                go.write(b"go\n")

    def stop(self, name: str) -> None:
        """Stop the app; see ``ports.AppRunner``."""
        process = self._running.pop(name, None)
        if process is not None:
            self._user.end(process, grace_s=_STOP_S)
            if self._remembered is not None:
                self._remembered.remove(name)

    def stop_all(self) -> None:
        """Stop every app: for the end of the agent."""
        for name in list(self._running):
            self.stop(name)

    def exits_within(self, name: str, seconds: float) -> bool:
        """Return whether the app is down or goes down; see ``ports.AppRunner``."""
        process = self._running.get(name)
        if process is None:
            return True
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def run(self, program: Program, *, timeout_s: float, go_on: Callable[[], bool]) -> CheckResult:
        """Run a program to its end; see ``ports.AppRunner``."""
        process = self._user.start(program, stdout=subprocess.PIPE)
        try:
            deadline_s = time.monotonic() + timeout_s
            output, has_ended = _listen(process, deadline_s=deadline_s, go_on=go_on)
        finally:
            self._user.end(process)
            if process.stdout is not None:
                process.stdout.close()
        text = "".join(
            char if char.isprintable() else " " for char in output.decode("utf-8", "replace")
        )
        return CheckResult(exit_code=process.returncode if has_ended else None, output=text.strip())

    def make_data(self, folder: Path, *, copy_of: Path | None) -> None:
        """Make an app's data; see ``ports.AppRunner``."""
        folder.mkdir(mode=0o700)
        self._user.own(folder)
        if copy_of is None:
            self.sync_data(folder)
        else:
            self._tool(_COPY, [copy_of, folder], "a copy of the app's data")

    def sync_data(self, folder: Path) -> None:
        """Make an app's data last; see ``ports.AppRunner``."""
        self._tool(_SYNC, [folder], "the app's data on the disk")

    def _tool(self, command: Sequence[str], folders: Sequence[Path], expected: str) -> None:
        code, said = self._user.run_tool(command, folders)
        if code != 0:
            raise MigrationError(str(folders[-1]), expected=expected, got=said or f"code {code}")


def _end_leftovers(user: OtherUser, remembered: RunningFile) -> None:
    for name, process in remembered.read().items():
        if identify(process.pid) == process:
            user.end_session(process.pid)
        remembered.remove(name)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _path_of(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"


def _listen(
    process: subprocess.Popen[bytes], *, deadline_s: float, go_on: Callable[[], bool]
) -> tuple[bytes, bool]:
    """Return the first bytes ``process`` says, and whether it ended before ``deadline_s``.

    What it says beyond them is read and dropped, so that it never waits for us.
    """
    if process.stdout is None:
        raise RuntimeError("the process was started without a pipe")
    said = bytearray()
    ended = os.pidfd_open(process.pid)  # readable once it has ended, whoever else holds the pipe
    try:
        waiting: list[int | IO[bytes]] = [process.stdout, ended]
        while (left_s := deadline_s - time.monotonic()) > 0 and go_on():
            ready, _, _ = select.select(waiting, [], [], min(left_s, _LOOK_S))
            if process.stdout in ready:
                chunk = os.read(process.stdout.fileno(), _OUTPUT_BYTES)
                said += chunk[: _OUTPUT_BYTES - len(said)]
                if not chunk:
                    waiting.remove(process.stdout)
            elif ended in ready:
                return bytes(said), True
    finally:
        os.close(ended)
    return bytes(said), False


def _refused(name: str, expected: str, got: str) -> OtherUserError:
    return OtherUserError(
        f"user {name}", expected=expected, got=got, intact="nothing of the package was run"
    )
