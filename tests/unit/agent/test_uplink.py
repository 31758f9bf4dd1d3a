import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.delivery import Patience
from agent.departure import CONNECTION_BYTES, DepartureLimits, Surroundings
from agent.network.model import NetworkClass
from agent.sharing import Sharing
from agent.store.queued import OutboxState
from agent.uplink import Uplink, UplinkSettings
from telemetry.ingest.signing import ReceiptSigner
from telemetry.link import Backoff, LinkError
from telemetry.purposes import Purpose
from telemetry.records import Receipt, ReceiptStatus
from telemetry.seal import sealed_bytes
from tests.support.clock import FakeClock
from tests.support.far_end import FakeFarEnd, FakeLink
from tests.support.sealing import RECIPIENT
from tests.support.trips import FakeTrip, open_sharing, write_segment
from tests.support.wait import wait_until

HOUR_S = 3600.0


@dataclass
class Bench:
    sharing: Sharing
    far_end: FakeFarEnd
    clock: FakeClock
    uplink: Uplink
    folder: Path

    def confirm(self, trip_id: str = "trip-1") -> bytes:
        """A trip is offered and the driver presses OK."""
        path = write_segment(self.folder / "segments", trip_id)
        [preview] = self.sharing.offer_trip(FakeTrip(trip_id=trip_id), path)
        batch = bytes.fromhex(preview.batch_id)
        self.sharing.answer(trip_id, [batch], share=True)
        return batch


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock, far_end = FakeClock(), FakeFarEnd()
    sharing = open_sharing(tmp_path, clock=clock)
    uplink = Uplink(
        sharing=sharing,
        make_link=far_end.make_link,
        clock=clock,
        settings=UplinkSettings(patience=Patience(receipt_s=0.1)),
        backoff=Backoff(lambda: 0.5),
        chance=lambda: 0.5,
    )
    yield Bench(sharing, far_end, clock, uplink, tmp_path)
    sharing.state.close()


@pytest.fixture
def confirmed(bench: Bench) -> bytes:
    bench.sharing.set_consent(Purpose.BATTERY, is_granted=True)
    return bench.confirm()


async def test_a_confirmed_batch_leaves_and_its_receipt_empties_the_outbox(
    bench: Bench, confirmed: bytes
) -> None:
    await bench.uplink.step()
    assert bench.far_end.stored == {confirmed: 1}
    assert await bench.uplink.queue() == []
    receipt = await asyncio.to_thread(bench.sharing.state.last_receipt)
    assert receipt is not None
    assert (receipt.batch_id, receipt.status) == (confirmed, "stored")


async def test_the_bytes_sealed_are_the_bytes_shown(bench: Bench, confirmed: bytes) -> None:
    shown = await asyncio.to_thread(bench.sharing.payload, confirmed)
    assert shown is not None
    await bench.uplink.step()
    [sealed] = bench.far_end.published
    assert RECIPIENT.open(Purpose.BATTERY, sealed) == shown
    assert len(sealed) == sealed_bytes(len(shown))
    assert shown[40:60] not in sealed


async def test_without_anything_due_there_is_no_connection(bench: Bench) -> None:
    assert await bench.uplink.step() == HOUR_S
    await asyncio.to_thread(bench.sharing.set_consent, Purpose.BATTERY, is_granted=True)
    assert await bench.uplink.step() == HOUR_S
    assert bench.far_end.client_ids == []


async def test_an_offer_without_an_answer_makes_no_connection(bench: Bench) -> None:
    def offer() -> None:
        bench.sharing.set_consent(Purpose.BATTERY, is_granted=True)
        bench.sharing.offer_trip(FakeTrip(), write_segment(bench.folder / "segments"))

    await asyncio.to_thread(offer)
    await bench.uplink.step()
    assert bench.far_end.client_ids == []
    assert "1 trip waits for OK or No" in await bench.uplink.why_not()


async def test_every_connection_has_a_new_client_id(bench: Bench, confirmed: bytes) -> None:
    bench.far_end.is_silent = True
    await bench.uplink.step()
    bench.uplink.resume()
    await bench.uplink.step()
    ids = bench.far_end.client_ids
    assert len(set(ids)) == 2
    assert all(len(client_id) == 32 for client_id in ids)


async def test_two_batches_of_one_day_never_share_a_connection(
    bench: Bench, confirmed: bytes
) -> None:
    other = await asyncio.to_thread(bench.confirm, "trip-2")
    bench.clock.advance_s(await bench.uplink.step())
    assert list(bench.far_end.stored) == [confirmed]
    await bench.uplink.step()
    assert list(bench.far_end.stored) == [confirmed, other]
    assert len(set(bench.far_end.client_ids)) == 2


