"""The receiver: subscribe -> open -> decode -> dedupe -> sink -> signed receipt -> acknowledge.

The order is the promise. A receipt is sent only after the commit, and the broker is told "done"
only after the receipt: killed anywhere in between, the batch comes again and is answered with
*duplicate*. Between two messages there is no state.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from telemetry.codec.erase import RECEIPT_TYPE as ERASURE_TYPE
from telemetry.codec.erase import Erasure
from telemetry.codec.receipt import CONTENT_TYPE
from telemetry.ingest.desk import Desk
from telemetry.ingest.errors import RefusedError, StorageError
from telemetry.ingest.signing import ReceiptSigner
from telemetry.link import Backoff, LinkError
from telemetry.mqtt.messages import Message
from telemetry.records import Receipt
from telemetry.topics import ERASE_TOPIC, is_ack_topic

log = logging.getLogger(__name__)

SUBSCRIPTION = "$share/ingest/okdrive/1/up/+"  # shared: any number of receivers, each batch once
_PURGE_EVERY_S = 3600.0


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
    """Patience, and how much at the same time."""

    answer_timeout_s: float = 10.0
    workers: int = 1  # batches looked at at the same time
    max_waiting: int = 100  # messages in memory; the broker holds back what is not acknowledged


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
        self.in_progress = 0  # batches at a desk

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
        link = self._make_link(lambda message: self._enqueue(link, waiting, message))
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
        failures: list[LinkError | StorageError] = []
        async with asyncio.TaskGroup() as group:
            ends = [
                group.create_task(self._end_after(stop.wait(), waiting), name="ingest_stop"),
                group.create_task(self._end_after(link.wait_down(), waiting), name="ingest_down"),
            ]
            desks = [
                group.create_task(self._work(link, waiting, failures), name=f"ingest_desk_{number}")
                for number in range(self._settings.workers)
            ]
            await asyncio.wait(desks)
            for task in ends:
                task.cancel()
        if failures:
            raise failures[0]
        if not stop.is_set():
            raise LinkError("the connection to the broker was lost", code="link.lost")

    async def _work(
        self,
        link: Link,
        waiting: asyncio.Queue[Message | None],
        failures: list[LinkError | StorageError],
    ) -> None:
        while not failures and (message := await waiting.get()):
            self.in_progress += 1
            try:
                await self._answer(link, message)
            except (LinkError, StorageError) as error:  # leaves the group by itself
                failures.append(error)
                await self._end_all(waiting)
            finally:
                self.in_progress -= 1

    async def _end_all(self, waiting: asyncio.Queue[Message | None]) -> None:
        for _ in range(self._settings.workers):
            waiting.put_nowait(None)

    async def _end_after(
        self, event: Awaitable[object], waiting: asyncio.Queue[Message | None]
    ) -> None:
        await event
        await self._end_all(waiting)

    async def _answer(self, link: Link, message: Message) -> None:
        if message.topic == ERASE_TOPIC:
            answer = await asyncio.to_thread(self._desk.erase, message.payload)
        else:
            answer = await asyncio.to_thread(
                self._desk.take,
                message.topic,
                message.payload,
                message.content_type,
                message.correlation_data,
            )
        self._count(answer)
        await self._send(link, message, answer)
        link.ack(message)
        self._backoff.reset()

    def _count(self, answer: Receipt | Erasure) -> None:
        if isinstance(answer, Erasure):
            self.counters["erasures"] += 1
            log.info("erased", extra={"batches": answer.batches, "rows": answer.rows})
            return
        self.counters[f"batches.{'part' if answer.part else answer.status}"] += 1
        log.info("batch", extra={"batch_status": answer.status})

    async def _send(self, link: Link, message: Message, answer: Receipt | Erasure) -> None:
        topic = message.response_topic
        if topic is None or not is_ack_topic(topic):  # never publish where a stranger points
            self.counters["receipts.no_topic"] += 1
            return
        if isinstance(answer, Erasure):
            identity, content_type = answer.erase_id, ERASURE_TYPE
        else:
            identity, content_type = answer.batch_id, CONTENT_TYPE
        try:
            await link.publish(
                topic,
                self._signer.signed(answer),
                timeout_s=self._settings.answer_timeout_s,
                content_type=content_type,
                correlation_data=identity,
            )
        except LinkError as error:
            if not error.is_permanent:
                raise
            self.counters["receipts.refused"] += 1
            log.error("receipt_refused", extra={"code": error.code})  # noqa: TRY400 (one line)

    def _enqueue(
        self, link: Link, waiting: asyncio.Queue[Message | None], message: Message
    ) -> None:
        if waiting.qsize() < self._settings.max_waiting:
            waiting.put_nowait(message)
            return
        # mosquitto 2.0 sends more than our receive maximum once it has queued: memory stays
        # bounded, the broker's window free, and the vehicle without a receipt sends again
        self.counters["messages.dropped"] += 1
        link.ack(message)

    async def _back_off(self, error: LinkError | StorageError, stop: asyncio.Event) -> None:
        is_overload = isinstance(error, LinkError) and error.is_overload
        delay_s = self._backoff.next_delay_s(is_overload=is_overload)
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
