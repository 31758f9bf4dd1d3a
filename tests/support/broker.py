"""A real mosquitto on a free loopback port, with a CA of its own and the product's ACL.

Use the fixtures by importing them into the conftest of a folder::

    from tests.support.broker import broker, pki  # noqa: F401 (fixtures)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.clock import SystemClock
from sim.broker import INGEST_NAME, Broker, free_port, render_config
from sim.pki import Authority, Identity
from telemetry.mqtt.messages import MqttSettings

CONFIGS = Path(__file__).parents[2] / "configs"
VEHICLE_NAME = "5f0c1d4e9ab34c7d8e21f6a7b8c9d0e1"  # as random as any vehicle's


@dataclass(frozen=True)
class Pki:
    """One CA with all its parties, and a stranger signed by another CA."""

    server: Identity
    vehicle: Identity
    other_vehicle: Identity
    ingest: Identity
    foreign: Identity  # its CA file is the foreign CA
    misnamed_server: Identity  # of our CA, for a host where it does not run


@dataclass
class TestBroker:
    """A running broker; ``kill()``, ``restart()`` and ``stop()`` are the process's."""

    __test__ = False

    process: Broker
    pki: Pki
    ingest_port: int = 0  # its other door

    @property
    def port(self) -> int:
        return self.process.port

    def kill(self) -> None:
        self.process.kill()

    def restart(self) -> None:
        self.process.restart()

    def stop(self) -> None:
        self.process.stop()

    def log(self) -> str:
        return self.process.log_file.read_text(errors="replace")

    def settings(self, identity: Identity | None = None, **changes: object) -> MqttSettings:
        """Settings of the vehicle, or of ``identity``, at its own door, that trust this CA."""
        who = identity or self.pki.vehicle
        values: dict[str, object] = {
            "host": "127.0.0.1",
            "port": self.ingest_port if who is self.pki.ingest else self.port,
            "ca_file": self.pki.server.ca_file,
            "cert_file": who.cert_file,
            "key_file": who.key_file,
            "connect_timeout_s": 5.0,
        }
        return MqttSettings(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    now = SystemClock().utc_now()  # mosquitto and OpenSSL look at the real clock
    folder = tmp_path_factory.mktemp("pki")
    ours = Authority.create(folder / "ours", name="okdrive test CA", now=now)
    foreign = Authority.create(folder / "foreign", name="another CA", now=now)
    hosts = ("127.0.0.1", "localhost")
    return Pki(
        server=ours.issue_server("broker", hosts=hosts, now=now),
        vehicle=ours.issue_client(VEHICLE_NAME, now=now),
        other_vehicle=ours.issue_client("0a1b2c3d4e5f60718293a4b5c6d7e8f9", now=now),
        ingest=ours.issue_client(INGEST_NAME, now=now),
        foreign=foreign.issue_client(VEHICLE_NAME, now=now),
        misnamed_server=ours.issue_server("elsewhere", hosts=("broker.example",), now=now),
    )


@pytest.fixture
def broker(pki: Pki, tmp_path: Path) -> Iterator[TestBroker]:
    port, ingest_port = free_port(), free_port()
    config = render_config(
        tmp_path, templates=CONFIGS, server=pki.server, port=port, ingest_port=ingest_port
    )
    process = Broker(config, port=port, log_file=tmp_path / "mosquitto.log")
    process.start()
    yield TestBroker(process, pki, ingest_port)
    process.stop()
