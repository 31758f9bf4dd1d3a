"""What was confirmed and not delivered: what of it leaves next, and why it has not. Blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.consent.recipients import NoKeyError
from agent.sharing import Sharing
from agent.store.queued import Moment, OutboxRow, OutboxState
from telemetry.codec.batch import batch_pseudonym
from telemetry.purposes import Purpose
from telemetry.seal import sealed_bytes


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


def queue_items(sharing: Sharing) -> list[QueueItem]:
    """Return everything confirmed and not delivered, in the order of leaving."""
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


def due_of_one_pseudonym(sharing: Sharing) -> list[OutboxRow]:
    """Return what one connection may carry now: the first in line, and what shares its name."""
    now = sharing.moment()
    due = [row for row in sharing.outbox.due(now) if _hindered(sharing, row.purpose, now) is None]
    if not due:
        return []
    first = batch_pseudonym(due[0].payload)
    return [row for row in due if batch_pseudonym(row.payload) == first]


def travels_bytes(sharing: Sharing, row: OutboxRow) -> int:
    """Return what a batch has on the wire, padded and sealed."""
    recipient = sharing.recipients.named(Purpose(row.purpose))
    return sealed_bytes(len(row.payload), is_hybrid=recipient.is_hybrid)


def why_withheld(sharing: Sharing, now: Moment) -> str | None:
    """Return why the policy, or a key that is missing, keeps what waits; None if nothing does."""
    purposes = dict.fromkeys(line.purpose for line in sharing.outbox.lines())
    reasons = (_hindered(sharing, purpose, now) for purpose in purposes)
    return next((found for found in reasons if found), None)


def _hindered(sharing: Sharing, purpose: str, now: Moment) -> str | None:
    decision = sharing.sending_decision(Purpose(purpose))
    if not decision.is_allowed:
        return decision.sentence
    try:
        sharing.recipients.sealing(Purpose(purpose), now.utc)
    except NoKeyError as error:
        return str(error)
    return None


def why_empty(sharing: Sharing) -> str:
    """Return in one sentence why there is nothing to send."""
    stopped: Sequence[QueueItem] = queue_items(sharing)
    if stopped:
        return f"Ingest refused batch {stopped[0].batch_id[:16]}: {stopped[0].refusal}."
    if not sharing.granted():
        return "No purpose is switched on; nothing leaves this vehicle."
    waiting = len({offer.trip_id for offer in sharing.state.offers()})
    if waiting:
        trips = "1 trip waits" if waiting == 1 else f"{waiting} trips wait"
        return f"The driver has not answered yet: {trips} for OK or No."
    return "Nothing is waiting."
