"""Each purpose on its own: what it puts on offer, what it leaves on the disk, and for how long."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from agent.privacy.book import Book
from agent.privacy.places import distance_m
from agent.privacy.selection import is_turn
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
from tests.support.life import HOME, SECRET, WORK, Life, day_of

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


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
