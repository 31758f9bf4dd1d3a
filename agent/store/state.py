"""What the agent remembers: trips, offers, consents, ledger, receipts, counters; one file.

``State`` stores rows and knows which of them change together; it decides nothing. Entries of the
ledger are made and signed elsewhere and handed in through ``MakeEntry``, which is called inside the
transaction so that no two entries can claim the same place in the chain.
"""

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from agent.store.chain import append_entry, bump
from agent.store.checksum import row_sum
from agent.store.database import Connect, Database
from agent.store.drivers import (
    BATCHES_OF,
    FIRST_PROFILE,
    IS_FOUNDED,
    IS_GRANTED,
    end_standing,
)
from agent.store.rows import (
    SELECT_OFFERS,
    BatchEntryRow,
    ConsentRow,
    LedgerRow,
    MakeEntry,
    OfferRow,
    ReceiptRow,
    TripOutcome,
    TripRow,
    as_text,
    as_time,
    is_whole,
    offer_of,
)
from agent.store.schema import STEPS
from agent.store.shred import shred
from agent.store.vault import TRIP, KeyLostError, Vault, batch_item, trip_item

PLACES_NOTE = "book"  # the places that the vehicle has learnt; agent/offering.py writes it
ZONES_NOTE = "drawn_places"  # those that the driver drew; agent/zones.py writes it