async def test_another_pseudonym_waits_a_random_pause_for_its_own_connection(
    bench: Bench, confirmed: bytes
) -> None:
    bench.clock.advance_s(24 * HOUR_S)
    other = await asyncio.to_thread(bench.confirm, "trip-2")
    pause_s = await bench.uplink.step()
    assert pause_s == 0.5 * UplinkSettings().pause_max_s
    assert list(bench.far_end.stored) == [confirmed]
    await bench.uplink.step()
    assert len(bench.far_end.client_ids) == 1
    bench.clock.advance_s(pause_s)
    await bench.uplink.step()
    assert list(bench.far_end.stored) == [confirmed, other]
    assert len(set(bench.far_end.client_ids)) == 2


async def test_a_duplicate_receipt_empties_the_outbox_too(bench: Bench, confirmed: bytes) -> None:
    bench.far_end.stored[confirmed] = 1
    await bench.uplink.step()
    assert await bench.uplink.queue() == []
    receipt = await asyncio.to_thread(bench.sharing.state.last_receipt)
    assert receipt is not None
    assert receipt.status == ReceiptStatus.DUPLICATE


async def test_a_refused_batch_stops_stays_visible_and_is_not_sent_again(
    bench: Bench, confirmed: bytes
) -> None:
    bench.far_end.refuse_with = "codec.range"
    await bench.uplink.step()
    [item] = await bench.uplink.queue()
    assert (item.state, item.refusal) == (OutboxState.STOPPED, "codec.range")
    await bench.uplink.step()
    assert len(bench.far_end.published) == 1
    assert "Ingest refused batch" in await bench.uplink.why_not()
    assert "codec.range" in await bench.uplink.why_not()


async def test_without_a_receipt_the_batch_is_kept_and_sent_again(
    bench: Bench, confirmed: bytes
) -> None:
    bench.far_end.is_silent = True
    assert await bench.uplink.step() == 0.5
    [item] = await bench.uplink.queue()
    assert (item.state, item.attempts) == (OutboxState.QUEUED, 1)
    assert "not acknowledged by ingest" in await bench.uplink.why_not()
    bench.far_end.is_silent = False
    bench.clock.advance_s(1)
    await bench.uplink.step()
    assert await bench.uplink.queue() == []
    assert bench.far_end.stored == {confirmed: 1}


async def test_a_lost_connection_is_noticed_before_the_receipt_times_out(
    bench: Bench, confirmed: bytes
) -> None:
    bench.far_end.loses_connection = True
    await bench.uplink.step()
    assert bench.uplink.counters["link.lost"] == 1
    assert len(await bench.uplink.queue()) == 1


async def test_a_forged_receipt_changes_nothing(bench: Bench, confirmed: bytes) -> None:
    forger = Ed25519PrivateKey.generate()
    genuine = bench.far_end.signed
    bench.far_end.signed = ReceiptSigner(forger).signed  # type: ignore[method-assign]
    await bench.uplink.step()
    assert bench.uplink.counters["receipt.forged"] == 1
    assert len(await bench.uplink.queue()) == 1
    bench.far_end.signed = genuine  # type: ignore[method-assign]


async def test_a_receipt_cut_on_the_way_changes_nothing(bench: Bench, confirmed: bytes) -> None:
    bench.far_end.mangle = lambda data: data[:-1]
    await bench.uplink.step()
    assert bench.uplink.counters["receipt.forged"] == 1
    assert len(await bench.uplink.queue()) == 1


async def test_a_receipt_for_a_stranger_is_counted_and_ignored(
    bench: Bench, confirmed: bytes
) -> None:
    bench.far_end.strangers_first = True
    await bench.uplink.step()
    assert bench.uplink.counters["receipt.unexpected"] == 1
    assert await bench.uplink.queue() == []


async def test_after_a_failure_it_waits_for_the_back_off(bench: Bench, confirmed: bytes) -> None:
    bench.far_end.connect_error = LinkError("no broker at 127.0.0.1", code="link.unreachable")
    assert await bench.uplink.step() == 0.5
    bench.far_end.connect_error = None
    bench.clock.jump_wall_s(HOUR_S)
    assert await bench.uplink.step() == 0.5
    assert len(bench.far_end.client_ids) == 1
    assert "Next attempt in 0 s" in await bench.uplink.why_not()
    bench.clock.advance_s(0.5)
    await bench.uplink.step()
    assert await bench.uplink.queue() == []


