"""How much of a vehicle's life may be told at all: turns, bounds, and no neighbours.

Even records without a name can be joined when the same habits come back every day. So a vehicle
speaks rarely: its days are divided into turns, and a purpose is served on one day of each turn,
drawn under the purpose's secret. For ``traffic`` the turn belongs to an area, so that no area is
told twice within one turn; and of areas whose turn falls on one day only one is told, because two
cells of one drive, in the same hour and not far apart, would find each other again. Statistics lose
nothing but speed; the joining loses its second half.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeVar

from agent.privacy.cells import coarser, with_neighbours
from agent.privacy.chance import keyed_choice, keyed_number
from telemetry.purposes import Purpose

CellHour = tuple[int, int]  # H3 cell, hour of the week
Item = TypeVar("Item", bound=Hashable)
AREA_RESOLUTION: Final = 7  # what takes turns in `traffic`


@dataclass(frozen=True, slots=True)
class Bound:
    """How often a vehicle may speak for a purpose: on one day of ``turn_days``, so many records."""

    turn_days: int
    per_day: int


BOUNDS: Final[Mapping[Purpose, Bound]] = {
    Purpose.CHARGING: Bound(turn_days=14, per_day=1),
    Purpose.JOURNEYS: Bound(turn_days=7, per_day=1),
    Purpose.TRAFFIC: Bound(turn_days=42, per_day=1),  # one day for each area
    Purpose.DIAGNOSTICS: Bound(turn_days=7, per_day=1),
}


def is_turn(secret: bytes, day: date, turn_days: int, *about: object) -> bool:
    """Tell whether ``day`` is the day of its turn; exactly one day of each turn is."""
    turn, place = divmod(day.toordinal(), turn_days)
    return keyed_choice(secret, turn_days, "turn", turn, *about) == place


def pick(secret: bytes, day: date, items: Iterable[Item], count: int) -> list[Item]:
    """Return at most ``count`` of a day's ``items``, at random but always the same, shuffled."""
    order = sorted(set(items), key=lambda item: keyed_number(secret, "pick", day, item))
    return order[:count]


def select_cell_hours(
    candidates: Iterable[CellHour],
    *,
    secret: bytes,
    day: date,
    told: Collection[CellHour] = (),
    bound: Bound = BOUNDS[Purpose.TRAFFIC],
) -> list[CellHour]:
    """Return which cells and hours of a trip may be told, in random order.

    Only areas whose turn it is are told, each by one cell in one hour of the day; no two cells
    touch, whatever the hour. What was ``told`` before on this day counts.
    """
    chosen: list[CellHour] = []
    taken = {cell for known, _ in told for cell in with_neighbours(known)}
    areas = {area_of(known) for known, _ in told}
    due = [item for item in candidates if is_due(item[0], secret, day, bound)]
    for item in pick(secret, day, due, len(due)):
        if len(told) + len(chosen) >= bound.per_day:
            break
        if item[0] not in taken and area_of(item[0]) not in areas:
            chosen.append(item)
            taken |= with_neighbours(item[0])
            areas.add(area_of(item[0]))
    return chosen


def area_of(cell: int) -> int:
    """Return the area that takes turns, for one of its cells."""
    return coarser(cell, AREA_RESOLUTION)


def is_due(cell: int, secret: bytes, day: date, bound: Bound = BOUNDS[Purpose.TRAFFIC]) -> bool:
    """Tell whether it is the turn of the area around ``cell``."""
    return is_turn(secret, day, bound.turn_days, area_of(cell))
