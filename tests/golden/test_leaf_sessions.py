"""Charge sessions of the recorded charges, through the shipped definitions."""

from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.recorder import wanted_paths
from agent.signals.batches import in_batches
from agent.signals.decode import Decoder
from agent.signals.replay import ReplaySource
from agent.signals.table import load_table
from agent.vehicle.charge import ChargeConfig, ChargeTracker
from agent.vehicle.charge_session import ChargeSession, Supply
from agent.watch.charges import plug_of
from agent.watch.keeper import KEPT_PATHS

pytestmark = pytest.mark.recorded


def sessions(path: Path, vehicle: str) -> list[ChargeSession]:
    table = load_table(vehicle)
    decoder = Decoder(table, wanted_paths(table).union(set(KEPT_PATHS).intersection(table.paths())))
    tracker = ChargeTracker(ChargeConfig(), lambda: "charge")
    frames = ReplaySource(path, speed=None, clock=SystemClock()).read_all()
    changes, now_s = [], 0.0
    for batch in in_batches(list(frames)):
        now_s = batch[-1].time_s
        signals = [*decoder.feed_all(batch), *decoder.age(now_s)]
        changes += tracker.step(signals, plug_of(table, decoder.latest), now_s)
    changes += tracker.finish(now_s)
    return [change.session for change in changes if change.session]


def test_a_charge_from_the_mains_with_what_the_charger_says(recordings: Path) -> None:
    (session,) = sessions(recordings / "leaf/env200_40kwh_ac_charge.log.gz", "nissan-env200")
    assert session.supply is Supply.AC
    assert session.charging_s == pytest.approx(55, abs=1)
    # 5.5 A at 358.5 V for 48 s, little before; the charger gives 2.1 kW from 7.26 s on, but for
    # 4.2 s of it too many of its frames are lost to know
    assert session.energy_in_wh == pytest.approx(5.5 * 358.5 * 48 / 3_600, rel=0.06)
    assert session.charger_wh == pytest.approx(2_100 * (48 - 4.2) / 3_600, rel=0.02)
    assert (session.soc_start_percent, session.soc_end_percent) == (58.4, 58.5)
    assert session.cell_temp_max_c == 21.0


def test_a_charge_that_ends_is_over_when_the_charger_says_so(recordings: Path) -> None:
    (session,) = sessions(recordings / "leaf/ze0_charge_stop_full.log.gz", "nissan-leaf-ze0")
    assert session.supply is Supply.AC
    assert session.charging_s == pytest.approx(18.2, abs=0.3)
    assert session.paused_s == pytest.approx(71.7 - 18.2, abs=1)
    assert session.pauses == 1
    assert (session.soc_start_percent, session.soc_end_percent) == (84.0, 84.1)


@pytest.mark.parametrize(
    ("name", "vehicle"),
    [
        ("ze0_24kwh_stock", "nissan-leaf-ze0"),
        ("aze0_ready_parked", "nissan-leaf-aze0"),
        ("ze1_62kwh_startup", "nissan-leaf-ze1"),
        ("ze1_62kwh_eco_drive", "nissan-leaf-ze1"),
    ],
)
def test_a_vehicle_that_does_not_charge_has_no_charge(
    recordings: Path, name: str, vehicle: str
) -> None:
    found = sessions(recordings / f"leaf/{name}.log.gz", vehicle)
    assert [session for session in found if session.has_energy] == []
