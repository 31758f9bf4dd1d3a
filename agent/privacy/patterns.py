"""From figures to classes: journeys and dwells as tables of rules, first match counts."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from telemetry.records import (
    AMBIENT_STEP_C,
    CONSUMPTION_STEP_WH_KM,
    DISTANCE_BUCKETS_KM,
    DURATION_BUCKETS_MIN,
    SPEED_BINS_KM_H,
    TENTHS,
    DwellClass,
    JourneyClass,
    JourneysBatch,
)

_HOUR_S = 3_600.0
_SATURDAY = 5
_MIN_CONSUMPTION_M = 1_000.0  # below, energy per kilometre is noise
_MAX_CONSUMPTION_WH_KM, _AMBIENT_C = 500, (-40, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyFacts:
    """What the rules look at; local only."""

    started: datetime  # local time
    distance_m: float
    duration_s: float
    dwell_before_s: float | None  # how long the vehicle stood before; None if unknown
    energy_wh: float | None = None
    ambient_c: float | None = None

    @property
    def is_weekday(self) -> bool:
        """Tell whether it began from Monday to Friday."""
        return self.started.weekday() < _SATURDAY

    def starts_between(self, from_hour: int, to_hour: int) -> bool:
        """Tell whether it began at or after ``from_hour`` and before ``to_hour``."""
        return from_hour <= self.started.hour < to_hour

    def stood_for_h(self, least: float) -> bool:
        """Tell whether the vehicle stood at least so long before; False if unknown."""
        return self.dwell_before_s is not None and self.dwell_before_s >= least * _HOUR_S

    def goes_km(self, least: float) -> bool:
        """Tell whether it is at least so long."""
        return self.distance_km >= least

    @property
    def distance_km(self) -> float:
        """Return the distance in kilometres."""
        return self.distance_m / 1_000


# fmt: off
JOURNEYS: Sequence[tuple[JourneyClass, Callable[[JourneyFacts], bool]]] = (
    (JourneyClass.LONG,       lambda j: j.goes_km(100)),
    (JourneyClass.SCHOOL_RUN, lambda j: j.is_weekday and not j.goes_km(8) and not j.stood_for_h(4)
                                        and j.starts_between(7, 9)),
    (JourneyClass.COMMUTE,    lambda j: j.is_weekday and j.goes_km(2) and j.stood_for_h(5)
                                        and (j.starts_between(5, 10) or j.starts_between(14, 20))),
    (JourneyClass.ERRAND,     lambda j: not j.goes_km(15) and j.starts_between(8, 20)),
    (JourneyClass.LEISURE,    lambda j: not j.is_weekday or j.starts_between(17, 24)),
    (JourneyClass.OTHER,      lambda _: True),
)
DWELLS: Sequence[tuple[DwellClass, float]] = (  # class -> shorter than, seconds
    (DwellClass.SHORT,    0.5 * _HOUR_S),
    (DwellClass.HOUR,     2 * _HOUR_S),
    (DwellClass.HALF_DAY, 6 * _HOUR_S),
    (DwellClass.LONG,     float("inf")),
)
# fmt: on


def journey_class(facts: JourneyFacts) -> JourneyClass:
    """Return what a trip was like."""
    return next(kind for kind, holds in JOURNEYS if holds(facts))


def dwell_class(dwell_s: float) -> DwellClass:
    """Return how long a vehicle stood, as a class."""
    return next(kind for kind, below_s in DWELLS if dwell_s < below_s)


def journey(facts: JourneyFacts) -> JourneysBatch:
    """Return what may be told of a trip: classes and lower ends of buckets."""
    return JourneysBatch(
        kind=journey_class(facts),
        distance_from_km=lower_end(facts.distance_km, DISTANCE_BUCKETS_KM),
        duration_from_min=lower_end(facts.duration_s / 60, DURATION_BUCKETS_MIN),
        consumption_wh_km=_consumption(facts),
        ambient_c=None
        if facts.ambient_c is None
        else to_step(facts.ambient_c, AMBIENT_STEP_C, *_AMBIENT_C),
    )


def _consumption(facts: JourneyFacts) -> int | None:
    if facts.energy_wh is None or facts.distance_m < _MIN_CONSUMPTION_M:
        return None
    per_km = facts.energy_wh / facts.distance_km
    return to_step(per_km, CONSUMPTION_STEP_WH_KM, 0, _MAX_CONSUMPTION_WH_KM)


def hour_of_week(local: datetime) -> int:
    """Return 0 (Monday 00:00) to 167."""
    return local.weekday() * 24 + local.hour


def lower_end(value: float, buckets: Sequence[int]) -> int:
    """Return the lower end of the bucket that holds ``value``; below all: the first."""
    return buckets[max(0, bisect_right(buckets, value) - 1)]


def to_step(value: float, step: int, low: int, high: int) -> int:
    """Return ``value`` on a grid of ``step``, kept between ``low`` and ``high``."""
    return round(min(max(value, low), high) / step) * step


def speed_tenths(speeds_km_h: Iterable[float]) -> tuple[int, ...]:
    """Return the share of each speed bin in tenths, 10 together; raise ValueError if empty.

    Every vehicle contributes exactly ten tenths to a cell and hour, however long it stood there.
    """
    counts = Counter(bisect_right(SPEED_BINS_KM_H, max(0.0, speed)) - 1 for speed in speeds_km_h)
    total = counts.total()
    if not total:
        raise ValueError("speeds: expected at least one, got none")
    shares = [TENTHS * counts[at] / total for at in range(len(SPEED_BINS_KM_H))]
    tenths = [int(share) for share in shares]
    by_rest = sorted(range(len(shares)), key=lambda at: tenths[at] - shares[at])
    for at in by_rest[: TENTHS - sum(tenths)]:
        tenths[at] += 1
    return tuple(tenths)
