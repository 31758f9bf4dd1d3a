"""Driver profiles, who was last said to drive, pauses and standing OKs; part of the state file.

One of the steps of agent/store/state.py. Before it, consents belonged to the vehicle: they become
those of the first profile, and so does every trip that no line of ``drives`` names.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from agent.driver import Chosen, Pause, Profile
from agent.store.database import Database

DRIVER_STEP: Sequence[str] = (
    """CREATE TABLE profiles (
        profile_id TEXT PRIMARY KEY,        -- random; stands in the ledger
        name TEXT NOT NULL,                 -- stays in the vehicle
        position INTEGER NOT NULL UNIQUE
    ) WITHOUT ROWID""",
    "INSERT INTO profiles VALUES (lower(hex(randomblob(8))), '', 1)",
    """CREATE TABLE consents_of (
        profile_id TEXT NOT NULL REFERENCES profiles ON DELETE CASCADE,
        purpose TEXT NOT NULL,
        granted INTEGER NOT NULL,
        since_utc TEXT NOT NULL,
        entry_hash BLOB NOT NULL REFERENCES ledger (entry_hash),
        PRIMARY KEY (profile_id, purpose)
    ) WITHOUT ROWID""",
    """INSERT INTO consents_of
        SELECT profile_id, purpose, granted, since_utc, entry_hash FROM consents, profiles""",
    "DROP TABLE consents",
    "ALTER TABLE consents_of RENAME TO consents",
    """CREATE TABLE standing (                -- "always for this purpose"
        profile_id TEXT NOT NULL REFERENCES profiles ON DELETE CASCADE,
        purpose TEXT NOT NULL,
        since_utc TEXT NOT NULL,
        until_utc TEXT NOT NULL,
        entry_hash BLOB NOT NULL REFERENCES ledger (entry_hash),
        PRIMARY KEY (profile_id, purpose)
    ) WITHOUT ROWID""",
    """CREATE TABLE drives (                  -- whose trip it was
        trip_id TEXT PRIMARY KEY,
        profile_id TEXT NOT NULL,
        is_whole INTEGER NOT NULL           -- 0: a pause or somebody else came in between
    ) WITHOUT ROWID""",
    """CREATE TABLE claims (                  -- what proves that a batch was ours
        batch_id BLOB PRIMARY KEY,
        trip_id TEXT NOT NULL,
        profile_id TEXT NOT NULL,
        purpose TEXT NOT NULL,
        day TEXT NOT NULL,                  -- with part: what its token is made from
        part TEXT,
        is_withdrawn INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
    """CREATE TABLE delays (                  -- not before: the moment must say nothing
        batch_id BLOB PRIMARY KEY REFERENCES outbox ON DELETE CASCADE,
        not_before_utc TEXT NOT NULL
    ) WITHOUT ROWID""",
)
FIRST_PROFILE = "(SELECT profile_id FROM profiles ORDER BY position LIMIT 1)"
_CHOSEN, _PAUSE = "driver.chosen", "driver.pause"


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingRow:
    """A standing OK: every batch of the purpose is released until then, each with its entry."""

    purpose: str
    since_utc: datetime
    until_utc: datetime
    entry_hash: bytes


