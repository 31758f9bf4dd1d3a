"""Networks and brokers that misbehave: nothing is lost, nothing is doubled, and it is said why."""

import asyncio

import pytest

from agent.store.queued import OutboxState
from telemetry.ingest.service import IngestService
from telemetry.ingest.wiring import Parts
from telemetry.link import Backoff, LinkError
from telemetry.mqtt.link import MqttLink
from telemetry.topics import new_client_id
from tests.support.broker import Pki, TestBroker
from tests.support.ingest_home import IngestHome
from tests.support.proxy import Fault, counting_proxy
from tests.support.scripted_broker import SILENCE, scripted_broker
from tests.support.vehicle_side import Vehicle
from tests.support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]


async def stored(home: IngestHome) -> list[bytes]:
    return [batch.batch_id for batch in await asyncio.to_thread(home.batches)]


# a network that is cut

STEP_BYTES = 150


async def test_cut_after_any_number_of_bytes_each_batch_arrives_once(
    vehicle: Vehicle, ingest: Parts, home: IngestHome, broker: TestBroker
) -> None:
    """Every 150 bytes of a delivery, up and down: handshake, publish, receipt, goodbye."""
    confirmed: list[bytes] = []
    stop = asyncio.Event()
    async with counting_proxy(broker.port) as proxy, asyncio.TaskGroup() as group:
        group.create_task(ingest.service.run(stop))
        await wait_until(lambda: ingest.service.is_receiving)
        settings = broker.settings(port=proxy.port, connect_timeout_s=2.0)
        confirmed.append(await asyncio.to_thread(vehicle.confirm, "whole"))
        await vehicle.deliver(vehicle.uplink(settings))
        faults = [Fault(cut_up=cut) for cut in range(0, proxy.bytes_up, STEP_BYTES)]
        faults += [Fault(cut_down=cut) for cut in range(0, proxy.bytes_down, STEP_BYTES)]
        for number, fault in enumerate(faults):
            confirmed.append(await asyncio.to_thread(vehicle.confirm, f"trip-{number}"))
            proxy.faults = [fault]
            await vehicle.deliver(vehicle.uplink(settings))
            assert proxy.faults == []
        stop.set()
    assert len(faults) > 30
    assert sorted(await stored(home)) == sorted(confirmed)
    assert len(home.files()) == len(confirmed)


async def test_in_parts_cut_after_any_number_of_bytes_the_batch_arrives_once(
    vehicle: Vehicle, ingest: Parts, home: IngestHome, narrow_broker: TestBroker
) -> None:
    """The whole conversation of one batch in parts, cut further on each time."""
    vehicle.rows = 299  # one slice, whole
    stop = asyncio.Event()
    confirmed = []
    async with counting_proxy(narrow_broker.port) as proxy, asyncio.TaskGroup() as group:
        group.create_task(ingest.service.run(stop))
        await wait_until(lambda: ingest.service.is_receiving, timeout_s=60)
        settings = narrow_broker.settings(port=proxy.port, connect_timeout_s=5.0)
        for number in range(3):
            confirmed.append(await asyncio.to_thread(vehicle.confirm, f"trip-{number}"))
            proxy.faults = [Fault(cut_up=cut) for cut in range(3_000 + 100 * number, 9_000, 700)]
            proxy.faults += [Fault(cut_down=cut) for cut in range(3_000, 6_000, 700)]
            await vehicle.deliver(vehicle.uplink(settings))
        stop.set()
    assert sorted(await stored(home)) == sorted(confirmed)
    assert len(home.files()) == len(confirmed)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(stall_up=0),
        Fault(stall_up=4_000),
        Fault(stall_down=1_000),
        Fault(stall_down=4_500),
        Fault(delay_s=0.01, piece_bytes=200),
    ],
    ids=["up-at-once", "up-later", "down-early", "down-later", "slow"],
)
async def test_half_open_or_slow_the_batch_arrives_once(
    vehicle: Vehicle, ingest: Parts, home: IngestHome, broker: TestBroker, fault: Fault
) -> None:
    stop = asyncio.Event()
    async with counting_proxy(broker.port) as proxy, asyncio.TaskGroup() as group:
        group.create_task(ingest.service.run(stop))
        await wait_until(lambda: ingest.service.is_receiving)
        proxy.faults = [fault]
        batch = await asyncio.to_thread(vehicle.confirm)
        settings = broker.settings(port=proxy.port, connect_timeout_s=1.0)
        await vehicle.deliver(vehicle.uplink(settings))
        stop.set()
    assert await stored(home) == [batch]


