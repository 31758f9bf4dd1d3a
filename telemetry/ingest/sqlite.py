"""The database of one machine: a SQLite file in WAL mode, every commit on disk when it returns."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from telemetry.ingest.database import STEPS, Connection, storage_error
from telemetry.ingest.errors import StorageError

_BUSY_TIMEOUT_S = 10.0
_DIALECT = {"bytes": "BLOB", "keyed": " WITHOUT ROWID"}  # ordered by key: no order of arrival


class SqliteDatabase:
    """The file at ``path``. Writers wait for each other, in this process and in others."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.name = str(path)
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create ``path``; raise StorageError."""
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = _connect(str(path))
            try:
                _prepare(path, connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    @classmethod
    def open_to_read(cls, path: Path) -> Self:
        """Open an existing file beside a running receiver; raise StorageError."""
        if not path.exists():
            raise StorageError(
                f"{path}: expected the index of an ingest, found none",
                intact="nothing was changed",
                advice="start okdrive-ingest run once, or name its configuration with --config",
            )
        with _translated(path):
            connection = _connect(f"{path.absolute().as_uri()}?mode=ro")
            try:
                _expect_version(path, connection)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def close(self) -> None:
        """Close the file; an unfinished transaction is undone."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give the connection to read with."""
        with self._lock, _translated(self.path):
            yield self._connection

    @contextmanager
    def writing(self, lock: bytes) -> Iterator[Connection]:  # noqa: ARG002 (there is one writer)
        """Give the connection in a transaction that is on disk once the block ends."""
        with self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def scrub(self) -> None:
        """Move everything out of the write-ahead log, where old pages would stay readable.

        Deleted rows in the file itself are overwritten with zeros (``secure_delete``). A reader may
        hold the log; then the next scrub empties it.
        """
        with self.reading() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _connect(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        name,
        uri=name.startswith("file:"),
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA secure_delete=ON").fetchone()
    return connection


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":  # the switch can fail without an error
        raise storage_error(str(path), f"expected journal mode wal, the file stayed in {mode}")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("BEGIN IMMEDIATE")
    for step in STEPS[_version(connection) :]:
        for statement in step:
            connection.execute(statement.format(**_DIALECT))
    if _version(connection) < len(STEPS):
        connection.execute(f"PRAGMA user_version={len(STEPS)}")
    _expect_version(path, connection)
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _expect_version(path: Path, connection: sqlite3.Connection) -> None:
    if (found := _version(connection)) != len(STEPS):
        raise storage_error(str(path), f"expected schema version {len(STEPS)}, found {found}")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise storage_error(str(path), str(error)) from error
    except OSError as error:
        raise storage_error(str(path), str(error.strerror)) from error
