"""From OK to receipt over a real mosquitto: exactly once, whoever is killed."""

import asyncio
import signal
from contextlib import suppress
from functools import partial

import pytest

from agent.consent.receipts import verify_receipt
from agent.delivery import Patience
from agent.store.queued import OutboxState
from agent.uplink import UplinkSettings
from telemetry.codec.batch import batch_id
from telemetry.ingest.wiring import Parts
from telemetry.link import Backoff
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import Message
from telemetry.purposes import Purpose
from telemetry.records import ReceiptStatus
from telemetry.topics import ack_topic, new_client_id, uplink_topic
from tests.support.batches import batch_payload
from tests.support.broker import TestBroker
from tests.support.ingest_home import POINTS, IngestHome, child, ingest_process
from tests.support.proxy import counting_proxy
from tests.support.vehicle_side import Vehicle
from tests.support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(60)]

IDS = [new_client_id(bytes([number]) * 16) for number in range(1, 9)]


def has(inbox: list[Message], count: int) -> bool:
    return len(inbox) == count


async def test_a_confirmed_batch_arrives_exactly_once(
    vehicle: Vehicle, ingest: Parts, home: IngestHome
) -> None:
    batch = await asyncio.to_thread(vehicle.confirm)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(ingest.service.run(stop))
        await wait_until(lambda: ingest.service.is_receiving)
        patient = UplinkSettings(patience=Patience(receipt_s=30, puback_s=30))
        await vehicle.deliver(vehicle.uplink(waits=patient))
        stop.set()
    [stored] = await asyncio.to_thread(home.batches)
    assert stored.batch_id == batch
    assert len(home.files()) == 1
    receipt = await asyncio.to_thread(vehicle.sharing.state.last_receipt)
    assert receipt is not None
    assert (receipt.batch_id, receipt.status) == (batch, ReceiptStatus.STORED)


async def test_a_batch_published_twice_is_answered_duplicate_and_stored_once(
    broker: TestBroker, ingest: Parts, home: IngestHome
) -> None:
    inbox: list[Message] = []
    link = MqttLink(broker.settings(), client_id=IDS[0], on_message=inbox.append)
    payload, stop = batch_payload(), asyncio.Event()
    sealed = home.seal(payload)
    async with asyncio.TaskGroup() as group:
        group.create_task(ingest.service.run(stop))
        await wait_until(lambda: ingest.service.is_receiving)
        await link.connect()
        await link.subscribe(ack_topic(IDS[0]), timeout_s=5)
        for count in (1, 2):
            await link.publish(
                uplink_topic(Purpose.BATTERY),
                sealed,
                timeout_s=5,
                response_topic=ack_topic(IDS[0]),
            )
            await wait_until(partial(has, inbox, count))
        await link.disconnect()
        stop.set()
    receipts = [verify_receipt(message.payload, home.keys.receipts).receipt for message in inbox]
    assert [receipt.status for receipt in receipts] == [
        ReceiptStatus.STORED,
        ReceiptStatus.DUPLICATE,
    ]
    assert [stored.batch_id for stored in await asyncio.to_thread(home.batches)] == [
        batch_id(payload)
    ]


async def test_poison_is_refused_with_a_code_and_the_next_batch_is_stored(
    broker: TestBroker, ingest: Parts, home: IngestHome
) -> None:
    inbox: list[Message] = []
    link = MqttLink(broker.settings(), client_id=IDS[0], on_message=inbox.append)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(ingest.service.run(stop))
        await wait_until(lambda: ingest.service.is_receiving)
        await link.connect()
        await link.subscribe(ack_topic(IDS[0]), timeout_s=5)
        for payload in (home.seal(b"poison"), home.seal(batch_payload())):
            await link.publish(
                uplink_topic(Purpose.BATTERY),
                payload,
                timeout_s=5,
                response_topic=ack_topic(IDS[0]),
            )
        await wait_until(lambda: len(inbox) == 2)
        await link.disconnect()
        stop.set()
    refused, stored = (
        verify_receipt(message.payload, home.keys.receipts).receipt for message in inbox
    )
    assert (refused.status, refused.batch_id) == (ReceiptStatus.REFUSED, batch_id(b"poison"))
    assert stored.status is ReceiptStatus.STORED