class State:
    """The state file. Every method blocks; call it from a thread, never from the event loop."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, path: Path, *, connect: Connect | None = None) -> Self:
        """Open or create ``path``; raise StoreError as ``Database.open`` does."""
        return cls(Database.open(path, STEPS, connect=connect))

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open ``path`` for a command beside the running daemon; raise StoreError."""
        return cls(Database.open_to_read(path, version=len(STEPS)))

    def close(self) -> None:
        """Close the file; may be called twice."""
        self.database.close()

    # trips

    def add_trip(self, trip: TripRow, offers: Sequence[OfferRow]) -> None:
        """Store a trip with its offers, both or neither; a known trip is left as it is."""
        vault = self.database.vault
        with self.database.transaction() as connection:
            summary = vault.seal(trip_item(trip.trip_id), TRIP, trip.summary.encode())
            added = connection.execute(
                "INSERT OR IGNORE INTO trips (trip_id, summary, segment, created_utc, outcome)"
                " VALUES (?, ?, ?, ?, ?)",
                (trip.trip_id, summary, trip.segment, as_text(trip.created_utc), trip.outcome),
            )
            if added.rowcount:
                connection.executemany(
                    "INSERT INTO offers VALUES (?, ?, ?, ?, ?)",
                    [_offer_values(offer, vault) for offer in offers],
                )

    def trips(self, *, limit: int = 100) -> list[TripRow]:
        """Return the newest ``limit`` trips, newest first; damaged ones are left out."""
        with self.database.reading(is_lenient=True) as connection:
            rows = connection.execute(
                "SELECT * FROM trips ORDER BY created_utc DESC, trip_id DESC LIMIT ?", (limit,)
            ).fetchall()
        return [trip for row in rows if (trip := _trip(row, self.database.vault))]

    def damaged_trips(self) -> int:
        """Return how many stored trips do not match their checksum."""
        with self.database.reading(is_lenient=True) as connection:
            rows = connection.execute("SELECT * FROM trips").fetchall()
        return sum(1 for row in rows if _trip(row, self.database.vault) is None)

    def trip(self, trip_id: str) -> TripRow | None:
        """Return one trip; None if it is not known, or damaged."""
        with self.database.reading(is_lenient=True) as connection:
            row = connection.execute("SELECT * FROM trips WHERE trip_id=?", (trip_id,)).fetchone()
        return _trip(row, self.database.vault) if row else None

    def forget_segments(self, names: Sequence[str], *, freed_bytes: int) -> None:
        """Note that these segments made way; their trips stay, and both are counted."""
        with self.database.transaction() as connection:
            connection.executemany(
                "UPDATE trips SET segment=NULL WHERE segment=?", [(name,) for name in names]
            )
            bump(connection, "segments.evicted", len(names))
            bump(connection, "segments.evicted_bytes", freed_bytes)

    def forget_trips(self, trip_ids: Sequence[str], *, batches: Sequence[bytes]) -> None:
        """Delete trips with all that was built from them, and these batches wherever they are.

        Nothing of them waits, is on offer or can be claimed any more; their files are not touched.
        """
        with self.database.transaction() as connection:
            named = [(one,) for one in trip_ids]
            for table in ("offers", "outbox", "drops", "claims", "drives", "trips"):
                connection.executemany(f"DELETE FROM {table} WHERE trip_id=?", named)  # noqa: S608 (our own)
            sent = [(one,) for one in batches]
            for table in ("outbox", "drops", "claims", "receipts"):
                connection.executemany(f"DELETE FROM {table} WHERE batch_id=?", sent)  # noqa: S608 (our own)

    def forget_past(self) -> None:
        """Delete what else was learnt of the drivers: receipts, places, what sending cost."""
        with self.database.transaction() as connection:
            for table in ("receipts", "drops", "claims", "drives", "traffic"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 (our own)
            connection.execute("DELETE FROM notes WHERE name IN (?, ?)", (PLACES_NOTE, ZONES_NOTE))

    # offers

    def offers(self, trip_id: str | None = None) -> list[OfferRow]:
        """Return the unanswered offers, oldest first; of all trips if ``trip_id`` is None."""
        with self.database.reading() as connection:
            rows = connection.execute(
                f"{SELECT_OFFERS} WHERE ?1 IS NULL OR trip_id=?1 ORDER BY created_utc, trip_id",
                (trip_id,),
            ).fetchall()
        return [offer_of(row) for row in rows if is_whole(row)]

    def overdue_trips(self, *, before_utc: datetime) -> list[TripRow]:
        """Return trips with an offer made before ``before_utc`` that nobody answered.

        Of a damaged one only the id is believed: it has to go all the same.
        """
        with self.database.reading(is_lenient=True) as connection:
            rows = connection.execute(
                "SELECT * FROM trips WHERE trip_id IN"
                " (SELECT trip_id FROM offers WHERE created_utc < ?)",
                (as_text(before_utc),),
            ).fetchall()
        return [
            _trip(row, self.database.vault) or _unreadable_trip(row[0], before_utc) for row in rows
        ]

    def expire_trip(self, trip_id: str) -> None:
        """Delete the offers of a trip nobody answered; its segment file must be gone already."""
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM offers WHERE trip_id=?", (trip_id,))
            connection.execute(
                "UPDATE trips SET outcome=?, segment=NULL WHERE trip_id=?",
                (TripOutcome.EXPIRED, trip_id),
            )
        shred(self.database)

    # consents and ledger

    def consents(self, profile_id: str | None = None) -> dict[str, ConsentRow]:
        """Return a driver's last word per purpose; a purpose never asked about is missing.

        What the ledger does not confirm counts as off (``unfounded_consents``).
        ``profile_id`` None is the first profile.
        """
        with self.database.reading() as connection:
            rows = connection.execute(_CONSENTS_OF, (profile_id,)).fetchall()
        return {
            row[0]: ConsentRow(
                purpose=row[0],
                is_granted=bool(row[1]),
                since_utc=as_time(row[2]),
                entry_hash=row[3],
            )
            for row in rows
        }

    def granted_to_anyone(self) -> frozenset[str]:
        """Return the purposes that at least one profile has switched on."""
        with self.database.reading() as connection:
            rows = connection.execute(_GRANTED_TO_ANYONE).fetchall()
        return frozenset(row[0] for row in rows)

    def unfounded_consents(self) -> list[tuple[str, str]]:
        """Return profile and purpose of each switch that is not as the ledger's last word has it.

        Such a switch counts as off, whatever the row says.
        """
        with self.database.reading() as connection:
            return connection.execute(_UNFOUNDED).fetchall()

    def set_consent(
        self,
        purpose: str,
        *,
        is_granted: bool,
        now_utc: datetime,
        make_entry: MakeEntry,
        profile_id: str | None = None,
    ) -> None:
        """Record a driver's grant or withdrawal with its ledger entry, in one transaction.

        A withdrawal also ends a standing OK and deletes everything of this driver and purpose that
        has not been delivered. What had begun to leave is marked, to be erased at the far end.
        ``profile_id`` None is the first profile.
        """
        with self.database.transaction() as connection:
            whose = profile_id or connection.execute(f"SELECT {FIRST_PROFILE}").fetchone()[0]
            entry_hash = append_entry(connection, make_entry)
            connection.execute(
                "INSERT OR REPLACE INTO consents VALUES (?, ?, ?, ?, ?)",
                (whose, purpose, is_granted, as_text(now_utc), entry_hash),
            )
            if not is_granted:
                end_standing(connection, whose, purpose)
                _forget_purpose(connection, whose, purpose)
        if not is_granted:
            shred(self.database)

    def entry(self, entry_hash: bytes) -> bytes | None:
        """Return the signed bytes of one ledger entry; None if there is no such entry."""
        with self.database.reading() as connection:
            row = connection.execute(
                "SELECT body FROM ledger WHERE entry_hash=?", (entry_hash,)
            ).fetchone()
        return row[0].encode() if row else None

    def entries_about(self, batch_ids: Collection[str]) -> list[BatchEntryRow]:
        """Return the ledger entries about these batches (ids in hex), oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT sequence, body, signature, batch_id FROM ledger"
                " WHERE batch_id IN (SELECT value FROM json_each(?)) ORDER BY sequence",
                (json.dumps(sorted(batch_ids)),),
            ).fetchall()
        return [
            BatchEntryRow(sequence=row[0], body=row[1].encode(), signature=row[2], batch_id=row[3])
            for row in rows
        ]

    def standing_trips(self) -> frozenset[str]:
        """Return the trips of which a batch was released under a standing OK."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT DISTINCT trip_id FROM claims JOIN ledger"
                " ON ledger.batch_id = lower(hex(claims.batch_id))"
                " WHERE json_extract(body, '$.released_under') IS NOT NULL"
            ).fetchall()
        return frozenset(row[0] for row in rows)

    def append(self, make_entry: MakeEntry) -> bytes:
        """Append one entry to the ledger; return its hash. Joins a transaction under way."""
        with self.database.transaction() as connection:
            return append_entry(connection, make_entry)

    def note(self, make_entry: MakeEntry) -> None:
        """Append an entry that changes nothing but the ledger."""
        with self.database.transaction() as connection:
            append_entry(connection, make_entry)

    def ledger(self) -> list[LedgerRow]:
        """Return the whole ledger, oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT sequence, entry_hash, body, signature FROM ledger ORDER BY sequence"
            ).fetchall()
        return [
            LedgerRow(sequence=row[0], entry_hash=row[1], body=row[2].encode(), signature=row[3])
            for row in rows
        ]

    # receipts and counters

    def last_receipt(self) -> ReceiptRow | None:
        """Return the receipt that came last; None before the first."""
        receipts = self.receipts(limit=1)
        return receipts[0] if receipts else None

    def receipts(self, *, limit: int = 100) -> list[ReceiptRow]:
        """Return the newest ``limit`` receipts, newest first."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT * FROM receipts ORDER BY received_utc DESC, batch_id LIMIT ?", (limit,)
            ).fetchall()
        return [
            ReceiptRow(
                batch_id=row[0],
                part=row[1],
                status=row[2],
                code=row[3],
                body=row[4],
                signature=row[5],
                received_utc=as_time(row[6]),
            )
            for row in rows
        ]

    def receipt_counts(self) -> dict[str, int]:
        """Return how many receipts came, by status."""
        with self.database.reading() as connection:
            return dict(
                connection.execute(
                    "SELECT status, count(*) FROM receipts GROUP BY status"
                ).fetchall()
            )

    def count(self, name: str, by: int = 1) -> None:
        """Add ``by`` to a counter of losses or refusals."""
        with self.database.transaction() as connection:
            bump(connection, name, by)

    def counters(self) -> dict[str, int]:
        """Return all counters by name."""
        with self.database.reading() as connection:
            return dict(connection.execute("SELECT name, value FROM counters").fetchall())


