"""A vehicle's life in a few lines: drives, stops, charges, and the days between them.

Positions are on a straight line between two places; each drive takes half an hour.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from agent.consent.recipients import Recipients
from agent.offers import AgentHealth, next_turn
from agent.privacy.cells import cell_at
from agent.privacy.selection import BOUNDS, is_due
from agent.store.segment_records import TimeAnchor
from agent.store.segments import SegmentWriter
from agent.store.sessions import SessionRow, Sessions
from agent.store.tracks import COLUMNS as TRACK_COLUMNS
from agent.store.tracks import track_beside
from telemetry.codec.anybatch import decode_any
from telemetry.purposes import Purpose
from tests.support.clock import FakeClock
from tests.support.trips import open_sharing, write_segment

SECRET = b"s" * 32  # of every purpose, in open_sharing
HOME, WORK = (48.1000, 11.5000), (48.2200, 11.6800)
HEALTH = AgentHealth(version="1.2.3", uptime_s=90_000.0, losses={"dropped": 12, "gnss_lost": 3})


@dataclass(frozen=True, kw_only=True)
class Driven:
    """The fields of a trip that matter here; ``_s`` on the clock of the frames."""

    trip_id: str
    started_utc: datetime
    started_s: float = 0.0
    ended_s: float = 1_800.0
    distance_m: float = 18_000.0
    energy_out_wh: float = 3_000.0
    energy_in_wh: float = 300.0
    soc_end_percent: float = 15.0
    ambient_c: float = 11.0


class Life:
    """A vehicle that is driven; positions are on a straight line between two places."""

    def __init__(
        self,
        folder: Path,
        *purposes: Purpose,
        on: date = date(2026, 11, 2),
        recipients: Recipients | None = None,
    ) -> None:
        self.clock = FakeClock(datetime(on.year, on.month, on.day, 7, 0, tzinfo=UTC))
        self.folder = folder
        self.sharing = open_sharing(
            folder, clock=self.clock, health=lambda: HEALTH, recipients=recipients
        )
        for purpose in purposes:
            self.sharing.set_consent(purpose, is_granted=True)
        self.trips = 0

    def drive(
        self,
        start: tuple[float, float] = HOME,
        end: tuple[float, float] = WORK,
        *,
        is_whole: bool = True,
        **fields: float,
    ) -> str:
        """Drive for half an hour, and let the agent do what it does at the end."""
        self.trips += 1
        trip = Driven(trip_id=f"trip-{self.trips}", started_utc=self.clock.utc_now(), **fields)
        path = None
        if self.sharing.may_record():
            path = write_segment(self.folder / "segments", trip.trip_id)
            if self.sharing.may_keep_place():
                write_track(path, start, end, utc=trip.started_utc)
        self.clock.advance_s(trip.ended_s - trip.started_s)
        self.sharing.offer_trip(trip, path, is_whole=is_whole)
        self.sharing.offer_days()
        return trip.trip_id

    def wait(self, hours: float) -> None:
        self.clock.advance_s(3_600 * hours)
        self.sharing.offer_days()

    def days(self, count: int) -> None:
        """Drive to work and home again on so many days."""
        for _ in range(count):
            self.drive()
            self.wait(8.5)
            self.drive(WORK, HOME)
            self.wait(14.5)

    def charge(self, hours: float) -> None:
        row = SessionRow(
            session_id=f"s-{self.trips}",
            summary=msgspec.json.encode(
                {
                    "started_utc": self.clock.utc_now(),
                    "duration_s": hours * 3_600,
                    "supply": "ac",
                    "energy_in_wh": 2_000.0 * 4 * hours,
                    "quarters_wh": [2_000.0] * round(4 * hours),
                    "soc_end_percent": 88.0,
                }
            ).decode(),
            created_utc=self.clock.utc_now(),
            is_open=False,
        )
        Sessions(self.sharing.state.database).put(row)

    def offered(self) -> list[object]:
        return [decode_any(offer.payload).body for offer in self.sharing.state.offers()]


def write_track(
    segment: Path, start: tuple[float, float], end: tuple[float, float], *, utc: datetime
) -> None:
    anchor = TimeAnchor(time_ms=0, utc=utc, is_proven=True)
    writer = SegmentWriter.create(
        track_beside(segment), TRACK_COLUMNS, boot_id="boot-1", anchor=anchor
    )
    for second in range(0, 1_801, 15):
        share = second / 1_800
        latitude, longitude = (a + share * (b - a) for a, b in zip(start, end, strict=True))
        row = [round(latitude * 1e6), round(longitude * 1e6), 40, 3_600]
        writer.append(second * 1_000, row)
    writer.close()


def day_of(purpose: Purpose, *, first: date = date(2026, 11, 2)) -> date:
    """A day from ``first`` on on which ``purpose`` may be told: most days are silent."""
    if purpose is not Purpose.TRAFFIC:
        return next_turn(purpose, SECRET, first) or first
    middle = cell_at((HOME[0] + WORK[0]) / 2, (HOME[1] + WORK[1]) / 2, 9)
    days = (first + timedelta(days=ahead) for ahead in range(2 * BOUNDS[purpose].turn_days))
    return next(day for day in days if is_due(middle, SECRET, day))
