"""What lies on the disk tells nobody anything without its key, and nothing once its key is gone."""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.sharing import Sharing
from agent.signals.model import Quality
from agent.store.checksum import row_sum
from agent.store.database import StoreError
from agent.store.events import EventFiles, EventReading, StoredEvent
from agent.store.segment_records import SegmentError
from agent.store.segments import read_segment
from agent.store.sessions import SessionRow, Sessions
from agent.store.shred import shred
from agent.store.tracks import delete_segment
from agent.store.vault import KeyLostError, segment_item, vault_of
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


CHARGE = SessionRow(
    session_id="charge-1",
    summary='{"energy_in_wh": 7654.3}',
    created_utc=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
    is_open=False,
)
EVENT = StoredEvent(
    name="very-fast",
    condition="Vehicle.Speed > 130",
    at_utc=datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
    is_time_proven=True,
    boot_id="boot-1",
    time_s=1.0,
    is_cut=False,
    readings=(EventReading("Vehicle.Speed", 0.0, 131.5, Quality.OK),),
)


def test_a_charge_is_not_on_the_disk_as_it_is_and_stays_closed_once_it_is_erased(
    sharing: Sharing, tmp_path: Path
) -> None:
    sessions = Sessions(sharing.state.database)
    sessions.put(CHARGE)
    assert b"7654.3" not in everything(tmp_path)
    assert sessions.rows() == [CHARGE]
    with sharing.state.database.reading() as connection:
        copy = connection.execute("SELECT summary FROM sessions").fetchone()[0]
    sessions.forget(["charge-1"])
    shred(sharing.state.database)
    with pytest.raises(KeyLostError, match="expected its key, found none"):
        sharing.state.database.vault.open("charge charge-1", copy)


def test_what_deletes_other_things_leaves_the_keys_of_charges_and_events(
    sharing: Sharing, tmp_path: Path
) -> None:
    files, sessions = events_of(tmp_path), Sessions(sharing.state.database)
    sessions.put(CHARGE)
    files.put(EVENT)
    batch = offer(sharing, tmp_path)
    sharing.answer("trip-1", [batch], share=False)
    shred(sharing.state.database)
    assert sessions.rows() == [CHARGE]
    assert [row.event for row in files.rows()] == [EVENT]


def events_of(folder: Path) -> EventFiles:
    return EventFiles(folder / "events", quota_bytes=1_000_000)


def test_an_event_is_not_on_the_disk_as_it_is_and_stays_closed_once_it_is_deleted(
    tmp_path: Path,
) -> None:
    files = events_of(tmp_path)
    files.put(EVENT)
    assert [
        word for word in (b"very-fast", b"131.5", b"Speed") if word in everything(tmp_path)
    ] == []
    (path,) = (tmp_path / "events").iterdir()
    assert path.name == "00000001.event"  # nor does its name say what happened
    copy = path.read_bytes()
    assert [row.event for row in files.rows()] == [EVENT]
    files.clear()
    path.write_bytes(copy)
    assert files.rows() == []
    assert not any((tmp_path / "keys" / "slots").read_bytes())


def test_what_an_older_release_left_as_it_was_is_encrypted_and_still_read(
    sharing: Sharing, tmp_path: Path
) -> None:
    values = ("charge-1", CHARGE.summary, CHARGE.created_utc.isoformat(timespec="milliseconds"), 0)
    with sharing.state.database.transaction() as connection:
        connection.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", (*values, row_sum(*values))
        )
    body = msgspec.json.encode(EVENT)
    (tmp_path / "events").mkdir()
    old = tmp_path / "events" / "00000007-very-fast.event"
    old.write_bytes(b"%08x\n" % zlib.crc32(body) + body)
    files, sessions = events_of(tmp_path), Sessions(sharing.state.database)
    before = ([row.event for row in files.rows()], sessions.rows())
    assert before == ([EVENT], [CHARGE])
    assert (files.tidy(), sessions.seal_plain()) == (1, 1)
    assert (files.tidy(), sessions.seal_plain()) == (0, 0)
    assert ([row.event for row in files.rows()], sessions.rows()) == before
    assert [path.name for path in (tmp_path / "events").iterdir()] == ["00000007.event"]
    assert [word for word in (b"very-fast", b"7654.3") if word in everything(tmp_path)] == []


def test_the_power_may_go_while_an_old_event_is_encrypted(tmp_path: Path) -> None:
    body = msgspec.json.encode(EVENT)
    files = events_of(tmp_path)
    files.put(EVENT)  # was written as 1, and the old file of that number is still there
    old = tmp_path / "events" / "00000001-very-fast.event"
    old.write_bytes(b"%08x\n" % zlib.crc32(body) + body)
    files.tidy()
    assert [row.event for row in files.rows()] == [EVENT]
    assert b"very-fast" not in everything(tmp_path)


def test_the_key_of_an_event_that_a_power_cut_left_is_swept(tmp_path: Path) -> None:
    files = events_of(tmp_path)
    files.put(EVENT)
    (path,) = (tmp_path / "events").iterdir()
    path.unlink()  # the power went between this and its key
    files.tidy()
    assert not any((tmp_path / "keys" / "slots").read_bytes())


def test_a_lost_key_of_events_is_said_and_everything_else_is_stored(tmp_path: Path) -> None:
    files = events_of(tmp_path)
    files.put(EVENT)
    (tmp_path / "keys" / "event.key").unlink()
    with pytest.raises(StoreError, match="the key of event is gone") as caught:
        files.put(EVENT)
    assert caught.value.code == "store.key_lost"
    assert (files.rows(), files.damaged()) == ([], 1)
    files.keep_of([])  # everybody withdrew: what is left goes, and it begins anew
    files.put(EVENT)
    assert len(files.rows()) == 1


def test_events_of_a_driver_who_withdrew_are_gone_while_another_one_goes_on(
    tmp_path: Path,
) -> None:
    files = events_of(tmp_path)
    for profile_id in ("aaaa", "bbbb", ""):
        files.put(msgspec.structs.replace(EVENT, profile_id=profile_id))
    assert files.keep_of(["aaaa"]) == 1
    assert [row.event.profile_id for row in files.rows()] == ["", "aaaa"]
    assert files.keep_of([]) == 2
    assert list((tmp_path / "events").iterdir()) == []


def test_who_holds_events_follows_the_switches_of_every_driver(
    sharing: Sharing, tmp_path: Path
) -> None:
    first = sharing.presence.seated().profile_id
    second = sharing.presence.add("Second").profile_id
    sharing.choose_driver(second)
    assert (sharing.holder(), sharing.holders()) == (None, frozenset({first}))
    sharing.set_consent(Purpose.JOURNEYS, is_granted=True)
    assert (sharing.holder(), sharing.holders()) == (second, frozenset({first, second}))
    sharing.set_consent(Purpose.JOURNEYS, is_granted=False)
    assert (sharing.holder(), sharing.holders()) == (None, frozenset({first}))
    assert everything(tmp_path)
