"""The database of many machines: PostgreSQL, for any number of ingests at once.

The one module that knows psycopg. Secrets are no part of the URL: libpq takes the password from the
file named by ``passfile``, and certificates from ``sslcert`` and ``sslkey``.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg

from telemetry.ingest.database import STEPS, Connection, Result, storage_error
from telemetry.ingest.errors import ConfigError

_DIALECT = {"bytes": "BYTEA", "keyed": ""}
_MIGRATION_LOCK = b"okdrive schema"
_CONNECT_TIMEOUT_S = 10
_STATEMENT_TIMEOUT_MS = 30_000  # a server that hangs is a server that is gone
_VERSION_TABLE = "CREATE TABLE IF NOT EXISTS okdrive_schema (version INTEGER NOT NULL)"


class _Connection:
    """A connection as the door wants it: ``?`` stands for a value."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self.raw = raw

    def execute(self, statement: str, values: Sequence[object] = (), /) -> Result:
        query = statement.replace("?", "%s").encode()
        return self.raw.execute(query, values)


class PostgresDatabase:
    """One database at a server; a connection for each block that runs at the same time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.name = _without_secrets(url)
        self._idle: list[_Connection] = []
        self._lock = threading.Lock()

    @classmethod
    def open(cls, url: str) -> Self:
        """Connect and create or lead forward the tables; raise StorageError or ConfigError."""
        database = cls(url)
        with database.writing(_MIGRATION_LOCK) as connection:
            connection.execute(_VERSION_TABLE)
            found = _version(connection)
            for step in STEPS[found:]:
                for statement in step:
                    connection.execute(statement.format(**_DIALECT))
            connection.execute("DELETE FROM okdrive_schema")
            connection.execute("INSERT INTO okdrive_schema VALUES (?)", (max(found, len(STEPS)),))
        return cls._checked(database)

    @classmethod
    def open_to_read(cls, url: str) -> Self:
        """Connect to the tables of an ingest; raise StorageError or ConfigError."""
        return cls._checked(cls(url))

    @classmethod
    def _checked(cls, database: Self) -> Self:
        with database.reading() as connection:
            found = _version(connection)
        if found != len(STEPS):
            database.close()
            raise storage_error(
                database.name, f"expected schema version {len(STEPS)}, found {found}"
            )
        return database

    def close(self) -> None:
        """Close every connection that is idle; one that works ends with its block."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.raw.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read with."""
        with self._lent() as connection:
            yield connection

    @contextmanager
    def writing(self, lock: bytes) -> Iterator[Connection]:
        """Give a connection in a transaction; no other block has the same ``lock`` meanwhile."""
        with self._lent() as connection, connection.raw.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(?)", (_lock_number(lock),))
            yield connection

    def scrub(self) -> None:
        """Do nothing: the server's own vacuum reuses the room of deleted rows."""

    @contextmanager
    def _lent(self) -> Iterator[_Connection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        try:
            connection = connection or self._connect()
            yield connection
        except psycopg.Error as error:
            self._give_up(connection)
            raise storage_error(self.name, _plain(error)) from error
        except BaseException:
            self._give_up(connection)
            raise
        with self._lock:
            self._idle.append(connection)

    def _give_up(self, connection: _Connection | None) -> None:
        """Close this connection and the idle ones: a server that went away took them all."""
        if connection is not None:
            with suppress(psycopg.Error):
                connection.raw.close()
        self.close()

    def _connect(self) -> _Connection:
        raw = psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)
        raw.execute(f"SET statement_timeout = {_STATEMENT_TIMEOUT_MS}")
        raw.execute("SET synchronous_commit = on")  # a receipt promises what is on disk
        return _Connection(raw)


def _version(connection: Connection) -> int:
    table = connection.execute("SELECT to_regclass('okdrive_schema')").fetchone()[0]
    if table is None:
        return 0
    row = connection.execute("SELECT version FROM okdrive_schema").fetchone()
    return int(row[0]) if row else 0


def _lock_number(lock: bytes) -> int:
    return int.from_bytes(sha256(lock).digest()[:8], signed=True)


def _without_secrets(url: str) -> str:
    try:
        parts = urlsplit(url)
        password, host = parts.password, parts.hostname or ""
    except ValueError as error:
        raise _config_error(f"no URL: {error}") from error
    if password is not None:
        raise _config_error("the URL holds a password")
    return f"postgresql://{host}{parts.path}"


def _config_error(why: str) -> ConfigError:
    return ConfigError(
        f"store.index: {why}",
        intact="nothing was started, nothing was connected",
        advice="postgresql://USER@HOST/DATABASE?passfile=/path/to/pgpass, mode 0600",
    )


def _plain(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
