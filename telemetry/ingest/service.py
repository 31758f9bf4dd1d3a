"""The receiver: subscribe -> decode -> dedupe -> sink -> signed receipt -> acknowledge.

The order is the promise. A receipt is sent only after the commit, and the broker is told "done"
only after the receipt: killed anywhere in between, the batch comes again and is answered with
*duplicate*. Between two messages there is no state.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from telemetry.codec.batch import BatchLimits, DecodedBatch, batch_id, decode_batch
from telemetry.codec.errors import CodecError
from telemetry.codec.receipt import CONTENT_TYPE
from telemetry.ingest.clock import Clock, minute_of
from telemetry.ingest.dedupe import Index, Quarantined
from telemetry.ingest.errors import RefusedError, StorageError
from telemetry.ingest.signing import ReceiptSigner
from telemetry.ingest.sink import Arrival, Sink
from telemetry.link import Backoff, LinkError
from telemetry.mqtt.messages import Message
from telemetry.records import Receipt, ReceiptStatus
from telemetry.topics import TopicError, is_ack_topic, parse_uplink

log = logging.getLogger(__name__)

SUBSCRIPTION = "$share/ingest/okdrive/1/up/+"  # shared: any number of receivers, each batch once
_PURGE_EVERY_S = 3600.0
_REASON_CHARS = 300


class Link(Protocol):
    """One connection to the broker, with acknowledgements by hand. Raises LinkError only."""

    async def connect(self) -> None:
        """Connect, or raise."""

    async def subscribe(self, topic: str, *, timeout_s: float) -> None:
        """Subscribe, or raise."""

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        timeout_s: float,
        content_type: str | None = None,
        correlation_data: bytes | None = None,
    ) -> None:
        """Publish with QoS 1 and wait for the broker's acknowledgement, or raise."""

    def ack(self, message: Message) -> None:
        """Tell the broker that ``message`` is done with."""

    async def wait_down(self) -> None:
        """Return when the connection is lost."""

    async def disconnect(self) -> None:
        """Close the connection; does nothing if there is none."""


MakeLink = Callable[[Callable[[Message], None]], Link]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """Limits and patience."""

    limits: BatchLimits = field(default_factory=BatchLimits)
    quarantine_days: int = 7
    quarantine_max: int = 10_000
    answer_timeout_s: float = 10.0
    max_waiting: int = 100  # messages in memory; the broker holds back what is not acknowledged


class Desk:
    """Takes one message at a time and says what to answer. Blocks; knows no network."""

    def __init__(
        self, *, index: Index, sink: Sink, clock: Clock, settings: ServiceSettings
    ) -> None:
        self._index = index
        self._sink = sink
        self._clock = clock
        self._settings = settings

    def take(self, topic: str, payload: bytes) -> Receipt:
        """Store a batch, or refuse it into quarantine; the answer is true once this returns.

        Raises:
            StorageError: Neither could be written; there is no answer.
        """
        now = self._clock.utc_now()
        identity = batch_id(payload)
        try:
            arrival = Arrival(
                batch_id=identity,
                part=0,
                batch=self._decoded(topic, payload),
                size_bytes=len(payload),
                minute=minute_of(now),
            )
        except (CodecError, TopicError) as error:
            receipt = self._refuse(identity, payload, error)
        else:
            status = ReceiptStatus.STORED if self._sink.store(arrival) else ReceiptStatus.DUPLICATE
            receipt = Receipt(batch_id=identity, part=0, status=status, code=None)
        self._index.note_receipt(receipt, now)
        return receipt

    def purge(self) -> int:
        """Delete what has been in quarantine long enough; return how many."""
        return self._index.purge_quarantine(
            self._clock.utc_now(), days=self._settings.quarantine_days
        )

    def _decoded(self, topic: str, payload: bytes) -> DecodedBatch:
        purpose = parse_uplink(topic)
        batch = decode_batch(payload, limits=self._settings.limits)
        if batch.purpose is not purpose:
            raise CodecError(
                f"batch: expected purpose {purpose} on this topic, got {batch.purpose}",
                code="ingest.wrong_topic",
            )
        return batch

    def _refuse(self, identity: bytes, payload: bytes, error: CodecError | TopicError) -> Receipt:
        is_small = len(payload) <= self._settings.limits.max_bytes
        refused = Quarantined(
            batch_id=identity,
            code=error.code,
            reason=str(error)[:_REASON_CHARS],
            size_bytes=len(payload),
            payload=payload if is_small else None,
            minute=minute_of(self._clock.utc_now()),
        )
        self._index.quarantine(refused, keep=self._settings.quarantine_max)
        return Receipt(batch_id=identity, part=0, status=ReceiptStatus.REFUSED, code=error.code)


