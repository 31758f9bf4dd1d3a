import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.consent.keys import SigningKey
from agent.consent.ledger import ConsentEvent, TimeQuality, read_entry
from agent.privacy.pseudonyms import day_token, pseudonym_of
from agent.sharing import Sharing, SharingError
from agent.store.cover import UncoveredError
from agent.store.queued import OutboxState
from agent.store.rows import OfferRow, TripOutcome
from telemetry.codec.batch import batch_id, decode_batch
from telemetry.purposes import Purpose
from tests.support.clock import FakeClock
from tests.support.trips import FakeTrip, open_sharing, write_segment

DAY_S = 86_400


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sharing(tmp_path: Path, clock: FakeClock) -> Iterator[Sharing]:
    opened = open_sharing(tmp_path, clock=clock, hold_s=600.0)
    yield opened
    opened.state.close()


def offered(sharing: Sharing, folder: Path, trip_id: str = "trip-1") -> list[bytes]:
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    path = write_segment(folder / "segments", trip_id)
    previews = sharing.offer_trip(FakeTrip(trip_id=trip_id), path)
    return [bytes.fromhex(preview.batch_id) for preview in previews]


def events(sharing: Sharing) -> list[tuple[ConsentEvent, str | None]]:
    entries = [read_entry(row.body) for row in sharing.state.ledger()]
    return [(entry.event, entry.batch_id) for entry in entries]


def outcome(sharing: Sharing, trip_id: str = "trip-1") -> TripOutcome | None:
    trip = sharing.state.trip(trip_id)
    return trip.outcome if trip else None


def test_before_the_first_consent_nothing_may_be_recorded_or_offered(
    sharing: Sharing, tmp_path: Path
) -> None:
    path = write_segment(tmp_path / "segments")
    assert not sharing.may_record()
    assert sharing.offer_trip(FakeTrip(), path) == []
    assert sharing.state.trips() == []
    assert sharing.decision(Purpose.BATTERY).code == "consent.not_granted"


def test_switching_on_and_off_is_in_the_ledger_once_each(sharing: Sharing) -> None:
    assert sharing.set_consent(Purpose.BATTERY, is_granted=True)
    assert not sharing.set_consent(Purpose.BATTERY, is_granted=True)
    assert sharing.may_record()
    assert sharing.set_consent(Purpose.BATTERY, is_granted=False)
    assert not sharing.may_record()
    assert events(sharing) == [(ConsentEvent.GRANT, None), (ConsentEvent.WITHDRAW, None)]
    assert sharing.check_ledger() == []


@pytest.mark.parametrize("is_proven", [True, False])
def test_the_ledger_says_whether_its_time_was_proven(
    sharing: Sharing, clock: FakeClock, *, is_proven: bool
) -> None:
    clock.proven = is_proven
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    (entry,) = [read_entry(row.body) for row in sharing.state.ledger()]
    assert (entry.time_quality == TimeQuality.PROVEN) is is_proven


def test_place_is_off_by_default_and_no_position_outlives_its_purpose(
    sharing: Sharing, tmp_path: Path
) -> None:
    (tmp_path / "segments").mkdir(exist_ok=True)
    track = tmp_path / "segments" / "trip-1.track"
    track.write_bytes(b"positions")
    sharing.start()  # left behind by a power cut in mid-withdrawal
    assert not track.exists()
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    assert not sharing.may_keep_place()
    track.write_bytes(b"positions")
    sharing.set_consent(Purpose.BATTERY, is_granted=False)
    assert not track.exists()


def test_consents_are_there_after_a_restart(sharing: Sharing, tmp_path: Path) -> None:
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.state.close()
    again = open_sharing(tmp_path)
    assert again.granted() == {Purpose.BATTERY}
    again.state.close()


def test_a_finished_trip_becomes_a_card_of_exactly_the_bytes_that_would_leave(
    sharing: Sharing, tmp_path: Path
) -> None:
    [batch] = offered(sharing, tmp_path)
    [card] = sharing.cards()
    [preview] = card.previews
    payload = sharing.payload(batch)
    assert payload is not None
    assert batch_id(payload) == batch == bytes.fromhex(preview.batch_id)
    assert (preview.size_bytes, preview.row_count) == (len(payload), 60)
    assert json.loads(card.trip.summary)["distance_m"] == 12_345.0
    assert outcome(sharing) is TripOutcome.UNANSWERED


