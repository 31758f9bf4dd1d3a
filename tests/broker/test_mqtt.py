"""The link against a real mosquitto with mutual TLS and the product's ACL."""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sim.broker import Broker, BrokerError, free_port, render_config
from telemetry.link import LinkError, LinkState
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import Message, MqttSettings
from telemetry.mqtt.session import Attempt, Session
from telemetry.topics import ack_topic, new_client_id
from tests.support.broker import CONFIGS, Pki, TestBroker
from tests.support.wait import wait_until

pytestmark = [pytest.mark.broker]

UP, ALL_UP = "okdrive/1/up/battery", "okdrive/1/up/#"
IDS = [new_client_id(bytes([number]) * 16) for number in range(8)]


@contextlib.asynccontextmanager
async def connected(
    settings: MqttSettings, client_id: str, inbox: list[Message] | None = None
) -> AsyncIterator[MqttLink]:
    link = MqttLink(
        settings, client_id=client_id, on_message=inbox.append if inbox is not None else None
    )
    await link.connect()
    try:
        yield link
    finally:
        await link.disconnect()


async def test_a_batch_goes_to_ingest_and_its_receipt_comes_back(broker: TestBroker) -> None:
    at_ingest: list[Message] = []
    at_vehicle: list[Message] = []
    async with (
        connected(broker.settings(broker.pki.ingest), IDS[0], at_ingest) as ingest,
        connected(broker.settings(), IDS[1], at_vehicle) as vehicle,
    ):
        await ingest.subscribe(ALL_UP, timeout_s=5)
        await vehicle.subscribe(ack_topic(IDS[1]), timeout_s=5)
        await vehicle.publish(
            UP,
            b"batch" * 20_000,
            timeout_s=5,
            content_type="application/test",
            response_topic=ack_topic(IDS[1]),
            correlation_data=b"id",
        )
        await wait_until(lambda: at_ingest)
        await ingest.publish(ack_topic(IDS[1]), b"receipt", timeout_s=5, correlation_data=b"id")
        await wait_until(lambda: at_vehicle)
    arrived = at_ingest[0]
    assert (arrived.topic, arrived.payload) == (UP, b"batch" * 20_000)
    assert (arrived.response_topic, arrived.correlation_data) == (ack_topic(IDS[1]), b"id")
    assert arrived.content_type == "application/test"
    assert at_vehicle[0].payload == b"receipt"


async def test_many_small_messages_in_one_tls_record_all_arrive(broker: TestBroker) -> None:
    inbox: list[Message] = []
    settings = broker.settings(broker.pki.ingest, receive_maximum=50)
    async with (
        connected(settings, IDS[0], inbox) as ingest,
        connected(broker.settings(receive_maximum=50), IDS[1]) as vehicle,
    ):
        await ingest.subscribe(ALL_UP, timeout_s=5)
        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(vehicle.publish(UP, b"%d" % number, timeout_s=5))
        await wait_until(lambda: len(inbox) == 200)
    assert {int(message.payload) for message in inbox} == set(range(200))


async def test_a_certificate_of_a_foreign_ca_is_refused(broker: TestBroker) -> None:
    link = MqttLink(broker.settings(broker.pki.foreign), client_id=IDS[0])
    with pytest.raises(LinkError, match=r"closed before it accepted us.*unknown ca") as caught:
        await link.connect()
    assert caught.value.code == "link.closed"
    assert link.state is LinkState.DOWN


async def test_a_broker_of_a_foreign_ca_is_not_trusted(broker: TestBroker) -> None:
    settings = broker.settings(ca_file=broker.pki.foreign.ca_file)
    with pytest.raises(LinkError, match="certificate is not one we trust") as caught:
        await MqttLink(settings, client_id=IDS[0]).connect()
    assert caught.value.code == "link.server_certificate"


