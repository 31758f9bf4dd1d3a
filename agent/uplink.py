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
from dataclasses import dataclass, field
from typing import Protocol

from agent.consent.keys import VerifyKey
from agent.consent.receipts import ForgedReceiptError, VerifiedReceipt, verify_receipt
from agent.departure import DepartureLimits, Situation, Surroundings, hindrance, reason
from agent.sharing import Clock, Sharing
from agent.store.outbox import OutboxRow, OutboxState, UncoveredError
from agent.store.state import ReceiptRow
from agent.store.uplink_notes import Failure, UplinkNotes
from telemetry.codec.batch import CONTENT_TYPE, batch_id, batch_pseudonym
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.codec.part import split
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

    @property
    def max_payload_bytes(self) -> int | None:
        """Return what the broker takes in one message; None if it sets no limit."""

    @property
    def traffic_bytes(self) -> int:
        """Return what this link has cost so far, both ways."""

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
    limits: DepartureLimits = field(default_factory=DepartureLimits)


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
    priority: int  # lowest leaves first
    age_days: int  # days of use since the OK


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
        surroundings: Callable[[], Surroundings] = Surroundings,
    ) -> None:
        self._sharing = sharing
        self._outbox = sharing.outbox
        self._notes = UplinkNotes(sharing.state.database)
        self._surroundings = surroundings
        self._make_link = make_link
        self._ingest_key = ingest_key
        self._clock = clock
        self._settings = settings
        self._chance = chance or random.SystemRandom().random
        self._backoff = backoff or Backoff(self._chance)
        self._random_bytes = random_bytes
        self._answers: dict[tuple[bytes, int], asyncio.Future[VerifiedReceipt]] = {}
        self._wake = asyncio.Event()
        self._retry_at_s = 0.0
        self._failure: LinkError | None = None
        self._spent_bytes = 0  # today, on this network, before the connection that is open
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

    async def set_paused(self, *, is_paused: bool) -> None:
        """Switch sending off or on; a batch that is on its way is finished."""
        await asyncio.to_thread(self._notes.set_paused, is_paused=is_paused)
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
        situation, due = await asyncio.to_thread(self._look)
        if found := hindrance(situation):
            return _HOUSEKEEPING_S if found.wait_s is None else min(found.wait_s, _HOUSEKEEPING_S)
        if not due:
            return _HOUSEKEEPING_S
        self._spent_bytes = situation.spent_bytes
        try:
            await self._send(due)
        except LinkError as error:
            return await self._failed(error)
        await self._succeeded()
        return self._pause_s() if await asyncio.to_thread(self._due_of_one_pseudonym) else 0.0

    async def queue(self) -> list[QueueItem]:
        """Return everything confirmed and not delivered, in the order of leaving."""
        return await asyncio.to_thread(queue_items, self._sharing)

    async def why_not(self) -> str:
        """Say in one sentence why nothing leaves at this moment."""
        return await asyncio.to_thread(self._why_not)

    # one connection

    async def _send(self, rows: Sequence[OutboxRow]) -> None:
        client_id = new_client_id(self._random_bytes(CLIENT_ID_BYTES))
        link = self._make_link(client_id, self._on_message)
        try:
            await link.connect()
            receipts = ack_topic(client_id)
            await link.subscribe(receipts, timeout_s=self._settings.puback_timeout_s)
            await self._watched(link, rows, receipts)
        finally:
            await link.disconnect()
            await asyncio.to_thread(self._spend, link.traffic_bytes)

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
            await asyncio.to_thread(self._settle, row.batch_id, receipt)

    async def _exchange(self, link: Link, row: OutboxRow, receipts: str) -> VerifiedReceipt:
        limit = link.max_payload_bytes
        if limit is None or len(row.payload) <= limit:
            whole = _Letter(payload=row.payload, content_type=CONTENT_TYPE)
            return await self._one(link, row, whole, receipts)
        try:
            parts = split(row.payload, max_bytes=limit)
        except ValueError as error:
            raise LinkError(str(error), code=_TOO_LARGE) from error
        return await self._in_parts(link, row, parts, receipts)

    async def _in_parts(
        self, link: Link, row: OutboxRow, parts: Sequence[bytes], receipts: str
    ) -> VerifiedReceipt:
        count = len(parts)
        kept = await asyncio.to_thread(self._outbox.kept_parts, row.batch_id, parts=count)
        for number, payload in enumerate(parts, 1):
            if number in kept:
                continue
            self._expect_affordable(link, len(payload))
            letter = _Letter(payload=payload, content_type=PART_TYPE, part=number)
            answer = await self._one(link, row, letter, receipts)
            if answer.receipt.part == 0:  # about the whole batch: stored, duplicate or refused
                return answer
            await asyncio.to_thread(self._outbox.keep_part, row.batch_id, part=number, parts=count)
        await asyncio.to_thread(self._outbox.forget_parts, row.batch_id)
        raise LinkError(
            f"ingest kept {count} parts of batch {row.batch_id.hex()[:16]} and has lost some since;"
            " all are sent again",
            code="uplink.parts_lost",
        )

    def _expect_affordable(self, link: Link, size_bytes: int) -> None:
        limit = self._settings.limits.bytes_per_day.get(self._surroundings().network)
        spent = self._spent_bytes + link.traffic_bytes
        if limit is not None and self._spent_bytes and spent + size_bytes > limit:
            raise LinkError("today's data budget is used; the rest waits", code="uplink.budget")

    async def _one(
        self, link: Link, row: OutboxRow, letter: "_Letter", receipts: str
    ) -> VerifiedReceipt:
        with self._expect(row.batch_id, letter) as answer:  # listen first: it may be quick
            await link.publish(
                uplink_topic(Purpose(row.purpose)),
                letter.payload,
                timeout_s=self._settings.puback_timeout_s,
                content_type=letter.content_type,
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
    def _expect(self, batch: bytes, letter: "_Letter") -> Iterator[asyncio.Future[VerifiedReceipt]]:
        answer: asyncio.Future[VerifiedReceipt] = asyncio.get_running_loop().create_future()
        # an ingest that does not know parts refuses one under the hash of its bytes
        wanted = {(batch, 0), (batch, letter.part), (batch_id(letter.payload), 0)}
        self._answers.update(dict.fromkeys(wanted, answer))
        try:
            yield answer
        finally:
            for key in wanted:
                del self._answers[key]
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
        answer = self._answers.get((verified.receipt.batch_id, verified.receipt.part))
        if answer is None or answer.done():
            self.counters["receipt.unexpected"] += 1
            return
        answer.set_result(verified)

    # what blocks, in threads

    def _look(self) -> tuple[Situation, list[OutboxRow]]:
        due = self._due_of_one_pseudonym()
        return self._situation(due), due

    def _situation(self, due: Sequence[OutboxRow]) -> Situation:
        now, failure = self._sharing.moment(), self._failure
        surroundings, queued = self._surroundings(), self._outbox.queued()
        held_s = 0.0 if due else self._outbox.next_due_s(now) or 0.0
        return Situation(
            surroundings=surroundings,
            limits=self._settings.limits,
            is_paused=self._notes.is_paused(),
            is_refused=failure is not None and failure.is_permanent,
            failure=None if failure is None else str(failure),
            retry_in_s=max(0.0, self._retry_at_s - now.monotonic_s),
            queued=queued,
            withheld=_why_withheld(self._sharing) if queued and not (due or held_s) else None,
            held_s=held_s,
            next_bytes=len(due[0].payload) if due else 0,
            spent_bytes=self._notes.spent(now.utc.date(), surroundings.network),
        )

    def _due_of_one_pseudonym(self) -> list[OutboxRow]:
        due = [
            row
            for row in self._outbox.due(self._sharing.moment())
            if self._sharing.sending_decision(Purpose(row.purpose)).is_allowed
        ]
        if not due:
            return []
        first = batch_pseudonym(due[0].payload)
        return [row for row in due if batch_pseudonym(row.payload) == first]

    def _spend(self, size_bytes: int) -> None:
        if size_bytes:
            today = self._clock.utc_now().date()
            self._notes.spend(today, self._surroundings().network, size_bytes)

    def _remember(self) -> None:
        failure = self._failure
        if failure is None:
            self._notes.set_failure(None)
            return
        self._notes.set_failure(
            Failure(
                code=failure.code,
                text=str(failure),
                is_permanent=failure.is_permanent,
                boot_id=self._clock.boot_id(),
                retry_at_s=self._retry_at_s,
            )
        )

    def _stop_row(self, batch: bytes, code: str) -> None:
        self._outbox.stop(batch, code=code, now_utc=self._clock.utc_now())

    def _settle(self, batch: bytes, verified: VerifiedReceipt) -> None:
        receipt, now = verified.receipt, self._clock.utc_now()
        row = ReceiptRow(
            batch_id=batch,
            part=receipt.part,
            status=receipt.status,
            code=receipt.code,
            body=verified.body,
            signature=verified.signature,
            received_utc=now,
        )
        if receipt.status is ReceiptStatus.REFUSED:
            code = receipt.code or "ingest.refused"
            self._outbox.stop(batch, code=code, now_utc=now, receipt=row)
        else:
            self._outbox.confirm(row)
        log.info("receipt", extra={"batch": batch.hex(), "receipt_status": receipt.status})

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

    async def _failed(self, error: LinkError) -> float:
        self._failure = error
        self.counters[error.code] += 1
        delay_s = self._backoff.next_delay_s(is_overload=error.is_overload)
        self._retry_at_s = self._clock.monotonic_s() + delay_s
        log.warning(
            "uplink_failed",
            extra={"code": error.code, "permanent": error.is_permanent, "retry_s": delay_s},
        )
        await asyncio.to_thread(self._remember)
        return _HOUSEKEEPING_S if error.is_permanent else delay_s

    async def _succeeded(self) -> None:
        self._failure = None
        self._backoff.reset()
        await asyncio.to_thread(self._remember)

    def _why_not(self) -> str:
        situation, _ = self._look()
        if not (situation.queued or situation.is_paused):
            return _why_empty(self._sharing, queue_items(self._sharing))
        return reason(situation)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    """One message: a whole batch, or one part of it."""

    payload: bytes
    content_type: str
    part: int = 0


def queue_items(sharing: Sharing) -> list[QueueItem]:
    """Return everything confirmed and not delivered, in the order of leaving. Blocks."""
    now = sharing.moment()
    return [
        QueueItem(
            batch_id=row.batch_id.hex(),
            trip_id=row.trip_id,
            purpose=row.purpose,
            size_bytes=row.size_bytes,
            state=row.state,
            attempts=row.attempts,
            held_for_s=row.held_for_s(now) if row.attempts == 0 else 0.0,
            refusal=row.refusal,
            priority=row.priority,
            age_days=row.age_days,
        )
        for row in sharing.outbox.lines()
    ]


def _why_withheld(sharing: Sharing) -> str | None:
    decisions = (sharing.sending_decision(Purpose(line.purpose)) for line in sharing.outbox.lines())
    return next((found.sentence for found in decisions if not found.is_allowed), None)


def _why_empty(sharing: Sharing, stopped: Sequence[QueueItem]) -> str:
    if stopped:
        return f"Ingest refused batch {stopped[0].batch_id[:16]}: {stopped[0].refusal}."
    if not sharing.granted():
        return "No purpose is switched on; nothing leaves this vehicle."
    waiting = len({offer.trip_id for offer in sharing.state.offers()})
    if waiting:
        return f"The driver has not answered yet: {waiting} trips wait for OK or No."
    return "Nothing is waiting."
