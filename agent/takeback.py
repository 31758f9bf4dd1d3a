"""Ask ingest to erase, one request at a time, until each has its signed receipt.

Each request travels alone: sealed like a batch, over a connection of its own, under a client id
that was never used before, at a moment drawn at random. It is repeated for as long as it takes; a
vehicle that was offline for months asks when it is back.
"""

import asyncio
import logging
import os
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from agent.consent.receipts import ForgedReceiptError, VerifiedErasure
from agent.consent.recipients import NoKeyError, Recipients
from agent.delivery import Link, MakeLink, Patience
from agent.departure import DepartureLimits, Situation, Surroundings, hindrance
from agent.grants import Clock
from agent.services import Rounds
from agent.spending import Spending
from agent.store.erasures import ErasureRow, Erasures
from telemetry.link import LinkError
from telemetry.mqtt.messages import Message
from telemetry.seal import CONTENT_TYPE, ERASE, seal, sealed_bytes
from telemetry.topics import CLIENT_ID_BYTES, ERASE_TOPIC, ack_topic, new_client_id

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 3_600.0
_FIRST_RETRY_S, _LAST_RETRY_S = 60.0, 86_400.0
_DOUBLINGS = 12  # from a minute to a day


class Takeback:
    """Sends what waits in the list of erasures."""

    def __init__(  # noqa: PLR0913 (the doors of the flow, each named)
        self,
        erasures: Erasures,
        *,
        recipients: Recipients,
        make_link: MakeLink,
        clock: Clock,
        patience: Patience,
        limits: DepartureLimits,
        spending: Spending,
        claim_withdrawn: Callable[[], int],
        surroundings: Callable[[], Surroundings] = Surroundings,
        chance: Callable[[], float] | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Wire.

        ``spending`` is the account of this flow; it counts into the same day as the uplink's.
        ``claim_withdrawn`` adds to the list what was withdrawn on its way. It blocks.
        """
        self._erasures = erasures
        self._recipients = recipients
        self._make_link = make_link
        self._clock = clock
        self._patience = patience
        self._limits = limits
        self._spending = spending
        self._claim_withdrawn = claim_withdrawn
        self._surroundings = surroundings
        self._chance = chance or random.SystemRandom().random
        self._random_bytes = random_bytes
        self._rounds = Rounds(self.step)

    def wake(self) -> None:
        """Look at the list now: call it in the loop's thread."""
        self._rounds.wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Send what is due until ``stop``; raises StoreError if the state file fails."""
        await self._rounds.run(stop)

    async def step(self) -> float:
        """Send the next request if it is due; return the seconds until another look is worth it."""
        await asyncio.to_thread(self._claim_withdrawn)
        row = await asyncio.to_thread(self._next)
        if row is None:
            return _LOOK_EVERY_S
        wait_s = (row.not_before_utc - self._clock.utc_now()).total_seconds()
        if wait_s > 0:
            return min(wait_s, _LOOK_EVERY_S)
        situation = await asyncio.to_thread(self._situation, row)
        if found := hindrance(situation):
            return _LOOK_EVERY_S if found.wait_s is None else min(found.wait_s, _LOOK_EVERY_S)
        self._spending.begin(situation.spent_bytes)
        try:
            await self._send(row)
        except (LinkError, NoKeyError) as error:
            log.warning("erase_not_sent", extra={"code": error.code})
        return 1.0

    async def _send(self, row: ErasureRow) -> None:
        now = self._clock.utc_now()
        entry = self._recipients.sealing(ERASE, now)
        await asyncio.to_thread(
            self._erasures.begin_attempt, row.erase_id, next_utc=self._retry_at(row, now)
        )
        if row.message is None:
            return
        sealed = seal(row.message, purpose=ERASE, key=entry.key)
        answer: asyncio.Future[VerifiedErasure] = asyncio.get_running_loop().create_future()
        client_id = new_client_id(self._random_bytes(CLIENT_ID_BYTES))
        link = self._make_link(client_id, lambda message: self._take(message, row, answer))
        try:
            await link.connect()
            await self._exchange(link, client_id, sealed, answer)
        finally:
            answer.cancel()
            await link.disconnect()
            await asyncio.to_thread(self._spending.charge, link)

    async def _exchange(
        self, link: Link, client_id: str, sealed: bytes, answer: "asyncio.Future[VerifiedErasure]"
    ) -> None:
        answer_to, patience_s = ack_topic(client_id), self._patience.puback_s
        await link.subscribe(answer_to, timeout_s=patience_s)
        self._spending.expect_affordable(link, len(sealed))
        await link.publish(
            ERASE_TOPIC,
            sealed,
            timeout_s=patience_s,
            content_type=CONTENT_TYPE,
            response_topic=answer_to,
        )
        try:
            async with asyncio.timeout(self._patience.receipt_s):
                found = await answer
        except TimeoutError:
            raise LinkError(
                "ingest has not confirmed an erase request; it is asked again later",
                code="uplink.no_receipt",
            ) from None
        now = self._clock.utc_now()
        await asyncio.to_thread(self._erasures.confirm, found, now_utc=now)
        counts = found.erasure
        log.info("erased", extra={"batches": counts.batches, "rows": counts.rows})

    def _take(
        self, message: Message, row: ErasureRow, answer: "asyncio.Future[VerifiedErasure]"
    ) -> None:
        """Take what the broker brought; only a genuine receipt for this request counts."""
        try:
            found = self._recipients.believe_erasure(message.payload, self._clock.utc_now())
        except ForgedReceiptError as error:
            log.warning("erasure_not_believed", extra={"code": error.code})
            return
        if found.erasure.erase_id == row.erase_id and not answer.done():
            answer.set_result(found)

    def _next(self) -> ErasureRow | None:
        return next(iter(self._erasures.waiting()), None)

    def _situation(self, row: ErasureRow) -> Situation:
        return Situation(
            surroundings=self._surroundings(),
            limits=self._limits,
            queued=1,
            next_bytes=sealed_bytes(len(row.message or b"")),
            spent_bytes=self._spending.today(),
        )

    def _retry_at(self, row: ErasureRow, now: datetime) -> datetime:
        """Return when to ask again without an answer: later each time, and at no fixed distance."""
        longest_s = min(_FIRST_RETRY_S * 2.0 ** min(row.attempts, _DOUBLINGS), _LAST_RETRY_S)
        return now + timedelta(seconds=longest_s * (0.5 + self._chance() / 2))