async def test_a_broker_under_another_name_is_not_trusted(pki: Pki, tmp_path: Path) -> None:
    port = free_port()
    config = render_config(
        tmp_path, templates=CONFIGS, server=pki.misnamed_server, port=port, ingest_port=free_port()
    )
    process = Broker(config, port=port, log_file=tmp_path / "log")
    process.start()
    try:
        settings = TestBroker(process, pki).settings()
        with pytest.raises(LinkError, match=r"not one we trust: .*127\.0\.0\.1") as caught:
            await MqttLink(settings, client_id=IDS[0]).connect()
    finally:
        process.stop()
    assert caught.value.code == "link.server_certificate"


async def test_a_missing_certificate_file_is_named(broker: TestBroker, tmp_path: Path) -> None:
    settings = broker.settings(cert_file=tmp_path / "none.pem")
    with pytest.raises(LinkError, match=r"none\.pem") as caught:
        await MqttLink(settings, client_id=IDS[0]).connect()
    assert (caught.value.code, caught.value.is_permanent) == ("link.config", True)


async def test_a_port_without_a_broker_is_said_to_be_unreachable(broker: TestBroker) -> None:
    broker.stop()
    link = MqttLink(broker.settings(), client_id=IDS[0])
    with pytest.raises(LinkError, match=r"cannot be reached: .*refused") as caught:
        await link.connect()
    assert caught.value.code == "link.unreachable"
    assert link.state is LinkState.DOWN


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A half-open broker: the kernel accepts the connection, nobody ever speaks."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_half_open_broker_is_given_up(broker: TestBroker, silent_port: int) -> None:
    settings = broker.settings(port=silent_port, connect_timeout_s=0.2)
    link = MqttLink(settings, client_id=IDS[0])
    with pytest.raises(LinkError, match=r"no answer within 0\.2 s") as caught:
        await link.connect()
    assert caught.value.code == "link.timeout"
    assert link.state is LinkState.DOWN


async def test_a_connection_given_up_while_it_was_made_is_closed(broker: TestBroker) -> None:
    link = MqttLink(broker.settings(), client_id=IDS[0])
    session = Session(broker.settings(), link, client_id=IDS[0], manual_ack=False, number=1)
    attempt = Attempt(is_abandoned=True)
    await asyncio.to_thread(session.open_in_thread, attempt)
    assert attempt.client is not None
    sock = attempt.client.socket()
    assert sock is not None
    assert sock.fileno() == -1


async def test_a_cancelled_connect_leaves_the_link_down(
    broker: TestBroker, silent_port: int
) -> None:
    link = MqttLink(broker.settings(port=silent_port, connect_timeout_s=0.3), client_id=IDS[0])
    connecting = asyncio.ensure_future(link.connect())
    await wait_until(lambda: link.state is LinkState.CONNECTING)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError, match=r"^$"):
        await connecting
    assert link.state is LinkState.DOWN


async def test_a_killed_broker_is_noticed_and_ends_what_was_waiting(broker: TestBroker) -> None:
    async with connected(broker.settings(), IDS[0]) as link:
        publishing = asyncio.ensure_future(link.publish(UP, bytes(900_000), timeout_s=5))
        broker.kill()
        with pytest.raises(LinkError, match="lost") as caught:
            await publishing
        await asyncio.wait_for(link.wait_down(), 5)
        assert caught.value.code == "link.lost"
        with pytest.raises(LinkError, match="nothing was sent") as refused:
            await link.publish(UP, b"x", timeout_s=1)
        assert refused.value.code == "link.not_up"


async def test_the_same_link_connects_again_after_a_restart(broker: TestBroker) -> None:
    link = MqttLink(broker.settings(), client_id=IDS[0])
    await link.connect()
    broker.restart()
    await asyncio.wait_for(link.wait_down(), 5)
    await link.connect()
    await link.publish(UP, b"x", timeout_s=5)
    await link.disconnect()
    assert link.state is LinkState.DOWN


async def test_a_forged_receipt_is_refused_for_ever(broker: TestBroker) -> None:
    async with connected(broker.settings(), IDS[0]) as link:
        with pytest.raises(LinkError, match="refused: Not authorized") as caught:
            await link.publish(ack_topic(IDS[1]), b"forged", timeout_s=5)
    assert (caught.value.code, caught.value.is_permanent) == ("link.puback_refused", True)


