"""Flow 2, the side of the network: outbox -> MQTT -> ingest -> receipt -> row deleted.

A connection exists only while there is a confirmed batch that may leave; each carries one pseudonym
under a client id that was never used before. The broker's acknowledgement is not delivery: only a
receipt signed by ingest empties the outbox.
"""

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from agent.consent.keys import VerifyKey
from agent.consent.receipts import ForgedReceiptError, VerifiedReceipt, verify_receipt
from agent.sharing import Clock, Sharing
from agent.store.outbox import OutboxRow, OutboxState, UncoveredError
from agent.store.state import ReceiptRow
from telemetry.codec.batch import CONTENT_TYPE, decode_batch
from telemetry.link import Backoff, LinkError
from telemetry.mqtt.messages import Message
from telemetry.purposes import Purpose
from telemetry.records import ReceiptStatus
from telemetry.topics import CLIENT_ID_BYTES, ack_topic, new_client_id, uplink_topic

log = logging.getLogger(__name__)

_TOO_LARGE = "link.too_large"  # about this batch; every other refusal is about this vehicle
_HOUSEKEEPING_S = 3600.0  # look at expiry this often, also when nothing is sent


class Link(Protocol):
    """One connection to the broker. Every method raises LinkError and nothing else."""

    async def connect(self) -> None:
        """Connect, or raise."""

    async def subscribe(self, topic: str, *, timeout_s: float) -> None:
        """Subscribe, or raise."""

    async def publish(  # noqa: PLR0913 (one MQTT message has these parts)
        self,
        topic: str,
        payload: bytes,
        *,
        timeout_s: float,
        content_type: str | None = None,
        response_topic: str | None = None,
        correlation_data: bytes | None = None,
    ) -> None:
        """Publish with QoS 1 and wait for the broker's acknowledgement, or raise."""

    async def wait_down(self) -> None:
        """Return when the connection is lost."""

    async def disconnect(self) -> None:
        """Close the connection; does nothing if there is none."""


MakeLink = Callable[[str, Callable[[Message], None]], Link]  # client id, what to do with messages


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkSettings:
    """How long to wait for whom."""

    puback_timeout_s: float = 10.0
    receipt_timeout_s: float = 30.0
    pause_max_s: float = 30.0  # random pause between two pseudonyms


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """One row of the outbox as the queue command and the screen show it."""

    batch_id: str  # hex
    trip_id: str
    purpose: str
    size_bytes: int
    state: OutboxState
    attempts: int
    held_for_s: float  # > 0: can still be taken back
    refusal: str | None