# a broker that says no

BUSY = {
    "unavailable": 0x88,
    "busy": 0x89,
    "quota-exceeded": 0x97,
    "connection-rate": 0x9F,
    "use-another-server": 0x9C,
    "server-moved": 0x9D,
}
NEVER = {"not-authorised": 0x87, "banned": 0x8A, "bad-credentials": 0x86, "client-id": 0x85}


@pytest.mark.parametrize("code", BUSY.values(), ids=BUSY)
async def test_a_broker_without_time_is_tried_again_later(
    vehicle: Vehicle, pki: Pki, code: int
) -> None:
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker:
        broker.connack = code
        uplink = vehicle.uplink_to(broker.port)
        for _ in range(2):
            await uplink.step()
        assert broker.connections == 2
        assert broker.published == []
        error = uplink._failure
        assert error is not None
        assert (error.code, error.is_permanent, error.is_overload) == ("link.refused", False, True)
        assert "The last attempt failed" in await uplink.why_not()
    [item] = await uplink.queue()
    assert (item.state, item.attempts) == (OutboxState.QUEUED, 0)


async def test_a_broker_that_points_elsewhere_is_not_followed(vehicle: Vehicle, pki: Pki) -> None:
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker, scripted_broker(pki) as elsewhere:
        name = f"127.0.0.1:{elsewhere.port}".encode()
        broker.connack = 0x9C
        broker.connack_properties = b"\x1c" + len(name).to_bytes(2) + name  # server reference
        uplink = vehicle.uplink_to(broker.port)
        await uplink.step()
        await uplink.step()
        assert (broker.connections, elsewhere.connections) == (2, 0)
        assert "only where our configuration says" in await uplink.why_not()


@pytest.mark.parametrize("code", NEVER.values(), ids=NEVER)
async def test_a_broker_that_will_not_have_us_stops_the_uplink(
    vehicle: Vehicle, pki: Pki, code: int
) -> None:
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker:
        broker.connack = code
        uplink = vehicle.uplink_to(broker.port)
        for _ in range(3):
            await uplink.step()
        assert broker.connections == 1
        assert "Waiting does not heal this" in await uplink.why_not()
    [item] = await uplink.queue()
    assert item.state is OutboxState.QUEUED


@pytest.mark.parametrize(
    ("code", "attempts"),
    [(0x80, 2), (0x83, 2), (0x97, 2), (0x87, 1), (0x90, 1), (0x99, 1)],
    ids=["unspecified", "implementation", "quota", "not-authorised", "topic", "payload"],
)
async def test_a_puback_that_says_no_is_a_failure(
    vehicle: Vehicle, pki: Pki, code: int, attempts: int
) -> None:
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker:
        broker.puback = code
        uplink = vehicle.uplink_to(broker.port)
        for _ in range(2):
            await uplink.step()
        assert len(broker.published) == attempts
        assert uplink.counters["link.puback_refused"] == attempts
    [item] = await uplink.queue()
    assert (item.state, item.attempts) == (OutboxState.QUEUED, attempts)


