"""What covers a batch: a purpose switched on, and a ledger entry that allows exactly its bytes."""

import sqlite3

from agent.store.drivers import GRANTED_FOR
from agent.store.queued import ASKED_EACH_TIME
from agent.store.rows import OfferRow


class UncoveredError(Exception):
    """A batch has no ledger entry that allows its bytes; it was not queued and is not sent."""

    code = "outbox.uncovered"

    def __init__(self, batch_id: bytes, why: str) -> None:
        super().__init__(
            f"batch {batch_id.hex()}: expected a ledger entry that allows it, {why};"
            " nothing was queued or sent"
        )


def expect_granted(connection: sqlite3.Connection, offer: OfferRow) -> None:
    """Raise UncoveredError unless its purpose is switched on for the driver it is of."""
    if offer.purpose == ASKED_EACH_TIME:
        return  # its OK is the consent
    row = connection.execute(GRANTED_FOR, (offer.batch_id, offer.purpose)).fetchone()
    if row is None or not row[0]:
        raise UncoveredError(offer.batch_id, f"found purpose {offer.purpose} not switched on")


def expect_covered(connection: sqlite3.Connection, batch_id: bytes, entry_hash: bytes) -> None:
    """Raise UncoveredError unless the entry ``entry_hash`` is an OK to this batch."""
    row = connection.execute(
        "SELECT entry_hash FROM ledger WHERE batch_id=? AND event='ok' AND entry_hash=?",
        (batch_id.hex(), entry_hash),
    ).fetchone()
    if row is None:
        raise UncoveredError(batch_id, "found none with this batch id")


def expect_recipient(
    connection: sqlite3.Connection, batch_id: bytes, entry_hash: bytes, recipient: str
) -> None:
    """Raise UncoveredError unless the entry names ``recipient``."""
    found = connection.execute(
        "SELECT json_extract(body, '$.recipient') FROM ledger WHERE entry_hash=?", (entry_hash,)
    ).fetchone()[0]
    if found != recipient:
        raise UncoveredError(batch_id, f"found one for {found}, not for {recipient}")
