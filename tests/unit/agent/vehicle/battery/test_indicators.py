"""Each indicator on its own; and two defects of a known monitor that must not be ours."""

import random
import statistics
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.signals import catalog
from agent.signals.decode import Decoder
from agent.signals.model import Quality, Signal
from agent.signals.replay import ReplaySource
from agent.signals.table import load_table
from agent.vehicle.battery.alerts import Reading
from agent.vehicle.battery.balance import ChargeBalance
from agent.vehicle.battery.cells import (
    below_limit,
    cell_limit_v,
    hot_extreme,
    hot_spot,
    imbalance,
    mad,
)
from agent.vehicle.battery.flags import Flags
from agent.vehicle.battery.resistance import (
    Baseline,
    Bin,
    LeastSquares,
    ResistanceWindows,
    bin_of,
)
from agent.vehicle.battery.rules import RULES, Code
from agent.vehicle.battery.sensors import SensorCheck
from agent.vehicle.battery.supply import LowVoltage


def is_bad(reading: Reading | None) -> bool:
    assert reading is not None
    return reading.value >= RULES[reading.code].raise_at


def pack(weak_v: float = 0.0) -> dict[int, float]:
    chance = random.Random(5)
    cells = {number: 3.9 + chance.gauss(0, 0.003) for number in range(1, 97)}
    cells[37] -= weak_v
    return cells


# -- cells and modules -------------------------------------------------------------------------


def test_a_deviation_that_hides_in_its_own_sigma_is_found_by_the_median() -> None:
    temperatures = (20.0, 20.0, 30.0)
    above_k = max(temperatures) - statistics.fmean(temperatures)
    assert above_k < statistics.pstdev(temperatures) + 2.0  # the other monitor says nothing
    assert mad(temperatures) == 0.0
    assert is_bad(hot_spot(temperatures))


def test_a_hot_module_is_told_while_all_voltages_are_well_and_the_other_way_round() -> None:
    assert is_bad(hot_spot((20.0, 21.0, 32.0, 19.0)))
    assert not is_bad(imbalance(pack(), 0.0))
    assert is_bad(imbalance(pack(weak_v=0.13), 0.0))
    assert not is_bad(hot_spot((20.0, 21.0, 20.0, 19.0)))


@pytest.mark.parametrize(
    "temperatures",
    [(20.0, 21.0, 19.0, 19.0), (10.0, 9.0, 10.0, 9.0), (21.0, 20.0, 17.0, 21.0)],
)
def test_measured_healthy_packs_have_no_hot_module(temperatures: tuple[float, ...]) -> None:
    assert not is_bad(hot_spot(temperatures))


def test_two_thermistors_prove_nothing() -> None:
    assert hot_spot((20.0, 40.0)) is None


def test_a_vehicle_that_tells_only_extremes_is_judged_by_them() -> None:
    assert is_bad(hot_extreme(30.0, 20.0))
    assert not is_bad(hot_extreme(21.0, 19.0))


def test_the_weakest_cell_is_named_with_its_figures() -> None:
    reading = imbalance(pack(weak_v=0.13), -3.5)
    assert reading is not None
    evidence = {one.name: one.value for one in reading.evidence}
    assert evidence["weakest_cell"] == 37
    assert evidence["cells"] == 96
    assert evidence["current"] == -3.5


@pytest.mark.parametrize("current_a", [-424.0, -80.0, 50.0])
def test_imbalance_under_current_is_not_judged(current_a: float) -> None:
    assert imbalance(pack(weak_v=0.13), current_a) is None


def test_a_handful_of_cells_proves_nothing() -> None:
    assert imbalance({1: 3.9, 2: 3.5}, 0.0) is None


def test_the_limit_of_a_cell_follows_the_makers_example() -> None:
    assert cell_limit_v(356.0, 3.750) == pytest.approx(3.646, abs=0.0005)


def test_a_cell_below_the_makers_limit_is_bad_and_above_the_formula_nobody_asks() -> None:
    cells = dict.fromkeys(range(1, 97), 3.71)
    assert not is_bad(below_limit(cells))
    cells[5] = 3.55
    assert is_bad(below_limit(cells))
    assert below_limit(dict.fromkeys(range(1, 97), 3.9)) is None


# -- resistance --------------------------------------------------------------------------------


