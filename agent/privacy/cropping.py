"""Cuts both ends of a trip, and every zone in between.

What is left are runs: pieces between cuts. A run that is too short says more about where it was cut
than about traffic, and is dropped; a trip that leaves no run sends nothing (fail closed).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from agent.privacy.places import Zone, distance_m

MIN_RUN_M = 1_000.0
MIN_RUN_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackPoint:
    """One position of a trip; local only."""

    time_s: float  # since the trip began
    latitude: float
    longitude: float
    speed_km_h: float


Run = tuple[TrackPoint, ...]


def crop(
    points: Sequence[TrackPoint], *, zones: Sequence[Zone], head_s: float, tail_s: float
) -> list[Run]:
    """Return what may be looked at further: runs outside every zone and away from both ends.

    Args:
        points: Oldest first.
        zones: Of start and end, of every private place, and those the driver drew.
        head_s: How much is cut at the beginning in any case.
        tail_s: How much is cut at the end in any case.
    """
    if not points:
        return []
    from_s, to_s = points[0].time_s + head_s, points[-1].time_s - tail_s
    runs: list[list[TrackPoint]] = [[]]
    for point in points:
        if from_s <= point.time_s <= to_s and not any(zone.covers(point) for zone in zones):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [tuple(run) for run in runs if _is_long_enough(run)]


def _is_long_enough(run: Sequence[TrackPoint]) -> bool:
    if not run or run[-1].time_s - run[0].time_s < MIN_RUN_S:
        return False
    return _length_m(run) >= MIN_RUN_M


def _length_m(run: Sequence[TrackPoint]) -> float:
    return sum(distance_m(a, b) for a, b in pairwise(run))
