"""The vehicle's side of a delivery over a real broker, and the far end beside it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.consent.recipients import Recipients
from agent.delivery import Patience
from agent.sharing import Sharing
from agent.uplink import Uplink, UplinkSettings
from telemetry.ingest.clock import SystemClock
from telemetry.ingest.config import load_config
from telemetry.ingest.wiring import Parts, build_service
from telemetry.link import Backoff
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import MqttSettings
from telemetry.purposes import Purpose
from tests.support.broker import TestBroker
from tests.support.clock import FakeClock
from tests.support.ingest_home import IngestHome, make_home
from tests.support.trips import FakeTrip, open_sharing, write_segment


@dataclass
class Vehicle:
    sharing: Sharing
    settings: MqttSettings
    folder: Path
    rows: int = 60  # of a trip

    def offer(self, trip_id: str = "trip-1") -> bytes:
        self.sharing.set_consent(Purpose.BATTERY, is_granted=True)
        path = write_segment(self.folder / "segments", trip_id, rows=self.rows)
        [preview] = self.sharing.offer_trip(FakeTrip(trip_id=trip_id), path)
        return bytes.fromhex(preview.batch_id)

    def confirm(self, trip_id: str = "trip-1") -> bytes:
        batch = self.offer(trip_id)
        self.sharing.answer(trip_id, [batch], share=True)
        return batch

    def settings_for(self, port: int, **changes: object) -> MqttSettings:
        return replace(self.settings, port=port, **changes)  # type: ignore[arg-type]

    def uplink_to(
        self,
        port: int,
        *,
        connect_timeout_s: float = 5.0,
        puback_timeout_s: float = 2.0,
        receipt_timeout_s: float = 1.0,
    ) -> Uplink:
        return self.uplink(
            self.settings_for(port, connect_timeout_s=connect_timeout_s),
            UplinkSettings(
                patience=Patience(receipt_s=receipt_timeout_s, puback_s=puback_timeout_s)
            ),
        )

    def uplink(
        self, settings: MqttSettings | None = None, waits: UplinkSettings | None = None
    ) -> Uplink:
        chosen = settings or self.settings
        return Uplink(
            sharing=self.sharing,
            make_link=lambda client_id, on_message: MqttLink(
                chosen, client_id=client_id, on_message=on_message
            ),
            clock=FakeClock(),
            settings=waits or UplinkSettings(patience=Patience(receipt_s=1.0, puback_s=2.0)),
            backoff=Backoff(lambda: 0.0),
        )

    async def deliver(self, uplink: Uplink) -> None:
        """Step until the outbox is empty; the deadline is against hanging, not for speed."""
        async with asyncio.timeout(200):
            while await uplink.queue():
                await uplink.step()


@pytest.fixture
def home(broker: TestBroker, tmp_path: Path) -> IngestHome:
    folder = tmp_path / "far-end"
    folder.mkdir()
    return make_home(folder, broker)


@pytest.fixture
def vehicle(broker: TestBroker, home: IngestHome, tmp_path: Path) -> Iterator[Vehicle]:
    folder = tmp_path / "vehicle"
    folder.mkdir()
    sharing = open_sharing(folder, recipients=Recipients(home.keys))
    yield Vehicle(sharing, broker.settings(), folder)
    sharing.state.close()


@pytest.fixture
def ingest(home: IngestHome) -> Iterator[Parts]:
    config = load_config(home.config)
    parts = build_service(config, clock=SystemClock())
    yield parts
    parts.close()
