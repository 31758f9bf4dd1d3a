"""What travels: sealed once, to the right recipient, again only for another key; and what waits."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.consent.ledger import read_entry
from agent.consent.recipients import Recipients
from agent.delivery import Patience
from agent.sharing import Sharing
from agent.store.cover import UncoveredError
from agent.store.queued import OutboxState
from agent.uplink import Uplink, UplinkSettings
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.keyset import KeySet, KeySetError
from telemetry.link import Backoff
from telemetry.purposes import Purpose
from telemetry.records import Receipt, WorkshopFigure, WorkshopReport
from telemetry.seal import key_id_of
from tests.support.clock import FakeClock
from tests.support.far_end import FakeFarEnd
from tests.support.sealing import FakeRecipient, new_key
from tests.support.trips import FakeTrip, open_sharing, write_segment

DAY_S = 86_400


@dataclass
class Bench:
    sharing: Sharing
    far_end: FakeFarEnd
    ingest: FakeRecipient
    clock: FakeClock
    uplink: Uplink
    folder: Path

    def confirm(self, trip_id: str = "trip-1") -> bytes:
        """A trip is offered and the driver presses OK."""
        self.sharing.set_consent(Purpose.BATTERY, is_granted=True)
        path = write_segment(self.folder / "segments", trip_id)
        [preview] = self.sharing.offer_trip(FakeTrip(trip_id=trip_id), path)
        batch = bytes.fromhex(preview.batch_id)
        self.sharing.answer(trip_id, [batch], share=True)
        return batch

    async def try_again(self) -> None:
        self.clock.advance_s(600)
        await self.uplink.step()

    def new_keys(self) -> bool:
        """The vehicle learns of the keys that the recipient has now."""
        self.ingest.serial += 1
        return self.sharing.recipients.replace(self.ingest.keys)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock, ingest = FakeClock(), FakeRecipient()
    far_end = FakeFarEnd(recipient=ingest)
    sharing = open_sharing(tmp_path, clock=clock, recipients=Recipients(ingest.keys))
    uplink = Uplink(
        sharing=sharing,
        make_link=far_end.make_link,
        clock=clock,
        settings=UplinkSettings(patience=Patience(receipt_s=0.1)),
        backoff=Backoff(lambda: 0.5),
        chance=lambda: 0.5,
    )
    yield Bench(sharing, far_end, ingest, clock, uplink, tmp_path)
    sharing.state.close()


@pytest.fixture
def confirmed(bench: Bench) -> bytes:
    return bench.confirm()


async def test_every_retry_sends_the_same_bytes(bench: Bench, confirmed: bytes) -> None:
    bench.far_end.is_silent = True
    for _ in range(3):
        await bench.try_again()
    assert len(bench.far_end.published) == 3
    assert len(set(bench.far_end.published)) == 1


async def test_nothing_is_sealed_before_the_first_attempt(bench: Bench, confirmed: bytes) -> None:
    def sealed() -> int:
        with bench.sharing.state.database.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM sealed").fetchone()[0])

    assert await asyncio.to_thread(sealed) == 0
    bench.far_end.is_silent = True
    await bench.uplink.step()
    assert await asyncio.to_thread(sealed) == 1
    bench.far_end.is_silent = False
    await bench.try_again()
    assert await asyncio.to_thread(sealed) == 0


async def test_after_a_rotation_it_is_sealed_again_and_nothing_is_lost(
    bench: Bench, confirmed: bytes
) -> None:
    bench.far_end.is_silent = True
    await bench.uplink.step()
    bench.ingest.opening.append(new_key())
    assert bench.new_keys()
    bench.far_end.is_silent = False
    await bench.try_again()
    before, after = bench.far_end.published
    assert key_id_of(before) == bench.ingest.opening[0].public.key_id
    assert key_id_of(after) == bench.ingest.opening[1].public.key_id
    assert bench.far_end.stored == {confirmed: 1}
    assert await bench.uplink.queue() == []


async def test_after_a_rotation_all_parts_start_again(bench: Bench, confirmed: bytes) -> None:
    bench.far_end.max_payload_bytes = 300
    genuine, answered = bench.far_end.receipt_for, list[bytes]()

    def lose_the_second(payload: bytes, content_type: str | None = None) -> Receipt:
        bench.far_end.is_silent = len(answered) == 1
        answered.append(payload)
        return genuine(payload, content_type)

    bench.far_end.receipt_for = lose_the_second  # type: ignore[method-assign]
    await bench.uplink.step()
    assert len(bench.far_end.published) == 2
    bench.ingest.opening.append(new_key())
    bench.new_keys()
    await bench.try_again()
    assert bench.far_end.stored == {confirmed: 1}
    assert len(set(bench.far_end.published)) == len(bench.far_end.published)
    assert PART_TYPE.endswith("part+cbor")


async def test_a_damaged_ciphertext_is_made_anew(bench: Bench, confirmed: bytes) -> None:
    def damage() -> None:
        with bench.sharing.state.database.transaction() as connection:
            connection.execute("UPDATE sealed SET ciphertext=x'00'")

    bench.far_end.is_silent = True
    await bench.uplink.step()
    await asyncio.to_thread(damage)
    bench.far_end.is_silent = False
    await bench.try_again()
    assert bench.far_end.stored == {confirmed: 1}


async def test_with_an_expired_key_batches_wait_and_say_why(bench: Bench, confirmed: bytes) -> None:
    bench.ingest.not_after = bench.clock.utc_now() + timedelta(days=1)
    bench.new_keys()
    bench.clock.advance_s(2 * DAY_S)
    await bench.uplink.step()
    assert bench.far_end.client_ids == []
    assert "expired on" in await bench.uplink.why_not()
    assert [item.state for item in await bench.uplink.queue()] == [OutboxState.QUEUED]
    bench.ingest.not_after += timedelta(days=30)
    bench.new_keys()
    await bench.uplink.step()
    assert bench.far_end.stored == {confirmed: 1}


async def test_with_a_clock_that_was_never_set_batches_wait_and_say_what_it_shows(
    bench: Bench, confirmed: bytes
) -> None:
    bench.clock.jump_wall_s(-40 * 365 * DAY_S)
    await bench.uplink.step()
    assert "this vehicle's clock says 1986" in await bench.uplink.why_not()
    assert bench.far_end.client_ids == []


async def test_a_key_that_ingest_does_not_have_is_not_used_again_and_the_batch_is_kept(
    bench: Bench, confirmed: bytes
) -> None:
    bench.ingest.opening[:] = [new_key()]
    await bench.uplink.step()
    assert bench.uplink.counters["seal.key"] == 1
    await bench.try_again()
    assert len(bench.far_end.published) == 1
    assert "cannot open what is sealed to key" in await bench.uplink.why_not()
    assert [item.state for item in await bench.uplink.queue()] == [OutboxState.QUEUED]
    bench.new_keys()
    await bench.try_again()
    assert bench.far_end.stored == {confirmed: 1}


async def test_a_batch_for_one_recipient_is_never_sealed_to_another(
    bench: Bench, confirmed: bytes
) -> None:
    bench.ingest.name = "somebody else"
    bench.new_keys()
    await bench.uplink.step()
    assert bench.far_end.published == []
    [item] = await bench.uplink.queue()
    assert (item.state, item.refusal) == (OutboxState.STOPPED, "outbox.uncovered")


def test_the_store_names_both_recipients_when_it_refuses(bench: Bench, confirmed: bytes) -> None:
    with pytest.raises(UncoveredError, match="found one for okdrive ingest, not for somebody"):
        bench.sharing.outbox.begin_attempt(confirmed, recipient="somebody")
    [line] = bench.sharing.outbox.lines()
    assert line.attempts == 0


def test_the_ledger_names_recipient_and_key(bench: Bench, confirmed: bytes) -> None:
    entry = bench.sharing.state.ledger()[-1].body.decode()
    assert '"recipient":"okdrive ingest"' in entry
    assert f'"recipient_key_id":"{bench.ingest.opening[0].public.key_id.hex()}"' in entry


def test_the_card_says_how_many_bytes_travel(bench: Bench) -> None:
    bench.sharing.set_consent(Purpose.BATTERY, is_granted=True)
    path = write_segment(bench.folder / "segments")
    [preview] = bench.sharing.offer_trip(FakeTrip(), path)
    assert preview.size_bytes < 512
    assert preview.travels_bytes == 14 + 32 + 512 + 16


def test_an_older_set_of_keys_is_refused_and_the_newer_one_stays(bench: Bench) -> None:
    old = bench.ingest.keys
    bench.ingest.opening.append(new_key())
    bench.new_keys()
    with pytest.raises(KeySetError, match="expected a serial above 2, found 1"):
        bench.sharing.recipients.replace(old)
    assert bench.sharing.recipients.keys == bench.ingest.keys
    assert not bench.sharing.recipients.replace(bench.ingest.keys)


async def test_receipts_of_a_new_key_are_believed_once_the_vehicle_knows_it(
    bench: Bench, confirmed: bytes
) -> None:
    other = FakeRecipient().signing[0]
    bench.ingest.signing.append(other)
    await bench.uplink.step()
    assert bench.uplink.counters["receipt.forged"] == 1
    bench.new_keys()
    await bench.try_again()
    assert await bench.uplink.queue() == []


REPORT = WorkshopReport(
    day="2026-11-22",
    contact="0171 2345678",
    figures=(WorkshopFigure(name="soh", value="91", unit="%"),),
)


def named(ingest: FakeRecipient, workshop: str, *, serial: int) -> KeySet:
    """The set of keys in which the workshop's key names its owner."""
    sealing = (
        msgspec.structs.replace(one, recipient=workshop if one.purpose == "workshop" else "")
        for one in ingest.keys.sealing
    )
    return msgspec.structs.replace(ingest.keys, sealing=tuple(sealing), serial=serial)


def test_a_report_names_its_workshop_and_is_never_sealed_to_another_one(bench: Bench) -> None:
    sharing, now = bench.sharing, bench.clock.utc_now()
    recipients = sharing.recipients
    recipients.replace(named(bench.ingest, "Garage Huber", serial=2))
    for _ in range(2):
        card_id = sharing.offer_report(REPORT)
        [card] = [one for one in sharing.cards() if one.trip.trip_id == card_id]
        assert [preview.recipient for preview in card.previews] == ["Garage Huber"]
        sharing.answer(card_id, [bytes.fromhex(card.previews[0].batch_id)], share=True)
    entry = read_entry(sharing.state.ledger()[-1].body)
    assert (entry.purpose, entry.recipient) == ("workshop", "Garage Huber")
    [first, second] = sharing.outbox.rows()
    name = recipients.name_of(recipients.sealing("workshop", now))
    sharing.outbox.begin_attempt(first.batch_id, recipient=name)
    recipients.replace(named(bench.ingest, "Another garage", serial=3))
    other = recipients.name_of(recipients.sealing("workshop", now))
    with pytest.raises(UncoveredError, match="one for Garage Huber, not for Another garage"):
        sharing.outbox.begin_attempt(second.batch_id, recipient=other)
