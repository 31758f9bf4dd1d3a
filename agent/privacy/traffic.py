"""A trip's track as the purpose ``traffic`` may tell it: single cells in single hours."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from agent.privacy.cells import cell_at
from agent.privacy.cropping import Run, TrackPoint, crop
from agent.privacy.patterns import hour_of_week, speed_tenths
from agent.privacy.places import Place, Zone, cut_s, zone_around
from agent.privacy.selection import CellHour, area_of, is_due, select_cell_hours
from agent.privacy.zones import touches
from telemetry.records import TRAFFIC_RESOLUTION, TrafficBatch

MIN_POINTS = 2  # in a cell and hour, before its speeds say anything
FindCell = Callable[[float, float, int], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One trip's positions with its two ends; local only."""

    started: datetime  # local time
    points: Sequence[TrackPoint]
    start: Place
    end: Place


def traffic_batches(  # noqa: PLR0913 (each is one thing that shapes what may be told)
    track: Track,
    *,
    secret: bytes,
    day: date,
    private: Iterable[Place] = (),
    covers: Sequence[Zone] = (),
    told: Collection[CellHour] = (),
    find_cell: FindCell = cell_at,
) -> list[TrafficBatch]:
    """Return what a trip may tell, in random order; empty if nothing is left after the cuts.

    Args:
        track: The trip.
        secret: Of this purpose.
        day: Local day, on which the bounds hold.
        private: Other places to keep silent about: where the vehicle is at home.
        covers: Of what the driver drew; no cell that touches one is told.
        told: Cells and hours that this vehicle has told on this day already.
        find_cell: Position and resolution to cell.
    """
    cells = {find_cell(at.latitude, at.longitude, TRAFFIC_RESOLUTION) for at in track.points}
    of_area = {area_of(cell): cell for cell in cells}
    if not any(is_due(cell, secret, day) for cell in of_area.values()):
        return []  # most days are silent: nothing to cut
    zones = {zone_around(place, secret) for place in (track.start, track.end, *private)}
    runs = crop(
        track.points,
        zones=[*zones, *covers],
        head_s=cut_s(track.start, secret),
        tail_s=cut_s(track.end, secret),
    )
    found = _speeds(track.started, runs, find_cell)
    speeds = {key: values for key, values in found.items() if not touches(key[0], covers)}
    chosen = select_cell_hours(speeds, secret=secret, day=day, told=told)
    return [
        TrafficBatch(cell=cell, hour_of_week=hour, speed_tenths=speed_tenths(speeds[cell, hour]))
        for cell, hour in chosen
    ]


def _speeds(
    started: datetime, runs: Iterable[Run], find_cell: FindCell
) -> dict[CellHour, list[float]]:
    found: defaultdict[CellHour, list[float]] = defaultdict(list)
    for point in (point for run in runs for point in run):
        cell = find_cell(point.latitude, point.longitude, TRAFFIC_RESOLUTION)
        hour = hour_of_week(started + timedelta(seconds=point.time_s))
        found[cell, hour].append(point.speed_km_h)
    return {key: speeds for key, speeds in found.items() if len(speeds) >= MIN_POINTS}
