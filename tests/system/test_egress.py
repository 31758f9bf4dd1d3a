"""Egress: a vehicle alone on a cable talks to its broker and its repositories, and when it may.

Prints bytes per host. The capture sees every packet that leaves the vehicle's network; the listener
behind the broker sees every payload on ``okdrive/1/up/#``.
"""

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

ALLOWED = {"broker", "updates"}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was sent in each part of one story; the last part is somebody else's leak."""
    folder = tmp_path_factory.mktemp("egress")
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-m", "tests.support.egress", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    parts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return parts


def hosts(part: dict[str, Any]) -> set[str]:
    return {place.split()[0] for place in part["hosts"]}


def tell(told: dict[str, Any]) -> None:
    for part, found in told.items():
        print(f"\n{part}: {found['uplink_bytes']} bytes on the uplink")  # noqa: T201 (the table)
        for place, sent in found["hosts"].items():
            print(f"  {place:<34} {sent['packets']:>5} packets {sent['payload_bytes']:>8} bytes")  # noqa: T201


def test_egress_no_byte_goes_anywhere_else_and_none_of_a_trip_before_ok(
    told: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        tell(told)
    before, waiting, after, _ = told.values()
    assert hosts(before) == {"updates"}  # update checks, and not the broker
    assert before["uplink_bytes"] == 0
    assert hosts(waiting) <= ALLOWED
    assert waiting["uplink_bytes"] == 0
    assert "broker" in hosts(after) <= ALLOWED
    assert after["uplink_bytes"] > 0


def test_egress_the_capture_sees_a_leak(told: dict[str, Any]) -> None:
    found = set(told["a leak"]["hosts"])
    assert any(place.endswith("udp 53") for place in found), found
    assert "203.0.113.7 udp 9" in found


def test_egress_the_parts_are_here() -> None:
    for part in ("ip", "unshare", "nsenter"):
        assert shutil.which(part), f"{part}: expected on this machine (iproute2, util-linux)"
