"""Flow 2, the side of the network: outbox -> seal -> MQTT -> ingest -> receipt -> row deleted.

A connection exists only while there is a confirmed batch that may leave; each carries one pseudonym
under a client id that was never used before (`agent/delivery.py`). Whether one is worth making is
decided by `agent/departure.py`, what waits and why is read by `agent/waiting.py`, and what it costs
is counted by `agent/spending.py`.
"""

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.consent.receipts import VerifiedReceipt
from agent.consent.recipients import NoKeyError
from agent.delivery import TOO_LARGE, Delivery, Link, MakeLink, Patience, Receipts
from agent.departure import DepartureLimits, Situation, Surroundings, hindrance, reason
from agent.services import Rounds
from agent.sharing import Clock, Sharing
from agent.spending import Spending
from agent.store.cover import UncoveredError
from agent.store.queued import OutboxRow
from agent.store.rows import ReceiptRow
from agent.store.uplink_notes import Failure, UplinkNotes
from agent.waiting import (
    QueueItem,
    due_of_one_pseudonym,
    queue_items,
    travels_bytes,
    why_empty,
    why_withheld,
)
from telemetry.link import Backoff, LinkError
from telemetry.purposes import Purpose
from telemetry.records import ReceiptStatus
from telemetry.seal import seal
from telemetry.topics import CLIENT_ID_BYTES, new_client_id

log = logging.getLogger(__name__)

_NO_SUCH_KEY = "seal.key"  # ingest does not have the key: about the key, not about the batch
_HOUSEKEEPING_S = 3600.0  # look at expiry this often, also when nothing is sent


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkSettings:
    """How long to wait for whom, and what sending may cost."""

    patience: Patience = field(default_factory=Patience)
    pause_max_s: float = 30.0  # random pause between two pseudonyms
    limits: DepartureLimits = field(default_factory=DepartureLimits)


