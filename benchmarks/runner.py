"""Runs benchmarks one after the other, each in its own process, and says how it goes."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from benchmarks.book import read_part
from benchmarks.catalog import Bench
from benchmarks.result import Part

TELL_EVERY_S = 15.0
_LAST_LINES = 12
_END_WITHIN_S = 60.0
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
_ROOT = Path(__file__).parents[1]


class BenchError(Exception):
    """A benchmark ended with an error; the message has what it said last."""


class Interrupted(BaseException):
    """Somebody asked us to end; whatever ran has ended."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


def run(bench: Bench, *, quick: bool, tell_every_s: float = TELL_EVERY_S) -> Part:
    """Measure ``bench`` in a child; return its part. Tells on stderr how long it takes.

    Raises:
        BenchError: It failed; nothing of it is left running.
        Interrupted: SIGINT or SIGTERM came; the child was asked to end, and did.
    """
    with tempfile.TemporaryDirectory(prefix="okdrive-bench-") as folder:
        file, log = Path(folder) / "part.json", Path(folder) / "said"
        command = [sys.executable, "-m", "benchmarks.child", bench.name, str(file)]
        with log.open("wb") as out:
            child = subprocess.Popen(  # noqa: S603 (ourselves)
                [*command, *(["--quick"] if quick else [])],
                cwd=_ROOT,
                env=_environment(),
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches us only, and we pass it on once
            )
            try:
                _wait(child, bench, tell_every_s)
            finally:
                _end(child)
        if child.returncode:
            said = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
            raise BenchError("\n".join([f"{bench.name}: exit code {child.returncode}", *said]))
        part = read_part(file)
        return Part(results=part["results"], tables=part["tables"])


def _environment() -> dict[str, str]:
    """Return ours, but let bytecode be kept: what is installed has it, and does not compile."""
    return {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}


@contextmanager
def interrupts() -> Iterator[None]:
    """Make SIGINT and SIGTERM raise Interrupted within; `run` needs it."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    before = {one: signal.signal(one, interrupt) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(child: subprocess.Popen[bytes], bench: Bench, tell_every_s: float) -> None:
    began_s = time.monotonic()
    while True:
        try:
            child.wait(tell_every_s)
        except subprocess.TimeoutExpired:
            spent_s = time.monotonic() - began_s
            sys.stderr.write(f"  {bench.name}: {spent_s:.0f} s of about {bench.about_s}\n")
        else:
            return


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask a child that still runs to end, so that it stops its own servers; wait, then insist."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        child.wait(_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
