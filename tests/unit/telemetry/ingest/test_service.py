import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.consent.receipts import verify_receipt
from telemetry.codec.batch import batch_id
from telemetry.ingest.errors import RefusedError, StorageError
from telemetry.ingest.service import SUBSCRIPTION, IngestService, ServiceSettings
from telemetry.ingest.signing import ReceiptSigner
from telemetry.keyset import receipt_entry
from telemetry.link import Backoff, LinkError
from telemetry.mqtt.messages import Message
from telemetry.records import Receipt, ReceiptStatus
from tests.support.sealing import FAR_AHEAD, LONG_AGO
from tests.support.wait import wait_until

KEY = Ed25519PrivateKey.generate()
ACK = "okdrive/1/ack/" + "ab" * 16


@dataclass
class FakeDesk:
    log: list[str]
    failure: StorageError | None = None

    def take(self, topic: str, payload: bytes, *rest: object) -> Receipt:
        if self.failure:
            raise self.failure
        self.log.append("store")
        return Receipt(batch_id=batch_id(payload), part=0, status=ReceiptStatus.STORED, code=None)

    def purge(self) -> int:
        return 0


@dataclass
class FakeBroker:
    """Hands out links and remembers what happened, in order."""

    log: list[str] = field(default_factory=list)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    connect_errors: list[LinkError] = field(default_factory=list)
    publish_errors: list[LinkError] = field(default_factory=list)
    links: "list[FakeLink]" = field(default_factory=list)

    def make_link(self, on_message: Callable[[Message], None]) -> "FakeLink":
        self.links.append(FakeLink(self, on_message))
        return self.links[-1]


class FakeLink:
    def __init__(self, broker: FakeBroker, on_message: Callable[[Message], None]) -> None:
        self._broker = broker
        self.on_message = on_message
        self.down = asyncio.Event()
        self.subscribed = ""

    async def connect(self) -> None:
        if self._broker.connect_errors:
            raise self._broker.connect_errors.pop(0)

    async def subscribe(self, topic: str, *, timeout_s: float) -> None:
        self.subscribed = topic

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        timeout_s: float,
        content_type: str | None = None,
        correlation_data: bytes | None = None,
    ) -> None:
        if self._broker.publish_errors:
            raise self._broker.publish_errors.pop(0)
        self._broker.log.append("receipt")
        self._broker.sent.append((topic, payload))

    def ack(self, message: Message) -> None:
        self._broker.log.append("ack")

    async def wait_down(self) -> None:
        await self.down.wait()

    async def disconnect(self) -> None:
        self.down.set()


def message(payload: bytes = b"batch", response_topic: str | None = ACK) -> Message:
    return Message(
        topic="okdrive/1/up/battery",
        payload=payload,
        response_topic=response_topic,
        correlation_data=None,
        content_type=None,
        mid=1,
    )


@dataclass
class Bench:
    broker: FakeBroker
    desk: FakeDesk
    service: IngestService
    stop: asyncio.Event

    async def receive(self, *messages: Message) -> None:
        """Run until all of ``messages`` are acknowledged."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.service.run(self.stop))
            await wait_until(lambda: self.service.is_receiving)
            for each in messages:
                self.broker.links[-1].on_message(each)
            await wait_until(lambda: self.broker.log.count("ack") == len(messages))
            self.stop.set()


@pytest.fixture
def bench() -> Bench:
    broker = FakeBroker()
    desk = FakeDesk(broker.log)
    service = IngestService(
        make_link=broker.make_link,
        desk=desk,  # type: ignore[arg-type]
        signer=ReceiptSigner(KEY),
        backoff=Backoff(lambda: 0.0),
        settings=ServiceSettings(max_waiting=3),
    )
    return Bench(broker, desk, service, asyncio.Event())


async def test_stored_first_then_the_receipt_then_the_broker_is_told(bench: Bench) -> None:
    await bench.receive(message())
    assert bench.broker.log == ["store", "receipt", "ack"]
    assert bench.broker.links[0].subscribed == SUBSCRIPTION
    [(topic, data)] = bench.broker.sent
    assert topic == ACK
    public = receipt_entry(KEY.public_key(), not_before=LONG_AGO, not_after=FAR_AHEAD)
    verified = verify_receipt(data, [public])
    assert verified.receipt.batch_id == batch_id(b"batch")


@pytest.mark.parametrize(
    "topic",
    [None, "okdrive/1/up/battery", "okdrive/1/ack/x", ACK + "/more", "#", "okdrive/1/ack/+"],
)
async def test_nothing_is_published_where_a_stranger_points(
    bench: Bench, topic: str | None
) -> None:
    await bench.receive(message(response_topic=topic))
    assert bench.broker.log == ["store", "ack"]
    assert bench.service.counters["receipts.no_topic"] == 1


async def test_without_a_commit_there_is_neither_receipt_nor_acknowledgement(
    bench: Bench,
) -> None:
    bench.desk.failure = StorageError("disk full", intact="all", advice="room")
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.service.run(bench.stop))
        await wait_until(lambda: bench.service.is_receiving)
        bench.broker.links[0].on_message(message())
        await wait_until(lambda: len(bench.broker.links) > 1)
        bench.stop.set()
    assert bench.broker.log == []
    assert bench.service.counters["ingest.storage"] == 1


async def test_a_receipt_that_is_lost_leaves_the_message_unacknowledged(bench: Bench) -> None:
    bench.broker.publish_errors = [LinkError("lost", code="link.lost")]
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.service.run(bench.stop))
        await wait_until(lambda: bench.service.is_receiving)
        bench.broker.links[0].on_message(message())
        await wait_until(lambda: len(bench.broker.links) > 1)
        bench.stop.set()
    assert bench.broker.log == ["store"]


async def test_a_receipt_the_broker_refuses_does_not_stop_the_others(bench: Bench) -> None:
    refused = LinkError("no", code="link.puback_refused", is_permanent=True)
    bench.broker.publish_errors = [refused]
    await bench.receive(message(b"one"), message(b"two"))
    assert bench.broker.log == ["store", "ack", "store", "receipt", "ack"]
    assert bench.service.counters["receipts.refused"] == 1


async def test_after_a_loss_it_connects_again(bench: Bench) -> None:
    bench.broker.connect_errors = [LinkError("no broker", code="link.unreachable")]
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.service.run(bench.stop))
        await wait_until(lambda: bench.service.is_receiving)
        bench.broker.links[-1].down.set()
        await wait_until(lambda: len(bench.broker.links) == 3)
        bench.stop.set()
    assert bench.service.counters["link.unreachable"] == 1
    assert bench.service.counters["link.lost"] == 1


async def test_a_refusal_that_waiting_does_not_heal_ends_the_service(bench: Bench) -> None:
    bench.broker.connect_errors = [
        LinkError("not authorised", code="link.refused", is_permanent=True)
    ]
    with pytest.raises(RefusedError, match="not authorised"):
        await bench.service.run(bench.stop)


async def test_more_than_it_can_hold_is_given_back_without_a_receipt_and_counted(
    bench: Bench,
) -> None:
    """The broker's window stays free; a vehicle without a receipt sends again."""
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.service.run(bench.stop))
        await wait_until(lambda: bench.service.is_receiving)
        for number in range(10):  # in one turn of the loop: nothing is taken in between
            bench.broker.links[0].on_message(message(str(number).encode()))
        await wait_until(lambda: bench.broker.log.count("ack") == 10)
        bench.stop.set()
    assert bench.service.counters["messages.dropped"] == 7
    assert bench.broker.log.count("receipt") == bench.broker.log.count("store") == 3