async def test_a_permanent_refusal_stops_and_says_so_until_somebody_resumes(
    bench: Bench, confirmed: bytes
) -> None:
    bench.far_end.publish_error = LinkError(
        "not authorised", code="link.puback_refused", is_permanent=True
    )
    assert await bench.uplink.step() == HOUR_S
    bench.clock.advance_s(1000)
    assert await bench.uplink.step() == HOUR_S
    assert len(bench.far_end.client_ids) == 1
    assert await bench.uplink.why_not() == ("Stopped: not authorised. Waiting does not heal this.")
    bench.far_end.publish_error = None
    bench.uplink.resume()
    await bench.uplink.step()
    assert await bench.uplink.queue() == []


async def test_a_batch_too_large_for_the_broker_stops_alone(bench: Bench, confirmed: bytes) -> None:
    bench.far_end.publish_error = LinkError("too large", code="link.too_large", is_permanent=True)
    await bench.uplink.step()
    [item] = await bench.uplink.queue()
    assert (item.state, item.refusal) == (OutboxState.STOPPED, "link.too_large")
    bench.far_end.publish_error = None
    other = await asyncio.to_thread(bench.confirm, "trip-2")
    await bench.uplink.step()
    assert list(bench.far_end.stored) == [other]


async def test_a_held_batch_waits_and_says_for_how_long(bench: Bench, tmp_path: Path) -> None:
    sharing = await asyncio.to_thread(
        lambda: open_sharing(tmp_path / ".", clock=bench.clock, hold_s=600.0)
    )
    held = Bench(sharing, bench.far_end, bench.clock, bench.uplink, tmp_path)
    uplink = Uplink(
        sharing=sharing,
        make_link=bench.far_end.make_link,
        clock=bench.clock,
        settings=UplinkSettings(),
    )
    await asyncio.to_thread(sharing.set_consent, Purpose.BATTERY, is_granted=True)
    await asyncio.to_thread(held.confirm)
    assert await uplink.step() == 600.0
    assert await uplink.why_not() == "The driver can still take it back for 600 s."
    bench.clock.advance_s(600)
    await uplink.step()
    assert await uplink.queue() == []
    await asyncio.to_thread(sharing.state.close)


async def test_the_service_sends_when_it_is_woken_and_ends_when_told(bench: Bench) -> None:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.uplink.run(stop))
        await asyncio.to_thread(bench.sharing.set_consent, Purpose.BATTERY, is_granted=True)
        batch = await asyncio.to_thread(bench.confirm)
        bench.uplink.wake()
        await wait_until(lambda: batch in bench.far_end.stored)
        stop.set()


@pytest.mark.parametrize("seed", range(5))
async def test_over_a_bad_link_every_batch_is_delivered_once(bench: Bench, seed: int) -> None:
    dice = random.Random(seed)
    await asyncio.to_thread(bench.sharing.set_consent, Purpose.BATTERY, is_granted=True)
    batches = {await asyncio.to_thread(bench.confirm, f"trip-{number}") for number in range(4)}
    for _ in range(200):
        lost = LinkError("gone", code="link.lost")
        bench.far_end.connect_error = dice.choice([None, None, lost])
        bench.far_end.publish_error = dice.choice([None, None, lost])
        bench.far_end.loses_connection = dice.random() < 0.3
        bench.clock.advance_s(400)
        await bench.uplink.step()
        if not await bench.uplink.queue():
            break
    assert set(bench.far_end.stored) == batches
    assert await bench.uplink.queue() == []


async def test_what_stands_in_the_way_is_said_in_one_sentence(bench: Bench) -> None:
    assert "No purpose is switched on" in await bench.uplink.why_not()
    await asyncio.to_thread(bench.sharing.set_consent, Purpose.BATTERY, is_granted=True)
    assert await bench.uplink.why_not() == "Nothing is waiting."
    await asyncio.to_thread(bench.confirm)
    assert await bench.uplink.why_not() == "1 batch is being sent."


# parts


def small_packets(bench: Bench) -> None:
    bench.far_end.max_payload_bytes = 120


async def test_a_batch_too_large_for_the_broker_goes_in_parts_and_arrives_once(
    bench: Bench, confirmed: bytes
) -> None:
    small_packets(bench)
    await bench.uplink.step()
    assert bench.far_end.stored == {confirmed: 1}
    assert await bench.uplink.queue() == []
    assert len(bench.far_end.published) > 2
    assert max(map(len, bench.far_end.published)) <= 120


