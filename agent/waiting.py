"""What was confirmed and not delivered: what of it leaves next, and why it has not. Blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.sharing import Sharing
from agent.store.outbox import OutboxRow, OutboxState
from telemetry.codec.batch import batch_pseudonym
from telemetry.purposes import Purpose


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
    due = [
        row
        for row in sharing.outbox.due(sharing.moment())
        if sharing.decision(Purpose(row.purpose)).is_allowed
    ]
    if not due:
        return []
    first = batch_pseudonym(due[0].payload)
    return [row for row in due if batch_pseudonym(row.payload) == first]


def why_withheld(sharing: Sharing) -> str | None:
    """Return why the policy keeps what waits, in words; None if it does not."""
    decisions = (sharing.decision(Purpose(line.purpose)) for line in sharing.outbox.lines())
    return next((found.sentence for found in decisions if not found.is_allowed), None)


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
