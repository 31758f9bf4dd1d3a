"""A PostgreSQL server of this test run: a folder of its own, a free port of the loopback.

Use it by importing the fixture into the conftest of a folder::

    from tests.support.postgres import postgres  # noqa: F401 (fixture)
"""

import getpass
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
import pytest

from sim.broker import free_port
from tests.support.wait import wait_until_sync

_USER = "okdrive"
_QUICK = {  # durability is PostgreSQL's own business, these tests are about ours
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "40",
}
_numbers = count()


@dataclass(frozen=True)
class Postgres:
    """A running server; every caller takes a database of its own."""

    port: int
    process: "subprocess.Popen[bytes]"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"okdrive_{next(_numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with server() as running:
        yield running


@contextmanager
def server() -> Iterator[Postgres]:
    """Run a server until the end of the block. It will not run as root, so another user does."""
    user = "postgres" if getpass.getuser() == "root" else None
    folder = Path(tempfile.mkdtemp(prefix="okdrive-postgres-"))
    if user:
        shutil.chown(folder, user)
    data = folder / "data"
    try:
        subprocess.run(
            [_program("initdb"), "-D", data, "-U", _USER, "-A", "trust", "-N", "-E", "UTF8"],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        with _running(data, folder / "log", user) as running:
            yield running
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(data: Path, log: Path, user: str | None) -> Iterator[Postgres]:
    port = free_port()
    settings = [word for name, value in _QUICK.items() for word in ("-c", f"{name}={value}")]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [_program("postgres"), "-D", data, "-p", str(port), *settings],
            stdout=out,
            stderr=out,
            user=user,
            cwd=data,
        )
    running = Postgres(port, process)
    try:
        wait_until_sync(lambda: _answers(running) or process.poll() is not None, timeout_s=60)
        assert process.poll() is None, log.read_text()
        yield running
    finally:
        process.send_signal(signal.SIGQUIT)  # at once, but its children too
        process.wait(60)


def _answers(running: Postgres) -> bool:
    try:
        psycopg.connect(running.url(), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _program(name: str) -> str:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    found = shutil.which(name, path=path)
    assert found, f"expected PostgreSQL's {name}; install Debian's package postgresql"
    return found
