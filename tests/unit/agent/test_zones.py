"""Places that nobody may see: what is never told, what is taken back, and where they lie."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.consent.ledger import read_entry
from agent.privacy.book import Book
from agent.privacy.zones import MAX_ZONES, ZoneError
from agent.store.recall import Recalled
from telemetry.purposes import Purpose
from telemetry.records import ChargingBatch
from tests.support.life import HOME, WORK, Life, day_of

BETWEEN = ((HOME[0] + WORK[0]) / 2, (HOME[1] + WORK[1]) / 2)
FAR = (-10.0, 10.0)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """A vehicle on a day on which the place between home and work may be told."""
    lived = Life(tmp_path, Purpose.TRAFFIC, on=day_of(Purpose.TRAFFIC))
    yield lived
    lived.sharing.state.close()


def draw(
    life: Life, at: tuple[float, float], radius_m: float = 3_000.0, name: str = ""
) -> Recalled:
    return life.sharing.draw_zone(latitude=at[0], longitude=at[1], radius_m=radius_m, name=name)


def test_a_trip_tells_nothing_of_a_place_that_was_drawn_before(life: Life) -> None:
    draw(life, BETWEEN, 5_000.0)
    life.drive()
    assert life.offered() == []


def test_a_place_far_away_changes_nothing(life: Life) -> None:
    draw(life, FAR)
    life.drive()
    assert len(life.offered()) == 1


def test_a_card_loses_what_touches_a_place_that_is_drawn_afterwards(life: Life) -> None:
    trip = life.drive()
    assert draw(life, FAR) == Recalled()
    entries = len(life.sharing.state.ledger())
    assert draw(life, BETWEEN) == Recalled(offered=1)
    assert life.offered() == []
    assert life.sharing.cards() == []
    found = life.sharing.state.trip(trip)
    assert found is not None
    assert found.outcome == "kept"
    assert len(life.sharing.state.ledger()) == entries  # nobody had agreed to anything


def test_what_was_confirmed_and_has_not_left_is_taken_back_in_the_ledger(life: Life) -> None:
    trip = life.drive()
    [offer] = life.sharing.state.offers()
    life.sharing.answer(trip, [offer.batch_id], share=True)
    assert draw(life, BETWEEN) == Recalled(queued=1)
    assert life.sharing.outbox.rows() == []
    said = read_entry(life.sharing.state.ledger()[-1].body)
    assert (said.event, said.batch_id) == ("take_back", offer.batch_id.hex())
    assert life.sharing.check_ledger() == []
    assert life.sharing.claims.withdrawn() == []


def test_what_is_on_its_way_counts_as_withdrawn(life: Life) -> None:
    trip = life.drive()
    [offer] = life.sharing.state.offers()
    life.sharing.answer(trip, [offer.batch_id], share=True)
    recipient = read_entry(life.sharing.state.ledger()[-1].body).recipient
    life.sharing.outbox.begin_attempt(offer.batch_id, recipient=recipient)
    assert draw(life, BETWEEN) == Recalled(queued=1, under_way=1)
    assert [claim.batch_id for claim in life.sharing.claims.withdrawn()] == [offer.batch_id]


def test_a_place_drawn_under_a_damaged_ledger_takes_back_at_the_start_that_finds_it_whole(
    life: Life,
) -> None:
    life.drive()
    life.sharing._is_intact = False
    assert draw(life, BETWEEN) == Recalled()
    assert len(life.offered()) == 1
    assert life.sharing.start() == []
    assert life.offered() == []


def test_a_removed_place_is_told_of_again(life: Life) -> None:
    draw(life, BETWEEN, name="Club")
    assert life.sharing.remove_zone("Club").name == "Club"
    life.drive()
    assert len(life.offered()) == 1


@pytest.mark.slow
def test_a_stop_in_a_drawn_place_tells_no_area(tmp_path: Path) -> None:
    day = day_of(Purpose.CHARGING)
    life = Life(tmp_path, Purpose.CHARGING, on=day)
    life.sharing.offering.keep_book(Book(since=day - timedelta(days=15)))
    draw(life, WORK, 100.0)
    life.drive()
    life.wait(2)
    life.drive(WORK, HOME, soc_end_percent=60.0)
    life.wait(20)
    life.drive(HOME, (48.0, 11.2))
    assert [body.cell for body in life.offered() if isinstance(body, ChargingBatch)] == [None]
    life.sharing.state.close()


def test_where_drawn_places_cannot_be_read_nothing_with_a_place_is_offered(life: Life) -> None:
    draw(life, FAR)
    with life.sharing.state.database.transaction() as connection:
        connection.execute("UPDATE notes SET value='AAAA' WHERE name='drawn_places'")
    life.drive()
    assert life.offered() == []
    assert life.sharing.state.counters()["zones.unreadable"] == 1
    with pytest.raises(ZoneError, match="nothing with a place is offered until"):
        draw(life, BETWEEN)
    life.sharing.clear_zones()
    assert life.sharing.offering.zones.drawn() == []


def test_a_drawn_place_is_nowhere_on_the_disk_in_plain_words(life: Life, tmp_path: Path) -> None:
    draw(life, (48.123456, 11.654321), name="Grandmother")
    raw = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"Grandmother" not in raw
    assert b"48.123456" not in raw


def test_the_end_of_the_last_trip_is_known_as_the_present_place(life: Life) -> None:
    assert life.sharing.last_stop() is None
    life.drive()
    assert life.sharing.last_stop() == pytest.approx(WORK, abs=1e-5)


@pytest.mark.parametrize(
    ("at", "radius_m", "name", "said"),
    [
        ((91.0, 0.0), 500.0, "", "degrees north"),
        ((0.0, -180.1), 500.0, "", "degrees north"),
        ((float("nan"), 0.0), 500.0, "", "degrees north"),
        (FAR, 99.0, "", "100 to 5000 m, got 99"),
        (FAR, 5_001.0, "", "100 to 5000 m, got 5001"),
        (FAR, float("nan"), "", "100 to 5000 m, got nan"),
        (FAR, 500.0, "x" * 25, "at most 24 characters"),
        (FAR, 500.0, "a\nb", "that can be shown"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_changes_nothing(
    life: Life, at: tuple[float, float], radius_m: float, name: str, said: str
) -> None:
    with pytest.raises(ZoneError, match=said):
        draw(life, at, radius_m, name)
    assert life.sharing.offering.zones.drawn() == []


def test_there_are_at_most_twenty_places_and_none_twice(life: Life) -> None:
    for number in range(MAX_ZONES):
        draw(life, (number, 10.0))
    with pytest.raises(ZoneError, match="at most 20 places, found 20"):
        draw(life, FAR)
    with pytest.raises(ZoneError, match="secret already"):
        draw(life, (0.0, 10.0), 500.0)
    with pytest.raises(ZoneError, match="exactly one place, found 0"):
        life.sharing.remove_zone("nowhere")
    assert len(life.sharing.offering.zones.drawn()) == MAX_ZONES


def test_a_place_can_be_drawn_again_larger(life: Life) -> None:
    draw(life, FAR, 500.0)
    draw(life, FAR, 600.0)
    assert len(life.sharing.offering.zones.drawn()) == 2
