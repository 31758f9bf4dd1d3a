"""What nobody names any more loses its key: after that no copy of it can be read."""

from agent.store.database import Database
from agent.store.vault import batch_item, charge_item, trip_item


def shred(database: Database) -> int:
    """Destroy the keys of batches, trips and charges that no row names; return how many.

    Call it after the transaction that deleted the rows: a key that is destroyed first cannot come
    back with them. A power cut in between leaves keys of nothing, until the next call. Blocks.

    Raises:
        StoreError: A key could not be overwritten; it is tried again with the next call.
    """
    with database.transaction() as connection:
        batches = connection.execute(
            "SELECT batch_id FROM offers UNION SELECT batch_id FROM outbox"
        ).fetchall()
        trips = connection.execute("SELECT trip_id FROM trips").fetchall()
        charges = connection.execute("SELECT session_id FROM sessions").fetchall()
        items = [batch_item(row[0]) for row in batches] + [trip_item(row[0]) for row in trips]
        items += [charge_item(row[0]) for row in charges]
        return database.vault.keep_only(items)
