"""Egress: a vehicle alone on a cable talks to its broker and its repositories, and when it may.

Prints bytes per host. The capture sees every packet that leaves the vehicle's network; the listener
behind the broker sees every payload on ``okdrive/1/up/#``.
"""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

ALLOWED = {"broker", "updates"}


async def story(folder: Path, *how: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *("unshare", "-n", sys.executable, "-m", "tests.support.egress", str(folder), *how),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    told: dict[str, Any] = json.loads(said.splitlines()[-1])
    return told


def hosts(part: dict[str, Any]) -> set[str]:
    return {place.split()[0] for place in part["hosts"]}


def tell(told: dict[str, Any]) -> None:
    for part, found in told.items():
        print(f"\n{part}: {found['uplink_bytes']} bytes on the uplink")  # noqa: T201 (the table)
        for place, sent in found["hosts"].items():
            print(f"  {place:<34} {sent['packets']:>5} packets {sent['payload_bytes']:>8} bytes")  # noqa: T201


async def test_egress_no_byte_goes_anywhere_else_and_none_of_a_trip_before_ok(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = await story(tmp_path)
    with capsys.disabled():
        tell(told)
    before, waiting, after = told.values()
    assert hosts(before) == {"updates"}  # update checks, and not the broker
    assert before["uplink_bytes"] == 0
    assert hosts(waiting) <= ALLOWED
    assert waiting["uplink_bytes"] == 0
    assert "broker" in hosts(after) <= ALLOWED
    assert after["uplink_bytes"] > 0


async def test_egress_the_capture_sees_a_leak(tmp_path: Path) -> None:
    told = await story(tmp_path, "leak")
    found = {place for part in told.values() for place in part["hosts"]}
    assert any(place.endswith("udp 53") for place in found), found
    assert "203.0.113.7 udp 9" in found


def test_egress_the_parts_are_here() -> None:
    for part in ("ip", "unshare", "nsenter"):
        assert shutil.which(part), f"{part}: expected on this machine (iproute2, util-linux)"