class IngestService:
    """Keeps one connection to the broker and answers every batch that comes over it."""

    def __init__(
        self,
        *,
        make_link: MakeLink,
        desk: Desk,
        signer: ReceiptSigner,
        backoff: Backoff,
        settings: ServiceSettings,
    ) -> None:
        self._make_link = make_link
        self._desk = desk
        self._signer = signer
        self._backoff = backoff
        self._settings = settings
        self.counters: Counter[str] = Counter()
        self.is_receiving = False

    async def run(self, stop: asyncio.Event) -> None:
        """Receive until ``stop``; connect again after every loss.

        Raises:
            RefusedError: The broker will not have us, and waiting does not heal it.
        """
        refusal = None
        async with asyncio.TaskGroup() as group:
            purge = group.create_task(self._purge_forever(stop), name="ingest_purge")
            while not stop.is_set() and refusal is None:
                refusal = await self._serve_once(stop)
            purge.cancel()
        if refusal:
            raise _refused(refusal) from refusal

    async def _serve_once(self, stop: asyncio.Event) -> LinkError | None:
        """Serve one connection and wait before the next; return a refusal that is final."""
        try:
            await self._serve(stop)
        except LinkError as error:
            if error.is_permanent:
                return error
            await self._back_off(error, stop)
        except StorageError as error:
            await self._back_off(error, stop)
        return None

    async def _serve(self, stop: asyncio.Event) -> None:
        """Serve one connection until ``stop``; raise LinkError when it is lost."""
        waiting: asyncio.Queue[Message | None] = asyncio.Queue()  # bounded by _enqueue
        link = self._make_link(lambda message: self._enqueue(waiting, message))
        await link.connect()
        try:
            await link.subscribe(SUBSCRIPTION, timeout_s=self._settings.answer_timeout_s)
            self.is_receiving = True
            log.info("ingest_receiving")
            await self._serve_until_end(link, waiting, stop)
        finally:
            self.is_receiving = False
            await link.disconnect()

    async def _serve_until_end(
        self, link: Link, waiting: asyncio.Queue[Message | None], stop: asyncio.Event
    ) -> None:
        failure: LinkError | StorageError | None = None
        async with asyncio.TaskGroup() as group:
            ends = [
                group.create_task(_end_after(stop.wait(), waiting), name="ingest_stop"),
                group.create_task(_end_after(link.wait_down(), waiting), name="ingest_down"),
            ]
            try:
                while message := await waiting.get():
                    await self._answer(link, message)
            except (LinkError, StorageError) as error:  # leaves the group by itself
                failure = error
            for task in ends:
                task.cancel()
        if failure:
            raise failure
        if not stop.is_set():
            raise LinkError("the connection to the broker was lost", code="link.lost")

    async def _answer(self, link: Link, message: Message) -> None:
        receipt = await asyncio.to_thread(self._desk.take, message.topic, message.payload)
        self.counters[f"batches.{receipt.status}"] += 1
        log.info("batch", extra={"batch": receipt.batch_id.hex(), "batch_status": receipt.status})
        await self._send_receipt(link, message, receipt)
        link.ack(message)
        self._backoff.reset()

    async def _send_receipt(self, link: Link, message: Message, receipt: Receipt) -> None:
        topic = message.response_topic
        if topic is None or not is_ack_topic(topic):  # never publish where a stranger points
            self.counters["receipts.no_topic"] += 1
            return
        try:
            await link.publish(
                topic,
                self._signer.signed(receipt),
                timeout_s=self._settings.answer_timeout_s,
                content_type=CONTENT_TYPE,
                correlation_data=receipt.batch_id,
            )
        except LinkError as error:
            if not error.is_permanent:
                raise
            self.counters["receipts.refused"] += 1
            log.error("receipt_refused", extra={"code": error.code})  # noqa: TRY400 (one line)

    def _enqueue(self, waiting: asyncio.Queue[Message | None], message: Message) -> None:
        if waiting.qsize() >= self._settings.max_waiting:  # only QoS 0 can get here
            self.counters["messages.dropped"] += 1
            return
        waiting.put_nowait(message)

    async def _back_off(self, error: LinkError | StorageError, stop: asyncio.Event) -> None:
        delay_s = self._backoff.next_delay_s()
        self.counters[error.code] += 1
        log.warning(
            "ingest_waits", extra={"code": error.code, "reason": str(error), "retry_s": delay_s}
        )
        await _wait(stop, delay_s)

    async def _purge_forever(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await asyncio.to_thread(self._desk.purge)
            except StorageError as error:
                log.warning("purge_failed", extra={"code": error.code, "reason": str(error)})
            await _wait(stop, _PURGE_EVERY_S)


async def _end_after(event: Awaitable[object], waiting: asyncio.Queue[Message | None]) -> None:
    await event
    waiting.put_nowait(None)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _refused(error: LinkError) -> RefusedError:
    return RefusedError(
        str(error),
        intact="what was stored is intact; unanswered batches stay in their vehicles",
        advice="check the certificate of ingest and the broker's access list",
    )
