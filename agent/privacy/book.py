"""What the vehicle has to remember so that it tells little: its places, and what it has told.

Stays in the vehicle, encrypted under a secret of its own. Without it (new, damaged, key lost) the
vehicle knows no private place, so it starts to learn again and tells no area of a stop meanwhile.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from msgspec import Struct, field

from agent.privacy.charging import is_private
from agent.privacy.places import SAME_PLACE_M, Place, Position, distance_m, known_place
from agent.privacy.selection import CellHour

LEARNING_DAYS: Final = 14  # two weeks show where a vehicle is at home
MAX_PLACES: Final = 2_000
MAX_STOPS: Final = 200  # trips whose end is still needed: the stop there is not over, or not told


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A position, degrees in WGS 84."""

    latitude: float
    longitude: float


class KnownPlace(Struct, kw_only=True):
    """A place as it was first seen, with what was learnt of it since."""

    latitude: float
    longitude: float
    last_day: date
    days: int = 1
    longest_s: float = 0.0

    def place(self) -> Place:
        """Return it as the transforms take it."""
        return Place(
            latitude=self.latitude,
            longitude=self.longitude,
            days=self.days,
            longest_s=self.longest_s,
        )


class Book(Struct, kw_only=True):
    """The vehicle's own memory of places and of what was told. Changed in place, stored whole."""

    since: date
    places: list[KnownPlace] = field(default_factory=list)
    stops: dict[str, Spot] = field(default_factory=dict)  # trip id -> where it ended
    told_day: date | None = None
    told: list[CellHour] = field(default_factory=list)  # traffic, on ``told_day``
    done: dict[str, date] = field(default_factory=dict)  # purpose -> last day that was looked at

    def is_learning(self, day: date) -> bool:
        """Tell whether too little is known of the vehicle's places on ``day``."""
        return day < self.since + timedelta(days=LEARNING_DAYS)

    def arrive(self, spot: Position, day: date, *, trip_id: str) -> Place:
        """Note that a trip ended here; return the place."""
        self.stops[trip_id] = Spot(latitude=spot.latitude, longitude=spot.longitude)
        for old in list(self.stops)[: max(0, len(self.stops) - MAX_STOPS)]:
            del self.stops[old]
        return self.seen(spot, day).place()

    def leave(self, trip_id: str, spot: Position | None, dwell_s: float) -> None:
        """Note how long the vehicle stood where ``trip_id`` ended.

        ``spot`` is where the next trip began; somewhere else means that it was moved meanwhile.
        """
        stop = self.stops.get(trip_id)
        if stop is None or (spot is not None and distance_m(stop, spot) > SAME_PLACE_M):
            return
        if place := self._known(stop):
            place.longest_s = max(place.longest_s, dwell_s)

    def seen(self, spot: Position, day: date) -> KnownPlace:
        """Return the place at ``spot``, a new one if it is not known; it counts once a day."""
        place = self._known(spot)
        if place is None:
            place = KnownPlace(latitude=spot.latitude, longitude=spot.longitude, last_day=day)
            self.places.append(place)
            self._bound()
        elif place.last_day != day:
            place.days, place.last_day = place.days + 1, day
        return place

    def place_of(self, trip_id: str) -> Place | None:
        """Return where a trip ended; None if nobody knows."""
        stop = self.stops.get(trip_id)
        known = None if stop is None else self._known(stop)
        return None if known is None else known.place()

    def private(self) -> list[Place]:
        """Return the places that say who the driver is."""
        return [known.place() for known in self.places if is_private(known)]

    def told_on(self, day: date) -> list[CellHour]:
        """Return what was told on ``day``, to be added to."""
        if self.told_day != day:
            self.told_day, self.told = day, []
        return self.told

    def _known(self, spot: Position) -> KnownPlace | None:
        return known_place(self.places, spot)

    def _bound(self) -> None:
        """Forget the places of one short visit first: they are nobody's home."""
        if len(self.places) > MAX_PLACES:
            self.places.remove(min(self.places, key=_weight))


def _weight(place: KnownPlace) -> tuple[bool, date]:
    return is_private(place.place()), place.last_day
