"""Takes batches back that shall not leave after all, wherever they stand: on offer or queued."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from agent.store.chain import append_entry, bump
from agent.store.database import Database
from agent.store.rows import LedgerHead, OfferRow, SignedEntry, TripOutcome

MakeBatchEntry = Callable[[LedgerHead, OfferRow], SignedEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """How many batches were dropped from cards, taken back from the queue, and had set out."""

    offered: int = 0
    queued: int = 0
    under_way: int = 0  # among those queued: may have left, so ingest is asked to erase them

    def __add__(self, other: "Recalled") -> "Recalled":
        return Recalled(
            offered=self.offered + other.offered,
            queued=self.queued + other.queued,
            under_way=self.under_way + other.under_way,
        )


def recall(
    database: Database,
    *,
    offered: Collection[OfferRow],
    queued: Collection[OfferRow],
    make_entry: MakeBatchEntry,
) -> Recalled:
    """Delete these batches; an OK that was given is taken back in the ledger.

    What has set out already counts as withdrawn: its claim is kept, and ingest is asked to erase
    it. Joins a transaction under way; call ``shred`` when it is over.
    """
    under_way = 0
    with database.transaction() as connection:
        for one in queued:
            under_way += connection.execute(
                "UPDATE claims SET is_withdrawn=1 WHERE batch_id IN"
                " (SELECT batch_id FROM outbox WHERE batch_id=? AND attempts > 0)",
                (one.batch_id,),
            ).rowcount
            append_entry(connection, lambda head, row=one: make_entry(head, row))  # type: ignore[misc]
            connection.execute("DELETE FROM outbox WHERE batch_id=?", (one.batch_id,))
        for one in offered:
            connection.execute("DELETE FROM offers WHERE batch_id=?", (one.batch_id,))
        for trip_id in {one.trip_id for one in (*offered, *queued)}:
            connection.execute(
                "UPDATE trips SET outcome=? WHERE trip_id=?"
                " AND trip_id NOT IN (SELECT trip_id FROM offers)"
                " AND trip_id NOT IN (SELECT trip_id FROM outbox)"
                " AND trip_id NOT IN (SELECT c.trip_id FROM claims c JOIN receipts r"
                " ON r.batch_id = c.batch_id)",
                (TripOutcome.KEPT, trip_id),
            )
        bump(connection, "recalled.offers", len(offered))
        bump(connection, "recalled.queued", len(queued))
    return Recalled(offered=len(offered), queued=len(queued), under_way=under_way)