async def test_a_vehicle_gets_neither_uplinks_nor_receipts_of_others(broker: TestBroker) -> None:
    spied: list[Message] = []
    delivered: list[Message] = []
    async with (
        connected(broker.settings(broker.pki.other_vehicle), IDS[0], spied) as spy,
        connected(broker.settings(), IDS[1], delivered) as vehicle,
        connected(broker.settings(broker.pki.ingest), IDS[2], delivered) as ingest,
    ):
        for topic in (ALL_UP, "#", "okdrive/1/ack/+", ack_topic(IDS[1])):
            await spy.subscribe(topic, timeout_s=5)
        await vehicle.subscribe(ack_topic(IDS[1]), timeout_s=5)
        await ingest.subscribe(ALL_UP, timeout_s=5)
        await vehicle.publish(UP, b"batch", timeout_s=5)
        await ingest.publish(ack_topic(IDS[1]), b"receipt", timeout_s=5)
        # the spy's own receipt comes last, on the same ordered connection
        await ingest.publish(ack_topic(IDS[0]), b"own", timeout_s=5)
        await wait_until(lambda: len(delivered) == 2 and spied)
    assert {message.payload for message in spied} == {b"own"}


@pytest.mark.parametrize(
    "topic", [UP, "okdrive/1/up/erase", "okdrive/1/v/x/desired", "other", "okdrive/1/up/a/b"]
)
async def test_ingest_may_answer_and_nothing_else(broker: TestBroker, topic: str) -> None:
    async with connected(broker.settings(broker.pki.ingest), IDS[0]) as ingest:
        with pytest.raises(LinkError, match="Not authorized"):
            await ingest.publish(topic, b"x", timeout_s=5)


@pytest.mark.parametrize("topic", [UP, ack_topic(IDS[1]), "okdrive/1/v/ingest/desired"])
async def test_at_the_vehicles_door_the_certificate_of_ingest_may_do_nothing(
    broker: TestBroker, topic: str
) -> None:
    settings = broker.settings(broker.pki.ingest, port=broker.port)
    async with connected(settings, IDS[0]) as ingest:
        with pytest.raises(LinkError, match="Not authorized"):
            await ingest.publish(topic, b"x", timeout_s=5)


async def test_at_the_door_of_ingest_a_vehicle_neither_speaks_nor_hears(
    broker: TestBroker,
) -> None:
    heard: list[Message] = []
    at_ingest: list[Message] = []
    settings = broker.settings(port=broker.ingest_port)
    async with (
        connected(settings, IDS[0], heard) as vehicle,
        connected(broker.settings(broker.pki.ingest), IDS[1], at_ingest) as ingest,
        connected(broker.settings(), IDS[2]) as other,
    ):
        for topic in ("#", ALL_UP, ack_topic(IDS[0])):
            await vehicle.subscribe(topic, timeout_s=5)
        with pytest.raises(LinkError, match="Not authorized"):
            await vehicle.publish(UP, b"x", timeout_s=5)
        await ingest.subscribe(ALL_UP, timeout_s=5)
        await other.publish(UP, b"batch", timeout_s=5)
        await ingest.publish(ack_topic(IDS[0]), b"receipt", timeout_s=5)
        await wait_until(lambda: at_ingest)
    assert heard == []


async def test_what_ingest_did_not_acknowledge_is_delivered_again(broker: TestBroker) -> None:
    settings = broker.settings(broker.pki.ingest, session_expiry_s=60)
    first: list[Message] = []
    ingest = MqttLink(settings, client_id=IDS[0], on_message=first.append, manual_ack=True)
    await ingest.connect()
    await ingest.subscribe(ALL_UP, timeout_s=5)
    async with connected(broker.settings(), IDS[1]) as vehicle:
        await vehicle.publish(UP, b"dealt with", timeout_s=5)
        await vehicle.publish(UP, b"not yet", timeout_s=5)
    await wait_until(lambda: len(first) == 2)
    ingest.ack(first[0])
    await ingest.disconnect()
    await ingest.connect()
    await wait_until(lambda: len(first) == 3)
    assert [message.payload for message in first] == [b"dealt with", b"not yet", b"not yet"]
    ingest.ack(first[2])
    await ingest.disconnect()
    await ingest.connect()
    await ingest.subscribe(ALL_UP, timeout_s=5)
    assert len(first) == 3
    await ingest.disconnect()