@pytest.mark.parametrize("what", ["connack", "suback", "puback"])
async def test_a_broker_that_falls_silent_is_given_up_after_a_while(
    vehicle: Vehicle, pki: Pki, what: str
) -> None:
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker:
        setattr(broker, what, SILENCE)
        uplink = vehicle.uplink_to(broker.port, connect_timeout_s=0.5, puback_timeout_s=0.5)
        await uplink.step()
        assert len(uplink.counters) == 1
        assert "The last attempt failed" in await uplink.why_not()
    assert [item.state for item in await uplink.queue()] == [OutboxState.QUEUED]


async def test_a_subscription_that_is_refused_sends_nothing(vehicle: Vehicle, pki: Pki) -> None:
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker:
        broker.suback = 0x87
        uplink = vehicle.uplink_to(broker.port)
        await uplink.step()
        assert broker.published == []
        assert uplink.counters["link.suback_refused"] == 1


async def test_a_broker_that_shuts_down_is_an_outage_of_the_fleet(
    vehicle: Vehicle, pki: Pki
) -> None:
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker:
        broker.goodbye_after_publish = 0x8B
        uplink = vehicle.uplink_to(broker.port)
        await uplink.step()
        assert uplink.counters["link.lost"] == 1
        assert len(await uplink.queue()) == 1


async def test_a_broker_that_acknowledges_and_drops_has_not_delivered(
    vehicle: Vehicle, pki: Pki
) -> None:
    """PUBACK for everything, nobody behind it."""
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker:
        uplink = vehicle.uplink_to(broker.port, receipt_timeout_s=0.2)
        for _ in range(3):
            await uplink.step()
        assert len(broker.published) == 3
        assert uplink.counters["uplink.no_receipt"] == 3
    [item] = await uplink.queue()
    assert (item.state, item.attempts) == (OutboxState.QUEUED, 3)


