"""The receiver: subscribe -> open -> decode -> dedupe -> sink -> signed receipt -> acknowledge.

The order is the promise. A receipt is sent only after the commit, and the broker is told "done"
only after the receipt: killed anywhere in between, the batch comes again and is answered with
*duplicate*. Between two messages there is no state.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from telemetry.codec.batch import BatchLimits, batch_id, batch_pseudonym, claimed_rows
from telemetry.codec.erase import RECEIPT_TYPE as ERASURE_TYPE
from telemetry.codec.erase import Erasure, decode_erase, erase_id
from telemetry.codec.errors import CodecError
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.codec.part import Part, decode_part, join
from telemetry.codec.receipt import CONTENT_TYPE
from telemetry.ingest.clock import Clock
from telemetry.ingest.dedupe import Standing
from telemetry.ingest.entries import Quarantined
from telemetry.ingest.erasure import Eraser
from telemetry.ingest.errors import RefusedError, StorageError
from telemetry.ingest.signing import ReceiptSigner
from telemetry.ingest.sink import Arrival, ParquetSink, Prepared, prepare
from telemetry.ingest.store import Store
from telemetry.link import Backoff, LinkError
from telemetry.mqtt.messages import Message
from telemetry.purposes import Purpose
from telemetry.records import Receipt, ReceiptStatus
from telemetry.seal import ERASE, SealError, key_id_of, largest_sealed
from telemetry.topics import ERASE_TOPIC, TopicError, is_ack_topic, parse_uplink

log = logging.getLogger(__name__)

SUBSCRIPTION = "$share/ingest/okdrive/1/up/+"  # shared: any number of receivers, each batch once
_PURGE_EVERY_S = 3600.0
_REASON_CHARS = 300
WITHDRAWN = "ingest.withdrawn"  # its vehicle took it back
_STATUS = {
    Standing.STORED: ReceiptStatus.STORED,
    Standing.KNOWN: ReceiptStatus.DUPLICATE,
    Standing.WITHDRAWN: ReceiptStatus.REFUSED,
}


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
    max_rows_per_byte: int = 2_000  # a small batch may not claim to be a huge one
    parts_days: int = 7  # parts wait this long for the others
    parts_max_bytes: int = 256 * 1024 * 1024
    workers: int = 1  # batches looked at at the same time
    max_waiting: int = 100  # messages in memory; the broker holds back what is not acknowledged


Prepare = Callable[[bytes], Prepared]  # decodes and checks; raises CodecError
OpenSealed = Callable[[str, bytes], bytes]  # what for, what came; raises SealError


class Desk:
    """Takes one message at a time and says what to answer. Blocks; knows no network.

    Any number of threads and processes may take messages for the same store.
    """

    def __init__(
        self,
        *,
        store: Store,
        open_sealed: OpenSealed,
        clock: Clock,
        settings: ServiceSettings,
        prepare_batch: Prepare | None = None,
    ) -> None:
        self._index = store.index
        self._sink = ParquetSink(store.files, store.index)
        self._eraser = Eraser(store.index.database, store.files)
        self._open = open_sealed
        self._clock = clock
        self._settings = settings
        self._prepare = prepare_batch or (lambda payload: prepare(payload, settings.limits))

    def take(self, topic: str, payload: bytes, content_type: str | None = None) -> Receipt:
        """Store a batch or a part, or refuse it into quarantine; then the answer is true.

        Raises:
            StorageError: Neither could be written; there is no answer.
        """
        is_part = content_type == PART_TYPE
        receipt = self._take_part(topic, payload) if is_part else self._take_whole(topic, payload)
        if receipt.code != WITHDRAWN:  # nothing of it may be kept
            self._index.note_receipt(receipt, self._today())
        return receipt

    def erase(self, message: bytes) -> Erasure | Receipt:
        """Delete what ``message`` asks for; a refusal if it asks for nothing that can be read.

        Raises:
            StorageError: It could not be deleted, or not all of it; there is no answer.
        """
        identity = erase_id(message)  # until it is open there is no other name for it
        try:
            opened = self._open(ERASE, message)
            identity = erase_id(opened)
            request = decode_erase(opened)
        except (CodecError, SealError) as error:  # not kept aside: it may hold a token
            return Receipt(batch_id=identity, part=0, status=ReceiptStatus.REFUSED, code=error.code)
        return self._eraser.erase(request, erase_id=identity)

    def purge(self) -> int:
        """Delete what has been aside long enough; return how many."""
        today, settings = self._today(), self._settings
        purged = self._index.purge_quarantine(today, days=settings.quarantine_days)
        purged += self._index.purge_parts(today, days=settings.parts_days)
        return purged + self._sink.sweep(today)

    def _today(self) -> date:
        return self._clock.utc_now().date()

    def _take_whole(self, topic: str, sealed: bytes) -> Receipt:
        identity, opened = batch_id(sealed), b""  # until it is open there is no other name for it
        try:
            purpose = parse_uplink(topic)
            opened = self._open(purpose, sealed)
            identity = batch_id(opened)
            batch = self._prepared(purpose, opened)
        except (CodecError, SealError, TopicError) as error:
            return self._refuse(identity, sealed, error, opened=opened)
        arrival = Arrival(
            batch_id=identity,
            part=0,
            batch=batch,
            size_bytes=len(sealed),
            day=self._today(),
        )
        status = _STATUS[self._sink.store(arrival)]
        code = WITHDRAWN if status is ReceiptStatus.REFUSED else None
        return Receipt(batch_id=identity, part=0, status=status, code=code)

    def _take_part(self, topic: str, payload: bytes) -> Receipt:
        try:
            parse_uplink(topic)
            part = decode_part(payload, max_bytes=largest_sealed(self._settings.limits.max_bytes))
        except (CodecError, TopicError) as error:
            return self._refuse(batch_id(payload), payload, error)
        if known := self._index.joined(part.sealed_id):
            return Receipt(batch_id=known, part=0, status=ReceiptStatus.DUPLICATE, code=None)
        parts = self._index.keep_part(part, self._today(), max_bytes=self._settings.parts_max_bytes)
        if not parts:
            return Receipt(
                batch_id=part.sealed_id, part=part.part, status=ReceiptStatus.STORED, code=None
            )
        return self._complete(topic, parts)

    def _complete(self, topic: str, parts: Sequence[Part]) -> Receipt:
        sealed_id = parts[0].sealed_id
        try:
            receipt = self._take_whole(topic, join(parts))
        except CodecError as error:
            joined = b"".join(part.chunk for part in parts)
            receipt = self._refuse(sealed_id, joined, error)
        is_stored = receipt.status is not ReceiptStatus.REFUSED
        self._index.end_parts(sealed_id, receipt.batch_id if is_stored else None, self._today())
        return receipt

    def _prepared(self, purpose: Purpose, payload: bytes) -> Prepared:
        limits = self._settings.limits
        rows = claimed_rows(payload, limits)
        if rows > self._settings.max_rows_per_byte * len(payload):
            raise CodecError(
                f"batch: expected at most {self._settings.max_rows_per_byte} rows a byte,"
                f" got {rows} rows in {len(payload)} bytes",
                code="ingest.ratio",
            )
        batch = self._prepare(payload)
        if batch.purpose != purpose:
            raise CodecError(
                f"batch: expected purpose {purpose} on this topic, got {batch.purpose}",
                code="ingest.wrong_topic",
            )
        return batch

    def _refuse(
        self,
        identity: bytes,
        payload: bytes,
        error: CodecError | SealError | TopicError,
        *,
        opened: bytes = b"",
    ) -> Receipt:
        """Keep ciphertext and reason; other bytes are not kept: nobody knows what they are."""
        is_small = len(payload) <= largest_sealed(self._settings.limits.max_bytes)
        refused = Quarantined(
            batch_id=identity,
            code=error.code,
            reason=str(error)[:_REASON_CHARS],
            size_bytes=len(payload),
            payload=payload if is_small and _is_sealed(payload) else None,
            pseudonym=_pseudonym(opened),
            day=self._today(),
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
                self._desk.take, message.topic, message.payload, message.content_type
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
        log.info("batch", extra={"batch": answer.batch_id.hex(), "batch_status": answer.status})

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


def _pseudonym(payload: bytes) -> bytes | None:
    try:
        return batch_pseudonym(payload)
    except CodecError:
        return None


def _is_sealed(payload: bytes) -> bool:
    try:
        key_id_of(payload)
    except SealError:
        return False
    return True


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
