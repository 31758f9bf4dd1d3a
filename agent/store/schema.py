"""The schema of the state file, step by step; forward only."""

from agent.store.checksum import TRIP_SUM_STEP
from agent.store.database import Step
from agent.store.drivers import DRIVER_STEP
from agent.store.erasures import ERASURE_STEP
from agent.store.sessions import SESSION_STEP

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