async def test_mosquitto_drops_what_is_too_large_for_ingest_and_nothing_is_lost(
    vehicle: Vehicle, ingest: Parts, home: IngestHome, broker: TestBroker
) -> None:
    """A subscriber with a small maximum packet size: the broker acknowledges and drops."""
    vehicle.rows = 299  # one slice, whole
    batch = await asyncio.to_thread(vehicle.confirm)
    uplink, narrow = vehicle.uplink(), broker.settings(broker.pki.ingest, max_packet_bytes=300)
    genuine: IngestService = ingest.service
    wide, stop = genuine._make_link, asyncio.Event()
    genuine._backoff = Backoff(lambda: 0.1)
    genuine._make_link = lambda on_message: MqttLink(
        narrow, client_id=new_client_id(b"n" * 16), on_message=on_message, manual_ack=True
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(genuine.run(stop))
        await wait_until(lambda: genuine.is_receiving)
        await uplink.step()
        assert uplink.counters["uplink.no_receipt"] == 1
        assert await stored(home) == []
        genuine._make_link = wide
        await asyncio.to_thread(broker.restart)
        await wait_until(lambda: not genuine.is_receiving)
        await wait_until(lambda: genuine.is_receiving, timeout_s=20)
        await vehicle.deliver(uplink)
        stop.set()
    assert await stored(home) == [batch]


# what the broker wants


async def test_the_limits_of_the_broker_are_kept(vehicle: Vehicle, pki: Pki) -> None:
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker:
        broker.connack_properties = b"\x27" + (256 + 100).to_bytes(4)  # maximum packet size
        uplink = vehicle.uplink_to(broker.port, receipt_timeout_s=0.2)
        await uplink.step()
        assert len(broker.published) == 1  # the first part; nobody answers
        assert len(broker.published[0]) <= 256 + 100
        assert b"part+cbor" in broker.published[0]


async def test_a_broker_that_can_do_little_is_asked_for_no_more(vehicle: Vehicle, pki: Pki) -> None:
    """No retained messages, no wildcards, no shared subscriptions, no aliases, one at a time."""
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker:
        broker.connack_properties = bytes.fromhex("210001 2500 220000 2800 2a00")
        uplink = vehicle.uplink_to(broker.port, receipt_timeout_s=0.2)
        await uplink.step()
        assert uplink.counters == {"uplink.no_receipt": 1}
        assert broker.flags == [0b0010]  # QoS 1, not retained, not sent again


async def test_no_more_messages_are_on_the_way_than_the_broker_takes(
    vehicle: Vehicle, pki: Pki
) -> None:
    async with scripted_broker(pki) as broker:
        broker.connack_properties = bytes.fromhex("210002")  # receive maximum
        broker.puback = SILENCE
        link = MqttLink(vehicle.settings_for(broker.port), client_id="ab" * 16)
        await link.connect()

        async def publish() -> None:
            with pytest.raises(LinkError, match="lost"):
                await link.publish("okdrive/1/up/battery", b"x", timeout_s=60)

        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(publish())
            waiting = group.create_task(_third(link))
            await wait_until(lambda: len(broker.published) == 2, timeout_s=60)
            await link.subscribe("okdrive/1/ack/x", timeout_s=60)  # what was sent has arrived
            assert len(broker.published) == 2
            await link.disconnect()
            assert "not_up" in await waiting


async def _third(link: MqttLink) -> str:
    with pytest.raises(LinkError, match="expected the link up") as caught:
        await link.publish("okdrive/1/up/battery", b"x", timeout_s=60)
    return caught.value.code


async def test_a_broker_without_qos_1_is_refused(vehicle: Vehicle, pki: Pki) -> None:
    await asyncio.to_thread(vehicle.confirm)
    async with scripted_broker(pki) as broker:
        broker.connack_properties = b"\x24\x00"  # maximum QoS 0
        uplink = vehicle.uplink_to(broker.port)
        await uplink.step()
        assert uplink.counters["link.no_qos1"] == 1
        assert broker.published == []


async def test_the_keepalive_is_the_one_of_the_settings(vehicle: Vehicle, pki: Pki) -> None:
    async with scripted_broker(pki) as broker:
        for keepalive_s in (60, 600):
            link = MqttLink(
                vehicle.settings_for(broker.port, keepalive_s=keepalive_s), client_id="ab" * 16
            )
            await link.connect()
            await link.disconnect()
        assert broker.keepalives == [60, 600]


async def test_what_a_connection_costs_is_measured(vehicle: Vehicle, broker: TestBroker) -> None:
    async with counting_proxy(broker.port) as proxy:
        link = MqttLink(broker.settings(port=proxy.port), client_id="ab" * 16)
        await link.connect()
        await link.publish("okdrive/1/up/battery", bytes(5_000), timeout_s=5)
        up = link.traffic_bytes
        await link.disconnect()
        counted = proxy.bytes_up + proxy.bytes_down
    assert up > 5_000
    assert abs(link.traffic_bytes - counted) < 200  # the goodbye may not be acknowledged yet


async def test_an_unreachable_broker_costs_nothing_and_is_an_outage(vehicle: Vehicle) -> None:
    link = MqttLink(vehicle.settings_for(1), client_id="ab" * 16)
    with pytest.raises(LinkError, match="cannot be reached") as caught:
        await link.connect()
    assert caught.value.is_overload
    assert link.traffic_bytes == 0


# parts over the real broker


async def test_in_parts_over_a_real_broker_a_batch_arrives_once(
    vehicle: Vehicle, ingest: Parts, home: IngestHome, narrow_broker: TestBroker
) -> None:
    vehicle.rows = 299  # one slice, whole
    batch = await asyncio.to_thread(vehicle.confirm)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(ingest.service.run(stop))
        await wait_until(lambda: ingest.service.is_receiving)
        await vehicle.deliver(vehicle.uplink())
        stop.set()
    assert await stored(home) == [batch]
    assert ingest.service.counters["batches.part"] > 3
    assert ingest.service.counters["batches.stored"] == 1
