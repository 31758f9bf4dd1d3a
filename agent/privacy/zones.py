"""Places that the driver drew: nobody may see anything of them.

A drawn circle is never cut out as it was drawn: whoever finds its edge from a thousand trips would
find the middle of it. It is covered by a larger one with a centre moved under the vehicle's secret,
always the same for the same place. No cell that touches this cover is ever told, for any purpose.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from msgspec import Struct

from agent.privacy.cells import middle_of, reach_m
from agent.privacy.chance import keyed_fraction
from agent.privacy.places import MAX_SHIFT_M, Zone, distance_m, moved

MAX_ZONES: Final = 20
MIN_RADIUS_M, MAX_RADIUS_M, USUAL_RADIUS_M = 100.0, 5_000.0, 500.0
MAX_NAME: Final = 24  # characters: what a tile of the screen holds
_SLACK_M: Final = 100.0
_NORTH, _EAST = 90.0, 180.0  # degrees, the farthest there are


class ZoneError(Exception):
    """A place cannot be drawn or removed as was wished; nothing changed. ``code`` is stable.

    Codes: zones.input (not a place on Earth, a radius or a name out of bounds), zones.full,
    zones.not_found, zones.known (drawn already), zones.no_position (nobody knows where here is),
    zones.unreadable (what was drawn cannot be read: its key is lost, or the disk changed it).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DrawnZone(Struct, frozen=True, kw_only=True):
    """A circle around a place, as the driver drew it; it stays in the vehicle."""

    zone_id: str
    latitude: float
    longitude: float
    radius_m: float
    drawn: date
    name: str = ""

    def cover(self, secret: bytes) -> Zone:
        """Return the circle that is kept silent about: up to 1.3 km, or its radius, more."""
        label = f"{self.latitude:.6f},{self.longitude:.6f}"
        most_m = max(MAX_SHIFT_M, self.radius_m / 2)
        shift_m = most_m * math.sqrt(keyed_fraction(secret, "drawn.shift", label))
        angle = 2 * math.pi * keyed_fraction(secret, "drawn.angle", label)
        middle = moved(self, shift_m * math.cos(angle), shift_m * math.sin(angle))
        slack_m = _SLACK_M * keyed_fraction(secret, "drawn.radius", label)
        return Zone(
            latitude=middle[0],
            longitude=middle[1],
            radius_m=self.radius_m + most_m + slack_m,
        )


def expect_drawable(latitude: float, longitude: float, radius_m: float, name: str) -> None:
    """Raise ZoneError for what is no place on Earth, or out of bounds."""
    if not (abs(latitude) <= _NORTH and abs(longitude) <= _EAST):  # nor what is no number
        raise ZoneError(
            "zones.input",
            f"position: expected degrees north (-90 to 90) and east (-180 to 180), got {latitude},"
            f" {longitude}; nothing was changed",
        )
    if not MIN_RADIUS_M <= radius_m <= MAX_RADIUS_M:
        raise ZoneError(
            "zones.input",
            f"radius: expected {MIN_RADIUS_M:.0f} to {MAX_RADIUS_M:.0f} m, got {radius_m:g};"
            " nothing was changed",
        )
    if len(name) > MAX_NAME or not name.isprintable():
        raise ZoneError(
            "zones.input",
            f"name: expected at most {MAX_NAME} characters that can be shown, got {len(name)};"
            " nothing was changed",
        )


def with_one_more(zones: Sequence[DrawnZone], zone: DrawnZone) -> list[DrawnZone]:
    """Return ``zones`` and ``zone``; raise ZoneError if it is drawn already or there are many."""
    same = (zone.latitude, zone.longitude)
    for one in zones:
        if (one.latitude, one.longitude) == same and one.radius_m >= zone.radius_m:
            raise ZoneError(
                "zones.known", "This place is kept secret already; nothing was changed."
            )
    if len(zones) >= MAX_ZONES:
        raise ZoneError(
            "zones.full",
            f"expected at most {MAX_ZONES} places, found {len(zones)}; remove one first;"
            " nothing was changed",
        )
    return [*zones, zone]


def touches(cell: int, covers: Iterable[Zone]) -> bool:
    """Tell whether any part of ``cell`` may lie in one of ``covers``."""
    middle, reach = middle_of(cell), reach_m(cell)
    return any(distance_m(cover, middle) <= cover.radius_m + reach for cover in covers)
