"""The battery's history month by month: what `battery summary` tells. Pure."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from agent.store.battery import AlertRow, DayFigure
from agent.vehicle.battery.memory import Kind


class MonthSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One month, ``2026-11``. A figure is None where the vehicle did not tell it.

    Medians of the days' means; ``hottest_c`` and ``spread_v`` are the highest of the month,
    ``rest_v`` is the lowest voltage of the 12 V battery at rest. ``health_change`` is against the
    month before. ``resistance_ohm`` is by bin of temperature and charge; ``alerts`` those raised.
    """

    month: str
    days: int  # on which anything was measured
    health_percent: float | None = None
    health_change: float | None = None
    capacity_ah: float | None = None
    hx_percent: float | None = None
    spread_v: float | None = None
    hottest_c: float | None = None
    rest_v: float | None = None
    resistance_ohm: dict[str, float] = {}
    alerts: tuple[str, ...] = ()


def by_month(figures: Iterable[DayFigure], alerts: Iterable[AlertRow]) -> list[MonthSummary]:
    """Return the months in which anything was measured or told, oldest first."""
    measured: defaultdict[str, list[DayFigure]] = defaultdict(list)
    for figure in figures:
        measured[f"{figure.day:%Y-%m}"].append(figure)
    raised: defaultdict[str, set[str]] = defaultdict(set)
    for alert in alerts:
        raised[f"{alert.raised_utc:%Y-%m}"].add(alert.code)
    found: list[MonthSummary] = []
    for month in sorted({*measured, *raised}):
        before = found[-1].health_percent if found else None
        found.append(_month(month, measured[month], raised[month], before))
    return found


def _month(
    month: str, figures: Sequence[DayFigure], alerts: set[str], before: float | None
) -> MonthSummary:
    means: defaultdict[str, list[float]] = defaultdict(list)
    bins: defaultdict[str, list[float]] = defaultdict(list)
    for figure in figures:
        means[figure.kind].append(figure.mean)
        if figure.kind == Kind.RESISTANCE:
            bins[figure.place].append(figure.mean)
    health = _median(means[Kind.HEALTH])
    return MonthSummary(
        month=month,
        days=len({figure.day for figure in figures}),
        health_percent=health,
        health_change=None if health is None or before is None else health - before,
        capacity_ah=_median(means[Kind.CAPACITY]),
        hx_percent=_median(means[Kind.HX]),
        spread_v=max((f.high for f in figures if f.kind == Kind.IMBALANCE), default=None),
        hottest_c=max((f.high for f in figures if f.kind == Kind.TEMPERATURE), default=None),
        rest_v=min((f.low for f in figures if f.kind == Kind.LOW_VOLTAGE), default=None),
        resistance_ohm={place: statistics.median(values) for place, values in bins.items()},
        alerts=tuple(sorted(alerts)),
    )


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
