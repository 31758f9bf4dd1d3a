"""Charge lost while the vehicle rests; needs a wall clock that is proven. Pure."""

from datetime import datetime
from typing import Final

from agent.vehicle.battery.alerts import Evidence, Reading
from agent.vehicle.battery.memory import Rest
from agent.vehicle.battery.rules import Code

_LEAST_LOSS: Final = 3.0  # points; below it a gauge only wanders
_LEAST_HOURS: Final = 6.0


def lost_at_rest(rest: Rest, now: datetime, soc_percent: float) -> Reading | None:
    """Judge a rest that ended; None if it was too short, or the battery was charged meanwhile."""
    hours = (now - rest.since).total_seconds() / 3_600
    lost = rest.soc_percent - soc_percent
    if hours < _LEAST_HOURS or lost < -1.0:
        return None
    return Reading(
        code=Code.SELF_DISCHARGE,
        value=lost / hours * 24 if lost >= _LEAST_LOSS else 0.0,
        evidence=(
            Evidence(name="lost", value=round(lost, 1), unit="percent"),
            Evidence(name="hours", value=round(hours, 1), unit="h"),
        ),
    )
