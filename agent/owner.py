"""What the owner's read API answers: the same documents as the commands, from the same stores."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC
from functools import partial
from http import HTTPStatus
from typing import Any

from agent import inspect
from agent.folders import Folders
from agent.hmi.owner import OwnerDoor, OwnerError
from agent.store.database import StoreError
from agent.store.segment_records import SegmentError
from agent.store.segments import Segment, read_segment
from agent.store.state import State
from agent.store.tracks import track_beside

_ALL = 1 << 62  # more than there can be


def owner_door(folders: Folders, signals: Callable[[], object]) -> OwnerDoor:
    """Return what the API reads of the state in ``folders`` and of the running vehicle."""
    return OwnerDoor(
        signals=signals,
        trips=partial(_trips, folders),
        trip=partial(_trip, folders),
        samples=partial(_samples, folders),
        battery=partial(_battery, folders),
    )


def _trips(folders: Folders) -> dict[str, Any]:
    return {"trips": [line.document() for line in inspect.trips(folders, limit=_ALL)]}


def _trip(folders: Folders, trip_id: str) -> dict[str, Any]:
    try:
        line, summary = inspect.trip(folders, trip_id)
    except inspect.NotFoundError as error:
        raise OwnerError("owner.trip", str(error), status=HTTPStatus.NOT_FOUND) from error
    return {"kind": line.kind, "trip": summary}


def _samples(folders: Folders, trip_id: str, first: int, limit: int) -> dict[str, Any]:
    """Return rows ``first`` to ``first + limit`` of a trip, and of its track where there is one."""
    with closing(State.open_to_read(folders.state)) as state:
        trip = state.trip(trip_id)
    if trip is None or trip.segment is None:
        raise OwnerError(
            "owner.samples",
            f"trip {trip_id}: expected one with samples, found none; nothing was changed",
            status=HTTPStatus.NOT_FOUND,
        )
    path = folders.segments / trip.segment
    try:
        found = _page(read_segment(path), first, limit)
    except SegmentError as error:
        raise OwnerError("owner.samples", str(error), status=HTTPStatus.NOT_FOUND) from error
    track = track_beside(path)
    if first == 0 and track.exists():
        found["track"] = _page(read_segment(track), 0, limit)
    return {"trip_id": trip_id, **found}


def _page(segment: Segment, first: int, limit: int) -> dict[str, Any]:
    """Return columns with their units, and rows: UTC (null if nobody knew), then the values."""
    rows = [
        [
            segment.anchor.utc_at(time_ms).astimezone(UTC).isoformat() if segment.anchor else None,
            time_ms,
            *(
                None if (value := column.told(raw)) is None else round(value, 9)
                for column, raw in zip(segment.columns, raws, strict=True)
            ),
        ]
        for time_ms, raws in segment.rows[first : first + limit]
    ]
    after = first + len(rows)
    return {
        "columns": [
            {"path": "time_utc", "unit": "iso8601"},
            {"path": "time_ms", "unit": "ms"},
            *({"path": column.path, "unit": column.unit} for column in segment.columns),
        ],
        "rows": rows,
        "next": after if after < len(segment.rows) else None,
    }


def _battery(folders: Folders) -> dict[str, Any]:
    try:
        return inspect.battery(folders)
    except StoreError as error:
        if error.code != "store.missing":
            raise
        return {"figures": {}, "alerts": [], "damaged_rows": 0}
