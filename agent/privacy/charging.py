"""A charge session as the purpose ``charging`` may tell it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agent.privacy.cells import cell_at, with_neighbours
from agent.privacy.patterns import dwell_class, hour_of_week, to_step
from agent.privacy.places import Place, Zone
from agent.privacy.zones import touches
from telemetry.records import (
    CHARGING_RESOLUTION,
    ENERGY_STEP_WH,
    MAX_QUARTER_HOURS,
    MAX_QUARTER_WH,
    SOC_STEP_PERCENT,
    ChargingBatch,
    CurrentKind,
)

_PRIVATE_STAY_S = 4 * 3_600.0  # who stays that long lives, works or sleeps there
_PRIVATE_DAYS = 2  # and so does who comes back


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeFacts:
    """What is known of a stop; local only."""

    place: Place | None  # with what was known of it when the vehicle left; None: not known
    arrived: datetime  # local time
    dwell_s: float
    soc_in_percent: float
    soc_out_percent: float | None  # None: did not charge
    current: CurrentKind | None
    quarter_hours_wh: tuple[float, ...]  # into the battery, from the quarter hour of arrival on


class Stay(Protocol):
    """What is known of the times a vehicle stood at a place."""

    @property
    def days(self) -> int:
        """Return on how many days it stood there."""

    @property
    def longest_s(self) -> float:
        """Return its longest stay, seconds."""


def is_private(place: Stay) -> bool:
    """Tell whether a place says who the driver is: a long stay, or more than one day."""
    return place.longest_s >= _PRIVATE_STAY_S or place.days >= _PRIVATE_DAYS


def charging_batch(
    facts: ChargeFacts,
    private: Iterable[Place] = (),
    *,
    covers: Iterable[Zone] = (),
    may_tell_area: bool = True,
) -> ChargingBatch:
    """Return what may be told of a stop.

    A cell is told only where the vehicle is a stranger: not at or beside one of its ``private``
    places, and not at a stop that is private itself; not where it touches what the driver drew
    (``covers``); and never while too little is known of its places (``may_tell_area``).
    """
    cell = _cell(facts.place, private, covers) if facts.place and may_tell_area else None
    hour = hour_of_week(facts.arrived)
    soc_in = _soc(facts.soc_in_percent)
    if facts.current is None or facts.soc_out_percent is None:
        return ChargingBatch(cell=cell, hour_of_week=hour, soc_in_percent=soc_in)
    return ChargingBatch(
        cell=cell,
        hour_of_week=hour,
        soc_in_percent=soc_in,
        current=facts.current,
        quarter_hours_wh=_energies(facts.quarter_hours_wh),
        soc_out_percent=_soc(facts.soc_out_percent),
        dwell=dwell_class(facts.dwell_s),
    )


def _cell(place: Place, private: Iterable[Place], covers: Iterable[Zone]) -> int | None:
    cell = cell_at(place.latitude, place.longitude, CHARGING_RESOLUTION)
    around = with_neighbours(cell)
    near_private = any(
        cell_at(other.latitude, other.longitude, CHARGING_RESOLUTION) in around for other in private
    )
    return None if near_private or is_private(place) or touches(cell, covers) else cell


def _soc(percent: float) -> int:
    return to_step(percent, SOC_STEP_PERCENT, 0, 100)


def _energies(quarter_hours_wh: tuple[float, ...]) -> tuple[int, ...]:
    kept = quarter_hours_wh[:MAX_QUARTER_HOURS] or (0.0,)
    return tuple(to_step(energy, ENERGY_STEP_WH, 0, MAX_QUARTER_WH) for energy in kept)
