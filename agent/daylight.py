"""Whether it is dark outside: by the sun where a position is known, else by the hour. Pure."""

import math
from datetime import UTC, datetime
from typing import Final

DARK_BELOW_DEG: Final = -3.0  # between sunset and the end of civil twilight
_EPOCH: Final = datetime(2000, 1, 1, 12, tzinfo=UTC)
_FIRST_YEAR: Final = 2025  # a clock before it was never set
FROM_HOUR, UNTIL_HOUR = 19, 7  # of the board's local time, where no position is known
Position = tuple[float, float]  # degrees north and east


def is_dark(now: datetime, position: Position | None) -> bool:
    """Return whether the screen should be dark at ``now`` (with its zone).

    False while the clock was never set: a bright screen at night is read, a dark one at noon is
    not.
    """
    if now.year < _FIRST_YEAR:
        return False
    if position is None:
        return now.hour >= FROM_HOUR or now.hour < UNTIL_HOUR
    return sun_elevation_deg(now, position) < DARK_BELOW_DEG


def sun_elevation_deg(now: datetime, position: Position) -> float:
    """Return the angle of the sun above the horizon, good to about 0.1 degrees until 2050.

    Source: Astronomical Almanac, low-precision formulas for the sun; refraction is left out.
    """
    days = (now - _EPOCH).total_seconds() / 86_400
    anomaly = math.radians(357.529 + 0.98560028 * days)
    longitude = math.radians(
        280.459 + 0.98564736 * days + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly)
    )
    tilt = math.radians(23.439 - 0.00000036 * days)
    declination = math.asin(math.sin(tilt) * math.sin(longitude))
    ascension = math.atan2(math.cos(tilt) * math.sin(longitude), math.cos(longitude))
    sidereal = math.radians(280.46062 + 360.98564737 * days + position[1])
    latitude = math.radians(position[0])
    return math.degrees(
        math.asin(
            math.sin(latitude) * math.sin(declination)
            + math.cos(latitude) * math.cos(declination) * math.cos(sidereal - ascension)
        )
    )
