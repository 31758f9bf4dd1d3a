"""The keeper: what watch and tracker find is on the disk, and goes on after a restart."""

import asyncio
import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import msgspec
from click.testing import CliRunner

from agent.cli import main
from agent.signals.decode import Decoder
from agent.signals.table import load_table
from agent.store.battery import BatteryHistory
from agent.store.events import EventFiles
from agent.store.sessions import Sessions
from agent.store.state import State
from agent.vehicle.battery.memory import facts_of
from agent.vehicle.battery.rules import Code
from agent.vehicle.events import BUILT_IN
from agent.watch.events import event_paths
from agent.watch.keeper import KEPT_PATHS, Keeper
from sim.frames import DRIVE, PARK, POWER_OFF, POWER_ON, VehicleState, frames_of
from tests.support.clock import FakeClock
from tests.support.configs import agent_toml

ZE1 = load_table("nissan-leaf-ze1")
STILL = VehicleState(gear=PARK)
CHARGING = VehicleState(
    gear=PARK, power=POWER_OFF, pack_current_a=80.0, charger_status=1, soc_percent=50.0
)
CONFIG = agent_toml(".")


class Bench:
    """One vehicle folder; ``start`` is one run of the agent's keeper."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.time_s = 100.0
        self.granted = True
        self.is_guest = False
        self.driver = "0" * 16
        self.changes = 0
        self.counts: dict[int, int] = {}

    def start(self) -> None:
        self.state = State.open(self.folder / "state.sqlite")
        self.decoder = Decoder(
            ZE1, event_paths(BUILT_IN).union(KEPT_PATHS).intersection(ZE1.paths())
        )
        ids = (f"charge{number}" for number in itertools.count(1))
        self.keeper = Keeper(
            ZE1,
            self.decoder.latest,
            history=BatteryHistory.open(self.folder / "battery.sqlite"),
            sessions=Sessions(self.state.database),
            clock=self.clock,
            may_record=lambda: self.granted and not self.is_guest,
            whose=lambda: None if self.is_guest or not self.granted else self.driver,
            holders=lambda: frozenset({self.driver} if self.granted else ()),
            new_session_id=lambda: next(ids),
            on_change=self._changed,
            event_files=EventFiles(self.folder / "events", quota_bytes=1_000_000),
            events=BUILT_IN,
        )

    def _changed(self) -> None:
        self.changes += 1

    def send(self, state: VehicleState, seconds: float) -> None:
        ticks = round(seconds * 100)
        for at in range(0, ticks, 20):
            states: Iterable[VehicleState] = itertools.repeat(state, min(20, ticks - at))
            frames = list(frames_of(states, start_s=self.time_s, counts=self.counts))
            self.time_s += 0.2
            self.clock.advance_s(0.2)
            changes = [*self.decoder.feed_all(frames), *self.decoder.age(self.time_s)]
            self.keeper.take(changes, self.time_s)

    async def stop(self) -> None:
        stop = asyncio.Event()
        stop.set()
        await self.keeper.run(stop)
        await asyncio.to_thread(self.state.close)

    def command(self, *arguments: str) -> str:
        config = self.folder / "agent.toml"
        config.write_text(CONFIG)
        result = CliRunner().invoke(main, ["--config", str(config), *arguments])
        assert result.exit_code == 0, result.output
        assert all(
            len(line) <= 80 for line in result.output.splitlines() if "--json" not in arguments
        )
        return result.output


async def test_an_alert_is_shown_kept_and_explained(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await asyncio.to_thread(bench.start)
    bench.send(STILL, 5)
    bench.send(replace(STILL, has_isolation_fault=True), 6)
    (shown,) = bench.keeper.alerts()
    assert (shown.alert.code, shown.is_acknowledged) == (Code.ISOLATION, False)
    assert bench.changes == 1
    await bench.stop()
    every = await asyncio.to_thread(bench.command, "battery", "explain")
    assert "isolation          warning   now      The insulation sensor reports a fault" in every
    assert "hx_fall            advisory  never    The battery's Hx fell fast this year" in every
    text = await asyncio.to_thread(bench.command, "battery", "explain", "isolation")
    assert "HasIsolationFault" in text
    assert "valid_readings" in text
    found = msgspec.json.decode(
        await asyncio.to_thread(bench.command, "battery", "explain", "isolation", "--json")
    )
    assert found["state"] == "raised"
    assert len(found["around"]) == 4  # a standing vehicle: nothing changed since the start
    assert "isolation" in await asyncio.to_thread(bench.command, "battery", "show")
    assert "health" in await asyncio.to_thread(bench.command, "battery", "history")
    text = await asyncio.to_thread(bench.command, "battery", "summary")
    assert "2026-11     1     91.0" in text
    assert "alerts: isolation" in text


async def test_an_acknowledged_alert_stays_put_away_over_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await asyncio.to_thread(bench.start)
    bench.send(replace(STILL, has_isolation_fault=True), 6)
    assert bench.keeper.acknowledge(Code.ISOLATION)
    assert not bench.keeper.acknowledge(Code.HEALTH)
    await bench.stop()
    await asyncio.to_thread(bench.start)
    bench.send(replace(STILL, has_isolation_fault=True), 6)
    assert [shown.is_acknowledged for shown in bench.keeper.alerts()] == [True]
    await bench.stop()


async def test_a_charge_becomes_a_session_in_the_list(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await asyncio.to_thread(bench.start)
    bench.send(CHARGING, 30)
    bench.keeper.finish(bench.time_s)
    await bench.stop()
    text = await asyncio.to_thread(bench.command, "trips", "list")
    assert "charge1           charge" in text
    shown = await asyncio.to_thread(bench.command, "trips", "show", "charge1", "--json")
    session = msgspec.json.decode(shown)["trip"]
    assert session["supply"] == "dc"
    assert abs(session["energy_in_wh"] - 390 * 80 * 30 / 3_600) < 10
    text = await asyncio.to_thread(bench.command, "trips", "show", "charge1")
    assert "quarter hours 260 Wh" in text
    assert "supply        DC" in text


async def test_a_restart_in_mid_charge_goes_on_with_the_session(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await asyncio.to_thread(bench.start)
    bench.send(CHARGING, 20)
    await bench.stop()
    bench.clock.advance_s(60)
    await asyncio.to_thread(bench.start)
    bench.send(CHARGING, 20)
    bench.keeper.finish(bench.time_s)
    await bench.stop()
    state = await asyncio.to_thread(State.open, tmp_path / "state.sqlite")
    (row,) = await asyncio.to_thread(Sessions(state.database).rows)
    await asyncio.to_thread(state.close)
    session = msgspec.json.decode(row.summary)
    assert not row.is_open
    assert session["restarts"] == 1
    assert 55 <= session["unknown_s"] <= 65
    assert 35 <= session["charging_s"] <= 40


async def test_without_consent_no_charge_is_kept_but_the_battery_is_watched(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.granted = False
    await asyncio.to_thread(bench.start)
    bench.send(replace(CHARGING, has_isolation_fault=True), 30)
    bench.keeper.finish(bench.time_s)
    await bench.stop()
    state = await asyncio.to_thread(State.open, tmp_path / "state.sqlite")
    assert await asyncio.to_thread(Sessions(state.database).rows) == []
    await asyncio.to_thread(state.close)
    assert "isolation" in await asyncio.to_thread(bench.command, "battery", "show")


POWER = VehicleState(
    gear=DRIVE, power=POWER_ON, speed_km_h=100.0, pack_current_a=-220.0, pack_voltage_v=360.0
)


async def test_a_built_in_event_is_captured_listed_and_shown(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await asyncio.to_thread(bench.start)
    bench.send(replace(POWER, pack_current_a=-20.0), 12)
    bench.send(POWER, 3)
    bench.send(replace(POWER, pack_current_a=-20.0), 8)
    await bench.stop()
    text = await asyncio.to_thread(bench.command, "signals", "events")
    assert "    1  full-power              2026-11-22 12:00:1" in text
    assert "power-limited" in text  # looked for, though never seen
    text = await asyncio.to_thread(bench.command, "signals", "events", "1")
    assert "…in.TractionBattery.CurrentPower    -79200" in text
    found = msgspec.json.decode(
        await asyncio.to_thread(bench.command, "signals", "events", "1", "--json")
    )
    told = {path.rpartition(".")[2] for path, *_ in found["readings"]}
    assert told >= {"CurrentVoltage", "CurrentPower", "Speed"}  # also what did not change
    assert 0.9 <= max(since_s for _, since_s, _, _ in found["readings"]) <= 5.1
    assert found["condition"].endswith("CurrentPower < -70000")


async def test_without_consent_no_event_is_kept_and_a_withdrawal_deletes_them(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path)
    bench.granted = False
    await asyncio.to_thread(bench.start)
    bench.send(POWER, 10)
    bench.granted = True
    await bench.stop()
    assert not (tmp_path / "events").exists()
    await asyncio.to_thread(bench.start)
    bench.send(POWER, 10)
    await bench.stop()
    assert len(list((tmp_path / "events").iterdir())) == 1
    bench.is_guest = True  # deletes nothing and leaves nothing
    await asyncio.to_thread(bench.start)
    bench.send(POWER, 10)
    await bench.stop()
    assert len(list((tmp_path / "events").iterdir())) == 1
    bench.granted = False
    await asyncio.to_thread(bench.start)
    await bench.stop()
    assert list((tmp_path / "events").iterdir()) == []


async def test_what_was_read_of_one_driver_is_in_no_event_of_another(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await asyncio.to_thread(bench.start)
    bench.send(replace(POWER, pack_current_a=-20.0), 12)
    switched_s, bench.driver = bench.time_s, "1" * 16
    bench.send(POWER, 3)
    bench.send(replace(POWER, pack_current_a=-20.0), 8)
    await bench.stop()
    files = EventFiles(tmp_path / "events", quota_bytes=1_000_000)
    (row,) = await asyncio.to_thread(files.rows)
    assert row.event.profile_id == bench.driver
    read_s = [row.event.time_s + reading.since_s for reading in row.event.readings]
    assert min(read_s) >= switched_s - 0.001  # when it was rounded


def test_a_configuration_with_an_event_that_is_none_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text(CONFIG + '[[events.rules]]\nname = "x"\ncondition = "Vehicle.Sped > 1"\n')
    result = CliRunner().invoke(main, ["--config", str(config), "config", "validate"])
    assert result.exit_code == 2
    assert "event 'x'" in result.output
    assert "nothing was started" in result.output


async def test_an_explanation_tells_the_threshold_that_is_configured(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await asyncio.to_thread(bench.start)
    await bench.stop()
    config = tmp_path / "own.toml"
    own = CONFIG + "[battery.raise_at]\nlow_voltage = 2.5\n"
    await asyncio.to_thread(config.write_text, own)
    arguments = ["--config", str(config), "battery", "explain", "low_voltage"]
    result = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert "2 readings of 2.5 V or more" in result.output
    await asyncio.to_thread(config.write_text, own.replace("low_voltage", "low_volts"))
    result = await asyncio.to_thread(
        CliRunner().invoke, main, ["--config", str(config), "config", "validate"]
    )
    assert result.exit_code == 2
    assert "got 'low_volts'" in result.output


def test_facts_follow_the_definition() -> None:
    assert not facts_of(ZE1).is_ze0
    aged = msgspec.structs.replace(ZE1, name="nissan-leaf-ze0")
    assert (facts_of(aged).is_ze0, facts_of(aged).is_first_generation) == (True, True)
    assert "Vehicle.Speed" not in facts_of(ZE1).checked
    assert "Vehicle.Powertrain.TractionBattery.CurrentVoltage" in facts_of(ZE1).checked