async def test_without_ok_not_one_byte_is_on_the_wire(
    vehicle: Vehicle, broker: TestBroker, home: IngestHome
) -> None:
    heard: list[Message] = []
    listener = MqttLink(
        broker.settings(broker.pki.ingest), client_id=IDS[0], on_message=heard.append
    )
    await listener.connect()
    await listener.subscribe("okdrive/1/up/#", timeout_s=5)
    async with counting_proxy(broker.port) as proxy:
        uplink = vehicle.uplink(broker.settings(port=proxy.port))
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(uplink.run(stop))
            await uplink.step()  # before the first consent
            batch = await asyncio.to_thread(vehicle.offer)
            uplink.wake()
            await uplink.step()  # offered, not answered
            await asyncio.to_thread(vehicle.sharing.answer, "trip-1", [batch], share=False)
            uplink.wake()
            await uplink.step()  # answered with No
            assert (proxy.connections, proxy.bytes_up, proxy.bytes_down) == (0, 0, 0)
            assert heard == []

            other = await asyncio.to_thread(vehicle.offer, "trip-2")
            shown = await asyncio.to_thread(vehicle.sharing.payload, other)
            await asyncio.to_thread(vehicle.sharing.answer, "trip-2", [other], share=True)
            uplink.wake()
            await wait_until(lambda: heard)
            stop.set()
    await listener.disconnect()
    assert proxy.connections >= 1
    assert shown is not None
    assert proxy.bytes_up > len(shown)
    [sealed] = {message.payload for message in heard}
    assert await asyncio.to_thread(home.open, sealed) == shown


@pytest.mark.parametrize("point", POINTS)
async def test_ingest_killed_anywhere_still_stores_once(
    vehicle: Vehicle, home: IngestHome, point: str
) -> None:
    batch = await asyncio.to_thread(vehicle.confirm)
    uplink = vehicle.uplink()
    with ingest_process(home, *child(home, point)) as process:
        await uplink.step()
        assert await asyncio.to_thread(process.wait, 10) == -signal.SIGKILL
    with ingest_process(home, *child(home, "never")):
        await vehicle.deliver(uplink)
    assert [stored.batch_id for stored in await asyncio.to_thread(home.batches)] == [batch]
    assert len(home.files()) == 1
    receipt = await asyncio.to_thread(vehicle.sharing.state.last_receipt)
    assert receipt is not None
    assert receipt.batch_id == batch


async def test_broker_killed_and_restarted_the_batch_arrives_once(
    vehicle: Vehicle, ingest: Parts, home: IngestHome, broker: TestBroker
) -> None:
    batch = await asyncio.to_thread(vehicle.confirm)
    uplink, stop = vehicle.uplink(), asyncio.Event()
    ingest.service._backoff = Backoff(lambda: 0.1)
    async with asyncio.TaskGroup() as group:
        group.create_task(ingest.service.run(stop))
        await wait_until(lambda: ingest.service.is_receiving)
        await asyncio.to_thread(broker.kill)
        await uplink.step()
        [item] = await uplink.queue()
        assert item.state is OutboxState.QUEUED
        assert "The last attempt failed" in await uplink.why_not()
        await asyncio.to_thread(broker.restart)
        await wait_until(lambda: ingest.service.is_receiving, timeout_s=20)
        await vehicle.deliver(uplink)
        stop.set()
    assert [stored.batch_id for stored in await asyncio.to_thread(home.batches)] == [batch]


async def test_without_an_ingest_the_batch_is_kept(vehicle: Vehicle) -> None:
    await asyncio.to_thread(vehicle.confirm)
    uplink = vehicle.uplink()
    await uplink.step()
    [item] = await uplink.queue()
    assert (item.state, item.attempts) == (OutboxState.QUEUED, 1)
    assert uplink.counters["uplink.no_receipt"] == 1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["term", "int"]
)
async def test_a_stopped_receiver_leaves_its_store_well(
    vehicle: Vehicle, home: IngestHome, number: signal.Signals, code: int
) -> None:
    batch = await asyncio.to_thread(vehicle.confirm)
    command = ("-c", "from telemetry.ingest.cli import main; main(['-v', 'run'])")
    with ingest_process(home, *command) as process:
        await vehicle.deliver(vehicle.uplink())
        process.send_signal(number)
        assert await asyncio.to_thread(process.wait, 10) == code
    assert [stored.batch_id for stored in await asyncio.to_thread(home.batches)] == [batch]


async def test_a_certificate_of_another_authority_is_said_and_nothing_is_lost(
    vehicle: Vehicle, broker: TestBroker
) -> None:
    await asyncio.to_thread(vehicle.confirm)
    foreign = broker.pki.foreign
    uplink = vehicle.uplink(broker.settings(cert_file=foreign.cert_file, key_file=foreign.key_file))
    with suppress(TimeoutError):
        await uplink.step()
    assert "The last attempt failed" in await uplink.why_not()
    assert len(await uplink.queue()) == 1
