"""The ledger's chain inside the state file, and the counters beside it."""

import hashlib
import sqlite3

from agent.store.rows import LedgerHead, MakeEntry

FIRST_PREVIOUS = bytes(32)  # what the first entry of a ledger names as the one before it
LEDGER_LENGTH = "ledger.length"  # the counter beside the chain
_EMPTY = LedgerHead(length=0, entry_hash=FIRST_PREVIOUS)


def append_entry(connection: sqlite3.Connection, make_entry: MakeEntry) -> bytes:
    """Append what ``make_entry`` makes of the chain's end; return the entry's hash.

    Must run inside a transaction. The length is counted apart, so that a cut-off end shows.
    """
    row = connection.execute(
        "SELECT sequence, entry_hash FROM ledger ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    head = LedgerHead(length=row[0], entry_hash=row[1]) if row else _EMPTY
    entry = make_entry(head)
    entry_hash = hashlib.sha256(entry.body).digest()
    connection.execute(
        "INSERT INTO ledger (sequence, entry_hash, body, signature) VALUES (?, ?, ?, ?)",
        (entry.sequence, entry_hash, entry.body.decode(), entry.signature),
    )
    bump(connection, LEDGER_LENGTH, 1)
    return entry_hash


def bump(connection: sqlite3.Connection, name: str, by: int) -> None:
    """Add ``by`` to a counter, inside a transaction."""
    connection.execute(
        "INSERT INTO counters VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
        (name, by),
    )