def test_the_bytes_hold_neither_place_nor_speed_nor_date(sharing: Sharing, tmp_path: Path) -> None:
    [batch] = offered(sharing, tmp_path)
    payload = sharing.payload(batch)
    assert payload is not None
    assert b"2026-11-22" not in payload
    assert b"2026-11" in payload
    assert b"trip-1" not in payload


def test_offering_a_trip_twice_changes_nothing(sharing: Sharing, tmp_path: Path) -> None:
    offered(sharing, tmp_path)
    assert sharing.offer_trip(FakeTrip(), tmp_path / "segments" / "trip-1.seg") == []
    assert len(sharing.state.offers()) == 1


def test_two_offers_of_the_same_samples_have_different_ids(
    sharing: Sharing, tmp_path: Path
) -> None:
    assert offered(sharing, tmp_path) != offered(sharing, tmp_path, "trip-2")


def test_ok_moves_the_batch_into_the_outbox_under_its_ledger_entry(
    sharing: Sharing, tmp_path: Path
) -> None:
    batches = offered(sharing, tmp_path)
    answer = sharing.answer("trip-1", batches, share=True)
    assert answer.answered == tuple(batches)
    [row] = sharing.outbox.rows()
    assert [row.batch_id] == batches
    assert row.entry_hash == sharing.state.ledger()[-1].entry_hash
    assert events(sharing)[-1] == (ConsentEvent.OK, batches[0].hex())
    assert sharing.cards() == []
    assert outcome(sharing) is TripOutcome.SHARED


def test_no_deletes_the_offer_and_is_in_the_ledger(sharing: Sharing, tmp_path: Path) -> None:
    batches = offered(sharing, tmp_path)
    sharing.answer("trip-1", batches, share=False)
    assert sharing.outbox.rows() == []
    assert sharing.state.offers() == []
    assert events(sharing)[-1] == (ConsentEvent.NO, batches[0].hex())
    assert outcome(sharing) is TripOutcome.KEPT


def test_two_screens_answering_at_once_count_as_one_answer(
    sharing: Sharing, tmp_path: Path
) -> None:
    batches = offered(sharing, tmp_path)
    sharing.answer("trip-1", batches, share=False)
    late = sharing.answer("trip-1", batches, share=True)
    assert (late.answered, late.gone) == ((), tuple(batches))
    assert sharing.outbox.rows() == []
    assert len(events(sharing)) == 2


def test_ok_for_one_trip_releases_nothing_of_another(sharing: Sharing, tmp_path: Path) -> None:
    offered(sharing, tmp_path)
    others = offered(sharing, tmp_path, "trip-2")
    assert sharing.answer("trip-1", others, share=True).gone == tuple(others)
    assert sharing.outbox.rows() == []
    assert len(sharing.cards()) == 2


