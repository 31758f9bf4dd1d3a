"""Each purpose switched on alone, over a real broker: only its schema appears on the wire."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from agent.consent.recipients import Recipients
from agent.delivery import Patience
from agent.uplink import UplinkSettings
from telemetry.ingest.wiring import Parts
from telemetry.mqtt.link import MqttLink
from telemetry.mqtt.messages import Message
from telemetry.purposes import SWITCHED, Purpose
from telemetry.topics import new_client_id, parse_uplink
from tests.support.broker import TestBroker
from tests.support.ingest_home import IngestHome
from tests.support.life import Life, day_of
from tests.support.vehicle_side import Vehicle
from tests.support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

PATIENT = UplinkSettings(patience=Patience(receipt_s=30, puback_s=30))
THREE_DAYS_S = 72 * 3_600.0  # longer than any record waits


def live(folder: Path, purpose: Purpose, home: IngestHome) -> Life:
    """Two days under one purpose, every card answered with OK, every delay over."""
    soon = home.keys.sealing[0].not_before.date() + timedelta(days=2)
    on = day_of(purpose, first=soon)
    life = Life(folder, purpose, on=on, recipients=Recipients(home.keys))
    life.days(2)
    for card in life.sharing.cards():
        ids = [bytes.fromhex(preview.batch_id) for preview in card.previews]
        life.sharing.answer(card.trip.trip_id, ids, share=True)
    life.clock.advance_s(THREE_DAYS_S)
    return life


@pytest.mark.parametrize("purpose", SWITCHED)
async def test_only_the_schema_of_the_purpose_that_is_on_appears_on_the_wire(
    broker: TestBroker, home: IngestHome, ingest: Parts, tmp_path: Path, purpose: Purpose
) -> None:
    heard: list[Message] = []
    listener = MqttLink(
        broker.settings(broker.pki.ingest),
        client_id=new_client_id(b"l" * 16),
        on_message=heard.append,
    )
    await listener.connect()
    await listener.subscribe("okdrive/1/up/#", timeout_s=30)
    (tmp_path / "car").mkdir()
    life = await asyncio.to_thread(live, tmp_path / "car", purpose, home)
    confirmed = {row.batch_id for row in await asyncio.to_thread(life.sharing.outbox.rows)}
    vehicle = Vehicle(life.sharing, broker.settings(), tmp_path / "car")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(ingest.service.run(stop))
        await wait_until(lambda: ingest.service.is_receiving)
        await vehicle.deliver(vehicle.uplink(waits=PATIENT))
        stop.set()
    await listener.disconnect()
    assert confirmed
    assert {parse_uplink(message.topic) for message in heard} == {purpose}
    stored = await asyncio.to_thread(home.batches)
    assert {batch.batch_id for batch in stored} == confirmed
    assert {batch.schema_id.partition(".")[0] for batch in stored} == {str(purpose)}
    await asyncio.to_thread(life.sharing.state.close)
