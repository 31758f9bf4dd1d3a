"""What holds for every test: loopback only, UTC, no blocking call in the event loop."""

import importlib.util
import ipaddress
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
RECORDINGS = Path(os.environ.get("OKDRIVE_DATA", ROOT.parent / "shared" / "data"))
_armed = False

# Some hundred processes are started that import the agent: what is compiled once is kept for them,
# beside the source as Python does it by itself, also where somebody has switched that off.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# The public conformance suite loads this file from an environment of its own, without hypothesis.
if importlib.util.find_spec("hypothesis"):
    from hypothesis import settings

    settings.register_profile("okdrive", deadline=None)  # a slow machine is not a wrong result
    settings.load_profile("okdrive")


def _refuse_outside(event: str, args: tuple[object, ...]) -> None:
    if not _armed or event != "socket.connect":
        return
    address = args[1]
    if isinstance(address, tuple):
        host = str(address[0])
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise RuntimeError(f"a test may connect to loopback only, tried {host}")


sys.addaudithook(_refuse_outside)


# Once a session: 4,000 tests that each switch these on and off spend seconds on nothing else.
@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Iterator[None]:
    global _armed  # noqa: PLW0603 (an audit hook cannot be removed, only disarmed)
    _armed = True
    yield
    _armed = False


@pytest.fixture(autouse=True, scope="session")
def _utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(autouse=True, scope="session")
def _no_blocking_in_loop() -> Iterator[None]:
    # Not at the top: the public conformance suite loads this file from an environment of its own.
    from blockbuster import blockbuster_ctx  # noqa: PLC0415

    with blockbuster_ctx(["agent", "ota", "telemetry"]):
        yield


@pytest.fixture
def recordings() -> Path:
    """The folder of real recordings; its absence is the one reason a test may skip."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"recorded: {RECORDINGS} is not here")
    return RECORDINGS


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what may take longest, so that no worker plays it alone at the end."""
    longest: dict[Path, float] = {}
    for item in items:
        longest[item.path] = max(longest.get(item.path, 0.0), _may_take_s(item))
    items.sort(key=lambda item: longest[item.path], reverse=True)


def _may_take_s(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark and mark.args else 0.0


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the minutes of each share of the suite's budget."""
    if not importlib.util.find_spec("tests.support.shares"):
        return
    from tests.support.shares import spent  # noqa: PLC0415

    reports = [report for group in terminalreporter.stats.values() for report in group]
    lasted = [(r.nodeid, r.duration) for r in reports if getattr(r, "duration", None)]
    terminalreporter.section("minutes of each share (two workers)")
    for one in spent(lasted):
        terminalreporter.line(f"{one.share:<12} {one.took_min:5.1f} of {one.may_min:.0f}")
