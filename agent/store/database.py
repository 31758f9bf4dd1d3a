"""One SQLite file that survives a power cut: opening, schema steps, transactions, errors.

Write-ahead log with ``synchronous=FULL``: what was committed is on the medium. Everything that must
change together lives in one file, because a write-ahead log is not atomic across files.
"""

import errno
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from agent.store.checksum import row_sum
from agent.store.vault import KeyLostError, batch_item, vault_of

Connect = Callable[[Path], sqlite3.Connection]
Step = Sequence[str]  # the statements that lead from one schema version to the next

_MAGIC = b"SQLite format 3\x00"  # source: SQLite file format, 1.3
_VERSION_AT = slice(60, 64)  # user_version, big endian; same source
_BUSY_TIMEOUT_S = 5.0
_CHECKPOINT_PAGES = 4000  # fewer, larger writes to the card
_JOURNAL_LIMIT_BYTES = 4 * 1024 * 1024

_FULL = "store.full"
_OF_KEYS = ("store.io", "check the disk")
_CODES = {  # primary SQLite result code -> our code, what is intact, what to do
    sqlite3.SQLITE_FULL: (_FULL, "the disk is full; free some space"),
    sqlite3.SQLITE_READONLY: ("store.read_only", "the disk or the file is read-only; remount it"),
    sqlite3.SQLITE_CANTOPEN: ("store.cannot_open", "check that the folder exists and is writable"),
    sqlite3.SQLITE_NOTADB: ("store.not_a_database", "move the file away or restore it"),
    sqlite3.SQLITE_CORRUPT: ("store.damaged", "move the file away or restore it"),
    sqlite3.SQLITE_BUSY: ("store.busy", "another process holds it; try again"),
    sqlite3.SQLITE_LOCKED: ("store.busy", "another process holds it; try again"),
}


