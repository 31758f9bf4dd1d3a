"""What only the whole watch can get wrong: days, restarts, counts, what is judged when."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from agent.signals import catalog
from agent.signals.model import Quality, Signal
from agent.vehicle.battery.alerts import AlertChange, Step
from agent.vehicle.battery.memory import Facts, Kind, Measurement, Memory
from agent.vehicle.battery.rules import Code
from agent.vehicle.battery.watch import WATCH_PATHS, BatteryWatch

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Car:
    """Sends values once a second; ``memory`` goes from one watch to the next."""

    def __init__(self, facts: Facts | None = None) -> None:
        self.facts = facts
        self.memory = Memory()
        self.time_s = 100.0
        self.utc: datetime | None = NOON
        self.changes: list[AlertChange] = []
        self.measurements: list[Measurement] = []
        self.start()

    def start(self) -> None:
        self.watch = BatteryWatch(self.facts, self.memory)

    def send(self, seconds: int, values: dict[str, float | Quality]) -> None:
        for _ in range(seconds):
            self.time_s += 1.0
            self._step(_signals(values, self.time_s))

    def _step(self, signals: Iterable[Signal]) -> None:
        day = (self.utc - datetime(1970, 1, 1, tzinfo=UTC)).days if self.utc else 0
        outcome = self.watch.step(signals, self.time_s, utc=self.utc, day=day)
        self.changes += outcome.changes
        self.measurements += outcome.measurements

    def pass_hours(self, hours: float) -> None:
        assert self.utc is not None
        self.utc += timedelta(hours=hours)

    @property
    def codes(self) -> list[Code]:
        return [change.alert.code for change in self.changes if change.step is Step.RAISED]


def _signals(values: dict[str, float | Quality], time_s: float) -> list[Signal]:
    return [
        Signal(path, None, value, time_s)
        if isinstance(value, Quality)
        else Signal(path, value, Quality.OK, time_s)
        for path, value in values.items()
    ]


ON = {catalog.IGNITION: catalog.IGNITION_ON, catalog.PACK_CURRENT: -1.0}
OFF = {catalog.IGNITION: catalog.IGNITION_OFF, catalog.PACK_CURRENT: 0.0}
RESTS: dict[str, float | Quality] = {**ON, catalog.SOC: 80.0}


def rest(car: Car, hours: float, *, lost: float) -> None:
    car.send(5, {**OFF, catalog.SOC: 80.0})
    car.pass_hours(hours)
    car.start()  # the board slept too
    car.send(5, {**ON, catalog.SOC: 80.0 - lost})


def test_charge_lost_at_rest_on_two_days_is_told() -> None:
    car = Car()
    rest(car, 48, lost=5.0)
    assert car.codes == []
    rest(car, 48, lost=5.0)
    assert car.codes == [Code.SELF_DISCHARGE]


def test_charge_lost_on_one_day_is_told_to_nobody() -> None:
    car = Car()
    for lost in (5.0, 0.5, 5.0, 0.5):
        rest(car, 48, lost=lost)
    assert car.codes == []


def test_a_vehicle_that_was_charged_while_nobody_looked_lost_nothing() -> None:
    car = Car()
    for _ in range(3):
        rest(car, 48, lost=-20.0)
    assert car.codes == []


def test_without_a_proven_time_rest_is_not_judged() -> None:
    car = Car()
    car.utc = None
    car.send(5, {**OFF, catalog.SOC: 80.0})
    car.send(5, {**ON, catalog.SOC: 70.0})
    assert car.memory.rest is None


def test_an_alert_survives_a_restart_and_is_not_told_twice_that_day() -> None:
    car = Car()
    car.send(10, {**RESTS, catalog.ISOLATION_FAULT: 1.0})
    car.start()
    assert [alert.code for alert in car.watch.active] == [Code.ISOLATION]
    car.send(10, {**RESTS, catalog.ISOLATION_FAULT: 1.0})
    assert [change.is_told for change in car.changes] == [True]


def test_the_evidence_counts_readings_and_says_whether_frames_are_checked() -> None:
    car = Car(Facts(checked=frozenset({catalog.ISOLATION_FAULT})))
    car.send(3, {catalog.ISOLATION_FAULT: Quality.CRC})
    car.send(10, {catalog.ISOLATION_FAULT: 1.0})
    (alert,) = car.watch.active
    evidence = {one.name: one.value for one in alert.evidence}
    assert evidence["HasIsolationFault"] == 1.0
    assert evidence["rejected_readings"] == 3
    assert evidence["checksum"] == "right"
    assert int(evidence["valid_readings"]) >= 3


@pytest.mark.parametrize(
    ("health", "odometer_km", "is_told"),
    [(81, 77_665, False), (78, 77_665, True), (78, 120_000, False), (68, 120_000, True),
     (50, 200_000, False)],
)  # fmt: skip
def test_health_is_judged_by_the_distance_driven(
    health: int, odometer_km: int, *, is_told: bool
) -> None:
    car = Car()
    car.send(200, {catalog.SOH: float(health), catalog.ODOMETER: odometer_km * 1_000.0})
    assert car.codes == ([Code.HEALTH] if is_told else [])


def days_of(car: Car, path: str, values: Iterable[float]) -> None:
    """Drive for a moment on as many days as there are values."""
    for value in values:
        car.send(3, {**RESTS, path: value})
        car.pass_hours(24)
        car.start()


def test_health_that_falls_suddenly_is_told_when_the_next_day_agrees() -> None:
    car = Car()
    days_of(car, catalog.SOH, [91, 91, 90, 91, 84])
    assert car.codes == []
    days_of(car, catalog.SOH, [84])
    assert car.codes == [Code.HEALTH_DROP]
    evidence = {one.name: one.value for one in car.changes[0].alert.evidence}
    assert (evidence["health"], evidence["before"]) == (84.0, 91.0)


@pytest.mark.parametrize(
    "told",
    [
        [91, 91, 90, 91, 53, 91, 53, 91],  # misread now and then: no two days in a row
        [91 - day / 30 for day in range(60)],  # a point a month, quick but steady
        [91, 84, 84, 84],  # not known for long enough
    ],
)
def test_health_that_is_misread_once_or_falls_slowly_is_told_to_nobody(told: list[float]) -> None:
    car = Car()
    days_of(car, catalog.SOH, told)
    assert car.codes == []


def test_a_drop_of_health_that_stayed_for_two_months_is_the_new_normal() -> None:
    car = Car()
    days_of(car, catalog.SOH, [91] * 10 + [84] * 60)
    assert [change.step for change in car.changes if change.is_told][-1] is Step.CLEARED
    assert car.watch.active == ()


def test_hx_that_fell_ten_points_within_a_year_is_told() -> None:
    car = Car()
    days_of(car, catalog.HX, [90 - day * 10.5 / 200 for day in range(190)])
    assert car.codes == []
    days_of(car, catalog.HX, [79.0] * 10)
    assert car.codes == [Code.HX_FALL]


def test_without_a_proven_time_no_trend_is_kept() -> None:
    car = Car()
    car.utc = None
    car.send(5, {catalog.SOH: 91.0, catalog.HX: 80.0})
    assert (car.memory.health.days, car.memory.hx.days) == ({}, {})


@pytest.mark.parametrize(
    ("soc_percent", "lowest_v", "expected"),
    [
        (95, 3.94, [Code.BALANCING]),
        (60, 3.94, []),  # in the middle of the charge it shows nowhere
        (95, 3.98, []),  # as healthy packs are
        (95, 3.85, [Code.WEAK_CELL]),  # told once, as what it is
    ],
)
def test_cells_that_drift_apart_at_the_top_ask_for_balancing(
    soc_percent: float, lowest_v: float, expected: list[Code]
) -> None:
    car = Car()
    cells: dict[str, float | Quality] = dict.fromkeys(catalog.CELL_VOLTAGES, 4.0)
    cells[catalog.CELL_VOLTAGES[10]] = lowest_v
    for _ in range(2):
        car.send(1, {**RESTS, **cells, catalog.SOC: soc_percent})
        car.send(60, {**RESTS, catalog.SOC: soc_percent})
    assert car.codes == expected


def test_a_charge_without_power_is_told_after_two_minutes_and_not_before() -> None:
    stuck: dict[str, float | Quality] = {
        catalog.CHARGER_STATUS: 4.0,
        catalog.CHARGER_POWER: 0.0,
        catalog.CHARGER_AC_RELAY: 1.0,
        catalog.PACK_CURRENT: 0.0,
    }
    car = Car()
    car.send(110, stuck)
    car.send(30, {**stuck, catalog.CHARGER_POWER: 3.0, catalog.PACK_CURRENT: 8.0})
    assert car.codes == []  # it came late, but it came
    car.send(200, stuck)
    assert car.codes == [Code.CHARGE_FAULT]


def test_an_aged_battery_of_unknown_distance_is_not_judged() -> None:
    car = Car()
    car.send(200, {catalog.SOH: 51.0})
    assert car.codes == []


def test_a_cell_below_the_makers_limit_counts_on_two_days_and_on_old_packs_only() -> None:
    volts = 3.65
    cells: dict[str, float | Quality] = dict.fromkeys(catalog.CELL_VOLTAGES, volts)
    cells[catalog.CELL_VOLTAGES[10]] = 3.56
    for facts, expected in ((Facts(is_first_generation=True), 1), (Facts(), 0)):
        car = Car(facts)
        for _ in range(2):
            for _ in range(3):
                car.send(1, {**RESTS, **cells})
                car.send(70, RESTS)
            car.pass_hours(24)
            car.start()
        assert car.codes.count(Code.CELL_BELOW_LIMIT) == expected


def test_quick_charges_of_a_hot_battery_are_counted_over_a_month() -> None:
    car = Car()
    raised = [
        change.alert.code
        for day in (1, 3, 5, 40, 42, 44, 46, 48)
        for change in car.watch.note_quick_charge(47.0, car.time_s, day=day).changes
    ]
    assert raised == [Code.HOT_CHARGES]
    assert car.memory.hot_charge_days == [40, 42, 44, 46, 48]


def test_health_is_measured_once_and_again_when_it_changes() -> None:
    car = Car()
    car.send(60, {catalog.SOH: 91.0, catalog.CAPACITY_AH: 162.2})
    car.send(60, {catalog.SOH: 90.0})
    assert [(m.kind, m.value) for m in car.measurements] == [
        (Kind.HEALTH, 91.0),
        (Kind.CAPACITY, 162.2),
        (Kind.HEALTH, 90.0),
    ]


def test_nothing_that_rests_on_a_wrong_sensor_is_judged() -> None:
    car = Car()
    values: dict[str, float | Quality] = {**RESTS, catalog.CAPACITY_AH: 160.0}
    car.send(60, values)
    car.send(60, {**values, catalog.SOC: 50.0, catalog.PACK_VOLTAGE: Quality.CRC})
    assert car.codes == [Code.SENSOR_INVALID]


def test_every_path_it_watches_is_in_the_catalogue() -> None:
    assert set(WATCH_PATHS) <= set(catalog.CATALOG)
