"""Every update command against a running agent: what it does, and how it says no."""

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from tests.support.proxy import Fault
from tests.support.update_garage import (
    BIN,
    DRIVING,
    IS_ILL,
    IS_SLOW,
    IS_WELL,
    PARKED,
    Said,
    garage_at,
)

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]
OTHER = "0" * 64


def refused(said: Said, code: str, exit_code: int = 4) -> bool:
    return said.code == exit_code and f"({code})" in said.complaint


async def test_an_update_is_shown_explained_approved_cancelled_and_installed(ram: Path) -> None:
    async with garage_at(ram / "home", countdown_s=3.0) as (garage, _):
        nothing = await garage.update("check")
        assert (nothing.code, nothing.document["offer"]) == (0, None)
        await garage.publish("1.1.0", 2, IS_WELL)
        offered = await garage.offered()
        await garage.until_why("ota.gate.not_approved")
        assert refused(await garage.update("approve", OTHER), "update.gone")
        assert refused(await garage.update("cancel", offered), "update.too_late")
        assert (await garage.update("approve", offered)).code == 0
        await garage.until(is_approved=True)
        assert (await garage.update("cancel", offered)).code == 0
        await garage.until_why("ota.gate.not_approved")
        for answer in ("schedule", "cancel", "postpone"):
            said = await garage.update(answer, offered)
            assert (said.code, said.document["taken"]) == (0, True), said.complaint
            planned = (await garage.update("show")).document["planned"]
            assert (planned is not None) == (answer == "schedule")
        assert (await garage.update("approve", offered)).code == 0
        await garage.until(state="idle", offer=None)
        shown = (await garage.update("show")).document
        assert shown["installed"] == {"trip-light": "1.1.0"}
        (ended,) = (await garage.update("history")).document["updates"]
        assert (ended["version"], ended["outcome"]) == ("1.1.0", "installed")
        assert ended["content_hash"] == offered
        stick = ram / "stick"
        stick.mkdir()
        empty = await garage.update("from", str(stick))
        assert empty.code == 2
        assert "expected a stick as `okdrive-ota bundle write` has written it" in empty.complaint
        written = await garage.update("report", str(stick))
        assert written.document["manifest"]["ecus"][0]["installed"]["version"] == "1.1.0"
        for taken, known in ((1, 0), (0, 1)):
            read = await garage.run("okdrive-ota", "bundle", "read", str(stick))
            assert (read.code, read.document["taken"], read.document["known"]) == (0, taken, known)
        assert refused(await garage.update("rollback"), "update.committed")
        assert refused(await garage.update("mark-good"), "update.not_on_trial")


LOST_TOKEN = """
[token]
module = "/usr/lib/softhsm/libsofthsm2.so"
label = "gone"
pin_file = "/dev/null"
"""


