"""The battery watch: signals in, alerts and measurements out. Pure; needs no consent, no network.

Everything is judged once a second on the clock of the frames. While a sensor cannot be trusted,
nothing that rests on it is judged: the driver hears that instead of a guess.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from agent.signals import catalog
from agent.signals.model import Signal
from agent.vehicle.battery.alerts import Alert, AlertBook, AlertChange, Evidence, Reading, Stage
from agent.vehicle.battery.balance import ChargeBalance
from agent.vehicle.battery.cells import balancing, below_limit, hot_extreme, hot_spot, imbalance
from agent.vehicle.battery.flags import FLAG_PATHS, Flags
from agent.vehicle.battery.health import against_durability, hx_in_a_year, sudden_drop
from agent.vehicle.battery.memory import Facts, Kind, Measurement, Memory, Outcome, Rest
from agent.vehicle.battery.resistance import Baseline, Bin, Fit, ResistanceWindows, bin_of
from agent.vehicle.battery.rest import lost_at_rest
from agent.vehicle.battery.rules import RULES, Code, Rule
from agent.vehicle.battery.sensors import WRONG, SensorCheck
from agent.vehicle.battery.supply import LowVoltage

JUDGE_EVERY_S: Final = 1.0
MEASURE_EVERY_S: Final = 600.0
HOT_CHARGE_C: Final = 45.0  # source: reference, alerts
HOT_CHARGE_DAYS: Final = 30
_GIDS_V: Final = 360.0  # mean voltage of a pack, to turn energy into charge; 5 % is enough here
_SMALL_PACK_AH: Final = 90.0  # 24 and 30 kWh packs have 66 and 79 Ah when new
_FULL_ENERGY: Final = f"{catalog.OVERLAY}.Battery.FullEnergy"
_OFF_A: Final = 1.0  # more than this while switched off is charging

WATCH_PATHS: Final = tuple(
    sorted(
        {
            *FLAG_PATHS,
            *catalog.CELL_VOLTAGES,
            *catalog.CELL_TEMPERATURES,
            catalog.PACK_VOLTAGE,
            catalog.PACK_CURRENT,
            catalog.CURRENT_TWIN,
            catalog.SOC,
            catalog.SOH,
            catalog.ENERGY,
            catalog.CAPACITY_AH,
            catalog.HX,
            catalog.CELL_TEMPERATURE_MAX,
            catalog.CELL_TEMPERATURE_MIN,
            catalog.CELL_TEMPERATURE_AVERAGE,
            catalog.LOW_VOLTAGE,
            catalog.IGNITION,
            catalog.SPEED,
            catalog.MOTOR_SPEED,
            catalog.MOTOR_TORQUE,
            catalog.ODOMETER,
            catalog.ISOLATION_SENSOR,
            _FULL_ENERGY,
        }
    )
)


# which signals an alert rests on, for the counts in its evidence
_RESTS_ON: Final[Mapping[Code, tuple[str, ...]]] = {
    Code.WEAK_CELL: catalog.CELL_VOLTAGES,
    Code.CELL_BELOW_LIMIT: catalog.CELL_VOLTAGES,
    Code.HOT_MODULE: (*catalog.CELL_TEMPERATURES, catalog.CELL_TEMPERATURE_MAX),
    Code.SOC_MISMATCH: (catalog.SOC, catalog.PACK_CURRENT),
    Code.RESISTANCE: (catalog.PACK_VOLTAGE, catalog.PACK_CURRENT),
    Code.LOW_VOLTAGE: (catalog.LOW_VOLTAGE,),
    Code.SENSOR_INVALID: (catalog.PACK_VOLTAGE, catalog.PACK_CURRENT, catalog.SOC),
    Code.ISOLATION: (catalog.ISOLATION_FAULT,),
    Code.RELAY_CUT: (catalog.RELAY_CUT,),
    Code.FAILSAFE: (catalog.FAILSAFE,),
    Code.EMPTY: (catalog.IS_EMPTY,),
    Code.INTERLOCK: (catalog.INTERLOCK,),
    Code.LIMIT_MALFUNCTION: (catalog.LIMIT_REASON,),
    Code.LIMIT_HOT: (catalog.LIMIT_REASON,),
    Code.HEALTH: (catalog.SOH,),
    Code.HEALTH_DROP: (catalog.SOH,),
    Code.HX_FALL: (catalog.HX,),
    Code.BALANCING: catalog.CELL_VOLTAGES,
}
_CELL_NUMBER: Final = {path: number for number, path in enumerate(catalog.CELL_VOLTAGES, start=1)}


class BatteryWatch:
    """Watches one battery; feed it every change of a signal. ``active`` are the raised alerts."""

    def __init__(
        self,
        facts: Facts | None = None,
        memory: Memory | None = None,
        rules: Mapping[Code, Rule] = RULES,
    ) -> None:
        """Go on from ``memory``, which the watch keeps up to date and the caller stores."""
        self.facts = facts or Facts()
        self.memory = memory or Memory()
        self._book = AlertBook(rules)
        self._restore()
        self._latest: dict[str, Signal] = {}
        self._values: dict[str, float | None] = dict.fromkeys(WATCH_PATHS)
        self._valid: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        without = {Code.LIMIT_MALFUNCTION} if self.facts.is_ze0 else set()
        self._flags = Flags(without=frozenset(without))
        self._sensors = SensorCheck()
        self._balance = ChargeBalance()
        self._windows = ResistanceWindows()
        self._supply = LowVoltage(self.memory.rest_v)
        self._cells: dict[int, float] = {}
        self._poll_s: float | None = None  # when the last cell of an unjudged poll came
        self._poll_a = 0.0
        self._pair_s: float | None = None
        self._judged_s = -math.inf
        self._measured: dict[Kind, tuple[float, float]] = {}
        self._changes: list[AlertChange] = []
        self._measurements: list[Measurement] = []
        self._day = 0
        self._utc: datetime | None = None

    @property
    def active(self) -> tuple[Alert, ...]:
        """Return the alerts that are raised, most severe first."""
        return self._book.active()

    def step(
        self, signals: Iterable[Signal], time_s: float, *, utc: datetime | None, day: int
    ) -> Outcome:
        """Take what changed up to ``time_s``; return what that means.

        Args:
            signals: In the order of their times.
            time_s: Now, on the clock of the frames.
            utc: Wall time where it is proven; None keeps what needs it from being judged.
            day: Days since 1970 as far as anybody knows: how often the driver is told.
        """
        self._utc, self._day = utc, day
        for signal in signals:
            if signal.path in self._values:
                self._take(signal)
        if not 0 <= time_s - self._judged_s < JUDGE_EVERY_S:
            self._judged_s = time_s
            self._judge(time_s)
        return self._outcome()

    def note_quick_charge(self, hottest_c: float | None, time_s: float, *, day: int) -> Outcome:
        """Take a quick charge that ended, with the hottest cell of it."""
        self._day = day
        days = [d for d in self.memory.hot_charge_days if day - d < HOT_CHARGE_DAYS]
        if hottest_c is not None and hottest_c > HOT_CHARGE_C:
            days.append(day)
        self.memory.hot_charge_days = days
        hottest = Evidence(name="hottest", value=hottest_c or 0.0, unit="celsius")
        reading = Reading(code=Code.HOT_CHARGES, value=float(len(days)), evidence=(hottest,))
        self._hear(reading, time_s)
        return self._outcome()

    def _outcome(self) -> Outcome:
        if not self._changes and not self._measurements:
            return _NOTHING
        found = Outcome(changes=tuple(self._changes), measurements=tuple(self._measurements))
        self._changes, self._measurements = [], []
        return found

    def _restore(self) -> None:
        for code, day in self.memory.told_days.items():
            self._book.latches[code].told_day = day
        for code in self.memory.suspect_days:
            latch = self._book.latches[code]
            latch.suspect()
        for alert in self.memory.alerts:
            good = self.memory.good_days.get(alert.code, 0)
            self._book.latches[alert.code].restore(alert, -math.inf, good=good)

    # -- signals -------------------------------------------------------------------------------

    def _take(self, signal: Signal) -> None:
        path, value = signal.path, signal.value
        if value is not None:
            self._valid[path] += 1
        elif signal.quality in WRONG:
            self._rejected[path] += 1
        if path in _PAIR:
            self._pair(signal)
        self._latest[path] = signal
        self._values[path] = value
        number = _CELL_NUMBER.get(path)
        if number is not None:
            self._take_cell(number, signal)

    def _pair(self, signal: Signal) -> None:
        """Voltage and current of one frame belong together: look when the next one comes."""
        amperes = self._values[catalog.PACK_CURRENT]
        if signal.path == catalog.PACK_CURRENT:
            self._balance.flow(signal.time_s, amperes)
            self._poll_a = max(self._poll_a, abs(signal.value or 0.0))
        if signal.time_s == self._pair_s:
            return
        volts = self._values[catalog.PACK_VOLTAGE]
        if self._pair_s is not None and volts is not None and amperes is not None:
            fit = self._windows.add(self._pair_s, volts, amperes)
            if fit:
                self._judge_resistance(fit, signal.time_s)
        self._pair_s = signal.time_s

    def _take_cell(self, number: int, signal: Signal) -> None:
        if signal.value is None:
            self._cells.pop(number, None)
            return
        if self._poll_s is None:
            self._poll_a = abs(self._values[catalog.PACK_CURRENT] or 0.0)
        self._poll_s = signal.time_s
        self._cells[number] = signal.value

    # -- judging -------------------------------------------------------------------------------

    def _judge(self, time_s: float) -> None:
        self._hear(self._sensors.judge(time_s, self._latest), time_s)
        for reading in self._flags.judge(time_s, self._values):
            self._hear(reading, time_s)
        is_off = self._values[catalog.IGNITION] == catalog.IGNITION_OFF
        volts = self._values[catalog.LOW_VOLTAGE]
        self._hear(self._supply.judge(time_s, volts, is_off=is_off), time_s)
        self.memory.rest_v = self._supply.rest_v
        if self._sensors.is_trusted:
            self._judge_charge(time_s)
            self._judge_cells(time_s)
        else:
            self._balance.reset()
            self._windows.reset()
        self._judge_temperatures(time_s)
        self._judge_rest(time_s, is_off=is_off)
        self._judge_health(time_s)
        self._measure(time_s)

    def _judge_charge(self, time_s: float) -> None:
        self._balance.flow(time_s, self._values[catalog.PACK_CURRENT])
        full_ah = self._full_ah()
        if full_ah is not None:
            self._hear(self._balance.judge(time_s, self._values[catalog.SOC], full_ah), time_s)

    def _full_ah(self) -> float | None:
        """Return what a full battery holds, as well as it is known: 20 % off is good enough."""
        polled, energy = self._values[catalog.CAPACITY_AH], self._values[_FULL_ENERGY]
        if polled is not None:
            return polled
        if energy is not None and energy > 0:
            return energy * 1_000 / _GIDS_V
        now_kwh, soc = self._values[catalog.ENERGY], self._values[catalog.SOC]
        if now_kwh is None or soc is None or soc < 10:  # noqa: PLR2004 (percent: too coarse below)
            return None
        return now_kwh * 1_000 / (soc / 100) / _GIDS_V

    def _judge_cells(self, time_s: float) -> None:
        if self._poll_s is None or 0 <= time_s - self._poll_s < JUDGE_EVERY_S:
            return  # nothing new, or the poll is still coming in
        self._poll_s = None
        reading = imbalance(self._cells, self._poll_a)
        if reading is None:
            return
        self._hear(reading, time_s)
        self._hear(balancing(reading, self._values[catalog.SOC]), time_s)
        self._measurements.append(Measurement(kind=Kind.IMBALANCE, value=reading.value))
        capacity = self._values[catalog.CAPACITY_AH]
        is_large = capacity is not None and capacity > _SMALL_PACK_AH
        if self.facts.is_first_generation and not is_large:
            self._hear_daily(below_limit(self._cells), time_s)

    def _judge_temperatures(self, time_s: float) -> None:
        known = [self._values[path] for path in catalog.CELL_TEMPERATURES]
        reading = hot_spot([value for value in known if value is not None])
        hottest = self._values[catalog.CELL_TEMPERATURE_MAX]
        average = self._values[catalog.CELL_TEMPERATURE_AVERAGE]
        if reading is None and hottest is not None and average is not None:
            reading = hot_extreme(hottest, average)
        self._hear(reading, time_s)

    def _judge_resistance(self, fit: Fit, time_s: float) -> None:
        temperature, soc = self._temperature_c(), self._values[catalog.SOC]
        if temperature is None or soc is None or not self._sensors.is_trusted:
            return
        where = bin_of(temperature, soc)
        self._measurements.append(
            Measurement(kind=Kind.RESISTANCE, value=fit.resistance_ohm, where=str(where))
        )
        baseline = self.memory.baselines.get(where, Baseline(0.0, 0))
        self.memory.baselines[where] = baseline.plus(fit.resistance_ohm)
        if baseline.is_firm:
            self._hear(_against(baseline, fit, where), time_s)

    def _temperature_c(self) -> float | None:
        known = [self._values[path] for path in catalog.CELL_TEMPERATURES]
        found = [value for value in known if value is not None]
        if found:
            return sum(found) / len(found)
        average = self._values[catalog.CELL_TEMPERATURE_AVERAGE]
        return average if average is not None else self._values[catalog.CELL_TEMPERATURE_MAX]

    def _judge_rest(self, time_s: float, *, is_off: bool) -> None:
        soc, amperes = self._values[catalog.SOC], self._values[catalog.PACK_CURRENT] or 0.0
        if soc is None or self._utc is None or self._values[catalog.IGNITION] is None:
            return
        if abs(amperes) > _OFF_A and is_off:
            self.memory.rest = None  # it charges or supplies a house: no rest
        elif is_off:
            self.memory.rest = self.memory.rest or Rest(since=self._utc, soc_percent=soc)
        elif self.memory.rest:
            self._hear_daily(lost_at_rest(self.memory.rest, self._utc, soc), time_s)
            self.memory.rest = None

    def _judge_health(self, time_s: float) -> None:
        health, odometer_m = self._values[catalog.SOH], self._values[catalog.ODOMETER]
        if health is not None and odometer_m is not None:
            self._hear(against_durability(health, odometer_m), time_s)
        if self._utc is None:  # a trend by days of an unproven clock would be a guess
            return
        if health is not None:
            self._hear_daily(sudden_drop(self.memory.health, self._day, health), time_s)
            self.memory.health.note(self._day, health)
        hx = self._values[catalog.HX]
        if hx is not None:
            self.memory.hx.note(self._day, hx)
            self._hear_daily(hx_in_a_year(self.memory.hx, self._day), time_s)

    def _hear_daily(self, reading: Reading | None, time_s: float) -> None:
        """Let a reading count once a day, also over restarts."""
        if reading is None or self.memory.suspect_days.get(reading.code) == self._day:
            return
        self._hear(reading, time_s)
        latch = self._book.latches[reading.code]
        self.memory.good_days[reading.code] = latch.good
        if latch.stage is Stage.CLEAR:
            self.memory.suspect_days.pop(reading.code, None)
        else:
            self.memory.suspect_days[reading.code] = self._day

    def _hear(self, reading: Reading | None, time_s: float) -> None:
        if reading is None:
            return
        if reading.value >= self._book.rules[reading.code].raise_at:
            reading = replace(reading, evidence=reading.evidence + self._counts(reading.code))
        change = self._book.take(reading, time_s, day=self._day)
        if change is None:
            return
        self._changes.append(change)
        self.memory.alerts = list(self._book.active())
        if change.is_told:
            self.memory.told_days[reading.code] = self._day

    def _counts(self, code: Code) -> tuple[Evidence, ...]:
        paths = _RESTS_ON.get(code, ())
        if not paths:
            return ()
        is_checked = self.facts.checked.issuperset(p for p in paths if self._valid[p])
        return (
            Evidence(name="valid_readings", value=sum(self._valid[path] for path in paths)),
            Evidence(name="rejected_readings", value=sum(self._rejected[path] for path in paths)),
            Evidence(name="checksum", value="right" if is_checked else "none in these frames"),
        )

    # -- history -------------------------------------------------------------------------------

    def _measure(self, time_s: float) -> None:
        for kind, value in (
            (Kind.HEALTH, self._values[catalog.SOH]),
            (Kind.CAPACITY, self._values[catalog.CAPACITY_AH]),
            (Kind.HX, self._values[catalog.HX]),
            (Kind.TEMPERATURE, self._hottest_c()),
            (Kind.LOW_VOLTAGE, self._supply.rest_v),
        ):
            if value is not None and self._is_new(kind, value, time_s):
                self._measured[kind] = (time_s, value)
                self._measurements.append(Measurement(kind=kind, value=value))

    def _is_new(self, kind: Kind, value: float, time_s: float) -> bool:
        then_s, before = self._measured.get(kind, (-math.inf, math.nan))
        is_due = not 0 <= time_s - then_s < MEASURE_EVERY_S
        return is_due or (value != before and kind is not Kind.TEMPERATURE)

    def _hottest_c(self) -> float | None:
        known = [self._values[path] for path in catalog.CELL_TEMPERATURES]
        found = [value for value in known if value is not None]
        return max(found) if found else self._values[catalog.CELL_TEMPERATURE_MAX]


_PAIR: Final = (catalog.PACK_VOLTAGE, catalog.PACK_CURRENT)
_NOTHING: Final = Outcome()


def _against(baseline: Baseline, fit: Fit, where: Bin) -> Reading:
    return Reading(
        code=Code.RESISTANCE,
        value=fit.resistance_ohm / baseline.mean_ohm,
        evidence=(
            Evidence(name="resistance", value=round(fit.resistance_ohm * 1_000, 1), unit="mohm"),
            Evidence(name="baseline", value=round(baseline.mean_ohm * 1_000, 1), unit="mohm"),
            Evidence(name="error", value=round(fit.error * 100, 1), unit="percent"),
            Evidence(name="samples", value=fit.samples),
            Evidence(name="where", value=str(where)),
        ),
    )
