"""The durable floor: lowest versions, release counters and time still accepted; never goes down.

python-tuf protects against older metadata only as long as its metadata folder is whole; after a
power cut that folder may hold truncated files. This SQLite file is what such a cut cannot lower.
A role's floor belongs to the keys that sign it: when a verified root replaces them, it restarts,
so that a stolen key's absurdly high version does not lock the vehicle out for ever. Root versions
and release counters never go down.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ota.client.durable import make_folder
from ota.errors import InstallError, RollbackError

ROOT = "root"  # the role whose floor does not depend on keys

# Numbered steps, forward only: PRAGMA user_version says how many are done.
_SCHEMA = (
    """
    CREATE TABLE role (
        repository TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, keys TEXT NOT NULL,
        PRIMARY KEY (repository, name)
    ) STRICT;
    CREATE TABLE counter (ecu_id TEXT PRIMARY KEY, release INTEGER NOT NULL) STRICT;
    CREATE TABLE issued (
        repository TEXT PRIMARY KEY, root_version INTEGER NOT NULL, utc_s INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE manifest (
        one INTEGER PRIMARY KEY CHECK (one = 1), counter INTEGER NOT NULL
    ) STRICT;
    INSERT INTO manifest VALUES (1, 0);
    """,
)


class FloorError(InstallError):
    """The floor cannot be read or written; without it nothing is verified."""

    code = "ota.floor.unusable"
    advice = "Make room or restore the file; do not delete it, it guards against old software."


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleVersion:
    """One verified role: its name, version, and a digest of the keys its floor belongs to.

    The keys of a targets role are those of the snapshot that lists it.
    """

    name: str
    version: int
    keys: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryState:
    """What one refresh of one repository has verified; ``issued`` is its Timestamp's own time."""

    repository: str
    roles: tuple[RoleVersion, ...]
    root_version: int
    root_expires: datetime
    issued: datetime


class Floor:
    """The file behind the floor. Every method blocks and is one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def compare(self, state: RepositoryState) -> None:
        """Return if nothing in ``state`` is below the floor; write nothing.

        Raises:
            RollbackError: A role is older than what was accepted before, or has vanished.
            FloorError: The file cannot be read.
        """
        with self._transaction() as database:
            _compare(state, _stored_roles(database, state.repository))

    def admit(self, states: tuple[RepositoryState, ...]) -> None:
        """Raise the floor to ``states``, all of them or, on an error, none.

        Raises:
            RollbackError: As in ``compare``.
            FloorError: The file cannot be written; the floor is as it was.
        """
        with self._transaction() as database:
            for state in states:
                _compare(state, _stored_roles(database, state.repository))
                _raise_roles(database, state)
                _raise_issued(database, state)

    def lowest_time(self) -> datetime | None:
        """Return the latest ``issued`` of accepted Timestamps; None before the first."""
        with self._transaction() as database:
            (latest,) = database.execute("SELECT max(utc_s) FROM issued").fetchone()
        return None if latest is None else datetime.fromtimestamp(latest, UTC)

    def release_counter(self, ecu_id: str) -> int:
        """Return the lowest release counter ``ecu_id`` still accepts; 0 before the first commit."""
        with self._transaction() as database:
            row = database.execute(
                "SELECT release FROM counter WHERE ecu_id = ?", (ecu_id,)
            ).fetchone()
        return 0 if row is None else int(row[0])

    def raise_release_counter(self, ecu_id: str, counter: int) -> None:
        """Raise the floor of ``ecu_id`` to ``counter``; a lower one changes nothing."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO counter VALUES (?, ?) ON CONFLICT (ecu_id) "
                "DO UPDATE SET release = max(release, excluded.release)",
                (ecu_id, counter),
            )

    def next_manifest_counter(self) -> int:
        """Return a number no manifest of this vehicle has carried, and remember it."""
        with self._transaction() as database:
            (counter,) = database.execute(
                "UPDATE manifest SET counter = counter + 1 RETURNING counter"
            ).fetchone()
        return int(counter)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            make_folder(self._path.parent)
            with closing(_open(self._path)) as database, database:
                yield database
        except (sqlite3.Error, OSError) as error:
            raise FloorError(
                str(self._path),
                expected="a readable and writable floor of versions",
                got=str(error),
                intact="nothing was verified or installed",
            ) from error


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=10.0, isolation_level="IMMEDIATE")
    # EXTRA is FULL plus a sync of the folder, without which a commit may be undone by a power cut.
    database.execute("PRAGMA synchronous = EXTRA")
    (done,) = database.execute("PRAGMA user_version").fetchone()
    for number, step in enumerate(_SCHEMA[done:], start=done + 1):
        database.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT;")
    return database


def _stored_roles(database: sqlite3.Connection, repository: str) -> dict[str, RoleVersion]:
    rows = database.execute(
        "SELECT name, version, keys FROM role WHERE repository = ?", (repository,)
    )
    return {
        name: RoleVersion(name=name, version=version, keys=keys) for name, version, keys in rows
    }


def _compare(state: RepositoryState, stored: Mapping[str, RoleVersion]) -> None:
    offered = {role.name: role for role in state.roles}
    signers = {role.keys for role in state.roles}
    for name, lowest in stored.items():
        role = offered.get(name)
        if role is None and lowest.keys not in signers:
            continue  # listed by a snapshot whose keys are gone
        if role is not None and role.keys != lowest.keys and name != ROOT:
            continue  # other keys: the floor of the old ones ended with them
        version = 0 if role is None else role.version
        if version < lowest.version:
            raise RollbackError(f"{state.repository} {name}", floor=lowest.version, offered=version)


def _raise_roles(database: sqlite3.Connection, state: RepositoryState) -> None:
    database.execute("DELETE FROM role WHERE repository = ?", (state.repository,))
    database.executemany(
        "INSERT INTO role VALUES (?, ?, ?, ?)",
        [(state.repository, role.name, role.version, role.keys) for role in state.roles],
    )


def _raise_issued(database: sqlite3.Connection, state: RepositoryState) -> None:
    # Capped at the root's expiry: a stolen timestamp key must not move our time past every root.
    utc_s = int(min(state.issued, state.root_expires).timestamp())
    database.execute(
        "INSERT INTO issued VALUES (?, ?, ?) ON CONFLICT (repository) DO UPDATE SET "
        "utc_s = iif(excluded.root_version > root_version, excluded.utc_s, "
        "max(utc_s, excluded.utc_s)), root_version = excluded.root_version",
        (state.repository, state.root_version, utc_s),
    )
