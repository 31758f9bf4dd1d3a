"""Charge sessions of the recorded charges, through the shipped definitions."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.recorder import wanted_paths
from agent.signals.batches import in_batches
from agent.signals.decode import Decoder
from agent.signals.model import Frame
from agent.signals.replay import ReplaySource
from agent.signals.table import load_table
from agent.vehicle.charge import ChargeConfig, ChargeTracker
from agent.vehicle.charge_session import ChargeSession, Supply
from agent.watch.charges import Cable
from agent.watch.keeper import KEPT_PATHS

pytestmark = pytest.mark.recorded


def sessions(
    path: Path,
    vehicle: str,
    batches: Callable[[list[Frame]], Iterable[Sequence[Frame]]] = in_batches,
) -> list[ChargeSession]:
    table = load_table(vehicle)
    decoder = Decoder(table, wanted_paths(table).union(set(KEPT_PATHS).intersection(table.paths())))
    tracker = ChargeTracker(ChargeConfig(), lambda: "charge")
    frames = ReplaySource(path, speed=None, clock=SystemClock()).read_all()
    cable = Cable(table, decoder.latest)
    changes, now_s = [], 0.0
    for batch in batches(list(frames)):
        now_s = batch[-1].time_s
        signals = [*decoder.feed_all(batch), *decoder.age(now_s)]
        for part, plug, until_s in cable.parts(signals, now_s):
            changes += tracker.step(part, plug, until_s)
    changes += tracker.finish(now_s)
    return [change.session for change in changes if change.session]


def test_a_charge_from_the_mains_with_what_the_charger_says(recordings: Path) -> None:
    (session,) = sessions(recordings / "leaf/env200_40kwh_ac_charge.log.gz", "nissan-env200")
    assert session.supply is Supply.AC
    assert session.charging_s == pytest.approx(55, abs=1)
    # 5.5 A at 358.5 V for 48 s, little before; the charger gives 2.1 kW from 7.26 s on. Too many
    # of its frames are lost for 4.2 s of it: what it gave goes on, and the doubt is told
    assert session.energy_in_wh == pytest.approx(5.5 * 358.5 * 48 / 3_600, rel=0.06)
    assert session.charger_wh == pytest.approx(2_100 * 48 / 3_600, rel=0.02)
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


def in_pieces(frames: list[Frame], *, size: int) -> Iterable[Sequence[Frame]]:
    return (frames[at : at + size] for at in range(0, len(frames), size))


@pytest.mark.parametrize("size", [1, 7, 100])
def test_what_a_charge_adds_up_does_not_depend_on_how_frames_come_in(
    recordings: Path, size: int
) -> None:
    path = recordings / "leaf/env200_40kwh_ac_charge.log.gz"
    (usual,) = sessions(path, "nissan-env200")
    (other,) = sessions(path, "nissan-env200", partial(in_pieces, size=size))
    # that a sender went silent is noticed at the end of a batch: once here, for 0.2 s
    assert other.energy_in_wh == pytest.approx(usual.energy_in_wh, rel=0.01)
    assert other.charger_wh == pytest.approx(usual.charger_wh, rel=0.01)
    assert other.charging_s == pytest.approx(usual.charging_s, abs=0.25)
