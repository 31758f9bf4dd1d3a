"""What lies on the disk tells nobody anything without its key, and nothing once its key is gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sharing import Sharing
from agent.store.segment_records import SegmentError
from agent.store.segments import read_segment
from agent.store.tracks import delete_segment
from agent.store.vault import segment_item, vault_of
from telemetry.codec.batch import batch_id
from telemetry.purposes import Purpose
from tests.support.clock import FakeClock
from tests.support.trips import FakeTrip, open_sharing, write_segment

SECRETS = (b'trip-1"', b"distance_m", b"12345", b"2026-11\x18", b"CurrentVoltage", b"boot-1")


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Sharing]:
    opened = open_sharing(tmp_path, clock=FakeClock(), hold_s=600.0)
    opened.set_consent(Purpose.BATTERY, is_granted=True)
    yield opened
    opened.state.close()


def offer(sharing: Sharing, folder: Path, trip_id: str = "trip-1") -> bytes:
    path = write_segment(folder / "segments", trip_id)
    [preview] = sharing.offer_trip(FakeTrip(trip_id=trip_id), path)
    return bytes.fromhex(preview.batch_id)


def everything(folder: Path) -> bytes:
    """Every byte of every file, as a thief with the disk reads them."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_neither_offer_nor_trip_nor_segment_is_on_the_disk_as_it_is(
    sharing: Sharing, tmp_path: Path
) -> None:
    batch = offer(sharing, tmp_path)
    payload = sharing.payload(batch)
    assert payload is not None
    raw = everything(tmp_path)
    assert payload not in raw
    assert payload[40:56] not in raw
    assert [secret for secret in SECRETS if secret in raw] == []
    sharing.answer("trip-1", [batch], share=True)
    assert payload[40:56] not in everything(tmp_path)
    assert sharing.payload(batch) == payload


def test_what_was_answered_with_no_cannot_be_read_even_from_an_old_copy(
    sharing: Sharing, tmp_path: Path
) -> None:
    batch = offer(sharing, tmp_path)
    vault = sharing.state.database.vault
    with sharing.state.database.reading() as connection:
        copy = connection.execute("SELECT payload FROM offers").fetchone()[0]
    assert batch_id(vault.open(f"batch {batch.hex()}", copy)) == batch
    sharing.answer("trip-1", [batch], share=False)
    with pytest.raises(Exception, match="expected its key, found none"):
        vault.open(f"batch {batch.hex()}", copy)


def test_a_deleted_segment_cannot_be_read_from_an_old_copy(
    sharing: Sharing, tmp_path: Path
) -> None:
    path = write_segment(tmp_path / "segments", "trip-7")
    copy = path.read_bytes()
    assert len(read_segment(path).rows) == 60
    delete_segment(path)
    path.write_bytes(copy)
    with pytest.raises(SegmentError, match="expected its key, found none") as caught:
        read_segment(path)
    assert caught.value.code == "segment.key"


def test_withdrawing_destroys_the_keys_of_what_was_offered_and_queued(
    sharing: Sharing, tmp_path: Path
) -> None:
    first, _ = offer(sharing, tmp_path, "trip-1"), offer(sharing, tmp_path, "trip-2")
    sharing.answer("trip-1", [first], share=True)
    slots = tmp_path / "keys" / "slots"
    used = len(slots.read_bytes().strip(b"\0"))
    sharing.set_consent(Purpose.BATTERY, is_granted=False)
    assert len([at for at in range(0, used, 64) if any(slots.read_bytes()[at : at + 64])]) == 4
    assert sharing.outbox.rows() == []


def test_a_lost_key_stops_the_purpose_and_says_how_to_begin_anew(
    sharing: Sharing, tmp_path: Path
) -> None:
    offer(sharing, tmp_path)
    (tmp_path / "keys" / "battery.key").unlink()
    sharing.reload()
    decision = sharing.decision(Purpose.BATTERY)
    assert (decision.is_allowed, decision.code) == (False, "consent.key_lost")
    assert "Switching it off deletes it" in decision.sentence
    assert sharing.cards() == []
    assert not sharing.may_record()
    sharing.set_consent(Purpose.BATTERY, is_granted=False)
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    assert sharing.decision(Purpose.BATTERY).is_allowed
    assert offer(sharing, tmp_path, "trip-2")


def test_a_queued_batch_whose_key_is_lost_is_stopped_and_the_others_leave(
    sharing: Sharing, tmp_path: Path
) -> None:
    clock_moment = sharing.moment()
    first, second = offer(sharing, tmp_path, "trip-1"), offer(sharing, tmp_path, "trip-2")
    for trip_id, batch in (("trip-1", first), ("trip-2", second)):
        sharing.answer(trip_id, [batch], share=True)
    sharing.state.database.vault.destroy([f"batch {first.hex()}"])
    assert clock_moment.boot_id
    rows = {row.batch_id: row.payload for row in sharing.outbox.rows()}
    assert (rows[first], batch_id(rows[second])) == (b"", second)


def test_the_keys_of_a_power_cut_are_swept_at_the_next_start(tmp_path: Path) -> None:
    from agent.recovery import recover_trips  # noqa: PLC0415 (only here)

    path = write_segment(tmp_path / "segments", "trip-1")
    path.unlink()  # the power went between this and its key
    recover_trips(tmp_path / "segments", lambda _: False)
    assert not any((tmp_path / "keys" / "slots").read_bytes())
    with pytest.raises(Exception, match="found none"):
        vault_of(tmp_path).known_cipher(segment_item(path))