async def test_a_late_acknowledgement_does_not_answer_for_a_newer_message(
    broker: TestBroker,
) -> None:
    settings = broker.settings(broker.pki.ingest, session_expiry_s=60)
    inbox: list[Message] = []
    ingest = MqttLink(settings, client_id=IDS[0], on_message=inbox.append, manual_ack=True)
    for payload in (b"old", b"new"):  # the broker forgets in between, and counts from 1 again
        await ingest.connect()
        await ingest.subscribe(ALL_UP, timeout_s=5)
        async with connected(broker.settings(), IDS[1]) as vehicle:
            await vehicle.publish(UP, payload, timeout_s=5)
        await wait_until(lambda payload=payload: inbox and inbox[-1].payload == payload)
        if payload == b"old":
            broker.restart()
            await asyncio.wait_for(ingest.wait_down(), 5)
    assert inbox[0].mid == inbox[1].mid
    ingest.ack(inbox[0])
    await ingest.disconnect()
    await ingest.connect()
    await wait_until(lambda: len(inbox) == 3)
    assert inbox[2].payload == b"new"
    await ingest.disconnect()


def serve_one_record(server: socket.socket, context: ssl.SSLContext) -> None:
    """Accept one client; answer its CONNECT with CONNACK and three messages in one TLS record."""
    plain, _ = server.accept()
    with context.wrap_socket(plain, server_side=True) as tls:
        tls.recv(4096)
        message = bytes.fromhex("30 07 0003") + b"a/b" + b"\x00" + b"x"
        tls.sendall(bytes.fromhex("20 03 000000") + 3 * message)
        tls.recv(4096)


async def test_packets_that_share_a_tls_record_are_all_read(pki: Pki) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=pki.server.ca_file)
    context.load_cert_chain(pki.server.cert_file, pki.server.key_file)
    inbox: list[Message] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = MqttSettings(
            host="127.0.0.1",
            port=server.getsockname()[1],
            ca_file=pki.server.ca_file,
            cert_file=pki.vehicle.cert_file,
            key_file=pki.vehicle.key_file,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(serve_one_record, server, context))
            async with connected(settings, IDS[0], inbox):
                await wait_until(lambda: len(inbox) == 3)
    assert [message.topic for message in inbox] == ["a/b"] * 3


async def test_a_payload_beyond_the_brokers_limit_is_not_sent(broker: TestBroker) -> None:
    async with connected(broker.settings(), IDS[0]) as link:
        with pytest.raises(LinkError, match="takes packets of 1114112 bytes") as caught:
            await link.publish(UP, bytes(1 << 21), timeout_s=5)
        await link.publish(UP, b"small", timeout_s=5)
    assert (caught.value.code, caught.value.is_permanent) == ("link.too_large", True)


async def test_descriptors_above_1023_do_not_matter(broker: TestBroker) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        async with connected(broker.settings(), IDS[0]) as link:
            await link.publish(UP, b"x", timeout_s=5)
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_port_that_is_taken_is_said_before_anything_starts(
    broker: TestBroker, tmp_path: Path
) -> None:
    second = Broker(tmp_path / "mosquitto.conf", port=broker.port, log_file=tmp_path / "second")
    with pytest.raises(BrokerError, match="taken by another program") as caught:
        second.start()
    assert caught.value.code == "sim.broker.port_taken"
    assert second.pid is None


async def test_a_broker_that_does_not_come_up_says_why(pki: Pki, tmp_path: Path) -> None:
    server = replace(pki.server, key_file=tmp_path / "none.key")
    port = free_port()
    config = render_config(
        tmp_path, templates=CONFIGS, server=server, port=port, ingest_port=free_port()
    )
    process = Broker(config, port=port, log_file=tmp_path / "log")
    with pytest.raises(BrokerError, match=r"(?s)does not listen on port .*none\.key") as caught:
        process.start()
    assert caught.value.code == "sim.broker.not_listening"
    assert process.pid is None