def samples(resistance_ohm: float, *, drift_v_s: float = 0.0, noise_v: float = 0.2) -> LeastSquares:
    chance = random.Random(3)
    sums = LeastSquares()
    for at in range(3_000):
        amperes = 80 * chance.uniform(-1, 1) - 40
        volts = 390 + drift_v_s * at / 100 + resistance_ohm * amperes + chance.gauss(0, noise_v)
        sums.add(at / 100, volts, amperes)
    return sums


@pytest.mark.parametrize("drift_v_s", [0.0, -0.05])
def test_resistance_is_found_also_while_the_open_voltage_drifts(drift_v_s: float) -> None:
    fit = samples(0.0509, drift_v_s=drift_v_s).fit()
    assert fit is not None
    assert fit.resistance_ohm == pytest.approx(0.0509, rel=0.01)
    assert fit.error < 0.05


def test_without_enough_change_in_current_nothing_is_fitted() -> None:
    sums = LeastSquares()
    for at in range(3_000):
        sums.add(at / 100, 390.0, -10.0 + at % 3)
    assert sums.fit() is None


def test_noise_shows_as_error() -> None:
    quiet, loud = samples(0.05, noise_v=0.1).fit(), samples(0.05, noise_v=5.0).fit()
    assert quiet is not None
    assert loud is not None
    assert loud.error > 10 * quiet.error


def test_a_gap_in_time_starts_a_new_window() -> None:
    windows = ResistanceWindows()
    chance = random.Random(3)
    found = []
    for at in range(12_000):
        time_s = at / 100 + (1_000 if at > 2_000 else 0)
        amperes = 80 * chance.uniform(-1, 1)
        found.append(windows.add(time_s, 390 + 0.05 * amperes, amperes))
    fits = [fit for fit in found if fit]
    assert [round(fit.resistance_ohm, 4) for fit in fits] == [0.05] * 3


def test_bins_keep_apart_what_cannot_be_compared() -> None:
    assert bin_of(21.9, 78.0) == Bin(20, 70)
    assert bin_of(-0.1, 100.0) == Bin(-5, 90)
    assert str(Bin(20, 70)) == "20..25 C, 70..80 %"


def test_a_baseline_is_the_mean_of_the_first_five_windows_and_stays() -> None:
    baseline = Baseline(0.0, 0)
    for resistance in (0.050, 0.051, 0.052, 0.050, 0.052, 0.080, 0.090):
        baseline = baseline.plus(resistance)
    assert baseline.is_firm
    assert baseline.mean_ohm == pytest.approx(0.051)


@pytest.mark.recorded
def test_the_recorded_drive_has_the_measured_resistance(recordings: Path) -> None:
    source = ReplaySource(
        recordings / "leaf/ze1_62kwh_eco_drive.log.gz", speed=None, clock=SystemClock()
    )
    decoder = Decoder(load_table("nissan-leaf-ze1"), {catalog.PACK_VOLTAGE, catalog.PACK_CURRENT})
    sums = LeastSquares()
    for frame in source.read_all():
        decoder.feed(frame)
        volts, amperes = (
            decoder.latest[path].value for path in (catalog.PACK_VOLTAGE, catalog.PACK_CURRENT)
        )
        if frame.can_id == 0x1DB and volts is not None and amperes is not None:
            sums.add(frame.time_s, volts, amperes)
    fit = sums.fit(with_drift=False)
    assert fit is not None
    assert fit.open_v == pytest.approx(392.1, abs=0.05)
    assert fit.resistance_ohm == pytest.approx(0.0509, abs=0.00005)


# -- charge against the gauge ------------------------------------------------------------------


def judge(balance: ChargeBalance, start_s: int, seconds: int, **gauge: float) -> Reading | None:
    reading = None
    for second in range(start_s, start_s + seconds):
        balance.flow(float(second), gauge["amperes"])
        soc = gauge["soc"] + gauge.get("slope", 0.0) * (second - start_s)
        reading = balance.judge(float(second), soc, 100.0)
    return reading


def test_a_gauge_that_follows_the_charge_is_well() -> None:
    reading = judge(ChargeBalance(), 0, 120, soc=80.0, amperes=-360.0, slope=-0.1)
    assert reading is not None
    assert reading.value < 0.2


def test_a_jump_of_the_gauge_is_bad_for_a_minute() -> None:
    balance = ChargeBalance()
    judge(balance, 0, 60, soc=80.0, amperes=-10.0)
    assert is_bad(judge(balance, 60, 30, soc=74.0, amperes=-10.0))
    assert not is_bad(judge(balance, 90, 60, soc=74.0, amperes=-10.0))