async def test_parts_that_ingest_keeps_are_not_sent_again(bench: Bench, confirmed: bytes) -> None:
    small_packets(bench)
    genuine = bench.far_end.receipt_for
    answered: list[bytes] = []

    def lose_the_third(payload: bytes, content_type: str | None = None) -> Receipt:
        bench.far_end.is_silent = len(answered) == 2
        answered.append(payload)
        return genuine(payload, content_type)

    bench.far_end.receipt_for = lose_the_third  # type: ignore[method-assign]
    await bench.uplink.step()
    assert len(bench.far_end.published) == 3
    assert [item.batch_id for item in await bench.uplink.queue()] == [confirmed.hex()]
    bench.uplink.resume()
    await bench.uplink.step()
    assert bench.far_end.stored == {confirmed: 1}
    third = bench.far_end.published[2]
    assert {data: bench.far_end.published.count(data) for data in bench.far_end.published} == {
        data: 2 if data == third else 1 for data in bench.far_end.published
    }


async def test_when_ingest_lost_the_parts_it_kept_all_are_sent_again(
    bench: Bench, confirmed: bytes
) -> None:
    small_packets(bench)
    bench.far_end.forgets_parts = True
    await bench.uplink.step()
    assert bench.uplink.counters["uplink.parts_lost"] == 1
    assert "has lost some since" in await bench.uplink.why_not()
    bench.far_end.forgets_parts = False
    bench.uplink.resume()
    await bench.uplink.step()
    assert bench.far_end.stored == {confirmed: 1}
    assert await bench.uplink.queue() == []


async def test_an_ingest_that_knows_no_parts_stops_the_batch_with_its_code(
    bench: Bench, confirmed: bytes
) -> None:
    small_packets(bench)
    bench.far_end.knows_parts = False
    await bench.uplink.step()
    [item] = await bench.uplink.queue()
    assert (item.state, item.refusal) == (OutboxState.STOPPED, "codec.shape")


async def test_a_broker_that_takes_hardly_anything_stops_the_batch(
    bench: Bench, confirmed: bytes
) -> None:
    bench.far_end.max_payload_bytes = 10
    await bench.uplink.step()
    [item] = await bench.uplink.queue()
    assert (item.state, item.refusal) == (OutboxState.STOPPED, "link.too_large")


async def test_another_packet_size_starts_the_parts_again(bench: Bench, confirmed: bytes) -> None:
    small_packets(bench)
    genuine = bench.far_end.receipt_for
    bench.far_end.is_silent = True
    await bench.uplink.step()
    bench.far_end.max_payload_bytes = 150
    bench.far_end.is_silent = False
    bench.far_end.kept.clear()
    assert bench.far_end.receipt_for == genuine
    bench.uplink.resume()
    await bench.uplink.step()
    assert bench.far_end.stored == {confirmed: 1}


# what it may cost


def uplink_at(bench: Bench, surroundings: Surroundings, limits: DepartureLimits) -> Uplink:
    return Uplink(
        sharing=bench.sharing,
        make_link=bench.far_end.make_link,
        clock=bench.clock,
        settings=UplinkSettings(patience=Patience(receipt_s=0.1), limits=limits),
        backoff=Backoff(lambda: 0.5),
        surroundings=lambda: surroundings,
    )


METERED = Surroundings(network=NetworkClass.METERED)


def a_day_of(size_bytes: int) -> DepartureLimits:
    return DepartureLimits(bytes_per_day={NetworkClass.METERED: size_bytes})


async def test_beyond_the_budget_of_the_day_it_waits_for_tomorrow(
    bench: Bench, confirmed: bytes
) -> None:
    uplink = uplink_at(bench, METERED, a_day_of(100))
    await uplink.step()
    assert bench.far_end.stored == {confirmed: 1}
    other = await asyncio.to_thread(bench.confirm, "trip-2")
    assert await uplink.step() == HOUR_S
    assert list(bench.far_end.stored) == [confirmed]
    assert "budget on a metered network is used" in await uplink.why_not()
    bench.clock.advance_s(24 * HOUR_S)
    await uplink.step()
    assert list(bench.far_end.stored) == [confirmed, other]


async def test_what_a_connection_cost_counts_also_when_it_failed(
    bench: Bench, confirmed: bytes
) -> None:
    bench.far_end.is_silent = True
    uplink = uplink_at(bench, METERED, a_day_of(100))
    await uplink.step()
    bench.clock.advance_s(600)
    assert await uplink.step() == HOUR_S
    assert len(bench.far_end.published) == 1