_CONSENTS_OF = (
    f"SELECT purpose, {IS_GRANTED}, since_utc, entry_hash FROM consents"  # noqa: S608 (our own)
    f" WHERE profile_id=coalesce(?, {FIRST_PROFILE})"
)
_GRANTED_TO_ANYONE = f"SELECT DISTINCT purpose FROM consents WHERE {IS_GRANTED}"  # noqa: S608
_UNFOUNDED = (
    f"SELECT profile_id, purpose FROM consents WHERE NOT {IS_FOUNDED}"  # noqa: S608 (our own)
    " ORDER BY profile_id, purpose"
)
_MARK_WITHDRAWN = (
    "UPDATE claims SET is_withdrawn=1 WHERE batch_id IN (SELECT batch_id FROM outbox"  # noqa: S608 (our own)
    f" WHERE attempts > 0 AND {BATCHES_OF.format(table='outbox')})"
)


def _forget_purpose(connection: sqlite3.Connection, profile_id: str, purpose: str) -> None:
    whose = (profile_id, purpose)
    connection.execute(_MARK_WITHDRAWN, whose)
    offers = connection.execute(
        f"DELETE FROM offers WHERE {BATCHES_OF.format(table='offers')}",  # noqa: S608 (our own constant)
        whose,
    ).rowcount
    queued = connection.execute(
        f"DELETE FROM outbox WHERE {BATCHES_OF.format(table='outbox')}",  # noqa: S608 (our own constant)
        whose,
    ).rowcount
    bump(connection, "withdrawn.offers", offers)
    bump(connection, "withdrawn.queued", queued)
    connection.execute(
        "UPDATE trips SET outcome=? WHERE outcome=?"
        " AND trip_id NOT IN (SELECT trip_id FROM offers)",
        (TripOutcome.KEPT, TripOutcome.UNANSWERED),
    )