class Uplink:
    """Sends confirmed batches until each has its receipt."""

    def __init__(  # noqa: PLR0913 (the doors of the flow, each named)
        self,
        *,
        sharing: Sharing,
        make_link: MakeLink,
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
        self._recipients = sharing.recipients
        self._clock = clock
        self._settings = settings
        self._chance = chance or random.SystemRandom().random
        self._backoff = backoff or Backoff(self._chance)
        self._random_bytes = random_bytes
        self._spending = Spending(
            self._notes,
            clock=clock,
            network=lambda: surroundings().network,
            bytes_per_day=settings.limits.bytes_per_day,
        )
        self._rounds = Rounds(self._round)
        self._retry_at_s = 0.0
        self._failure: LinkError | None = None
        self.counters: Counter[str] = Counter()

    # what others call

    def wake(self) -> None:
        """Look at the outbox now: call it in the loop's thread after an answer of the driver."""
        self._rounds.wake()

    def resume(self) -> None:
        """Try again after a refusal that waiting does not heal, or before a back-off is over."""
        self._failure = None
        self._retry_at_s = 0.0
        self._backoff.reset()
        self._rounds.wake()

    async def set_paused(self, *, is_paused: bool) -> None:
        """Switch sending off or on; a batch that is on its way is finished."""
        await asyncio.to_thread(self._notes.set_paused, is_paused=is_paused)
        self._rounds.wake()

    async def queue(self) -> list[QueueItem]:
        """Return everything confirmed and not delivered, in the order of leaving."""
        return await asyncio.to_thread(queue_items, self._sharing)

    async def why_not(self) -> str:
        """Say in one sentence why nothing leaves at this moment."""
        return await asyncio.to_thread(self._why_not)

    # the flow

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due until ``stop``; raises StoreError if the state file fails."""
        await self._rounds.run(stop)

    async def step(self) -> float:
        """Send what is due over one connection; return the seconds until it is worth another."""
        situation, due = await asyncio.to_thread(self._look)
        if found := hindrance(situation):
            return _HOUSEKEEPING_S if found.wait_s is None else min(found.wait_s, _HOUSEKEEPING_S)
        if not due:
            return _HOUSEKEEPING_S
        self._spending.begin(situation.spent_bytes)
        try:
            await self._send(due)
        except LinkError as error:
            return await self._failed(error)
        await self._succeeded()
        is_more = await asyncio.to_thread(due_of_one_pseudonym, self._sharing)
        return self._pause_s() if is_more else 0.0

    async def _round(self) -> float:
        await asyncio.to_thread(self._sharing.expire)
        return await self.step()

    async def _send(self, rows: Sequence[OutboxRow]) -> None:
        client_id = new_client_id(self._random_bytes(CLIENT_ID_BYTES))
        receipts = Receipts(self._believe, self.counters)
        link = self._make_link(client_id, receipts.on_message)
        delivery = self._delivery(link, client_id, receipts)
        try:
            await delivery.open()
            await delivery.while_up(self._deliver_all(delivery, link, rows))
        finally:
            await link.disconnect()
            await asyncio.to_thread(self._spending.charge, link)

    async def _deliver_all(self, delivery: Delivery, link: Link, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            await self._deliver(delivery, row)
            await asyncio.to_thread(self._spending.charge, link)

    async def _deliver(self, delivery: Delivery, row: OutboxRow) -> None:
        try:
            sealed, key_id = await asyncio.to_thread(self._seal, row)
        except UncoveredError as error:  # withdrawn a moment ago, or a damaged file
            log.warning("batch_withheld", extra={"batch": row.batch_id.hex(), "code": error.code})
            await asyncio.to_thread(self._stop_row, row.batch_id, error.code)
            return
        except NoKeyError as error:  # another set of keys came a moment ago
            raise LinkError(str(error), code=error.code) from error
        try:
            receipt = await delivery.exchange(row, sealed)
        except LinkError as error:
            if error.code != TOO_LARGE:
                raise
            await asyncio.to_thread(self._stop_row, row.batch_id, error.code)
            return
        if receipt.receipt.code == _NO_SUCH_KEY:
            self._recipients.refuse(key_id)
            raise LinkError("ingest has no key to open it with; it is kept", code=_NO_SUCH_KEY)
        await asyncio.to_thread(self._settle, row.batch_id, receipt)

    def _seal(self, row: OutboxRow) -> tuple[bytes, str]:
        """Count the attempt; return the bytes that travel and the id of the key they are for."""
        purpose = Purpose(row.purpose)
        entry = self._recipients.sealing(purpose, self._clock.utc_now())
        self._outbox.begin_attempt(row.batch_id, recipient=self._recipients.name_of(entry))
        key = entry.key
        sealed = self._outbox.sealed(
            row.batch_id,
            key_id=entry.key_id,
            seal=lambda batch: seal(batch, purpose=purpose, key=key),
        )
        return sealed, entry.key_id

    def _believe(self, data: bytes) -> VerifiedReceipt:
        return self._recipients.believe(data, self._clock.utc_now())

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

    def _stop_row(self, batch: bytes, code: str) -> None:
        self._outbox.stop(batch, code=code, now_utc=self._clock.utc_now())

    def _delivery(self, link: Link, client_id: str, receipts: Receipts) -> Delivery:
        return Delivery(
            link,
            client_id=client_id,
            receipts=receipts,
            outbox=self._outbox,
            patience=self._settings.patience,
            expect_affordable=lambda size: self._spending.expect_affordable(link, size),
        )

    # what stands in the way

    def _look(self) -> tuple[Situation, list[OutboxRow]]:
        due = due_of_one_pseudonym(self._sharing)
        return self._situation(due), due

    def _situation(self, due: Sequence[OutboxRow]) -> Situation:
        now, failure = self._sharing.moment(), self._failure
        queued = self._outbox.queued()
        held_s = 0.0 if due else self._outbox.next_due_s(now) or 0.0
        return Situation(
            surroundings=self._surroundings(),
            limits=self._settings.limits,
            is_paused=self._notes.is_paused(),
            is_refused=failure is not None and failure.is_permanent,
            failure=None if failure is None else str(failure),
            retry_in_s=max(0.0, self._retry_at_s - now.monotonic_s),
            queued=queued,
            withheld=why_withheld(self._sharing, now) if queued and not (due or held_s) else None,
            held_s=held_s,
            next_bytes=travels_bytes(self._sharing, due[0]) if due else 0,
            spent_bytes=self._spending.today(),
        )

    def _why_not(self) -> str:
        situation, _ = self._look()
        if not (situation.queued or situation.is_paused):
            return why_empty(self._sharing)
        return reason(situation)

    # after an attempt, and until the next

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

    def _pause_s(self) -> float:
        pause_s = self._chance() * self._settings.pause_max_s
        self._retry_at_s = self._clock.monotonic_s() + pause_s
        return pause_s