async def test_with_a_lost_token_updates_go_on_and_sharing_stops_with_its_sentence(
    ram: Path,
) -> None:
    async with garage_at(ram / "home", more_config=LOST_TOKEN) as (garage, _):
        await garage.publish("1.1.0", 2, IS_WELL)
        assert (await garage.update("install", await garage.offered())).code == 0
        assert (await garage.update("show")).document["installed"] == {"trip-light": "1.1.0"}
        state = json.loads(await garage.screen("/api/state"))["state"]
        grant = await asyncio.create_subprocess_exec(
            BIN / "okdrive-agent", "consent", "grant", "battery", "--yes",
            env={**os.environ, "OKDRIVE_HOME": str(garage.home.folder)},
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await grant.communicate()
    assert [notice["code"] for notice in state["notices"]] == ["signing_key"]
    assert grant.returncode == 3
    assert b"The key that signs consents cannot be used (token gone in" in said
    assert b"sharing stopped, everything else goes on" in said


async def test_a_slow_download_is_told_on_the_screen_and_on_the_command_line(ram: Path) -> None:
    way = Fault(piece_bytes=4_096, delay_s=0.1)  # 40 kB/s at most
    async with garage_at(ram / "home", way=way) as (garage, _):
        await garage.publish("1.1.0", 2, IS_WELL, ballast=250_000)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(garage.update("check"))
            await garage.until_comes(60_000)
            page = await garage.until_screen("/update", " s left")  # it follows within a second
            home = await garage.screen("/")
            shown = (await garage.update("show")).document["live"]["progress"]
        view = (await asked).document
    assert re.search(r"[\d.]+ kB of 25\d kB · [\d.]+ kB/s · about \d+ s left", page)
    assert re.search(r'<progress max="100" value="\d\d"', page)
    assert "Loading an update" in home
    assert 60_000 <= shown["done_bytes"] < shown["total_bytes"]
    assert shown["bytes_per_s"] <= 80_000
    assert shown["left_s"] > 0
    assert view["state"] == "awaiting_ok"
    complaint = (await asked).complaint
    lines = re.findall(r"downloading ([\d,]+) of 25\d,\d+ bytes, \d+ kB/s, \d+ s left", complaint)
    assert len(lines) > 3  # a line whenever there is more to say


async def test_a_technician_installs_at_once_and_is_told_how_it_ended(ram: Path) -> None:
    async with garage_at(ram / "home", countdown_s=120.0) as (garage, _):
        await garage.publish("1.1.0", 2, IS_WELL)
        assert refused(await garage.update("install", OTHER), "update.gone")
        said = await garage.update("install", await garage.offered())
        assert (said.code, said.document["last"]["result"]["code"]) == (0, None)
        await garage.publish("1.2.0", 3, IS_ILL)
        said = await garage.update("install", await garage.offered())
        assert said.code == 1
        assert "not well" in said.complaint
        assert "ota.install.unhealthy" in said.complaint
        assert (await garage.update("show")).document["installed"] == {"trip-light": "1.1.0"}
        outcomes = [
            (ended["version"], ended["outcome"], ended["code"])
            for ended in (await garage.update("history")).document["updates"]
        ]
        assert outcomes == [
            ("1.2.0", "rolled_back", "ota.install.unhealthy"),
            ("1.1.0", "installed", None),
        ]


async def test_a_version_on_trial_is_taken_back_or_called_good_by_hand(ram: Path) -> None:
    async with garage_at(ram / "home") as (garage, _):
        await garage.publish("1.1.0", 2, IS_SLOW)
        assert (await garage.update("install", await garage.offered(), "--no-wait")).code == 0
        await garage.until(state="checking")
        assert (await garage.update("rollback")).code == 0
        await garage.until(state="idle")
        (ended,) = (await garage.update("history")).document["updates"]
        assert (ended["outcome"], ended["code"]) == ("rolled_back", "ota.install.taken_back")
        assert (await garage.update("check")).document["offer"] is None  # not again by itself
        await garage.publish("1.2.0", 3, IS_SLOW)
        assert (await garage.update("install", await garage.offered(), "--no-wait")).code == 0
        await garage.until(state="checking")
        assert (await garage.update("mark-good")).code == 0
        await garage.until(state="idle")
        assert (await garage.update("show")).document["installed"] == {"trip-light": "1.2.0"}


async def test_nothing_is_installed_while_driving_and_driving_off_ends_it(ram: Path) -> None:
    async with garage_at(ram / "home") as (garage, wheels):
        await garage.publish("1.1.0", 2, IS_SLOW)
        offered = await garage.offered()
        wheels.show(DRIVING)
        await garage.until_why("ota.gate.not_parked")
        assert refused(await garage.update("install", offered), "ota.gate.not_parked")
        wheels.show(PARKED)
        await garage.until(refusals=[APPROVAL])
        assert (await garage.update("install", offered, "--no-wait")).code == 0
        await garage.until(state="checking")
        wheels.show(DRIVING)
        await garage.until(state="awaiting_ok")
        await garage.until_why("ota.gate.not_parked")
        shown = (await garage.update("show")).document
        assert shown["installed"] == {"trip-light": "1.0.0"}
        assert (shown["interruptions"], shown["approved"]) == (1, offered)
        assert (await garage.update("history")).document["updates"] == []


APPROVAL = {"code": "ota.gate.not_approved", "sentence": "Waiting for the driver's OK."}


async def test_an_app_is_removed_and_wished_for_and_comes_back_as_an_update(ram: Path) -> None:
    async with garage_at(ram / "home") as (garage, _):
        (app,) = (await garage.run("okdrive-agent", "apps", "list")).document["apps"]
        assert (app["name"], app["version"], app["is_wanted"]) == ("trip-light", "1.0.0", None)
        unknown = await garage.run("okdrive-agent", "apps", "want", "no-such-app")
        assert refused(unknown, "update.unknown_app")
        removed = await garage.when_idle("okdrive-agent", "apps", "remove", "trip-light")
        assert removed.code == 0, removed.complaint
        (app,) = (await garage.run("okdrive-agent", "apps", "list")).document["apps"]
        assert (app["version"], app["is_wanted"]) == (None, False)
        await garage.publish("1.1.0", 2, IS_WELL, to="nobody")
        assert (await garage.update("check")).document["offer"] is None
        wanted = await garage.when_idle("okdrive-agent", "apps", "want", "trip-light")
        assert wanted.code == 0, wanted.complaint
        said = await garage.update("install", await garage.offered())
        assert said.code == 0, said.complaint
        (app,) = (await garage.run("okdrive-agent", "apps", "list")).document["apps"]
        assert (app["version"], app["is_wanted"]) == ("1.1.0", True)


async def test_a_stick_is_written_and_taken_by_hand(ram: Path) -> None:
    stick = str(ram / "stick")
    async with garage_at(ram / "home") as (garage, _):
        await garage.publish("1.1.0", 2, IS_WELL)
        written = await garage.run("okdrive-ota", "bundle", "write", stick)
        assert (written.code, written.document["version"]) == (0, 1), written.complaint
        again = await garage.run("okdrive-ota", "bundle", "write", stick)
        assert (again.code, "an empty folder" in again.complaint) == (7, True)
        taken = await garage.update("from", stick)
        assert taken.code == 0, taken.complaint
        said = await garage.update("install", taken.document["offer"]["content_hash"])
        assert said.code == 0, said.complaint
        assert (await garage.update("show")).document["installed"] == {"trip-light": "1.1.0"}