def _offer_values(offer: OfferRow, vault: Vault) -> tuple[bytes, str, str, bytes, str]:
    created = as_text(offer.created_utc)
    sealed = vault.seal(batch_item(offer.batch_id), offer.purpose, offer.payload)
    return (offer.batch_id, offer.trip_id, offer.purpose, sealed, created)


def _trip(row: tuple[Any, ...], vault: Vault) -> TripRow | None:
    *values, checksum = row
    if row_sum(*values) != checksum:
        return None
    trip_id, summary, segment, created_utc, outcome = values
    try:
        told = (
            summary
            if isinstance(summary, str)
            else vault.open(trip_item(trip_id), summary).decode()
        )
    except KeyLostError:
        return None
    return TripRow(
        trip_id=trip_id,
        summary=told,
        segment=segment,
        created_utc=as_time(created_utc),
        outcome=TripOutcome(outcome),
    )


def _told(trip_id: str, summary: str | bytes, vault: Vault) -> str:
    """Return a summary; one that was stored before there were keys is text."""
    return summary if isinstance(summary, str) else vault.open(trip_item(trip_id), summary).decode()


def _unreadable_trip(trip_id: str, created_utc: datetime) -> TripRow:
    return TripRow(
        trip_id=trip_id,
        summary="{}",
        segment=f"{trip_id}.seg",
        created_utc=created_utc,
        outcome=TripOutcome.UNANSWERED,
    )