class Drivers:
    """The drivers of a state file. Every method blocks and may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def profiles(self) -> list[Profile]:
        """Return the profiles in the order in which they were made; there is at least one."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT profile_id, name FROM profiles ORDER BY position"
            ).fetchall()
        return [Profile(profile_id=row[0], name=row[1]) for row in rows]

    def add(self, profile: Profile) -> None:
        """Add a profile; it has agreed to nothing."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO profiles SELECT ?, ?, max(position) + 1 FROM profiles",
                (profile.profile_id, profile.name),
            )

    def rename(self, profile_id: str, name: str) -> bool:
        """Give a profile another name; return False if there is no such profile."""
        with self._database.transaction() as connection:
            found = connection.execute(
                "UPDATE profiles SET name=? WHERE profile_id=?", (name, profile_id)
            )
        return bool(found.rowcount)

    def remove(self, profile_id: str) -> bool:
        """Remove a profile with its consents, but never the last one; its ledger entries stay."""
        with self._database.transaction() as connection:
            removed = connection.execute(
                "DELETE FROM profiles WHERE profile_id=? AND (SELECT count(*) FROM profiles) > 1",
                (profile_id,),
            )
        return bool(removed.rowcount)

    def chosen(self) -> Chosen | None:
        """Return what was last said about who drives; None if nobody ever said anything."""
        text = self._note(_CHOSEN)
        return None if text is None else msgspec.json.decode(text, type=Chosen)

    def choose(self, chosen: Chosen) -> None:
        """Remember who drives."""
        self._set_note(_CHOSEN, msgspec.json.encode(chosen).decode())

    def pause(self) -> Pause | None:
        """Return the pause that was set last; it may be over."""
        text = self._note(_PAUSE)
        return None if text is None else msgspec.json.decode(text, type=Pause)

    def set_pause(self, pause: Pause | None) -> None:
        """Begin or end a pause; it survives a restart."""
        self._set_note(_PAUSE, None if pause is None else msgspec.json.encode(pause).decode())

    def standing(self, profile_id: str) -> dict[str, StandingRow]:
        """Return the standing OKs of a profile by purpose; they may have ended."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT purpose, since_utc, until_utc, entry_hash FROM standing WHERE profile_id=?",
                (profile_id,),
            ).fetchall()
        return {
            row[0]: StandingRow(
                purpose=row[0],
                since_utc=datetime.fromisoformat(row[1]),
                until_utc=datetime.fromisoformat(row[2]),
                entry_hash=row[3],
            )
            for row in rows
        }

    def set_standing(self, profile_id: str, row: StandingRow | None, purpose: str) -> None:
        """Begin (``row``) or end (None) a standing OK; join it to its entry's transaction."""
        with self._database.transaction() as connection:
            end_standing(connection, profile_id, purpose)
            if row:
                connection.execute(
                    "INSERT INTO standing VALUES (?, ?, ?, ?, ?)",
                    (
                        profile_id,
                        purpose,
                        row.since_utc.isoformat(),
                        row.until_utc.isoformat(),
                        row.entry_hash,
                    ),
                )

    def drove(self, trip_id: str, profile_id: str, *, is_whole: bool) -> None:
        """Note whose trip it is, and whether its figures are about all of it."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO drives VALUES (?, ?, ?)", (trip_id, profile_id, is_whole)
            )

    def drives(self) -> dict[str, tuple[str, bool]]:
        """Return whose every stored trip is and whether it is whole, by trip id."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT trip_id, coalesce(profile_id, {FIRST_PROFILE}), coalesce(is_whole, 1)"  # noqa: S608 (our own constant)
                " FROM trips LEFT JOIN drives USING (trip_id)"
            ).fetchall()
        return {row[0]: (row[1], bool(row[2])) for row in rows}

    def _note(self, name: str) -> str | None:
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM notes WHERE name=?", (name,)).fetchone()
        return row[0] if row else None

    def _set_note(self, name: str, value: str | None) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM notes WHERE name=?", (name,))
            if value is not None:
                connection.execute("INSERT INTO notes VALUES (?, ?)", (name, value))


def end_standing(connection: sqlite3.Connection, profile_id: str, purpose: str) -> None:
    """Delete a standing OK, inside a transaction."""
    connection.execute(
        "DELETE FROM standing WHERE profile_id=? AND purpose=?", (profile_id, purpose)
    )


# the driver's last word about a switch, as the ledger has it; an early entry names no profile, and
# a damaged one says nothing
_LAST_WORD = (
    "(SELECT said.entry_hash FROM ledger AS said WHERE CASE WHEN json_valid(said.body) THEN"  # noqa: S608 (our own constant)
    " json_extract(said.body, '$.purpose') = consents.purpose"
    " AND json_extract(said.body, '$.event') IN ('grant', 'withdraw')"
    f" AND coalesce(json_extract(said.body, '$.profile'), {FIRST_PROFILE}) = consents.profile_id"
    " END ORDER BY said.sequence DESC LIMIT 1)"
)
_SAID = (
    "(SELECT CASE WHEN json_valid(body) THEN json_extract(body, '$.event') END FROM ledger"
    " WHERE ledger.entry_hash = consents.entry_hash)"
)
_IS_LAST = f"{_LAST_WORD} = consents.entry_hash"
# a switch is on if its row says so and the ledger's last word about it is the grant it rests on
IS_GRANTED = f"(granted AND coalesce({_IS_LAST} AND {_SAID} = 'grant', 0))"
IS_FOUNDED = (
    f"coalesce({_IS_LAST} AND {_SAID} ="
    " CASE granted WHEN 1 THEN 'grant' WHEN 0 THEN 'withdraw' END, 0)"
)
# the consent that counts for a batch: of the profile whose trip it is, else of the first one
GRANTED_FOR = (
    f"SELECT {IS_GRANTED} FROM consents WHERE purpose=?2 AND profile_id="  # noqa: S608 (our own)
    f"coalesce((SELECT profile_id FROM claims WHERE batch_id=?1), {FIRST_PROFILE})"
)
# the batches of a profile, in any table that has a batch_id
BATCHES_OF = (
    "purpose=?2 AND ?1="  # noqa: S608 (our own constant)
    "coalesce((SELECT profile_id FROM claims WHERE claims.batch_id={table}.batch_id),"
    f" {FIRST_PROFILE})"
)
