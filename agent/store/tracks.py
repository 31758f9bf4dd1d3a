"""Positions of a trip, in a segment of their own beside the trip's: ``<trip>.track``.

They are written only while a purpose that needs place is granted, and go as soon as none is: who
deletes the ``*.track`` files has deleted every position that can be read. The places where trips
ended are kept sealed (``agent/privacy/book.py``); no other file, row or log of the agent holds one.
A row is written when there is a fix; without one there is no row.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.privacy.cropping import TrackPoint
from agent.signals import catalog
from agent.signals.gnss import ACCURACY, LATITUDE, LONGITUDE
from agent.signals.model import Signal
from agent.store.segment_records import Row, SegmentColumn, SegmentError, TimeAnchor
from agent.store.segments import SegmentWriter, destroy_keys, read_segment

SUFFIX: Final = ".track"
_DEGREE_STEP: Final = 1e-6  # 0.11 m; a receiver is good to metres
COLUMNS: Final = (
    SegmentColumn(LATITUDE, "degrees", _DEGREE_STEP, 0.0),
    SegmentColumn(LONGITUDE, "degrees", _DEGREE_STEP, 0.0),
    SegmentColumn(ACCURACY, "m", 0.1, 0.0),
    SegmentColumn(catalog.SPEED, "km/h", 0.01, 0.0),
)


class TrackWriter:
    """Writes the track of one trip. Every method blocks."""

    def __init__(self, segment: Path, *, boot_id: str, anchor: TimeAnchor) -> None:
        """Prepare the track beside ``segment``; the file is made with the first fix."""
        self._path = track_beside(segment)
        self._boot_id = boot_id
        self._anchor = anchor
        self._writer: SegmentWriter | None = None

    def append(self, time_ms: int, readings: Mapping[str, Signal]) -> None:
        """Write where the vehicle is; nothing without a fix.

        Raises:
            SegmentError: As ``SegmentWriter.append``.
        """
        values = [_value(readings, column.path) for column in COLUMNS]
        if values[0] is None or values[1] is None:
            return
        if self._writer is None:
            self._writer = self._open()
        row = [
            None if value is None else column.raw(value)
            for column, value in zip(COLUMNS, values, strict=True)
        ]
        self._writer.append(time_ms, row)

    def _open(self) -> SegmentWriter:
        if self._path.exists():  # of a trip that goes on after a restart
            return SegmentWriter.reopen(self._path)
        return SegmentWriter.create(self._path, COLUMNS, boot_id=self._boot_id, anchor=self._anchor)

    def close(self) -> None:
        """Flush and close; raise SegmentError as ``SegmentWriter.close`` does."""
        writer, self._writer = self._writer, None
        if writer:
            writer.close()

    def drop(self) -> None:
        """Delete what was written: no purpose that needs place is granted any more."""
        writer, self._writer = self._writer, None
        if writer:
            with suppress(SegmentError):  # it is deleted at once
                writer.close()
        self._path.unlink(missing_ok=True)
        destroy_keys([self._path])


def track_beside(segment: Path) -> Path:
    """Return where the positions of the trip of ``segment`` are, if there are any."""
    return segment.with_suffix(SUFFIX)


def delete_segment(segment: Path) -> None:
    """Delete a trip's segment, its positions first, and then both their keys. Blocks."""
    track = track_beside(segment)
    track.unlink(missing_ok=True)
    segment.unlink(missing_ok=True)
    destroy_keys([track, segment])


def delete_tracks(folder: Path) -> int:
    """Delete every position in ``folder``; return of how many trips. Blocks."""
    tracks = list(folder.glob(f"*{SUFFIX}"))
    for track in tracks:
        track.unlink(missing_ok=True)
    destroy_keys(tracks)
    return len(tracks)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTrack:
    """Positions of a trip, oldest first; ``time_s`` of each counts from the first.

    ``started_utc`` is the instant of the first; None if there is none, or nobody knew the time.
    """

    started_utc: datetime | None = None
    points: tuple[TrackPoint, ...] = ()


def read_track(segment: Path) -> StoredTrack:
    """Return the positions of the trip of ``segment``; empty if none were kept. Blocks.

    A position at which the speed was not known is left out.

    Raises:
        SegmentError: There is a track, and it cannot be read.
    """
    path = track_beside(segment)
    if not path.exists():
        return StoredTrack()
    found = read_segment(path)
    if found.columns != COLUMNS:
        raise SegmentError(f"{path}: expected the columns of a track", code="segment.header")
    if not found.rows:
        return StoredTrack()
    first_ms = found.rows[0][0]
    return StoredTrack(
        started_utc=found.anchor.utc_at(first_ms) if found.anchor else None,
        points=tuple(point for row in found.rows if (point := _point(row, first_ms))),
    )


def _point(row: Row, first_ms: int) -> TrackPoint | None:
    time_ms, cells = row
    latitude, longitude, _, speed = map(SegmentColumn.told, COLUMNS, cells)
    if latitude is None or longitude is None or speed is None:
        return None
    return TrackPoint(
        time_s=(time_ms - first_ms) / 1_000,
        latitude=latitude,
        longitude=longitude,
        speed_km_h=speed,
    )


def _value(readings: Mapping[str, Signal], path: str) -> float | None:
    signal = readings.get(path)
    return signal.value if signal else None
