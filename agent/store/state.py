"""What the agent remembers: trips, offers, consents, ledger, receipts, counters; one file.

``State`` stores rows and knows which of them change together; it decides nothing. Entries of the
ledger are made and signed elsewhere and handed in through ``MakeEntry``, which is called inside the
transaction so that no two entries can claim the same place in the chain.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

from agent.store.checksum import TRIP_SUM_STEP, row_sum
from agent.store.database import Connect, Database, Step
from agent.store.drivers import (
    BATCHES_OF,
    DRIVER_STEP,
    FIRST_PROFILE,
    IS_FOUNDED,
    IS_GRANTED,
    end_standing,
)
from agent.store.erasures import ERASURE_STEP
from agent.store.sessions import SESSION_STEP
from agent.store.shred import shred
from agent.store.vault import OVERHEAD_BYTES, TRIP, KeyLostError, Vault, batch_item, trip_item

PLACES_NOTE = "book"  # the places that the vehicle has learnt; agent/offering.py writes it
ZONES_NOTE = "drawn_places"  # those that the driver drew; agent/zones.py writes it
FIRST_PREVIOUS = bytes(32)  # what the first entry of a ledger names as the one before it

# Step i leads from schema version i to i + 1. Only append; never edit one that was released.
STEPS: tuple[Step, ...] = (
    (
        """CREATE TABLE trips (
            trip_id TEXT PRIMARY KEY,
            summary TEXT NOT NULL,      -- JSON object, local only
            segment TEXT,               -- file name in segments/; NULL once deleted
            created_utc TEXT NOT NULL,
            outcome TEXT NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE offers (
            batch_id BLOB PRIMARY KEY,
            trip_id TEXT NOT NULL REFERENCES trips ON DELETE CASCADE,
            purpose TEXT NOT NULL,
            payload BLOB NOT NULL,
            created_utc TEXT NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE consents (
            purpose TEXT PRIMARY KEY,
            granted INTEGER NOT NULL,
            since_utc TEXT NOT NULL,
            entry_hash BLOB NOT NULL REFERENCES ledger (entry_hash)
        ) WITHOUT ROWID""",
        """CREATE TABLE ledger (
            sequence INTEGER PRIMARY KEY,
            entry_hash BLOB NOT NULL UNIQUE,
            body TEXT NOT NULL,
            signature BLOB NOT NULL,
            event TEXT GENERATED ALWAYS AS (json_extract(body, '$.event')) VIRTUAL,
            purpose TEXT GENERATED ALWAYS AS (json_extract(body, '$.purpose')) VIRTUAL,
            batch_id TEXT GENERATED ALWAYS AS (json_extract(body, '$.batch_id')) VIRTUAL
        )""",
        "CREATE INDEX ledger_batch ON ledger (batch_id)",
        """CREATE TRIGGER ledger_is_append_only_1 BEFORE UPDATE ON ledger
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
        """CREATE TRIGGER ledger_is_append_only_2 BEFORE DELETE ON ledger
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
        """CREATE TABLE outbox (
            batch_id BLOB PRIMARY KEY,
            position INTEGER NOT NULL UNIQUE,   -- oldest first
            trip_id TEXT NOT NULL,
            purpose TEXT NOT NULL,
            payload BLOB NOT NULL,
            entry_hash BLOB NOT NULL REFERENCES ledger (entry_hash),
            hold_boot TEXT NOT NULL,            -- boot and monotonic second until which
            hold_until_s REAL NOT NULL,         -- the driver may take it back
            created_utc TEXT NOT NULL,
            checksum BLOB NOT NULL,             -- over all columns above
            attempts INTEGER NOT NULL DEFAULT 0,
            state TEXT NOT NULL DEFAULT 'queued',
            refusal TEXT,
            stopped_utc TEXT
        ) WITHOUT ROWID""",
        """CREATE TABLE receipts (
            batch_id BLOB NOT NULL,
            part INTEGER NOT NULL,
            status TEXT NOT NULL,
            code TEXT,
            body BLOB NOT NULL,                 -- what ingest signed
            signature BLOB NOT NULL,
            received_utc TEXT NOT NULL,
            PRIMARY KEY (batch_id, part)
        ) WITHOUT ROWID""",
        """CREATE TABLE counters (
            name TEXT PRIMARY KEY,
            value INTEGER NOT NULL
        ) WITHOUT ROWID""",
    ),
    SESSION_STEP,
    (
        "ALTER TABLE outbox ADD COLUMN priority INTEGER NOT NULL DEFAULT 50",  # lowest leaves first
        "ALTER TABLE outbox ADD COLUMN age_days INTEGER NOT NULL DEFAULT 0",  # days of use
        "CREATE INDEX outbox_order ON outbox (priority, position)",
        """CREATE TABLE drops (                    -- confirmed, never delivered, and why
            batch_id BLOB PRIMARY KEY,
            trip_id TEXT NOT NULL,
            purpose TEXT NOT NULL,
            size_bytes INTEGER NOT NULL,
            code TEXT NOT NULL,
            age_days INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            dropped_utc TEXT NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE parts (                    -- parts that ingest said it keeps
            batch_id BLOB NOT NULL REFERENCES outbox ON DELETE CASCADE,
            parts INTEGER NOT NULL,
            part INTEGER NOT NULL,
            PRIMARY KEY (batch_id, parts, part)
        ) WITHOUT ROWID""",
        """CREATE TABLE traffic (                  -- what the uplink cost
            day TEXT NOT NULL,                  -- UTC
            network TEXT NOT NULL,
            bytes INTEGER NOT NULL,
            PRIMARY KEY (day, network)
        ) WITHOUT ROWID""",
        """CREATE TABLE notes (                    -- what the uplink must not forget
            name TEXT PRIMARY KEY,
            value TEXT NOT NULL
        ) WITHOUT ROWID""",
    ),
    DRIVER_STEP,
    TRIP_SUM_STEP,
    (
        """CREATE TABLE sealed (                   -- the bytes that travel, the same at every try
            batch_id BLOB PRIMARY KEY REFERENCES outbox ON DELETE CASCADE,
            key_id TEXT NOT NULL,               -- of the ingest key, hex
            sealed_id BLOB NOT NULL,            -- SHA-256 of the ciphertext
            ciphertext BLOB NOT NULL
        ) WITHOUT ROWID""",
    ),
    ERASURE_STEP,
)


class TripOutcome(StrEnum):
    """What became of a trip's data."""

    UNANSWERED = "unanswered"  # offered; the driver has not answered
    SHARED = "shared"  # at least one batch was released
    KEPT = "kept"  # the driver said no, or took it back
    EXPIRED = "expired"  # no answer in time: not shared, offers and samples deleted
    DROPPED = "dropped"  # released, and given up: no room or too old; never delivered
    NOTHING = "nothing"  # no purpose was granted, or there was nothing to offer


class SignedEntry(Protocol):
    """One ledger entry as somebody else made and signed it."""

    @property
    def sequence(self) -> int:
        """Return the place in the chain, from 1."""

    @property
    def body(self) -> bytes:
        """Return the canonical JSON that was signed."""

    @property
    def signature(self) -> bytes:
        """Return the signature over ``body``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """Where the chain ends: the entry to be made is number ``length`` + 1."""

    length: int
    entry_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """One stored entry, oldest is sequence 1."""

    sequence: int
    entry_hash: bytes  # SHA-256 of body
    body: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEntryRow:
    """One stored entry about a batch, whose id is in hex."""

    sequence: int
    body: bytes
    signature: bytes
    batch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TripRow:
    """One trip, local only."""

    trip_id: str
    summary: str  # JSON object
    segment: str | None  # file name in the segments folder
    created_utc: datetime
    outcome: TripOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRow:
    """A batch that was built and shown, and not answered yet."""

    batch_id: bytes
    trip_id: str
    purpose: str
    payload: bytes
    created_utc: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRow:
    """The last word of the driver about a purpose."""

    purpose: str
    is_granted: bool
    since_utc: datetime
    entry_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """A verified answer of ingest."""

    batch_id: bytes
    part: int
    status: str
    code: str | None
    body: bytes
    signature: bytes
    received_utc: datetime


MakeEntry = Callable[[LedgerHead], SignedEntry]


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


LEDGER_LENGTH = "ledger.length"  # the counter beside the chain
_EMPTY = LedgerHead(length=0, entry_hash=FIRST_PREVIOUS)


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


SELECT_OFFERS = (
    "SELECT batch_id, trip_id, purpose, opened(CAST(payload AS BLOB), batch_id), created_utc"
    " FROM offers"
)
PLAIN_BYTES = f"max(0, length(payload) - {OVERHEAD_BYTES})"  # of a sealed column


def is_whole(row: tuple[Any, ...]) -> bool:
    """Tell whether a row of offers holds the bytes that its batch id names.

    One without its key, or with a flipped byte, is nothing that anybody could answer for.
    """
    return row[3] is not None and hashlib.sha256(row[3]).digest() == row[0]


def offer_of(row: tuple[Any, ...]) -> OfferRow:
    """Return the offer that a row of the table holds."""
    batch_id, trip_id, purpose, payload, created_utc = row
    return OfferRow(
        batch_id=batch_id,
        trip_id=trip_id,
        purpose=purpose,
        payload=payload,
        created_utc=as_time(created_utc),
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


def as_text(moment: datetime) -> str:
    """Return ISO 8601 with milliseconds, which sorts as time does."""
    return moment.isoformat(timespec="milliseconds")


def as_time(text: str) -> datetime:
    """Return what ``as_text`` wrote."""
    return datetime.fromisoformat(text)
