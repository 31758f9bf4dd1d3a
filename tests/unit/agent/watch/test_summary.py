from datetime import UTC, date, datetime

import pytest

from agent.store.battery import AlertRow, DayFigure
from agent.watch.summary import by_month


def figure(day: date, kind: str, mean: float, place: str = "") -> DayFigure:
    return DayFigure(
        day=day, kind=kind, place=place, count=3, mean=mean, low=mean - 1, high=mean + 1
    )


def test_a_month_is_summed_up_and_compared_with_the_one_before() -> None:
    october, november = date(2026, 10, 5), date(2026, 11, 5)
    alert = AlertRow(
        alert_id=1,
        code="isolation",
        severity="warning",
        raised_utc=datetime(2026, 11, 6, tzinfo=UTC),
        last_utc=datetime(2026, 11, 6, tzinfo=UTC),
        cleared_utc=None,
        body="{}",
        event="[]",
    )
    first, second = by_month(
        [
            figure(october, "health", 92.0),
            figure(november, "health", 91.0),
            figure(november.replace(day=6), "health", 91.5),
            figure(november, "temperature", 30.0),
            figure(november, "low_voltage", 12.7),
            figure(november, "resistance", 0.05, "20 C 50 %"),
        ],
        [alert],
    )
    assert (first.month, first.health_change, first.alerts) == ("2026-10", None, ())
    assert second.health_percent == pytest.approx(91.25)
    assert second.health_change == pytest.approx(-0.75)
    assert (second.days, second.hottest_c, second.alerts) == (2, 31.0, ("isolation",))
    assert second.rest_v == pytest.approx(11.7)
    assert second.resistance_ohm == {"20 C 50 %": 0.05}
    assert second.capacity_ah is None


def test_a_new_vehicle_has_no_month() -> None:
    assert by_month([], []) == []
