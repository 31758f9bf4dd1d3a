"""A connection that dies at its n-th statement, as a process does that is killed there."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any


class KilledError(BaseException):
    """The process is gone; nothing may handle this."""


class Plug:
    """Pulled just before or just after statement ``at`` (counted from 0); then nothing works."""

    def __init__(self, at: int, when: str) -> None:
        self.at = at
        self.when = when
        self.count = -1
        self.is_pulled = False
        self.statement = ""
        self.statements: list[str] = []  # everything that was run, shortened
        self._connections: list[sqlite3.Connection] = []

    def die(self) -> None:
        """What the kernel does to a dead process: its files are closed, nothing is committed."""
        for connection in self._connections:
            connection.rollback()  # a cursor in a traceback would keep a closed one alive
            sqlite3.Connection.close(connection)

    def run(self, statement: str, act: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        if self.is_pulled:
            raise KilledError
        self.count += 1
        self.statements.append(" ".join(statement.split())[:70])
        if self.count == self.at and self.when == "before":
            self._pull(statement)
        result = act()
        if self.count == self.at:
            self._pull(statement)
        return result

    def _pull(self, statement: str) -> None:
        self.is_pulled = True
        self.statement = " ".join(statement.split())[:60]
        raise KilledError

    def connect(self, path: Path) -> sqlite3.Connection:
        plug = self

        class Mortal(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return plug.run(sql, lambda: sqlite3.Connection.execute(self, sql, *args))

            def close(self) -> None:
                """A dead process closes nothing by itself."""

            def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
                return plug.run(sql, lambda: sqlite3.Connection.executemany(self, sql, *args))

        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=Mortal
        )
        self._connections.append(connection)
        return connection