def test_charge_that_flowed_unheard_is_not_compared() -> None:
    balance = ChargeBalance()
    judge(balance, 0, 60, soc=80.0, amperes=-10.0)
    assert not is_bad(judge(balance, 65, 30, soc=70.0, amperes=-10.0))


def test_an_unknown_current_starts_anew() -> None:
    balance = ChargeBalance()
    judge(balance, 0, 60, soc=80.0, amperes=-10.0)
    balance.flow(60.5, None)
    assert not is_bad(judge(balance, 61, 30, soc=70.0, amperes=-10.0))


# -- 12 V, sensors, flags ----------------------------------------------------------------------


def test_the_reference_of_the_12_v_battery_is_its_own_voltage_at_rest() -> None:
    supply = LowVoltage()
    assert not is_bad(supply.judge(0.0, 11.1, is_off=False))
    for second in range(100):
        supply.judge(float(second), 12.9, is_off=True)
    assert supply.rest_v == 12.9
    assert is_bad(supply.judge(200.0, 11.2, is_off=False))
    assert supply.judge(201.0, None, is_off=False) is None


def test_a_voltage_under_charge_is_no_voltage_at_rest() -> None:
    supply = LowVoltage()
    for second in range(100):
        supply.judge(float(second), 14.2, is_off=True)
    assert supply.rest_v is None


def latest(**values: float | Quality) -> dict[str, Signal]:
    names = {
        "amperes": catalog.PACK_CURRENT,
        "twin": catalog.CURRENT_TWIN,
        "volts": catalog.PACK_VOLTAGE,
        "soc": catalog.SOC,
        "torque": catalog.MOTOR_TORQUE,
        "rpm": catalog.MOTOR_SPEED,
    }
    found = {}
    for name, value in values.items():
        is_value = not isinstance(value, Quality)
        quality = Quality.OK if is_value else value
        path = names[name]
        found[path] = Signal(path, float(value) if is_value else None, quality, 0.0)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("quality", [Quality.CRC, Quality.COUNTER, Quality.RANGE, Quality.LENGTH])
def test_wrong_frames_are_told_instead_of_a_guess(quality: Quality) -> None:
    check = SensorCheck()
    reading = check.judge(0.0, latest(amperes=quality, volts=390.0, soc=80.0))
    assert is_bad(reading)
    assert not check.is_trusted


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.SENTINEL, Quality.MISSING])
def test_an_absent_value_is_not_a_wrong_one(quality: Quality) -> None:
    check = SensorCheck()
    assert not is_bad(check.judge(0.0, latest(amperes=quality, volts=390.0, soc=80.0)))


def test_two_sensors_of_one_current_have_to_agree() -> None:
    check = SensorCheck()
    assert is_bad(check.judge(0.0, latest(amperes=10.0, twin=15.0)))
    assert not is_bad(check.judge(1.0, latest(amperes=10.0, twin=10.5)))
    assert check.is_trusted


def test_a_current_that_stands_still_while_the_motor_works_is_stuck() -> None:
    check = SensorCheck()
    found = [
        check.judge(float(at), latest(amperes=-20.0, torque=5.0 * at, rpm=4_000.0))
        for at in range(15)
    ]
    assert [is_bad(reading) for reading in found] == [False] * 10 + [True] * 5


def test_a_current_that_stands_still_while_nothing_happens_is_well() -> None:
    check = SensorCheck()
    found = [check.judge(float(at), latest(amperes=-2.0, torque=0.0, rpm=0.0)) for at in range(60)]
    assert not any(is_bad(reading) for reading in found)


def test_nothing_heard_is_nothing_judged() -> None:
    assert SensorCheck().judge(0.0, {}) is None


def test_flags_that_nobody_tells_are_not_judged() -> None:
    assert Flags().judge(0.0, {}) == []


def test_the_limit_reason_of_a_ze0_is_never_judged() -> None:
    values = {catalog.LIMIT_REASON: 2.0}
    flags = Flags(without=frozenset({Code.LIMIT_MALFUNCTION}))
    assert all(not is_bad(reading) for reading in flags.judge(0.0, values))
    assert any(is_bad(reading) for reading in Flags().judge(0.0, values))


def test_the_interlock_may_open_for_a_moment_at_the_start() -> None:
    values = {catalog.INTERLOCK: 0.0, catalog.POWER_CONNECTED: 1.0}
    flags = Flags()
    assert not any(is_bad(reading) for reading in flags.judge(0.0, values))
    assert any(is_bad(reading) for reading in flags.judge(1.0, values))
