"""A far end in memory: a link that hands every batch to a desk and brings its receipt back."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from telemetry.codec.batch import batch_id
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.codec.part import Part, decode_part, join
from telemetry.ingest.signing import ReceiptSigner
from telemetry.link import LinkError
from telemetry.mqtt.messages import Message
from telemetry.purposes import Purpose
from telemetry.records import Receipt, ReceiptStatus
from telemetry.seal import SealError
from tests.support.sealing import RECIPIENT, FakeRecipient


@dataclass
class FakeFarEnd:
    """Broker and ingest in one; ``stored`` counts how often each batch was stored."""

    recipient: FakeRecipient = field(default_factory=lambda: RECIPIENT)
    stored: dict[bytes, int] = field(default_factory=dict)
    client_ids: list[str] = field(default_factory=list)
    published: list[bytes] = field(default_factory=list)
    refuse_with: str | None = None  # receipts say refused with this code
    is_silent: bool = False  # no receipt at all
    connect_error: LinkError | None = None
    publish_error: LinkError | None = None
    mangle: Callable[[bytes], bytes] = bytes  # what happens to a receipt on the way
    strangers_first: bool = False  # a receipt for another batch comes first
    loses_connection: bool = False  # goes down instead of answering
    max_payload_bytes: int | None = None  # what the broker takes in one message
    kept: dict[bytes, dict[int, Part]] = field(default_factory=dict)  # parts of unfinished batches
    joined: dict[bytes, bytes] = field(default_factory=dict)  # sealed id -> batch id
    forgets_parts: bool = False  # ingest lost what it kept
    knows_parts: bool = True  # an older ingest does not

    def make_link(self, client_id: str, on_message: Callable[[Message], None]) -> "FakeLink":
        self.client_ids.append(client_id)
        return FakeLink(self, on_message)

    def receipt_for(self, payload: bytes, content_type: str | None = None) -> Receipt:
        if content_type == PART_TYPE:
            if not self.knows_parts:
                refused = ReceiptStatus.REFUSED
                return Receipt(
                    batch_id=batch_id(payload), part=0, status=refused, code="codec.shape"
                )
            part = decode_part(payload, max_bytes=1 << 20)
            if known := self.joined.get(part.sealed_id):
                duplicate = ReceiptStatus.DUPLICATE
                return Receipt(batch_id=known, part=0, status=duplicate, code=None)
            parts = self.kept.setdefault(part.sealed_id, {})
            parts[part.part] = part
            if self.forgets_parts:
                parts.clear()
            if len(parts) < part.parts:
                return Receipt(
                    batch_id=part.sealed_id, part=part.part, status=ReceiptStatus.STORED, code=None
                )
            payload = join([parts[number] for number in sorted(parts)])
            del self.kept[part.sealed_id]
            self.joined[part.sealed_id] = batch_id(self.recipient.open(Purpose.BATTERY, payload))
        refused = ReceiptStatus.REFUSED
        try:
            identity = batch_id(self.recipient.open(Purpose.BATTERY, payload))
        except SealError as error:
            return Receipt(batch_id=batch_id(payload), part=0, status=refused, code=error.code)
        if self.refuse_with:
            return Receipt(batch_id=identity, part=0, status=refused, code=self.refuse_with)
        known = identity in self.stored
        self.stored.setdefault(identity, 1)
        status = ReceiptStatus.DUPLICATE if known else ReceiptStatus.STORED
        return Receipt(batch_id=identity, part=0, status=status, code=None)

    def signed(self, receipt: Receipt) -> bytes:
        return self.mangle(ReceiptSigner(self.recipient.signing[-1]).signed(receipt))


class FakeLink:
    connection_bytes = 0  # what connecting costs

    def __init__(self, far_end: FakeFarEnd, on_message: Callable[[Message], None]) -> None:
        self._far_end = far_end
        self._on_message = on_message
        self._down = asyncio.Event()
        self.subscribed = ""
        self.sent_bytes = 0

    async def connect(self) -> None:
        if self._far_end.connect_error:
            raise self._far_end.connect_error

    async def subscribe(self, topic: str, *, timeout_s: float) -> None:
        self.subscribed = topic

    async def publish(  # noqa: PLR0913 (the door it stands in for)
        self,
        topic: str,
        payload: bytes,
        *,
        timeout_s: float,
        content_type: str | None = None,
        response_topic: str | None = None,
        correlation_data: bytes | None = None,
    ) -> None:
        if self._far_end.publish_error:
            raise self._far_end.publish_error
        self._far_end.published.append(payload)
        self.sent_bytes += len(payload)
        receipt = self._far_end.receipt_for(payload, content_type)
        if self._far_end.loses_connection:
            self._down.set()
        if self._far_end.is_silent or self._far_end.loses_connection:
            return
        if self._far_end.strangers_first:
            other = Receipt(batch_id=bytes(32), part=0, status=ReceiptStatus.STORED, code=None)
            self._deliver(self._far_end.signed(other), response_topic)
        self._deliver(self._far_end.signed(receipt), response_topic)

    @property
    def max_payload_bytes(self) -> int | None:
        return self._far_end.max_payload_bytes

    @property
    def traffic_bytes(self) -> int:
        return self.connection_bytes + self.sent_bytes

    async def wait_down(self) -> None:
        await self._down.wait()

    async def disconnect(self) -> None:
        self._down.set()

    def _deliver(self, payload: bytes, topic: str | None) -> None:
        assert topic == self.subscribed
        self._on_message(
            Message(
                topic=topic,
                payload=payload,
                response_topic=None,
                correlation_data=None,
                content_type=None,
                mid=1,
            )
        )
