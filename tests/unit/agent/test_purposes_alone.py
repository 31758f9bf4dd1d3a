"""Each purpose on its own: what it puts on offer, what it leaves on the disk, and for how long."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from agent.offers import AgentHealth, next_turn
from agent.privacy.book import Book
from agent.privacy.cells import cell_at
from agent.privacy.places import distance_m
from agent.privacy.selection import is_due, is_turn
from agent.store.segments import SegmentWriter, TimeAnchor
from agent.store.sessions import SessionRow, Sessions
from agent.store.tracks import COLUMNS as TRACK_COLUMNS
from agent.store.tracks import track_beside
from telemetry.codec.anybatch import decode_any
from telemetry.purposes import NEED_PLACE, SWITCHED, Purpose
from telemetry.records import (
    ChargingBatch,
    CurrentKind,
    DiagnosticsBatch,
    DwellClass,
    JourneysBatch,
    TrafficBatch,
)
from tests.support.clock import FakeClock
from tests.support.trips import open_sharing, write_segment

HOUR = timedelta(hours=1)
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

    def __init__(self, folder: Path, *purposes: Purpose, on: date = date(2026, 11, 2)) -> None:
        self.clock = FakeClock(datetime(on.year, on.month, on.day, 7, 0, tzinfo=UTC))
        self.folder = folder
        self.sharing = open_sharing(folder, clock=self.clock, health=lambda: HEALTH)
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def day_of(purpose: Purpose) -> date:
    """A day on which ``purpose`` may be told: most days are silent."""
    first = date(2026, 11, 2)
    if purpose is not Purpose.TRAFFIC:
        return next_turn(purpose, SECRET, first) or first
    middle = cell_at((HOME[0] + WORK[0]) / 2, (HOME[1] + WORK[1]) / 2, 9)
    days = (first + timedelta(days=ahead) for ahead in range(28))
    return next(day for day in days if is_due(middle, SECRET, day))


def of_one_kind(life: Life, kind: type) -> list[object]:
    found = life.offered()
    assert {type(body) for body in found} <= {kind}
    return found


@pytest.mark.parametrize("purpose", SWITCHED)
def test_only_what_is_switched_on_is_ever_offered(folder: Path, purpose: Purpose) -> None:
    life = Life(folder, purpose, on=day_of(purpose))
    life.days(2)
    offers = life.sharing.state.offers()
    assert offers
    assert {offer.purpose for offer in offers} == {purpose}
    assert {decode_any(offer.payload).purpose for offer in offers} == {purpose}
    life.sharing.state.close()


def test_journeys_alone_write_no_sample_and_no_place(folder: Path) -> None:
    life = Life(folder, Purpose.JOURNEYS)
    assert not life.sharing.may_record()
    assert life.sharing.may_keep_trip()
    life.days(9)
    assert not (folder / "segments").exists()
    assert len(of_one_kind(life, JourneysBatch)) in {1, 2}  # one on one day of seven
    assert life.sharing.offering.book().places == []
    life.sharing.state.close()


def test_diagnostics_alone_write_nothing_of_a_trip(folder: Path) -> None:
    life = Life(folder, Purpose.DIAGNOSTICS, on=day_of(Purpose.DIAGNOSTICS))
    assert not life.sharing.may_record()
    assert not life.sharing.may_keep_trip()
    life.days(1)
    assert [row for row in life.sharing.state.trips() if row.trip_id.startswith("trip-")] == []
    bodies = of_one_kind(life, DiagnosticsBatch)
    assert bodies[0] == DiagnosticsBatch(version="1.2.3", uptime_class=2, losses=(("dropped", 2),))
    life.sharing.state.close()


def test_a_journey_is_told_once_on_one_day_of_seven_and_when_its_day_is_over(folder: Path) -> None:
    life = Life(folder, Purpose.JOURNEYS)
    days = [date(2026, 11, 2) + timedelta(days=ahead) for ahead in range(14)]
    told = []
    for day in days:
        before = len(life.offered())
        life.days(1)  # the night after is in it
        told += [day] * (len(life.offered()) - before)
    assert told == [day for day in days if is_turn(SECRET, day, 7)]
    assert len(told) == len(set(told)) >= 2
    life.sharing.state.close()


def test_a_trip_driven_before_the_consent_is_never_told(folder: Path) -> None:
    life = Life(folder, Purpose.BATTERY)
    life.days(7)
    life.sharing.set_consent(Purpose.JOURNEYS, is_granted=True)
    life.wait(1)
    assert not any(isinstance(body, JourneysBatch) for body in life.offered())
    life.sharing.state.close()


def test_a_trip_that_was_interrupted_tells_nothing_of_the_day(folder: Path) -> None:
    life = Life(folder, Purpose.JOURNEYS)
    for _ in range(9):
        life.drive(is_whole=False)
        life.wait(23.5)
    assert life.offered() == []
    life.sharing.state.close()


def test_a_stop_is_told_when_it_is_over_from_its_arrival_on(folder: Path) -> None:
    life = Life(folder, Purpose.CHARGING, on=day_of(Purpose.CHARGING))
    life.drive(soc_end_percent=34.0)
    life.wait(0.5)
    life.charge(1.5)
    life.wait(24)
    assert life.offered() == []  # it still stands there
    life.drive(WORK, HOME)
    [told] = life.offered()
    assert isinstance(told, ChargingBatch)
    assert (told.soc_in_percent, told.soc_out_percent) == (30, 90)
    assert told.quarter_hours_wh == (0, 0, *(2_000,) * 6)  # plugged in half an hour later
    assert (told.current, told.dwell) == (CurrentKind.AC, DwellClass.LONG)
    life.sharing.state.close()


@pytest.mark.parametrize("is_learning", [True, False])
def test_an_area_is_told_only_of_a_stranger_and_not_while_places_are_learnt(
    folder: Path, *, is_learning: bool
) -> None:
    day = day_of(Purpose.CHARGING)
    life = Life(folder, Purpose.CHARGING, on=day)
    since = day - timedelta(days=0 if is_learning else 15)
    life.sharing.offering.keep_book(Book(since=since))
    life.drive()
    life.wait(2)
    life.drive(WORK, HOME, soc_end_percent=60.0)
    life.wait(20)
    life.drive(HOME, (48.0, 11.2))  # somewhere else: who comes back is no stranger
    [told] = of_one_kind(life, ChargingBatch)
    assert isinstance(told, ChargingBatch)
    assert (told.cell is None) == is_learning
    life.sharing.state.close()


@pytest.mark.parametrize("hours", [5, 30])
def test_no_area_is_told_where_somebody_stays_long(folder: Path, hours: float) -> None:
    day = day_of(Purpose.CHARGING)
    life = Life(folder, Purpose.CHARGING, on=day)
    life.sharing.offering.keep_book(Book(since=day - timedelta(days=15)))
    life.drive()
    life.wait(hours)
    life.drive(WORK, HOME, soc_end_percent=60.0)
    life.wait(24)
    life.drive()
    assert [body.cell for body in life.offered() if isinstance(body, ChargingBatch)] == [None]
    life.sharing.state.close()


def test_traffic_never_tells_a_cell_near_an_end(
    folder: Path,
) -> None:
    life = Life(folder, Purpose.TRAFFIC, on=day_of(Purpose.TRAFFIC))
    life.days(1)
    told = [body for body in of_one_kind(life, TrafficBatch) if isinstance(body, TrafficBatch)]
    assert told
    for body in told:
        latitude, longitude = cell_centre(body.cell)
        for end in (HOME, WORK):
            assert distance_m(Point(latitude, longitude), Point(*end)) > 300
    life.sharing.state.close()


@dataclass(frozen=True)
class Point:
    latitude: float
    longitude: float


def cell_centre(cell: int) -> tuple[float, float]:
    import h3.api.basic_int as h3  # type: ignore[import-untyped]  # noqa: PLC0415 (only here)

    latitude, longitude = h3.cell_to_latlng(cell)
    return float(latitude), float(longitude)


def test_charging_alone_keeps_no_sample_and_no_readable_position(folder: Path) -> None:
    life = Life(folder, Purpose.CHARGING)
    life.days(1)
    assert life.sharing.offering.book().places != []
    life.sharing.state.close()
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert list((folder / "segments").iterdir()) == []
    for text in ("48.1", "48.22", "11.68", '"places"', "latitude"):
        assert text.encode() not in everything


@pytest.mark.parametrize("purpose", sorted(NEED_PLACE))
def test_withdrawing_the_last_purpose_that_needs_a_place_forgets_every_place(
    folder: Path, purpose: Purpose
) -> None:
    life = Life(folder, purpose, Purpose.BATTERY)
    life.drive()
    assert life.sharing.offering.book().places != []
    life.sharing.set_consent(purpose, is_granted=False)
    book = life.sharing.offering.book()
    assert (book.places, book.stops, book.told) == ([], {}, [])
    life.sharing.state.close()


def test_a_damaged_book_is_begun_anew_and_counted(folder: Path) -> None:
    life = Life(folder, Purpose.CHARGING)
    life.drive()
    with life.sharing.state.database.transaction() as connection:
        connection.execute("UPDATE notes SET value = replace(value, 'A', 'B') WHERE name='book'")
    assert life.sharing.offering.book().places == []
    assert life.sharing.offering.book().is_learning(life.clock.utc_now().date())
    assert life.sharing.state.counters()["book.unreadable"] >= 1
    life.sharing.state.close()


def test_records_wait_for_a_random_moment_and_slices_do_not(folder: Path) -> None:
    life = Life(folder, Purpose.TRAFFIC, Purpose.BATTERY, on=day_of(Purpose.TRAFFIC))
    life.days(1)
    offers = life.sharing.state.offers()
    for trip_id in {offer.trip_id for offer in offers}:
        ids = [offer.batch_id for offer in offers if offer.trip_id == trip_id]
        life.sharing.answer(trip_id, ids, share=True)
    lines, now = life.sharing.outbox.lines(), life.sharing.moment()
    waits = {
        purpose: [line.held_for_s(now) for line in lines if line.purpose == purpose]
        for purpose in (Purpose.TRAFFIC, Purpose.BATTERY)
    }
    assert set(waits[Purpose.BATTERY]) == {0.0}
    assert waits[Purpose.TRAFFIC]
    assert all(12 * 3_600 <= wait <= 60 * 3_600 for wait in waits[Purpose.TRAFFIC])
    assert len(set(waits[Purpose.TRAFFIC])) == len(waits[Purpose.TRAFFIC])
    life.sharing.state.close()


def test_a_delay_outlives_a_restart_and_ends_when_the_clock_goes_back(folder: Path) -> None:
    life = Life(folder, Purpose.DIAGNOSTICS, on=day_of(Purpose.DIAGNOSTICS))
    life.days(1)
    [offer, *_] = life.sharing.state.offers()
    life.sharing.answer(offer.trip_id, [offer.batch_id], share=True)
    life.clock.boot = "boot-2"
    life.clock.advance_s(11 * 3_600)
    assert life.sharing.outbox.due(life.sharing.moment()) == []
    assert life.sharing.take_back([bytes(32)]) == []
    life.clock.jump_wall_s(-300 * 86_400)  # nobody can say any more when that moment is
    assert len(life.sharing.outbox.due(life.sharing.moment())) == 1
    life.sharing.state.close()


def test_a_record_can_be_taken_back_for_as_long_as_it_waits(folder: Path) -> None:
    life = Life(folder, Purpose.DIAGNOSTICS, on=day_of(Purpose.DIAGNOSTICS))
    life.days(1)
    [offer, *_] = life.sharing.state.offers()
    life.sharing.answer(offer.trip_id, [offer.batch_id], share=True)
    life.clock.boot = "boot-2"
    assert life.sharing.take_back([offer.batch_id]) == [offer.batch_id]
    assert life.sharing.outbox.rows() == []
    life.sharing.state.close()


@pytest.mark.parametrize("purpose", SWITCHED)
def test_every_offer_can_be_claimed_by_its_token(folder: Path, purpose: Purpose) -> None:
    life = Life(folder, purpose, on=day_of(purpose))
    life.days(2)
    names = set()
    for offer in life.sharing.state.offers():
        claim = life.sharing.claims.of(offer.batch_id)
        assert claim is not None
        names.add(life.sharing.offering.pseudonym(claim))
        assert decode_any(offer.payload).pseudonym in names
    assert len(names) == len(life.sharing.state.offers()) > 0
    life.sharing.state.close()
