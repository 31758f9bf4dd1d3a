"""The durable floor: lowest versions, release counters and time still accepted; never goes down.

python-tuf protects against older metadata only as long as its metadata folder is whole; after a
power cut that folder may hold truncated files. This SQLite file is what such a cut cannot lower.
A role's floor belongs to the keys that sign it: when a verified root replaces them, it restarts,
so that a stolen key's absurdly high version does not lock the vehicle out for ever. Root versions
and release counters never go down.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ota.client.durable import make_folder
from ota.errors import InstallError, RollbackError

_RAISE_STEP_S = 3_600  # a proven time is written once an hour: it is asked more often
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
    """
    ALTER TABLE issued ADD COLUMN root_expires_s INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE proven (
        one INTEGER PRIMARY KEY CHECK (one = 1), utc_s INTEGER NOT NULL
    ) STRICT;
    """,
)


class FloorError(InstallError):
    """The floor cannot be read or written; without it nothing is verified."""

    code = "ota.floor.unusable"
    advice = "Make room or restore the file; do not delete it, it guards against old software."


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleVersion:
    """One verified role: its name, version, and digests of the keys its floor belongs to.

    The keys of a targets role are those of the snapshot that lists it.
    """

    name: str
    version: int
    keys: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryState:
    """What one refresh of one repository has verified.

    ``issued`` is its Timestamp's own time; None for a plain TUF repository, which does not say.
    """

    repository: str
    roles: tuple[RoleVersion, ...]
    root_version: int
    root_expires: datetime
    issued: datetime | None


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

    def compare_some(self, repository: str, roles: Sequence[RoleVersion]) -> None:
        """Return if none of ``roles`` is below the floor; other roles may be missing.

        For a stick, which has no Timestamp.

        Raises:
            RollbackError: A role is older than what was accepted before.
            FloorError: The file cannot be read.
        """
        with self._transaction() as database:
            stored = _stored_roles(database, repository)
        for role in roles:
            lowest = stored.get(role.name)
            if lowest is None or (role.name != ROOT and _have_keys_gone(lowest.keys, role)):
                continue
            if role.version < lowest.version:
                raise RollbackError(
                    f"{repository} {role.name}", floor=lowest.version, offered=role.version
                )

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

    def lowest_time(self, seen: Sequence[RepositoryState] = ()) -> datetime | None:
        """Return the latest time that was signed or proven; None before the first Timestamp.

        Args:
            seen: What is about to be accepted counts as well, and its new root resets the time of
                its repository, and what was proven. Nothing is written.
        """
        with self._transaction() as database:
            times, proven_s = _stored_times(database), _proven_s(database)
        if any(_is_new_root(times, state) for state in seen):
            proven_s = 0
        for state in seen:
            _note_issued(times, state)
        latest = max((issued.utc_s for issued in times.values()), default=None)
        return None if latest is None else datetime.fromtimestamp(max(latest, proven_s), UTC)

    def raise_time(self, utc: datetime) -> None:
        """Raise the lowest time to ``utc``, which was proven (NTS); a lower one changes nothing.

        No further than the first of both roots expires, and not at all before any is trusted.

        Raises:
            FloorError: The file cannot be written; the floor is as it was.
        """
        with self._transaction() as database:
            roots = [issued.root_expires_s for issued in _stored_times(database).values()]
            capped_s = min([int(utc.timestamp()), *roots])
            if roots and capped_s >= _proven_s(database) + _RAISE_STEP_S:
                database.execute("REPLACE INTO proven VALUES (1, ?)", (capped_s,))

    def release_counter(self, ecu_id: str) -> int:
        """Return the lowest release counter ``ecu_id`` still accepts; 0 before the first commit."""
        with self._transaction() as database:
            row = database.execute(
                "SELECT release FROM counter WHERE ecu_id = ?", (ecu_id,)
            ).fetchone()
        return 0 if row is None else int(row[0])

    def raise_release_counter(self, ecu_id: str, counter: int) -> None:
        """Raise the floor of ``ecu_id`` to ``counter``; a lower one changes nothing."""
        self.raise_release_counters({ecu_id: counter})

    def raise_release_counters(self, counters: Mapping[str, int]) -> None:
        """Raise the floor of every ECU id in ``counters``, all or none; as above."""
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO counter VALUES (?, ?) ON CONFLICT (ecu_id) "
                "DO UPDATE SET release = max(release, excluded.release)",
                [*counters.items()],
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
        name: RoleVersion(name=name, version=version, keys=frozenset(keys.split()))
        for name, version, keys in rows
    }


def _compare(state: RepositoryState, stored: Mapping[str, RoleVersion]) -> None:
    offered = {role.name: role for role in state.roles}
    for name, lowest in stored.items():
        role = offered.get(name)
        if name != ROOT and _have_keys_gone(lowest.keys, state if role is None else role):
            continue  # the floor of the old keys ended with them
        version = 0 if role is None else role.version
        if version < lowest.version:
            raise RollbackError(f"{state.repository} {name}", floor=lowest.version, offered=version)


def _have_keys_gone(before: frozenset[str], now: RoleVersion | RepositoryState) -> bool:
    """Return whether a key was taken away; one more key beside it ends no floor."""
    signers = [now] if isinstance(now, RoleVersion) else now.roles
    return not any(before <= role.keys for role in signers)


def _raise_roles(database: sqlite3.Connection, state: RepositoryState) -> None:
    database.execute("DELETE FROM role WHERE repository = ?", (state.repository,))
    database.executemany(
        "INSERT INTO role VALUES (?, ?, ?, ?)",
        [
            (state.repository, role.name, role.version, " ".join(sorted(role.keys)))
            for role in state.roles
        ],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issued:
    """The latest time that was issued under one root, and when that root ends, in seconds."""

    root_version: int
    utc_s: int
    root_expires_s: int


def _stored_times(database: sqlite3.Connection) -> dict[str, _Issued]:
    rows = database.execute("SELECT repository, root_version, utc_s, root_expires_s FROM issued")
    return {
        repository: _Issued(root_version=version, utc_s=utc_s, root_expires_s=expires_s)
        for repository, version, utc_s, expires_s in rows
    }


def _proven_s(database: sqlite3.Connection) -> int:
    row = database.execute("SELECT utc_s FROM proven").fetchone()
    return 0 if row is None else int(row[0])


def _is_new_root(times: Mapping[str, _Issued], state: RepositoryState) -> bool:
    before = times.get(state.repository)
    return before is not None and state.root_version > before.root_version


def _note_issued(times: dict[str, _Issued], state: RepositoryState) -> None:
    if state.issued is None:
        return
    # Capped at the root's expiry: a stolen timestamp key must not move our time past every root.
    utc_s = int(min(state.issued, state.root_expires).timestamp())
    before = times.get(state.repository)
    if before is not None and not _is_new_root(times, state):
        utc_s = max(before.utc_s, utc_s)
    times[state.repository] = _Issued(
        root_version=state.root_version,
        utc_s=utc_s,
        root_expires_s=int(state.root_expires.timestamp()),
    )


def _raise_issued(database: sqlite3.Connection, state: RepositoryState) -> None:
    times = _stored_times(database)
    if _is_new_root(times, state):
        database.execute("DELETE FROM proven")
    _note_issued(times, state)
    if state.repository in times:
        now = times[state.repository]
        database.execute(
            "REPLACE INTO issued VALUES (?, ?, ?, ?)",
            (state.repository, now.root_version, now.utc_s, now.root_expires_s),
        )
