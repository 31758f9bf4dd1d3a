"""Health over distance and time: the durability line, sudden drops, Hx over a year. Pure."""

import statistics
from typing import Final

from agent.vehicle.battery.alerts import Evidence, Reading
from agent.vehicle.battery.memory import Trend
from agent.vehicle.battery.rules import Code

# UN GTR 22: at least so many percent until so many kilometres
_DURABILITY: Final = ((100_000.0, 80.0), (160_000.0, 70.0))
BEFORE_DAYS: Final = 56  # what a day is compared with: the median of the eight weeks before it
MIN_BEFORE: Final = 3  # days of these on which the vehicle told its health
_YEAR_DAYS: Final = 365
_WEEK_DAYS: Final = 7
_MIN_APART_DAYS: Final = 28  # two weeks of one month say nothing about a year


def against_durability(health_percent: float, odometer_m: float) -> Reading | None:
    """Judge health against UN GTR 22; None past its last distance."""
    driven_km = odometer_m / 1_000
    least = next((least for until_km, least in _DURABILITY if driven_km <= until_km), None)
    if least is None:
        return None
    return Reading(
        code=Code.HEALTH,
        value=least - health_percent,
        evidence=(
            Evidence(name="health", value=health_percent, unit="percent"),
            Evidence(name="expected", value=least, unit="percent"),
            Evidence(name="odometer", value=round(driven_km), unit="km"),
        ),
    )


def sudden_drop(trend: Trend, day: int, health_percent: float) -> Reading | None:
    """Judge the health of ``day`` against the weeks before; None while too few days are known."""
    before = trend.between(day - BEFORE_DAYS, day - 1)
    if len(before) < MIN_BEFORE:
        return None
    usual = statistics.median(before)
    return Reading(
        code=Code.HEALTH_DROP,
        value=usual - health_percent,
        evidence=(
            Evidence(name="health", value=health_percent, unit="percent"),
            Evidence(name="before", value=round(usual, 2), unit="percent"),
            Evidence(name="days_before", value=len(before)),
        ),
    )


def hx_in_a_year(trend: Trend, day: int) -> Reading | None:
    """Judge how far the weekly median of Hx fell within a year; None before a month is known."""
    oldest = min((d for d in trend.days if d >= day - _YEAR_DAYS), default=day)
    if day - oldest < _MIN_APART_DAYS:
        return None
    then = statistics.median(trend.between(oldest, oldest + _WEEK_DAYS - 1))
    recent = trend.between(day - _WEEK_DAYS + 1, day)
    if not recent:
        return None
    now = statistics.median(recent)
    return Reading(
        code=Code.HX_FALL,
        value=then - now,
        evidence=(
            Evidence(name="hx", value=round(now, 2), unit="percent"),
            Evidence(name="hx_before", value=round(then, 2), unit="percent"),
            Evidence(name="days_between", value=day - oldest),
        ),
    )