def test_take_it_back_works_while_the_batch_is_held(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    batches = offered(sharing, tmp_path)
    sharing.answer("trip-1", batches, share=True)
    assert sharing.outbox.due(sharing.moment()) == []
    assert sharing.outbox.next_due_s(sharing.moment()) == 600.0
    clock.advance_s(599)
    clock.jump_wall_s(10 * DAY_S)
    assert sharing.take_back(batches) == batches
    assert sharing.outbox.rows() == []
    assert events(sharing)[-1] == (ConsentEvent.TAKE_BACK, batches[0].hex())
    assert outcome(sharing) is TripOutcome.KEPT


def test_after_the_hold_it_cannot_be_taken_back(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    batches = offered(sharing, tmp_path)
    sharing.answer("trip-1", batches, share=True)
    clock.advance_s(600)
    assert [row.batch_id for row in sharing.outbox.due(sharing.moment())] == batches
    assert sharing.take_back(batches) == []


def test_a_held_batch_leaves_on_the_next_drive(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    batches = offered(sharing, tmp_path)
    sharing.answer("trip-1", batches, share=True)
    clock.boot = "boot-2"
    assert [row.batch_id for row in sharing.outbox.due(sharing.moment())] == batches


def test_withdrawing_deletes_what_is_offered_and_what_is_queued(
    sharing: Sharing, tmp_path: Path
) -> None:
    sharing.answer("trip-1", offered(sharing, tmp_path), share=True)
    offered(sharing, tmp_path, "trip-2")
    sharing.set_consent(Purpose.BATTERY, is_granted=False)
    assert sharing.outbox.rows() == []
    assert sharing.cards() == []
    assert outcome(sharing, "trip-2") is TripOutcome.KEPT


def test_a_batch_of_a_withdrawn_purpose_is_not_begun(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    [batch] = offered(sharing, tmp_path)
    sharing.answer("trip-1", [batch], share=True)
    clock.advance_s(601)
    with sharing.state.database.transaction() as connection:
        connection.execute("UPDATE consents SET granted=0")
    with pytest.raises(UncoveredError, match="not switched on"):
        sharing.outbox.begin_attempt(batch, recipient="okdrive ingest")


def test_ok_after_the_purpose_was_switched_off_releases_nothing(
    sharing: Sharing, tmp_path: Path
) -> None:
    [batch] = offered(sharing, tmp_path)
    with sharing.state.database.transaction() as connection:
        connection.execute("UPDATE consents SET granted=0")
    with pytest.raises(UncoveredError, match="not switched on; nothing was queued"):
        sharing.answer("trip-1", [batch], share=True)
    assert sharing.outbox.rows() == []
    assert len(events(sharing)) == 1


def test_an_unanswered_trip_expires_with_its_samples(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    offered(sharing, tmp_path)
    clock.advance_s(7 * DAY_S - 1)
    assert sharing.expire() == 0
    clock.advance_s(2)
    assert sharing.expire() == 1
    assert sharing.cards() == []
    assert list((tmp_path / "segments").iterdir()) == []
    assert outcome(sharing) is TripOutcome.EXPIRED
    assert sharing.expire() == 0


def test_a_refused_batch_expires_too(sharing: Sharing, tmp_path: Path, clock: FakeClock) -> None:
    [batch] = offered(sharing, tmp_path)
    sharing.answer("trip-1", [batch], share=True)
    sharing.outbox.stop(batch, code="codec.range", now_utc=clock.utc_now())
    clock.advance_s(8 * DAY_S)
    sharing.expire()
    assert sharing.outbox.rows() == []
    assert sharing.state.counters()["expired.stopped"] == 1


def test_a_damaged_row_is_stopped_and_the_others_go_on(
    sharing: Sharing, tmp_path: Path, clock: FakeClock
) -> None:
    first = offered(sharing, tmp_path)
    second = offered(sharing, tmp_path, "trip-2")
    sharing.answer("trip-1", first, share=True)
    sharing.answer("trip-2", second, share=True)
    with sharing.state.database.transaction() as connection:
        connection.execute("UPDATE outbox SET payload = x'00' WHERE position=1")
    clock.advance_s(601)
    assert [row.batch_id for row in sharing.outbox.due(sharing.moment())] == second
    stopped = sharing.outbox.rows()[0]
    assert (stopped.state, stopped.refusal) == (OutboxState.STOPPED, "outbox.damaged")


def test_a_hold_that_was_shortened_on_disk_is_noticed(sharing: Sharing, tmp_path: Path) -> None:
    batches = offered(sharing, tmp_path)
    sharing.answer("trip-1", batches, share=True)
    with sharing.state.database.transaction() as connection:
        connection.execute("UPDATE outbox SET hold_until_s=0")
    assert sharing.outbox.due(sharing.moment()) == []
    assert sharing.outbox.rows()[0].refusal == "outbox.damaged"


def test_a_row_without_an_entry_of_its_id_is_refused_and_nothing_is_written(
    sharing: Sharing, tmp_path: Path
) -> None:
    [batch] = offered(sharing, tmp_path)

    def wrong_entry(head: object, offer: OfferRow) -> object:
        other = OfferRow(
            batch_id=bytes(32),
            trip_id=offer.trip_id,
            purpose=offer.purpose,
            payload=offer.payload,
            created_utc=offer.created_utc,
        )
        return sharing._maker(ConsentEvent.OK)(head, other)  # type: ignore[arg-type]

    with pytest.raises(UncoveredError, match="found none with this batch id"):
        sharing.outbox.release(
            [batch],
            now=sharing.moment(),
            hold_s=0,
            make_entry=wrong_entry,  # type: ignore[arg-type]
        )
    assert sharing.outbox.rows() == []
    assert len(sharing.cards()) == 1
    assert len(events(sharing)) == 1


def test_an_entry_of_a_no_does_not_cover_a_batch(sharing: Sharing, tmp_path: Path) -> None:
    [batch] = offered(sharing, tmp_path)
    with pytest.raises(UncoveredError, match="nothing was queued"):
        sharing.outbox.release(
            [batch], now=sharing.moment(), hold_s=0, make_entry=sharing._maker(ConsentEvent.NO)
        )
    assert len(sharing.cards()) == 1


def test_an_unreadable_segment_is_counted_and_shared_as_nothing(
    sharing: Sharing, tmp_path: Path
) -> None:
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    path = tmp_path / "broken.seg"
    path.write_bytes(b"no segment at all")
    assert sharing.offer_trip(FakeTrip(), path) == []
    assert sharing.state.counters()["offers.segment_unreadable"] == 1
    assert outcome(sharing) is TripOutcome.NOTHING


def test_without_a_believable_clock_nothing_is_offered(sharing: Sharing, tmp_path: Path) -> None:
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    path = write_segment(tmp_path / "segments")
    trip = FakeTrip(started_utc=datetime(1970, 1, 1, tzinfo=UTC))
    assert sharing.offer_trip(trip, path) == []
    assert sharing.state.counters()["offers.clock_not_set"] == 1


def test_a_ledger_edited_by_one_byte_stops_sharing(sharing: Sharing, tmp_path: Path) -> None:
    offered(sharing, tmp_path)
    with sharing.state.database.transaction() as connection:
        connection.execute("DROP TRIGGER ledger_is_append_only_1")
        connection.execute(
            "UPDATE ledger SET body = replace(body, 'okdrive ingest', 'okdrive inge5t')"
        )
    sharing.state.close()
    again = open_sharing(tmp_path)
    assert [problem.code for problem in again.check_ledger()] == ["ledger.signature", "ledger.hash"]
    assert not again.may_record()
    assert again.decision(Purpose.BATTERY).code == "consent.ledger_broken"
    with pytest.raises(SharingError, match="The consent ledger is damaged"):
        again.set_consent(Purpose.BATTERY, is_granted=False)
    with pytest.raises(SharingError, match="nothing was changed"):
        again.answer("trip-1", [], share=True)
    again.state.close()


def test_a_ledger_whose_end_was_cut_off_stops_sharing(sharing: Sharing, tmp_path: Path) -> None:
    offered(sharing, tmp_path)
    sharing.answer("trip-1", [offer.batch_id for offer in sharing.state.offers()], share=False)
    with sharing.state.database.transaction() as connection:
        connection.execute("DROP TRIGGER ledger_is_append_only_2")
        connection.execute("DELETE FROM ledger WHERE sequence=2")
    assert [problem.code for problem in sharing.check_ledger()] == ["ledger.length"]


def test_a_ledger_of_another_vehicle_stops_sharing(sharing: Sharing, tmp_path: Path) -> None:
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.state.close()
    again = open_sharing(tmp_path, key=SigningKey(Ed25519PrivateKey.generate()))
    assert [problem.code for problem in again.check_ledger()] == ["ledger.signature"]
    again.state.close()


def test_a_long_trip_leaves_in_slices_that_no_name_joins(tmp_path: Path) -> None:
    sharing = open_sharing(tmp_path)
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.offer_trip(FakeTrip(), write_segment(tmp_path / "segments", rows=1_500))
    batches = [decode_batch(offer.payload) for offer in sharing.state.offers()]
    assert len(batches) >= 4
    assert len({batch.pseudonym for batch in batches}) == len(batches)
    assert all(batch.body.samples[-1].since_start_ms < 300_000 for batch in batches)
    assert sum(len(batch.body.samples) for batch in batches) < 1_500 - 3 * 30
    sharing.state.close()


def test_the_vehicle_can_prove_that_a_slice_was_its_own(tmp_path: Path) -> None:
    sharing = open_sharing(tmp_path)
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.offer_trip(FakeTrip(), write_segment(tmp_path / "segments"))
    [offer] = sharing.state.offers()
    day = sharing.moment().utc.date()
    token = day_token(sharing.offering._secret_of(Purpose.BATTERY), day, "trip-1/0")
    assert decode_batch(offer.payload).pseudonym == pseudonym_of(token)
    sharing.state.close()