async def test_parts_stop_at_the_budget_and_go_on_the_next_day(
    bench: Bench, confirmed: bytes
) -> None:
    small_packets(bench)
    limits = a_day_of(20_000)
    uplink = uplink_at(bench, METERED, limits)
    notes = uplink._notes
    today = bench.clock.utc_now().date()
    await asyncio.to_thread(notes.spend, today, "metered", 20_000 - CONNECTION_BYTES - 2_000)
    FakeLink.connection_bytes = CONNECTION_BYTES + 1_800
    try:
        await uplink.step()
    finally:
        FakeLink.connection_bytes = 0
    assert uplink.counters["uplink.budget"] == 1
    sent = len(bench.far_end.published)
    assert bench.far_end.stored == {}
    bench.clock.advance_s(24 * HOUR_S)
    await uplink.step()
    assert bench.far_end.stored == {confirmed: 1}
    assert len(set(bench.far_end.published)) == len(bench.far_end.published) > sent > 0


@pytest.mark.parametrize(
    "surroundings",
    [
        Surroundings(network=NetworkClass.NONE),
        Surroundings(network=NetworkClass.ROAMING),
        Surroundings(parked_for_s=1e6),
        Surroundings(low_voltage_v=11.0),
    ],
    ids=["no-network", "roaming", "parked", "low-voltage"],
)
async def test_what_stands_in_the_way_makes_no_connection(
    bench: Bench, confirmed: bytes, surroundings: Surroundings
) -> None:
    uplink = uplink_at(bench, surroundings, DepartureLimits())
    assert await uplink.step() == HOUR_S
    assert bench.far_end.client_ids == []
    assert len(await uplink.queue()) == 1


async def test_paused_by_hand_nothing_leaves_until_it_is_resumed_even_after_a_restart(
    bench: Bench, confirmed: bytes
) -> None:
    await bench.uplink.set_paused(is_paused=True)
    again = uplink_at(bench, Surroundings(), DepartureLimits())
    assert await again.step() == HOUR_S
    assert bench.far_end.client_ids == []
    assert "switched off by hand" in await again.why_not()
    await again.set_paused(is_paused=False)
    await again.step()
    assert bench.far_end.stored == {confirmed: 1}


async def test_a_failure_is_remembered_for_commands_beside_the_daemon(
    bench: Bench, confirmed: bytes
) -> None:
    bench.far_end.connect_error = LinkError("no broker", code="link.unreachable")
    await bench.uplink.step()
    failure = await asyncio.to_thread(bench.uplink._notes.failure)
    assert failure is not None
    assert (failure.code, failure.text) == ("link.unreachable", "no broker")
    now_s = bench.clock.monotonic_s()
    assert failure.retry_in_s(boot_id="boot-1", monotonic_s=now_s) == 0.5
    assert failure.retry_in_s(boot_id="another", monotonic_s=now_s) == 0
    bench.far_end.connect_error = None
    bench.clock.advance_s(1)
    await bench.uplink.step()
    assert await asyncio.to_thread(bench.uplink._notes.failure) is None


async def test_after_a_fleet_wide_outage_it_spreads_over_a_quarter_of_an_hour(
    bench: Bench, confirmed: bytes
) -> None:
    away = LinkError("refused", code="link.unreachable", is_overload=True)
    bench.far_end.connect_error = away
    uplink = Uplink(
        sharing=bench.sharing,
        make_link=bench.far_end.make_link,
        clock=bench.clock,
        settings=UplinkSettings(),
        backoff=Backoff(lambda: 0.999),
    )
    delays = []
    for _ in range(5):
        delays.append(await uplink.step())
        bench.clock.advance_s(delays[-1])
    assert delays[:3] == [0.999, 1.998, 3.996]
    assert delays[3:] == [899.1, 899.1]


async def test_a_clock_jump_neither_sends_early_nor_late(bench: Bench, confirmed: bytes) -> None:
    bench.far_end.connect_error = LinkError("gone", code="link.lost")
    await bench.uplink.step()
    for jump_s in (-400 * 24 * HOUR_S, 900 * 24 * HOUR_S):
        bench.clock.jump_wall_s(jump_s)
        await asyncio.to_thread(bench.sharing.expire)
        assert await bench.uplink.step() == 0.5
    bench.far_end.connect_error = None
    bench.clock.advance_s(0.5)
    await bench.uplink.step()
    assert bench.far_end.stored == {confirmed: 1}


async def test_a_damaged_row_stops_alone_and_says_so(bench: Bench, confirmed: bytes) -> None:
    def damage() -> None:
        with bench.sharing.state.database.transaction() as connection:
            connection.execute("UPDATE outbox SET payload=x'00'")

    await asyncio.to_thread(damage)
    other = await asyncio.to_thread(bench.confirm, "trip-2")
    await bench.uplink.step()
    assert list(bench.far_end.stored) == [other]
    [item] = await bench.uplink.queue()
    assert (item.state, item.refusal) == (OutboxState.STOPPED, "outbox.damaged")
