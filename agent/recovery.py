"""After a power cut in mid-trip: what the segment still holds becomes a trip of its own."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from agent.signals import catalog
from agent.signals.model import Quality, Signal
from agent.store.segment_records import SegmentError, TimeAnchor
from agent.store.segments import Segment, read_segment, sweep_keys
from agent.store.tracks import SUFFIX, delete_segment
from agent.vehicle.trip import Trip, TripConfig, TripTracker
from telemetry.codec.cells import Cell

log = logging.getLogger(__name__)


def recover_trips(folder: Path, is_known: Callable[[str], bool]) -> list[tuple[Trip, Path]]:
    """Return the trips of segments that no stored trip names, oldest first. Blocks.

    The figures are added up again from the rows, so they are as coarse as the rows are. A segment
    in which nothing moved, or whose header is gone, is deleted: nobody could be asked about it.
    """
    found = []
    for torn in folder.glob("*.new"):  # a header that never got its name
        torn.unlink()
    for track in folder.glob(f"*{SUFFIX}"):  # positions whose trip is gone
        if not track.with_suffix(".seg").exists():
            track.unlink()
    sweep_keys(folder)  # of what a power cut left without its file
    left = sorted(folder.glob("*.seg"), key=lambda path: path.stat().st_mtime)
    for path in (path for path in left if not is_known(path.stem)):
        trip = _trip_of(path)
        if trip is None:
            log.warning("segment_without_trip_deleted", extra={"segment": path.name})
            delete_segment(path)
        else:
            found.append((replace(trip, is_whole=False), path))  # its end was never seen
    return found


def _trip_of(path: Path) -> Trip | None:
    try:
        segment = read_segment(path)
    except SegmentError as error:
        log.warning("segment_unreadable", extra={"segment": path.name, "code": error.code})
        return None
    return add_up(segment, path.stem)


def permitted(trip: Trip, segment: Path | None) -> Trip | None:
    """Return what may be kept of an ended trip; None: nothing of it. Blocks.

    Of one that is not whole it is the recorded part: its figures are added up from the rows.
    """
    if trip.is_whole:
        return trip
    part = _trip_of(segment) if segment else None
    return replace(part, is_whole=False) if part else None


def add_up(segment: Segment, trip_id: str) -> Trip | None:
    """Return the trip that the rows of ``segment`` tell; None if they tell of none."""
    tracker = TripTracker(TripConfig(), lambda: trip_id)
    last_s = 0.0
    for time_ms, row in segment.rows:
        last_s = time_ms / 1_000
        tracker.step(_signals(segment, row, last_s), last_s)
    ended = tracker.finish(last_s)
    trip = next((change.trip for change in ended if change.trip), None)
    if trip is None:
        return None
    trip = replace(trip, boot_id=segment.boot_id)
    return _dated(trip, segment.anchor) if segment.anchor else trip


def _dated(trip: Trip, anchor: TimeAnchor) -> Trip:
    started_utc = anchor.utc_at(trip.started_s * 1_000)
    return replace(trip, started_utc=started_utc, is_time_proven=anchor.is_proven)


def _signals(segment: Segment, row: list[Cell], time_s: float) -> Iterator[Signal]:
    values = {
        column.path: column.told(raw) for column, raw in zip(segment.columns, row, strict=True)
    }
    volts, amperes = values.get(catalog.PACK_VOLTAGE), values.get(catalog.PACK_CURRENT)
    if volts is not None and amperes is not None:
        values[catalog.PACK_POWER] = volts * amperes
    for path, value in values.items():
        quality = Quality.MISSING if value is None else Quality.OK  # why it was wrong is not kept
        yield Signal(path, value, quality, time_s)
