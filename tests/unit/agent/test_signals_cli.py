"""`signals watch`, `vehicle explain` and `doctor` beside an agent that runs: its real local API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.clock import SystemClock
from agent.commands.signals import fitting
from agent.config import load_config
from agent.doctor import checks
from agent.folders import Folders
from agent.hmi.app import create_app
from agent.hmi.server import serve
from agent.owner import owner_door
from agent.signals import catalog
from agent.signals.bus import ERROR_BUS_OFF, BusWatch
from agent.signals.decode import Decoder
from agent.signals.explain import signals_now
from agent.signals.model import Frame
from agent.signals.table import load_table
from sim.frames import CAR, EV, SENDERS, VehicleState
from sim.played_agent import PlayedAgent
from sim.screens import STATES
from tests.support.configs import agent_toml

ZE1 = load_table("nissan-leaf-ze1")
TOKEN = "token-of-this-boot"
CONFIG = agent_toml(".", source={"path": "gateway"})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG)
    return path


def heard() -> Decoder:
    """A decoder that heard each frame once, 1DB damaged, and lost the 12 V supply since."""
    decoder = Decoder(ZE1)
    state = VehicleState(speed_km_h=50.0)
    for sender in SENDERS:
        decoder.feed(Frame(100.0, sender.bus, sender.can_id, sender.encode(state, 0)))
    decoder.feed(Frame(100.01, EV, 0x1DB, bytes(7) + b"\x55"))
    decoder.age(100.02)
    return decoder


@asynccontextmanager
async def running_agent(config: Path, decoder: Decoder) -> AsyncIterator[None]:
    """The local API of an agent that knows what ``decoder`` knows, at 100.02 s."""
    folders = Folders(root=config.parent)
    stop, bound = asyncio.Event(), asyncio.get_running_loop().create_future()
    owner = owner_door(folders, lambda: signals_now(decoder, 100.02))
    door = PlayedAgent(STATES["trip"]).door()
    app = await asyncio.to_thread(create_app, door, token=TOKEN, owner=owner)
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(app, host="127.0.0.1", port=0, stop=stop, on_bound=bound.set_result)
        )
        known = {"address": f"http://127.0.0.1:{await bound}", "token": TOKEN}
        folders.run.mkdir(exist_ok=True)
        (folders.run / "screen.json").write_text(json.dumps(known))
        yield
        stop.set()


async def run(config: Path, *arguments: str) -> Result:
    command = ["--config", str(config), *arguments]
    return await asyncio.to_thread(CliRunner().invoke, main, command)


async def test_watch_shows_what_the_running_agent_hears(config: Path) -> None:
    async with running_agent(config, heard()):
        shown = await run(config, "signals", "watch", "--once", "Vehicle.Speed")
        document = await run(config, "signals", "watch", "--once", "--json", "*CurrentVoltage")
    assert "50" in shown.stdout
    assert "km/h" in shown.stdout
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())
    pack, supply = sorted(json.loads(document.stdout)["signals"], key=lambda s: s["frame"])
    assert (pack["path"], pack["value"], pack["quality"]) == (catalog.PACK_VOLTAGE, None, "crc")
    assert (supply["path"], supply["unit"]) == (catalog.LOW_VOLTAGE, "V")


async def test_explain_asks_the_running_agent_why_a_value_is_invalid(config: Path) -> None:
    async with running_agent(config, heard()):
        shown = await run(config, "vehicle", "explain", catalog.PACK_VOLTAGE)
        short = await run(config, "vehicle", "explain", "Powertrain.TractionBattery.CurrentVoltage")
        document = await run(config, "vehicle", "explain", catalog.PACK_VOLTAGE, "--json")
    assert "now       no value: crc - the checksum of its frame is wrong" in shown.stdout
    assert "refused   1 crc of its frame" in shown.stdout
    assert "since     0.0 s ago" in shown.stdout
    found = json.loads(document.stdout)
    assert (found["rejections"], found["quality"]) == ({"crc": 1}, "crc")
    assert short.stdout == shown.stdout
    assert "1DB" in found["source"]


async def test_explain_of_a_kind_of_vehicle_needs_neither_agent_nor_recording(config: Path) -> None:
    told = await run(config, "vehicle", "explain", "Speed", "--vehicle", "nissan-env200")
    assert told.exit_code == 0
    assert "source    frame 284 WheelSpeed on bus ev" in told.stdout
    assert "since     never heard" in told.stdout


async def test_explain_of_a_path_nobody_tells_names_what_is_near(config: Path) -> None:
    async with running_agent(config, heard()):
        result = await run(config, "vehicle", "explain", "Vehicle.Sped")
    assert result.exit_code != 0
    assert "near it: Vehicle.Speed" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("signals", "watch", "--once"), ("vehicle", "explain", "Vehicle.Speed")],
    ids=lambda arguments: arguments[1],
)
async def test_without_an_agent_both_say_how_to_start_it(
    arguments: tuple[str, ...], config: Path
) -> None:
    result = await run(config, *arguments)
    assert result.exit_code != 0
    assert "start it with `okdrive-agent run`" in result.stderr


async def test_doctor_fits_into_eighty_columns_whatever_fails(config: Path) -> None:
    shown = await run(config, "doctor")  # of a folder without a single file
    assert shown.exit_code == 1
    assert "fail  identity     the check itself failed:" in shown.stdout
    assert "                   → report this with the line above" in shown.stdout
    words = [line for line in shown.stdout.splitlines() if str(config.parent) not in line]
    assert max(len(line) for line in words) <= 80


@pytest.mark.parametrize(("height", "rows"), [(None, 10), (6, 5), (12, 10), (1, 3)])
def test_no_more_rows_are_shown_than_a_terminal_has(height: int | None, rows: int) -> None:
    shown = list(fitting("HEAD", [f"row {n}" for n in range(9)], height))
    assert len(shown) == rows
    assert shown[0] == "HEAD"
    assert shown[-1].startswith("and ") == (rows < 10)


def buses_line(config: Path) -> tuple[str, str]:
    folders = Folders(root=config.parent)
    now = SystemClock().utc_now()
    (check,) = [c for c in checks(load_config(config), folders, now) if c.name == "buses"]
    finding = check.look()
    return finding.level, finding.text


def write_troubles(config: Path, watch: BusWatch, now_s: float) -> None:
    told = [
        {"bus": t.bus, "trouble": t.trouble, "text": t.text, "since_s": t.since_s}
        for t in watch.troubles(now_s)
    ]
    folders = Folders(root=config.parent)
    folders.vitals.parent.mkdir(parents=True, exist_ok=True)
    folders.vitals.write_text(json.dumps({"troubles": told}))


def test_doctor_says_what_is_wrong_with_a_bus(config: Path) -> None:
    assert buses_line(config) == ("ok", "the agent is not running")
    watch = BusWatch([EV, CAR], periods_s={}, requests={(EV, 0x79B)})
    watch.take([Frame(100.0, EV, 0x1DB, bytes(8)), Frame(100.0, CAR, 0x292, bytes(8))])
    write_troubles(config, watch, 100.1)
    assert buses_line(config) == ("ok", "no trouble on any bus")
    write_troubles(config, watch, 130.0)
    assert buses_line(config)[0] == "ok"  # an ordinary parked vehicle
    watch.take([Frame(131.0, EV, 0x79B, bytes(8))])
    watch.error(CAR, 131.0, ERROR_BUS_OFF)
    write_troubles(config, watch, 131.1)
    status, text = buses_line(config)
    assert status == "warn"
    assert "another tester asks 79B" in text
    assert "left the bus after too many errors" in text
