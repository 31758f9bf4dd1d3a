"""One connection of the uplink: a batch goes out, whole or in parts, and its receipt comes back.

The broker's acknowledgement is not delivery: only a receipt signed by ingest ends a batch.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from agent.consent.receipts import ForgedReceiptError, VerifiedReceipt
from agent.store.outbox import Outbox
from agent.store.queued import OutboxRow
from telemetry.codec.batch import batch_id
from telemetry.codec.part import CONTENT_TYPE as PART_TYPE
from telemetry.codec.part import split
from telemetry.link import LinkError
from telemetry.mqtt.messages import Message
from telemetry.purposes import Purpose
from telemetry.seal import CONTENT_TYPE
from telemetry.topics import ack_topic, uplink_topic

log = logging.getLogger(__name__)

TOO_LARGE = "link.too_large"  # about this batch; every other refusal is about this vehicle


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
class Patience:
    """How long to wait for whom."""

    puback_s: float = 10.0
    receipt_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    """One message: a whole sealed batch, or one part of it."""

    payload: bytes
    content_type: str
    sealed_id: bytes  # SHA-256 of the whole sealed batch
    part: int = 0


class Receipts:
    """What somebody waits for, and what arrives; only a genuine receipt that is expected counts."""

    def __init__(self, believe: Callable[[bytes], VerifiedReceipt], counters: Counter[str]) -> None:
        """``believe`` raises ForgedReceiptError for what no key of ingest signed."""
        self._believe = believe
        self._counters = counters
        self._answers: dict[tuple[bytes, int], asyncio.Future[VerifiedReceipt]] = {}

    @contextmanager
    def expect(self, batch: bytes, letter: _Letter) -> Iterator[asyncio.Future[VerifiedReceipt]]:
        """Wait for what ingest says to ``letter``."""
        answer: asyncio.Future[VerifiedReceipt] = asyncio.get_running_loop().create_future()
        # what cannot be opened is refused under the hash of the bytes that came
        came = {(batch_id(letter.payload), 0), (letter.sealed_id, 0)}
        wanted = {(batch, 0), (letter.sealed_id, letter.part), *came}
        self._answers.update(dict.fromkeys(wanted, answer))
        try:
            yield answer
        finally:
            for key in wanted:
                del self._answers[key]
            answer.cancel()

    def on_message(self, message: Message) -> None:
        """Take what the broker brought; a stranger's or forged receipt is counted and no more."""
        try:
            verified = self._believe(message.payload)
        except ForgedReceiptError as error:
            self._counters[error.code] += 1
            log.warning("receipt_forged", extra={"code": error.code})
            return
        answer = self._answers.get((verified.receipt.batch_id, verified.receipt.part))
        if answer is None or answer.done():
            self._counters["receipt.unexpected"] += 1
            return
        answer.set_result(verified)

    def fail(self, error: LinkError) -> None:
        """Tell everybody who waits that nothing comes any more."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)


class Delivery:
    """The batches of one pseudonym over one link, under a client id of its own."""

    def __init__(  # noqa: PLR0913 (the doors of a delivery, each named)
        self,
        link: Link,
        *,
        client_id: str,
        receipts: Receipts,
        outbox: Outbox,
        patience: Patience,
        expect_affordable: Callable[[int], None],
    ) -> None:
        self._link = link
        self._answer_to = ack_topic(client_id)
        self._receipts = receipts
        self._outbox = outbox
        self._patience = patience
        self._expect_affordable = expect_affordable

    async def open(self) -> None:
        """Connect and listen for receipts; raise LinkError."""
        await self._link.connect()
        await self._link.subscribe(self._answer_to, timeout_s=self._patience.puback_s)

    async def while_up(self, work: Awaitable[None]) -> None:
        """Do ``work``; a lost connection ends its waiting at once. Raise LinkError."""
        failure = None
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(self._fail_when_down(), name="uplink_watch")
            try:
                await work
            except LinkError as error:  # leaves the group by itself, not inside a group of errors
                failure = error
            watcher.cancel()
        if failure:
            raise failure

    async def exchange(self, row: OutboxRow, sealed: bytes) -> VerifiedReceipt:
        """Send a batch as the bytes ``sealed``; return what ingest says about the whole of it.

        Raises:
            LinkError: No answer, or no way to get one; ``TOO_LARGE`` is about this batch alone.
        """
        limit = self._link.max_payload_bytes
        sealed_id = batch_id(sealed)
        if limit is None or len(sealed) <= limit:
            whole = _Letter(payload=sealed, content_type=CONTENT_TYPE, sealed_id=sealed_id)
            return await self._send(row, whole)
        try:
            parts = split(sealed, max_bytes=limit)
        except ValueError as error:
            raise LinkError(str(error), code=TOO_LARGE) from error
        letters = [
            _Letter(payload=part, content_type=PART_TYPE, sealed_id=sealed_id, part=number)
            for number, part in enumerate(parts, 1)
        ]
        return await self._in_parts(row, letters)

    async def _in_parts(self, row: OutboxRow, letters: Sequence[_Letter]) -> VerifiedReceipt:
        count = len(letters)
        kept = await asyncio.to_thread(self._outbox.kept_parts, row.batch_id, parts=count)
        for letter in letters:
            if letter.part in kept:
                continue
            answer = await self._send(row, letter)
            if answer.receipt.part == 0:  # about the whole batch: stored, duplicate or refused
                return answer
            await asyncio.to_thread(
                self._outbox.keep_part, row.batch_id, part=letter.part, parts=count
            )
        await asyncio.to_thread(self._outbox.forget_parts, row.batch_id)
        raise LinkError(
            f"ingest kept {count} parts of batch {row.batch_id.hex()[:16]} and has lost some since;"
            " all are sent again",
            code="uplink.parts_lost",
        )

    async def _send(self, row: OutboxRow, letter: _Letter) -> VerifiedReceipt:
        self._expect_affordable(len(letter.payload))
        with self._receipts.expect(row.batch_id, letter) as answer:  # first: it may be quick
            await self._link.publish(
                uplink_topic(Purpose(row.purpose)),
                letter.payload,
                timeout_s=self._patience.puback_s,
                content_type=letter.content_type,
                response_topic=self._answer_to,
                correlation_data=row.batch_id,
            )
            return await self._receipt(row.batch_id, answer)

    async def _receipt(
        self, batch: bytes, answer: asyncio.Future[VerifiedReceipt]
    ) -> VerifiedReceipt:
        try:
            async with asyncio.timeout(self._patience.receipt_s):
                return await answer
        except TimeoutError:
            raise LinkError(
                f"batch {batch.hex()[:16]} was sent but not acknowledged by ingest; it is kept",
                code="uplink.no_receipt",
            ) from None

    async def _fail_when_down(self) -> None:
        await self._link.wait_down()
        lost = LinkError("the connection was lost; the batch is kept", code="link.lost")
        self._receipts.fail(lost)
