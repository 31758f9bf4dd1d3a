"""The figures of a stored trip that cards and lists show."""

from datetime import datetime

import msgspec

from agent.store.rows import TripRow


class TripFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a stored trip summary that cards and lists show; other keys are ignored."""

    started_utc: datetime | None = None
    distance_m: float = 0.0
    duration_s: float = 0.0
    energy_out_wh: float = 0.0
    energy_in_wh: float = 0.0
    soc_start_percent: float | None = None
    soc_end_percent: float | None = None


def figures(trip: TripRow) -> TripFigures:
    """Return the figures of a trip's summary."""
    return msgspec.json.decode(trip.summary, type=TripFigures)
