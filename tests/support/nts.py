"""A time server that speaks NTS, and chrony as a vehicle runs it: both real, on loopback.

Neither touches the machine's clock (``-x``).
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.clock import SystemClock
from sim.broker import free_port
from sim.pki import Authority
from tests.support.wait import wait_until

_DAEMON = ("/usr/sbin/chronyd", "-4", "-x", "-U", "-u", "root", "-d", "-f")
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class Chrony:
    """A chronyd that runs; ``name`` is that of its files in ``folder``."""

    folder: Path
    name: str

    @property
    def command(self) -> Sequence[str]:
        """How it is asked."""
        return ("chronyc", "-h", str(self.folder / f"{self.name}.sock"), "-c", "-n")

    def ask(self, what: str) -> str:
        done = subprocess.run([*self.command, what], capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""

    def log(self) -> str:
        return (self.folder / f"{self.name}.log").read_text()

    async def until_asked(self, what: str, words: str) -> None:
        """Return as soon as the answer to ``what`` holds ``words``."""
        deadline = SystemClock().monotonic_s() + _START_S
        while words not in (said := await asyncio.to_thread(self.ask, what)):
            if SystemClock().monotonic_s() > deadline:
                raise TimeoutError(f"expected {words!r} in {what}, got {said!r}; {self.log()}")

    async def until_logged(self, words: str) -> None:
        """Return as soon as it has logged ``words``."""
        await wait_until(lambda: words in self.log(), timeout_s=_START_S)


@dataclass(frozen=True, slots=True)
class TimeServer:
    """Where it answers: NTP and NTS key establishment; ``ca`` signed its certificate."""

    host: str
    port: int
    nts_port: int
    ca: Path

    def line(self, *, is_nts: bool = True) -> str:
        nts = f"nts ntsport {self.nts_port} " if is_nts else ""
        return f"server {self.host} {nts}port {self.port} iburst minpoll -4 maxpoll -4"


@asynccontextmanager
async def time_server(folder: Path, host: str = "127.0.0.1") -> AsyncIterator[TimeServer]:
    """Run a server below ``folder`` that takes this machine's clock for the truth."""
    ca = await asyncio.to_thread(_authority, folder / host)
    identity = ca.identity("time")
    server = TimeServer(host, free_port(), free_port(), identity.ca_file)
    settings = (
        f"port {server.port}\nbindaddress {host}\nntsport {server.nts_port}\n"
        f"ntsserverkey {identity.key_file}\nntsservercert {identity.cert_file}\n"
        "local stratum 5\nallow 127.0.0.1\n"
    )
    async with _running(folder, f"server-{host}", settings):
        yield server


@asynccontextmanager
async def chrony(folder: Path, *servers: str, trusted: Path) -> AsyncIterator[Chrony]:
    """Run chrony with these ``server`` lines; it believes certificates that ``trusted`` signed."""
    lines = "\n".join(servers)
    settings = f"{lines}\nport 0\nnosystemcert\nntstrustedcerts {trusted}\n"
    async with _running(folder, "vehicle", settings) as found:
        yield found


def stranger(folder: Path) -> Path:
    """Make another authority in ``folder``; return its certificate."""
    return _authority(folder).identity("time").ca_file


def _authority(folder: Path) -> Authority:
    now = SystemClock().utc_now()
    authority = Authority.create(folder, name="time", now=now)
    authority.issue_server("time", hosts=("127.0.0.1",), now=now)
    return authority


@asynccontextmanager
async def _running(folder: Path, name: str, settings: str) -> AsyncIterator[Chrony]:
    own = f"cmdport 0\nbindcmdaddress {folder}/{name}.sock\npidfile {folder}/{name}.pid\n"
    (folder / f"{name}.conf").write_text(settings + own)
    await asyncio.to_thread(folder.chmod, 0o700)  # or chronyd refuses to make its socket there
    log = (folder / f"{name}.log").open("w")
    process = await asyncio.create_subprocess_exec(
        *_DAEMON, str(folder / f"{name}.conf"), stdout=log, stderr=log
    )
    found = Chrony(folder, name)
    try:
        await wait_until((folder / f"{name}.sock").exists, timeout_s=_START_S)
        yield found
    finally:
        process.terminate()
        await process.wait()
        log.close()
