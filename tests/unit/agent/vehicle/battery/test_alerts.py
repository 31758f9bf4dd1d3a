import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from agent.vehicle.battery.alerts import (
    DAY_S,
    TRANSITIONS,
    AlertBook,
    AlertChange,
    Finding,
    Latch,
    Reading,
    Stage,
    Step,
    next_stage,
)
from agent.vehicle.battery.rules import RULES, Code, Severity, with_thresholds

RULE = RULES[Code.LOW_VOLTAGE]  # bad from 1.6 V on, good below 0.96 V, five seconds apart
LEGAL = [(stage, finding) for stage, row in TRANSITIONS.items() for finding in row]
ILLEGAL = sorted(set(itertools.product(Stage, Finding)) - set(LEGAL))


@pytest.mark.parametrize(("stage", "finding"), LEGAL)
def test_a_legal_move_leads_where_the_table_says(stage: Stage, finding: Finding) -> None:
    assert next_stage(stage, finding) is TRANSITIONS[stage][finding]


@pytest.mark.parametrize(("stage", "finding"), ILLEGAL)
def test_an_illegal_move_names_stage_and_finding(stage: Stage, finding: Finding) -> None:
    with pytest.raises(ValueError, match=rf"^{stage}: expected one of .* got {finding}$"):
        next_stage(stage, finding)


class Bench:
    def __init__(self) -> None:
        self.latch = Latch(RULE)
        self.time_s = 100.0
        self.day = 20_000
        self.steps: list[tuple[Step, bool]] = []

    def read(self, *values: float, every_s: float = 5.0) -> None:
        for value in values:
            change = self._take(value)
            if change:
                self.steps.append((change.step, change.is_told))
            self.time_s += every_s

    def _take(self, value: float) -> AlertChange | None:
        reading = Reading(code=Code.LOW_VOLTAGE, value=value)
        return self.latch.take(reading, self.time_s, day=self.day)


def test_one_bad_reading_says_nothing() -> None:
    bench = Bench()
    bench.read(2.0, 0.1, 2.0, 0.1)
    assert bench.steps == []


def test_two_bad_readings_that_are_apart_raise_the_alert() -> None:
    bench = Bench()
    bench.read(2.0, 2.5)
    assert bench.steps == [(Step.RAISED, True)]
    alert = bench.latch.alert
    assert alert is not None
    assert (alert.since_s, alert.value, alert.limit, alert.readings) == (100.0, 2.5, 1.6, 2)
    assert alert.severity is Severity.WARNING


def test_the_same_reading_twice_is_one_reading() -> None:
    bench = Bench()
    bench.read(2.0, 2.0, 2.0, 2.0, every_s=1.0)
    assert bench.steps == []


def test_a_value_between_the_thresholds_neither_raises_nor_clears() -> None:
    bench = Bench()
    bench.read(*[1.2] * 20)
    assert bench.latch.stage is Stage.CLEAR
    bench.read(2.0, 2.0, *[1.2] * 50)
    assert bench.latch.stage is Stage.RAISED


def test_an_alert_is_taken_back_after_a_row_of_good_readings() -> None:
    bench = Bench()
    bench.read(2.0, 2.0, *[0.1] * 9)
    assert bench.latch.stage is Stage.EASING
    bench.read(0.1)
    assert bench.steps == [(Step.RAISED, True), (Step.CLEARED, True)]
    assert bench.latch.alert is None


def test_a_bad_reading_breaks_the_row() -> None:
    bench = Bench()
    bench.read(2.0, 2.0, *[0.1] * 9, 2.0, *[0.1] * 9)
    assert bench.steps == [(Step.RAISED, True)]


def test_the_driver_hears_of_the_same_alert_once_a_day() -> None:
    bench = Bench()
    bench.read(*[2.0] * 100)
    assert bench.steps == [(Step.RAISED, True)]
    bench.time_s += DAY_S
    bench.read(*[2.0] * 10)
    assert bench.steps == [(Step.RAISED, True), (Step.REPEATED, True)]


def test_an_alert_that_comes_back_the_same_day_is_shown_but_not_told() -> None:
    bench = Bench()
    bench.read(2.0, 2.0, *[0.1] * 10, 2.0, 2.0)
    assert bench.steps == [(Step.RAISED, True), (Step.CLEARED, True), (Step.RAISED, False)]


def test_a_restart_on_the_same_day_is_not_told_again_and_on_the_next_day_it_is() -> None:
    for days, is_told in ((0, False), (1, True), (-1, False)):
        bench = Bench()
        bench.latch.told_day = bench.day
        bench.day += days
        bench.read(2.0, 2.0)
        assert bench.steps == [(Step.RAISED, is_told)]


def test_a_clock_that_goes_back_does_not_block_a_reading() -> None:
    bench = Bench()
    bench.read(2.0)
    bench.time_s = 1.0
    bench.read(2.0)
    assert bench.steps == [(Step.RAISED, True)]


def test_alerts_come_most_severe_first() -> None:
    book = AlertBook(RULES)
    for time_s in (0.0, 500.0, 1_000.0):
        for code in (Code.RESISTANCE, Code.RELAY_CUT, Code.LOW_VOLTAGE):
            book.take(Reading(code=code, value=9.0), time_s, day=1)
    severities = [alert.severity for alert in book.active()]
    assert severities == [Severity.CRITICAL, Severity.WARNING, Severity.ADVISORY]


def test_every_code_has_a_rule_with_a_source_and_a_gap_that_is_not_negative() -> None:
    assert set(RULES) == set(Code)
    for rule in RULES.values():
        assert rule.source
        assert rule.clear_at <= rule.raise_at
        assert rule.bad_readings >= 2 or rule.code is Code.HOT_CHARGES
        assert rule.within_s >= rule.apart_s


def test_a_configured_threshold_moves_the_whole_gap() -> None:
    rule = with_thresholds({"low_voltage": 2.0})[Code.LOW_VOLTAGE]
    assert (rule.raise_at, rule.clear_at) == (2.0, pytest.approx(1.36))
    assert rule.source == "configuration"
    assert replace(rule, source="") != RULE
    with pytest.raises(ValueError, match="'nonsense' is not a valid Code"):
        with_thresholds({"nonsense": 1.0})


def test_the_page_about_the_watch_has_a_row_for_every_rule() -> None:
    page = Path(__file__).parents[5] / "docs/explanation/battery-watch.md"
    rows = {
        line.split("|")[1].strip(" `"): line
        for line in page.read_text().splitlines()
        if line.startswith("| `")
    }
    assert {code for code, line in rows.items() if rules_say(code, line)} == set(Code)


def rules_say(code: str, line: str) -> bool:
    cells = [cell.strip() for cell in line.split("|")]
    return cells[2] == RULES[Code(code)].severity
