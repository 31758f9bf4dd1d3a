"""Runs programs of a package as another user than the agent: an app, or its health check.

As root the child changes its user itself; otherwise sudo does, without asking for a password. A
program is started by a path relative to its own folder, so that the folders above it, which hold
the agent's state, need not be open to anybody.
"""

import contextlib
import os
import pwd
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ota.client.installers.leftovers import RunningFile, identify
from ota.client.ports import CheckResult
from ota.errors import InstallError

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
_OUTPUT_BYTES = 4_096  # what is kept of what a check says
_STOP_S = 5.0  # an app is asked to end this long, then it is ended


class OtherUserError(InstallError):
    """A program of a package cannot be run as another user, and is never run as the agent."""

    code = "ota.install.no_other_user"
    advice = "Run the agent as root, or let sudo start programs as the app user without a password."


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
        self._name, self._uid, self._gid = name, entry.pw_uid, entry.pw_gid

    def start(
        self, folder: Path, command: Sequence[str], *, stdout: int
    ) -> subprocess.Popen[bytes]:
        """Start ``command`` in ``folder``, in a session of its own, with an empty environment.

        Raises:
            OtherUserError: It cannot be started as this user.
        """
        program = [f"./{command[0]}", *command[1:]]
        how: dict[str, Any] = {"user": self._uid, "group": self._gid, "extra_groups": []}
        if os.geteuid() != 0:
            program, how = [*self._sudo(), *program], {}
        try:
            return subprocess.Popen(  # noqa: S603 (a program of a signed package, as another user)
                program,
                cwd=folder,
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **how,
            )
        except OSError as error:
            raise _refused(self._name, f"to start {command[0]}", str(error)) from error

    def end(self, process: subprocess.Popen[bytes], *, grace_s: float = 0.0) -> None:
        """End ``process`` and everything in its session; leave it ``grace_s`` to do so itself."""
        if grace_s and process.poll() is None:
            self._signal(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=grace_s)
        self._signal(process.pid, signal.SIGKILL)
        process.wait()

    def end_session(self, pid: int) -> None:
        """End the process ``pid``, which is no child of ours, and everything in its session."""
        self._signal(pid, signal.SIGKILL)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        if os.geteuid() != 0:
            kill = [*self._sudo(), "kill", f"-{number.value}", "--", f"-{pid}"]
            subprocess.run(kill, check=False, capture_output=True)  # noqa: S603 (fixed words)
            return
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return  # the whole session has ended

    def _sudo(self) -> list[str]:
        sudo = shutil.which("sudo", path=_ENVIRONMENT["PATH"])
        if sudo is None:
            raise _refused(self._name, "root, or sudo", "neither")
        prefix = [sudo, "-n", "-u", self._name, "--"]
        allowed = subprocess.run([*prefix, "true"], check=False, capture_output=True)  # noqa: S603
        if allowed.returncode != 0:
            raise _refused(self._name, "sudo without a password", allowed.stderr.decode()[:200])
        return prefix


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

    def start(self, name: str, folder: Path, command: Sequence[str]) -> None:
        """Start the app; see ``ports.AppRunner``."""
        self.stop(name)
        process = self._user.start(folder, command, stdout=subprocess.DEVNULL)
        self._running[name] = process
        if self._remembered is not None:
            self._remembered.add(name, process.pid)

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

    def check(self, folder: Path, command: Sequence[str], *, timeout_s: float) -> CheckResult:
        """Run a program to its end; see ``ports.AppRunner``."""
        process = self._user.start(folder, command, stdout=subprocess.PIPE)
        try:
            output, has_ended = _listen(process, deadline_s=time.monotonic() + timeout_s)
        finally:
            self._user.end(process)
            if process.stdout is not None:
                process.stdout.close()
        text = "".join(
            char if char.isprintable() else " " for char in output.decode("utf-8", "replace")
        )
        return CheckResult(exit_code=process.returncode if has_ended else None, output=text.strip())


def _end_leftovers(user: OtherUser, remembered: RunningFile) -> None:
    for name, process in remembered.read().items():
        if identify(process.pid) == process:
            user.end_session(process.pid)
        remembered.remove(name)


def _listen(process: subprocess.Popen[bytes], *, deadline_s: float) -> tuple[bytes, bool]:
    """Return the first bytes ``process`` says, and whether it ended before ``deadline_s``.

    What it says beyond them is read and dropped, so that it never waits for us.
    """
    if process.stdout is None:
        raise RuntimeError("the process was started without a pipe")
    said = bytearray()
    ended = os.pidfd_open(process.pid)  # readable once it has ended, whoever else holds the pipe
    try:
        waiting: list[int | IO[bytes]] = [process.stdout, ended]
        while (left_s := deadline_s - time.monotonic()) > 0:
            ready, _, _ = select.select(waiting, [], [], left_s)
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
