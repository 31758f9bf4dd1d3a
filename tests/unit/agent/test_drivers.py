"""Who drives, pauses and standing OKs: whose consent counts, and for how long."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.consent.ledger import ConsentEvent, Entry, read_entry
from agent.driver import PauseKind, Seat
from agent.hmi.pages.purposes import purpose_view
from agent.hmi.texts import load_texts
from agent.people import People
from agent.presence import PresenceError
from agent.sharing import Sharing, SharingError
from agent.store.cover import UncoveredError
from agent.store.rows import TripOutcome
from telemetry.purposes import Purpose
from tests.support.clock import FakeClock
from tests.support.trips import FakeTrip, open_sharing, write_segment

DAY_S = 86_400
BATTERY = Purpose.BATTERY


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sharing(tmp_path: Path, clock: FakeClock) -> Iterator[Sharing]:
    opened = open_sharing(tmp_path, clock=clock, hold_s=600.0)
    yield opened
    opened.state.close()


def drive(sharing: Sharing, folder: Path, trip_id: str = "trip-1") -> list[bytes]:
    path = write_segment(folder / "segments", trip_id)
    previews = sharing.offer_trip(FakeTrip(trip_id=trip_id), path)
    return [bytes.fromhex(preview.batch_id) for preview in previews]


def first(sharing: Sharing) -> str:
    return sharing.presence.profiles()[0].profile_id


def entries(sharing: Sharing) -> list[Entry]:
    return [read_entry(row.body) for row in sharing.state.ledger()]


# -- several drivers -------------------------------------------------------------------------------


def test_the_only_driver_need_not_say_so(sharing: Sharing) -> None:
    assert sharing.presence.seated().profile_id == first(sharing)
    sharing.set_consent(BATTERY, is_granted=True)
    assert entries(sharing)[0].profile == first(sharing)


def test_another_driver_starts_with_everything_off(sharing: Sharing) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    anna = sharing.presence.add("Anna")
    sharing.choose_driver(anna.profile_id)
    assert sharing.granted() == frozenset()
    assert not sharing.may_record()
    sharing.set_consent(BATTERY, is_granted=True)
    assert [entry.profile for entry in entries(sharing)] == [first(sharing), anna.profile_id]
    sharing.set_consent(BATTERY, is_granted=False)
    sharing.choose_driver(first(sharing))
    assert sharing.granted() == {BATTERY}


def test_a_guest_or_a_restart_deletes_no_position_that_a_driver_agreed_to(
    sharing: Sharing, tmp_path: Path
) -> None:
    sharing.set_consent(Purpose.TRAFFIC, is_granted=True)
    (tmp_path / "segments").mkdir(exist_ok=True)
    track = tmp_path / "segments" / "trip-1.track"
    track.write_bytes(b"positions")
    sharing.choose_driver(None)
    assert (sharing.may_keep_place(), len(sharing.holders())) == (False, 1)
    sharing.start()
    assert track.exists()
    sharing.choose_driver(first(sharing))
    sharing.set_consent(Purpose.TRAFFIC, is_granted=False)
    assert not track.exists()
    assert sharing.holders() == frozenset()


def test_with_two_drivers_nothing_is_kept_after_a_restart_until_one_says_who_drives(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    sharing.presence.add("Anna")
    assert sharing.may_record()  # the one who was there still is
    clock.boot = "boot-2"
    sharing.start()
    assert sharing.presence.seated().seat is Seat.UNKNOWN
    assert sharing.decision(BATTERY).code == "consent.driver_unknown"
    assert drive(sharing, tmp_path) == []
    assert list((tmp_path / "segments").iterdir()) == []
    with pytest.raises(SharingError, match="choose a driver first"):
        sharing.set_consent(BATTERY, is_granted=False)
    sharing.choose_driver(first(sharing))
    assert sharing.may_record()


def test_a_trip_is_shown_to_and_answered_by_who_drove_it(sharing: Sharing, tmp_path: Path) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    batches = drive(sharing, tmp_path)
    anna = sharing.presence.add("Anna")
    sharing.choose_driver(anna.profile_id)
    assert sharing.cards() == []
    assert sharing.mine() == frozenset()
    with pytest.raises(SharingError, match="Only who drove can answer"):
        sharing.answer("trip-1", batches, share=True)
    sharing.choose_driver(first(sharing))
    assert sharing.answer("trip-1", batches, share=True).answered == tuple(batches)


def test_withdrawing_leaves_what_other_drivers_confirmed(sharing: Sharing, tmp_path: Path) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    mine = drive(sharing, tmp_path)
    sharing.answer("trip-1", mine, share=True)
    anna = sharing.presence.add("Anna")
    sharing.choose_driver(anna.profile_id)
    sharing.set_consent(BATTERY, is_granted=True)
    hers = drive(sharing, tmp_path, "trip-2")
    sharing.answer("trip-2", hers, share=True)
    sharing.set_consent(BATTERY, is_granted=False)
    assert [row.batch_id for row in sharing.outbox.rows()] == mine
    assert sharing.sending_decision(BATTERY).is_allowed


def test_a_batch_of_somebody_who_withdrew_does_not_leave_under_another_consent(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    [batch] = drive(sharing, tmp_path)
    sharing.answer("trip-1", [batch], share=True)
    anna = sharing.presence.add("Anna")
    sharing.choose_driver(anna.profile_id)
    sharing.set_consent(BATTERY, is_granted=True)
    with sharing.state.database.transaction() as connection:
        connection.execute("UPDATE consents SET granted=0 WHERE profile_id<>?", (anna.profile_id,))
    clock.advance_s(601)
    with pytest.raises(UncoveredError, match="not switched on"):
        sharing.outbox.begin_attempt(batch, recipient="okdrive ingest")


def test_removing_a_driver_withdraws_everything_of_theirs(sharing: Sharing, tmp_path: Path) -> None:
    anna = sharing.presence.add("Anna")
    sharing.choose_driver(anna.profile_id)
    sharing.set_consent(BATTERY, is_granted=True)
    drive(sharing, tmp_path)
    sharing.remove_driver(anna.profile_id)
    assert sharing.state.offers() == []
    assert [profile.name for profile in sharing.presence.profiles()] == [""]
    assert entries(sharing)[-1].event is ConsentEvent.WITHDRAW
    assert entries(sharing)[-1].profile == anna.profile_id
    assert sharing.check_ledger() == []
    with pytest.raises(PresenceError, match="The last driver stays"):
        sharing.remove_driver(first(sharing))


@pytest.mark.parametrize("name", ["", "  ", "x" * 25, "a\nb"])
def test_a_name_that_no_screen_can_show_is_refused(sharing: Sharing, name: str) -> None:
    with pytest.raises(PresenceError, match="Expected a name of 1 to 24"):
        sharing.presence.add(name)
    assert len(sharing.presence.profiles()) == 1


def test_a_seventh_driver_and_a_second_one_of_the_same_name_are_refused(sharing: Sharing) -> None:
    for name in ("Anna", "Ben", "Chris", "Dana", "Emil"):
        sharing.presence.add(name)
    with pytest.raises(PresenceError, match="at most 6 drivers"):
        sharing.presence.add("Fritz")
    with pytest.raises(PresenceError, match="There is a driver Anna already"):
        sharing.presence.rename(first(sharing), "Anna")


def test_a_stranger_cannot_be_chosen(sharing: Sharing) -> None:
    with pytest.raises(PresenceError, match="There is no such driver"):
        sharing.choose_driver("0" * 16)


def test_no_name_is_in_the_ledger(sharing: Sharing) -> None:
    sharing.choose_driver(sharing.presence.add("Anna").profile_id)
    sharing.set_consent(BATTERY, is_granted=True)
    assert all(b"Anna" not in row.body for row in sharing.state.ledger())


# -- guest and pause -------------------------------------------------------------------------------


def test_of_a_guest_nothing_is_kept_and_nothing_can_be_switched_on(
    sharing: Sharing, tmp_path: Path
) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    sharing.choose_driver(None)
    assert sharing.permit() is None
    assert drive(sharing, tmp_path) == []
    assert sharing.state.trips() == []
    assert list((tmp_path / "segments").iterdir()) == []
    with pytest.raises(SharingError, match="a guest does"):
        sharing.set_consent(BATTERY, is_granted=True)


def test_a_guest_is_gone_after_a_restart(sharing: Sharing, clock: FakeClock) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    sharing.choose_driver(None)
    clock.boot = "boot-2"
    sharing.start()
    assert sharing.may_record()


@pytest.mark.parametrize(
    ("kind", "lasts_s"), [(PauseKind.HOUR, 3_600), (PauseKind.TODAY, 12 * 3_600)]
)
def test_a_pause_ends_by_itself(
    sharing: Sharing, clock: FakeClock, kind: PauseKind, lasts_s: int
) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    sharing.set_pause(kind)
    clock.advance_s(lasts_s - 1)
    assert not sharing.may_record()
    assert sharing.sending_decision(BATTERY).code == "consent.paused"
    clock.advance_s(2)
    assert sharing.may_record()


def test_a_clock_that_jumps_ends_no_pause(sharing: Sharing, clock: FakeClock) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    sharing.set_pause(PauseKind.HOUR)
    clock.jump_wall_s(365 * DAY_S)
    assert not sharing.may_record()


def test_a_pause_outlives_a_restart_and_one_for_always_every_restart(
    sharing: Sharing, clock: FakeClock
) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    sharing.set_pause(PauseKind.HOUR)
    clock.boot = "boot-2"
    sharing.start()
    assert not sharing.may_record()
    clock.jump_wall_s(3_601)
    assert sharing.may_record()
    sharing.set_pause(PauseKind.ALWAYS)
    clock.boot = "boot-3"
    clock.jump_wall_s(9_999 * DAY_S)
    sharing.start()
    assert sharing.decision(BATTERY).sentence == ("Sharing is paused until it is ended by hand.")
    sharing.set_pause(None)
    assert sharing.may_record()


# -- standing OK -----------------------------------------------------------------------------------


def stand(sharing: Sharing, days: int = 30) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    sharing.set_standing(BATTERY, days=days)


def test_under_a_standing_ok_each_batch_is_released_under_an_entry_of_its_own(
    sharing: Sharing, tmp_path: Path
) -> None:
    stand(sharing)
    batches = drive(sharing, tmp_path)
    assert sharing.state.offers() == []
    assert [row.batch_id for row in sharing.outbox.rows()] == batches
    grant, standing, ok = entries(sharing)
    assert (grant.event, standing.event) == (ConsentEvent.GRANT, ConsentEvent.STANDING)
    assert standing.valid_until == "2026-12-22T12:00:00+00:00"
    assert (ok.event, ok.batch_id) == (ConsentEvent.OK, batches[0].hex())
    assert ok.released_under == sharing.state.ledger()[1].entry_hash.hex()
    trip = sharing.state.trip("trip-1")
    assert trip is not None
    assert trip.outcome is TripOutcome.SHARED
    assert sharing.check_ledger() == []


def test_what_a_standing_ok_released_can_be_taken_back_while_it_is_held(
    sharing: Sharing, tmp_path: Path
) -> None:
    stand(sharing)
    batches = drive(sharing, tmp_path)
    assert sharing.take_back(batches) == batches
    assert sharing.outbox.rows() == []


def test_a_standing_ok_ends_on_its_day(sharing: Sharing, tmp_path: Path, clock: FakeClock) -> None:
    stand(sharing, days=90)
    clock.advance_s(90 * DAY_S)
    batches = drive(sharing, tmp_path)
    assert [offer.batch_id for offer in sharing.state.offers()] == batches


@pytest.mark.parametrize("days", [0, 91, -1])
def test_a_standing_ok_lasts_ninety_days_at_most(sharing: Sharing, days: int) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    with pytest.raises(SharingError, match="Expected 1 to 90 days"):
        sharing.set_standing(BATTERY, days=days)


def test_there_is_no_standing_ok_for_the_workshop_a_guest_or_a_purpose_that_is_off(
    sharing: Sharing,
) -> None:
    with pytest.raises(SharingError, match="workshop is asked each time"):
        sharing.set_standing(Purpose.WORKSHOP, days=1)
    with pytest.raises(SharingError, match="Switch battery on first"):
        sharing.set_standing(BATTERY, days=1)
    sharing.choose_driver(None)
    with pytest.raises(SharingError, match="a guest does"):
        sharing.set_standing(BATTERY, days=1)


def test_without_a_proven_clock_no_standing_ok_is_given_and_none_releases(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    stand(sharing)
    clock.proven = False
    batches = drive(sharing, tmp_path)
    assert [offer.batch_id for offer in sharing.state.offers()] == batches
    with pytest.raises(SharingError, match="The time is not known yet"):
        sharing.set_standing(BATTERY, days=1)
    sharing.answer("trip-1", batches, share=True)
    assert entries(sharing)[-1].time_quality == "unproven"


def test_a_standing_ok_waits_while_the_clock_is_unproven_and_the_screen_says_so(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    stand(sharing)
    people = People(sharing, battery_file=tmp_path / "b", touched=lambda: None)
    assert sharing.standing_waits() == frozenset()
    clock.proven = False
    assert sharing.standing_waits() == {BATTERY}
    [toggle] = [one for one in people.toggles() if one.purpose is BATTERY]
    assert (toggle.always_until, toggle.always_waits) == (None, True)
    view = purpose_view(toggle, load_texts()["en"])
    assert [tile.sub for tile in view.tiles] == ["Waits until the time is known; asks meanwhile"]
    clock.proven = True
    assert (len(sharing.standing()), sharing.standing_waits()) == (1, frozenset())
    clock.proven = False
    sharing.set_standing(BATTERY, days=None)  # ended without a clock
    assert sharing.standing_waits() == frozenset()


def test_a_clock_before_its_beginning_uses_no_standing_ok(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    stand(sharing)
    clock.jump_wall_s(-DAY_S)
    assert sharing.standing() == {}
    assert len(drive(sharing, tmp_path)) == len(sharing.state.offers())


def test_asking_again_and_withdrawing_both_end_it(sharing: Sharing, tmp_path: Path) -> None:
    stand(sharing)
    sharing.set_standing(BATTERY, days=None)
    assert entries(sharing)[-1].event is ConsentEvent.STANDING_END
    assert sharing.standing() == {}
    sharing.set_standing(BATTERY, days=7)
    sharing.set_consent(BATTERY, is_granted=False)
    sharing.set_consent(BATTERY, is_granted=True)
    assert sharing.standing() == {}


def test_a_standing_ok_is_of_one_driver_only(sharing: Sharing, tmp_path: Path) -> None:
    stand(sharing)
    sharing.choose_driver(sharing.presence.add("Anna").profile_id)
    sharing.set_consent(BATTERY, is_granted=True)
    assert sharing.standing() == {}
    batches = drive(sharing, tmp_path)
    assert [offer.batch_id for offer in sharing.state.offers()] == batches


def test_a_standing_ok_edited_to_last_longer_is_in_the_ledger_as_it_was(
    sharing: Sharing, clock: FakeClock
) -> None:
    stand(sharing, days=1)
    with sharing.state.database.transaction() as connection:
        connection.execute("UPDATE standing SET until_utc='2099-01-01T00:00:00+00:00'")
    assert sharing.standing() == {}
    clock.advance_s(60)
    assert sharing.standing() == {}


# -- on its way ------------------------------------------------------------------------------------


def test_withdrawn_in_flight_counts_as_withdrawn_and_can_be_erased_at_the_far_end(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    [batch] = drive(sharing, tmp_path)
    others = drive(sharing, tmp_path, "trip-2")
    sharing.answer("trip-1", [batch], share=True)
    sharing.answer("trip-2", others, share=True)
    clock.advance_s(601)
    sharing.outbox.begin_attempt(batch, recipient="okdrive ingest")
    sharing.set_consent(BATTERY, is_granted=False)
    assert sharing.outbox.rows() == []
    sharing.expire()
    [claim] = sharing.claims.withdrawn()
    assert claim.batch_id == batch
    assert len(sharing.offering.token(claim)) == 32
    assert [sharing.claims.of(other) for other in others] == [None] * len(others)


def test_a_power_cut_between_ok_and_commit_leaves_the_question_open(
    sharing: Sharing, tmp_path: Path
) -> None:
    sharing.set_consent(BATTERY, is_granted=True)
    batches = drive(sharing, tmp_path)

    def cut(*_: object) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012, SIM117 (the cut is inside)
        with sharing.state.database.transaction():
            sharing.answer("trip-1", batches, share=True)
            cut()
    assert [offer.batch_id for offer in sharing.state.offers()] == batches
    assert len(entries(sharing)) == 1
    assert sharing.answer("trip-1", batches, share=True).answered == tuple(batches)


def test_an_unanswered_trip_expires_as_early_as_was_configured(
    tmp_path: Path, clock: FakeClock
) -> None:
    sharing = open_sharing(tmp_path, clock=clock, unanswered_days=1)
    sharing.set_consent(BATTERY, is_granted=True)
    drive(sharing, tmp_path)
    clock.advance_s(timedelta(days=1).total_seconds() + 1)
    assert sharing.expire() == 1
    assert sharing.state.offers() == []
    sharing.state.close()