class Uplink:
    """Sends confirmed batches until each has its receipt."""

    def __init__(  # noqa: PLR0913 (the doors of the flow, each named)
        self,
        *,
        sharing: Sharing,
        make_link: MakeLink,
        ingest_key: VerifyKey,
        clock: Clock,
        settings: UplinkSettings,
        backoff: Backoff | None = None,
        chance: Callable[[], float] | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._sharing = sharing
        self._outbox = sharing.outbox
        self._make_link = make_link
        self._ingest_key = ingest_key
        self._clock = clock
        self._settings = settings
        self._chance = chance or random.SystemRandom().random
        self._backoff = backoff or Backoff(self._chance)
        self._random_bytes = random_bytes
        self._answers: dict[bytes, asyncio.Future[VerifiedReceipt]] = {}
        self._wake = asyncio.Event()
        self._retry_at_s = 0.0
        self._failure: LinkError | None = None
        self.counters: Counter[str] = Counter()

    def wake(self) -> None:
        """Look at the outbox now: call it in the loop's thread after an answer of the driver."""
        self._wake.set()

    def resume(self) -> None:
        """Try again after a refusal that waiting does not heal, or before a back-off is over."""
        self._failure = None
        self._retry_at_s = 0.0
        self._backoff.reset()
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due until ``stop``; raises StoreError if the state file fails."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wake_at(stop), name="uplink_stop")
            while not stop.is_set():
                self._wake.clear()
                await asyncio.to_thread(self._sharing.expire)
                await self._sleep(await self.step())

    async def step(self) -> float:
        """Send what is due over one connection; return the seconds until it is worth another."""
        remaining_s = self._retry_at_s - self._clock.monotonic_s()
        if remaining_s > 0 or self._is_blocked():
            return max(remaining_s, 0.0) or _HOUSEKEEPING_S
        due = await asyncio.to_thread(self._due_of_one_pseudonym)
        if not due:
            return await asyncio.to_thread(self._seconds_to_next)
        try:
            await self._send(due)
        except LinkError as error:
            return self._failed(error)
        self._failure = None
        self._backoff.reset()
        return self._pause_s() if await asyncio.to_thread(self._due_of_one_pseudonym) else 0.0

    async def queue(self) -> list[QueueItem]:
        """Return everything confirmed and not delivered, oldest first."""
        return await asyncio.to_thread(queue_items, self._sharing)

    async def why_not(self) -> str:
        """Say in one sentence why nothing leaves at this moment."""
        return await asyncio.to_thread(self._why_not)

    # one connection

    async def _send(self, rows: Sequence[OutboxRow]) -> None:
        client_id = new_client_id(self._random_bytes(CLIENT_ID_BYTES))
        link = self._make_link(client_id, self._on_message)
        await link.connect()
        try:
            receipts = ack_topic(client_id)
            await link.subscribe(receipts, timeout_s=self._settings.puback_timeout_s)
            await self._watched(link, rows, receipts)
        finally:
            await link.disconnect()

    async def _watched(self, link: Link, rows: Sequence[OutboxRow], receipts: str) -> None:
        failure = None
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(self._fail_when_down(link), name="uplink_watch")
            try:
                for row in rows:
                    await self._deliver(link, row, receipts)
            except LinkError as error:  # leaves the group by itself, not inside a group of errors
                failure = error
            watcher.cancel()
        if failure:
            raise failure

    async def _deliver(self, link: Link, row: OutboxRow, receipts: str) -> None:
        try:
            await asyncio.to_thread(self._outbox.begin_attempt, row.batch_id)
        except UncoveredError as error:  # withdrawn a moment ago, or a damaged file
            log.warning("batch_withheld", extra={"batch": row.batch_id.hex(), "code": error.code})
            await asyncio.to_thread(self._stop_row, row.batch_id, error.code)
            return
        try:
            receipt = await self._exchange(link, row, receipts)
        except LinkError as error:
            if error.code != _TOO_LARGE:
                raise
            await asyncio.to_thread(self._stop_row, row.batch_id, error.code)
        else:
            await asyncio.to_thread(self._settle, receipt)

    async def _exchange(self, link: Link, row: OutboxRow, receipts: str) -> VerifiedReceipt:
        with self._expect(row.batch_id) as answer:  # listen first: the answer may be quick
            await link.publish(
                uplink_topic(Purpose(row.purpose)),
                row.payload,
                timeout_s=self._settings.puback_timeout_s,
                content_type=CONTENT_TYPE,
                response_topic=receipts,
                correlation_data=row.batch_id,
            )
            return await self._receipt(row.batch_id, answer)

    async def _receipt(
        self, batch: bytes, answer: asyncio.Future[VerifiedReceipt]
    ) -> VerifiedReceipt:
        try:
            async with asyncio.timeout(self._settings.receipt_timeout_s):
                return await answer
        except TimeoutError:
            raise LinkError(
                f"batch {batch.hex()[:16]} was sent but not acknowledged by ingest; it is kept",
                code="uplink.no_receipt",
            ) from None

    @contextmanager
    def _expect(self, batch: bytes) -> Iterator[asyncio.Future[VerifiedReceipt]]:
        answer: asyncio.Future[VerifiedReceipt] = asyncio.get_running_loop().create_future()
        self._answers[batch] = answer
        try:
            yield answer
        finally:
            del self._answers[batch]
            answer.cancel()

    async def _fail_when_down(self, link: Link) -> None:
        await link.wait_down()
        for answer in self._answers.values():
            if not answer.done():
                lost = LinkError("the connection was lost; the batch is kept", code="link.lost")
                answer.set_exception(lost)

    def _on_message(self, message: Message) -> None:
        try:
            verified = verify_receipt(message.payload, self._ingest_key)
        except ForgedReceiptError as error:
            self.counters[error.code] += 1
            log.warning("receipt_forged", extra={"code": error.code})
            return
        answer = self._answers.get(verified.receipt.batch_id)
        if answer is None or answer.done() or verified.receipt.part != 0:
            self.counters["receipt.unexpected"] += 1
            return
        answer.set_result(verified)

    # what blocks, in threads

    def _due_of_one_pseudonym(self) -> list[OutboxRow]:
        due = [
            row
            for row in self._outbox.due(self._sharing.moment())
            if self._sharing.decision(Purpose(row.purpose)).is_allowed
        ]
        if not due:
            return []
        first = decode_batch(due[0].payload).pseudonym
        return [row for row in due if decode_batch(row.payload).pseudonym == first]

    def _seconds_to_next(self) -> float:
        seconds = self._outbox.next_due_s(self._sharing.moment())
        return _HOUSEKEEPING_S if seconds is None else min(seconds, _HOUSEKEEPING_S)

    def _stop_row(self, batch: bytes, code: str) -> None:
        self._outbox.stop(batch, code=code, now_utc=self._clock.utc_now())

    def _settle(self, verified: VerifiedReceipt) -> None:
        receipt, now = verified.receipt, self._clock.utc_now()
        row = ReceiptRow(
            batch_id=receipt.batch_id,
            part=receipt.part,
            status=receipt.status,
            code=receipt.code,
            body=verified.body,
            signature=verified.signature,
            received_utc=now,
        )
        if receipt.status is ReceiptStatus.REFUSED:
            code = receipt.code or "ingest.refused"
            self._outbox.stop(receipt.batch_id, code=code, now_utc=now, receipt=row)
        else:
            self._outbox.confirm(row)
        log.info(
            "receipt", extra={"batch": receipt.batch_id.hex(), "receipt_status": receipt.status}
        )

    # waiting

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _pause_s(self) -> float:
        pause_s = self._chance() * self._settings.pause_max_s
        self._retry_at_s = self._clock.monotonic_s() + pause_s
        return pause_s

    def _failed(self, error: LinkError) -> float:
        self._failure = error
        self.counters[error.code] += 1
        delay_s = self._backoff.next_delay_s()
        self._retry_at_s = self._clock.monotonic_s() + delay_s
        log.warning(
            "uplink_failed",
            extra={"code": error.code, "permanent": error.is_permanent, "retry_s": delay_s},
        )
        return _HOUSEKEEPING_S if error.is_permanent else delay_s

    def _is_blocked(self) -> bool:
        return self._failure is not None and self._failure.is_permanent

    def _why_not(self) -> str:
        items = queue_items(self._sharing)
        queued = [item for item in items if item.state is OutboxState.QUEUED]
        if not queued:
            return _why_empty(self._sharing, items)
        if self._failure and self._failure.is_permanent:
            return f"Stopped: {self._failure}. Waiting does not heal this."
        held_s = min(item.held_for_s for item in queued)
        if held_s > 0:
            return f"The driver can still take it back for {held_s:.0f} s."
        if self._failure:
            wait_s = max(0.0, self._retry_at_s - self._clock.monotonic_s())
            return f"The last attempt failed: {self._failure}. Next attempt in {wait_s:.0f} s."
        return f"{len(queued)} batches are being sent."


def queue_items(sharing: Sharing) -> list[QueueItem]:
    """Return everything confirmed and not delivered, oldest first. Blocks."""
    now = sharing.moment()
    return [
        QueueItem(
            batch_id=row.batch_id.hex(),
            trip_id=row.trip_id,
            purpose=row.purpose,
            size_bytes=len(row.payload),
            state=row.state,
            attempts=row.attempts,
            held_for_s=row.held_for_s(now) if row.attempts == 0 else 0.0,
            refusal=row.refusal,
        )
        for row in sharing.outbox.rows()
    ]


def _why_empty(sharing: Sharing, stopped: Sequence[QueueItem]) -> str:
    if stopped:
        return f"Ingest refused batch {stopped[0].batch_id[:16]}: {stopped[0].refusal}."
    if not sharing.granted():
        return "No purpose is switched on; nothing leaves this vehicle."
    waiting = len({offer.trip_id for offer in sharing.state.offers()})
    if waiting:
        return f"The driver has not answered yet: {waiting} trips wait for OK or No."
    return "Nothing is waiting."
