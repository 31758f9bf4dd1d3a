"""Places where a vehicle stood, and the ground around them that is never told.

A zone is a circle that covers its place with at least ``MARGIN_M`` to spare, but is *not* centred
on it: the centre is moved by a distance and a direction drawn under the vehicle's secret. Whoever
finds the edge of the zone from a thousand trips finds that moved centre, not the door. The same
place always has the same zone, so repeats tell nothing new.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agent.privacy.chance import keyed_fraction

MARGIN_M = 300.0  # nothing nearer to the place is told
MAX_SHIFT_M = 600.0  # how far the centre may lie from the place
MIN_CUT_S, MAX_CUT_S = 120.0, 480.0  # also cut by time: 2 to 8 minutes
SAME_PLACE_M = 250.0  # two stops nearer than this are one place (parking lots, GNSS error)
_EARTH_M_PER_DEGREE = 111_195.0  # source: mean Earth radius 6,371.0 km (IUGG)


class Position(Protocol):
    """Where something is, degrees in WGS 84."""

    @property
    def latitude(self) -> float:
        """Return degrees north."""

    @property
    def longitude(self) -> float:
        """Return degrees east."""


At = TypeVar("At", bound=Position)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place where the vehicle stood, as it was first seen. Stays in the vehicle."""

    latitude: float
    longitude: float
    days: int = 1  # on how many days it stood here
    longest_s: float = 0.0  # its longest stay


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A circle that is cut out of every trip."""

    latitude: float
    longitude: float
    radius_m: float

    def covers(self, position: Position) -> bool:
        """Tell whether ``position`` lies inside."""
        return distance_m(self, position) <= self.radius_m


def distance_m(one: Position, other: Position) -> float:
    """Return metres between two positions at most some 100 km apart (flat-Earth formula)."""
    north = other.latitude - one.latitude
    east = (other.longitude - one.longitude + 180.0) % 360.0 - 180.0
    return _EARTH_M_PER_DEGREE * math.hypot(north, east * math.cos(math.radians(one.latitude)))


def zone_around(place: Position, secret: bytes) -> Zone:
    """Return the zone of ``place`` under ``secret``: always the same for the same place.

    Its edge is 300 m to 1.6 km from the place, depending on the direction.
    """
    label = f"{place.latitude:.6f},{place.longitude:.6f}"
    shift_m = MAX_SHIFT_M * math.sqrt(keyed_fraction(secret, "zone.shift", label))
    angle = 2 * math.pi * keyed_fraction(secret, "zone.angle", label)
    latitude, longitude = moved(place, shift_m * math.cos(angle), shift_m * math.sin(angle))
    slack_m = 100.0 * keyed_fraction(secret, "zone.radius", label)
    return Zone(latitude=latitude, longitude=longitude, radius_m=MAX_SHIFT_M + MARGIN_M + slack_m)


def moved(position: Position, north_m: float, east_m: float) -> tuple[float, float]:
    """Return degrees north and east of what lies so far from ``position``."""
    latitude = position.latitude + north_m / _EARTH_M_PER_DEGREE
    shrink = max(math.cos(math.radians(position.latitude)), 0.001)  # a metre is far at the poles
    return latitude, position.longitude + east_m / _EARTH_M_PER_DEGREE / shrink


def cut_s(place: Position, secret: bytes) -> float:
    """Return how many seconds of a trip are cut at this place: 120 to 480, always the same."""
    label = f"{place.latitude:.6f},{place.longitude:.6f}"
    return MIN_CUT_S + (MAX_CUT_S - MIN_CUT_S) * keyed_fraction(secret, "cut", label)


def known_place(places: Iterable[At], position: Position) -> At | None:
    """Return the nearest known place that counts as the same; None if it is a new one."""
    near = [place for place in places if distance_m(place, position) <= SAME_PLACE_M]
    return min(near, key=lambda place: distance_m(place, position), default=None)
