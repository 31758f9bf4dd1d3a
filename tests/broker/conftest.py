"""The fixtures of the real broker."""

import re
from pathlib import Path

import pytest

from tests.support.broker import TestBroker, broker, pki  # noqa: F401 (fixtures)
from tests.support.postgres import postgres  # noqa: F401 (fixture)
from tests.support.vehicle_side import home, ingest, vehicle  # noqa: F401 (fixtures)
from tests.support.workshop import workshop  # noqa: F401 (fixture)


@pytest.fixture
def narrow_broker(broker: TestBroker, tmp_path: Path) -> TestBroker:  # noqa: F811 (fixture)
    """The same broker, started anew with room for hardly more than the head of a message."""
    config = tmp_path / "mosquitto.conf"
    wide = config.read_text()
    narrow = re.sub(r"(?m)^max_packet_size .*$", "max_packet_size 400", wide)
    assert narrow != wide
    config.write_text(narrow)
    broker.restart()
    return broker