class StoreError(Exception):
    """The state file cannot be used; nothing was half-written.

    ``code`` is stable: ``store.full``, ``store.read_only``, ``store.cannot_open``,
    ``store.not_a_database``, ``store.damaged``, ``store.busy``, ``store.io``, ``store.newer``,
    ``store.older``, ``store.journal``, ``store.missing``, ``store.closed``, ``store.key_lost``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Database:
    """One connection behind one lock; every method may be called from any thread, and blocks."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = connection
        self.vault = vault_of(path.parent)  # opens nothing before it is needed
        connection.create_function("opened", 2, self._opened, deterministic=False)
        connection.create_function("row_sum", -1, row_sum, deterministic=True)
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls, path: Path, steps: Sequence[Step], *, connect: Connect | None = None
    ) -> "Database":
        """Open or create ``path`` and bring it to schema version ``len(steps)``.

        Args:
            path: The file; its folder must exist.
            steps: Step i leads from version i to i + 1. Only ever appended to.
            connect: How a connection is made; tests hand in one that fails on command.

        Raises:
            StoreError: The file is not a database, newer than this program, or cannot be used;
                it was not touched.
        """
        _refuse_foreign(path, newest=len(steps))
        with _translated(path):
            connection = (connect or _connect)(path)
        database = cls(path, connection)
        try:
            database._prepare(steps)
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def open_to_read(cls, path: Path, *, version: int) -> "Database":
        """Open an existing ``path`` without ever writing to it, beside a running daemon.

        Raises:
            StoreError: ``store.missing`` if there is no file, or its version is not ``version``.
        """
        if not path.exists():
            raise StoreError("store.missing", f"{path}: expected a state file, found none")
        _refuse_foreign(path, newest=version)
        with _translated(path):
            connection = _connect_to_read(path)
            try:
                _expect_version(path, _version(connection), version)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def close(self) -> None:
        """Close the connection; an unfinished transaction is undone. May be called twice."""
        with self._lock, suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give a connection whose statements happen all or not at all; nests by joining.

        Raises:
            StoreError: The file could not be written; the whole transaction was undone.
        """
        with self._lock, _translated(self.path):
            connection = self._open_connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                _undo(connection)
                raise

    @contextmanager
    def reading(self, *, is_lenient: bool = False) -> Iterator[sqlite3.Connection]:
        """Give a connection for one query; raises StoreError like ``transaction``.

        ``is_lenient``: a text that is no text is given with marks in it instead of raised, for
        tables whose rows have checksums: one damaged row must not hide the others.
        """
        with self._lock, _translated(self.path):
            connection = self._open_connection()
            connection.text_factory = _readable if is_lenient else str
            try:
                yield connection
            finally:
                connection.text_factory = str

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError("store.closed", f"{self.path}: the state file was closed")
        return self._connection

    def _opened(self, sealed: bytes | None, batch_id: bytes) -> bytes | None:
        """Return the bytes of a batch to a query; None if its key is gone."""
        try:
            return None if sealed is None else self.vault.open(batch_item(batch_id), sealed)
        except (KeyLostError, OSError, TypeError, AttributeError):  # or a value nobody wrote
            return None

    def _prepare(self, steps: Sequence[Step]) -> None:
        with self.reading() as connection:
            connection.execute("PRAGMA foreign_keys=ON")
            _expect_wal(self.path, connection)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA secure_delete=ON")  # freed pages are overwritten
            connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={_JOURNAL_LIMIT_BYTES}")
        found = self._climb(steps)
        if found < len(steps):  # so that the version can be read from the file's first page
            with self.reading() as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _climb(self, steps: Sequence[Step]) -> int:
        with self.transaction() as connection:
            found = _version(connection)
            _expect_version(self.path, min(found, len(steps)), found)
            for step in steps[found:]:
                for statement in step:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version={len(steps)}")
        return found


def _readable(found: bytes) -> str:
    return found.decode(errors="replace")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )


def _connect_to_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _expect_version(path: Path, expected: int, found: int) -> None:
    if found > expected:
        raise StoreError(
            "store.newer",
            f"{path}: expected schema version {expected} or older, found {found}: a newer okdrive"
            " wrote it; nothing was touched; start that version again",
        )
    if found < expected:
        raise StoreError(
            "store.older",
            f"{path}: expected schema version {expected}, found {found}; nothing was touched;"
            " the daemon brings it up to date when it starts",
        )


def _refuse_foreign(path: Path, *, newest: int) -> None:
    """Look at the first bytes only: not even a journal file may appear beside a foreign file."""
    try:
        with path.open("rb") as file:
            head = file.read(_VERSION_AT.stop)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError("store.cannot_open", f"{path}: {error.strerror}") from error
    if head and not head.startswith(_MAGIC):
        raise StoreError(
            "store.not_a_database",
            f"{path}: expected an SQLite file, found other bytes; nothing was touched;"
            " move the file away or restore it",
        )
    found = int.from_bytes(head[_VERSION_AT])
    if found > newest:
        _expect_version(path, newest, found)


def _expect_wal(path: Path, connection: sqlite3.Connection) -> None:
    # the switch can fail without an error (seen with an I/O error at the fourth sync)
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise StoreError(
            "store.journal",
            f"{path}: expected journal mode wal, the file stayed in {mode}; nothing was written;"
            " check the disk",
        )


def _undo(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):  # SQLite undoes by itself after most errors
        connection.execute("ROLLBACK")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
        raise  # our own mistake, not the disk's
    except KeyLostError as error:
        raise StoreError(error.code, f"{error}; nothing was written") from error
    except OSError as error:  # of a key beside the file
        code, advice = _CODES[sqlite3.SQLITE_FULL] if error.errno == errno.ENOSPC else _OF_KEYS
        raise StoreError(
            code, f"{path}: no key could be kept: {error}; nothing was written; {advice}"
        ) from error
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # its message may quote damage
        name = getattr(error, "sqlite_errorname", "undecodable")  # a text column that is no text
        result = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        raise _store_error(path, result, name, error) from error


def _store_error(path: Path, result: int, name: str, error: Exception) -> StoreError:
    code, advice = _CODES.get(result & 0xFF, ("store.io", "check the disk"))
    if name == "SQLITE_IOERR_SHMSIZE":  # no room for the write-ahead log's index
        code, advice = _FULL, _CODES[sqlite3.SQLITE_FULL][1]
    return StoreError(
        code,
        f"{path}: {error} ({name}); nothing was half-written, what was stored is intact; {advice}",
    )
