"""Debian's mosquitto as a child process, with the product's own configuration and ACL."""

import getpass
import shutil
import socket
import subprocess
import time
from pathlib import Path
from string import Template

from sim.pki import Identity

START_TIMEOUT_S = 10.0  # source: measured 13 to 25 ms; a busy machine gets plenty
STOP_TIMEOUT_S = 5.0
INGEST_NAME = "ingest"  # the certificate name the access lists know
_ACL, _INGEST_ACL = "mosquitto.acl", "mosquitto-ingest.acl"
_POLL_S = 0.01
_SETTLE_S = 0.05  # a broker that cannot start ends within this; measured 5 ms


class BrokerError(Exception):
    """The broker could not be started. ``code`` is stable, the message is for a person."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def render_config(
    folder: Path, *, templates: Path, server: Identity, port: int, ingest_port: int
) -> Path:
    """Write ``mosquitto.conf`` and the access lists to ``folder``; return the first.

    Args:
        folder: Where the files go.
        templates: The folder that holds the templates of the same names (``configs/``).
        server: Certificate and key of the broker, and the CA of its clients.
        port: Where it listens for vehicles, on loopback only.
        ingest_port: Where it listens for ingest.
    """
    values = {
        "user": getpass.getuser(),  # mosquitto gives up root for another user unless told not to
        "port": str(port),
        "ingest_port": str(ingest_port),
        "bind_address": "127.0.0.1",
        "ca_file": str(server.ca_file),
        "cert_file": str(server.cert_file),
        "key_file": str(server.key_file),
        "acl_file": str(folder / _ACL),
        "ingest_acl_file": str(folder / _INGEST_ACL),
        "ingest_name": INGEST_NAME,
    }
    for name in (_ACL, _INGEST_ACL, "mosquitto.conf"):
        text = Template((templates / name).read_text()).substitute(values)
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return folder / "mosquitto.conf"


class Broker:
    """One mosquitto and its log; it can be killed and started again on the same port."""

    def __init__(self, config: Path, *, port: int, log_file: Path) -> None:
        self.port = port
        self.log_file = log_file
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start, and return when it listens.

        Raises:
            BrokerError: mosquitto is not installed, the port is taken, or it does not come up.
        """
        program = shutil.which(
            "mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
        )
        if program is None:
            raise BrokerError(
                "expected Debian's mosquitto, found none; install the package mosquitto",
                code="sim.broker.missing",
            )
        if _listens(self.port):
            raise BrokerError(
                f"port {self.port} is taken by another program; nothing was started",
                code="sim.broker.port_taken",
            )
        with self.log_file.open("ab") as log:
            command = [program, "-c", str(self._config)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 (fixed)
        self._wait_until_listening()

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait; kill it if it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it at once (SIGKILL); what it held in memory is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def restart(self) -> None:
        """Kill it if it runs, and start it again on the same port."""
        self.kill()
        self.start()

    def _wait_until_listening(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._is_up():
            if self.pid is None or time.monotonic() > deadline_s:
                self.kill()
                tail = self.log_file.read_text(errors="replace")[-400:].strip()
                raise BrokerError(
                    f"mosquitto does not listen on port {self.port}: {tail}",
                    code="sim.broker.not_listening",
                )
            time.sleep(_POLL_S)

    def _is_up(self) -> bool:
        """Tell whether the port answers and it is this process that lives, not another's."""
        if not _listens(self.port):
            return False
        time.sleep(_SETTLE_S)
        return self.pid is not None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
