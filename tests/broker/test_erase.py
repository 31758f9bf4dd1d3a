"""Erase over a real broker: ingest confirms, and its Parquet store is empty where it says so."""

import asyncio
from functools import partial

import pytest

from agent.delivery import Patience
from agent.departure import DepartureLimits
from agent.erasing import Eraser
from agent.erasures import rows_document, rows_lines
from agent.network.model import NetworkClass
from agent.spending import Spending
from agent.store.erasures import Erasures
from agent.store.uplink_notes import UplinkNotes
from agent.takeback import Takeback
from agent.uplink import UplinkSettings
from telemetry.ingest.wiring import Parts
from telemetry.mqtt.link import MqttLink
from tests.support.ingest_home import IngestHome
from tests.support.vehicle_side import Vehicle
from tests.support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]
TRIPS = ("trip-1", "trip-2", "trip-3")


async def test_erase_three_batches_and_no_row_is_left(
    vehicle: Vehicle, ingest: Parts, home: IngestHome
) -> None:
    for trip in TRIPS:
        await asyncio.to_thread(vehicle.confirm, trip)
    stop, clock = asyncio.Event(), vehicle.sharing._clock
    eraser = Eraser(
        vehicle.sharing,
        segments=vehicle.folder / "segments",
        now_utc=clock.utc_now,
        destroy_secrets=lambda: None,
        forget_events=lambda _first, _last: None,
    )
    erasures = Erasures(vehicle.sharing.state.database)
    takeback = Takeback(
        erasures,
        recipients=vehicle.sharing.recipients,
        make_link=lambda client_id, take: MqttLink(
            vehicle.settings, client_id=client_id, on_message=take
        ),
        clock=clock,
        patience=Patience(),
        limits=DepartureLimits(),
        spending=Spending(
            UplinkNotes(vehicle.sharing.state.database),
            clock=clock,
            network=lambda: NetworkClass.UNMETERED,
            bytes_per_day={},
        ),
        claim_withdrawn=eraser.claim_withdrawn,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(ingest.service.run(stop))
        await wait_until(lambda: ingest.service.is_receiving)
        patient = UplinkSettings(patience=Patience(receipt_s=30.0), pause_max_s=0.0)
        await vehicle.deliver(vehicle.uplink(waits=patient))
        assert len(await asyncio.to_thread(home.batches)) == 3
        assert len(home.files()) == 3
        for trip in TRIPS:
            plan = await asyncio.to_thread(eraser.plan, await asyncio.to_thread(eraser.trip, trip))
            await asyncio.to_thread(eraser.carry_out, plan)
        await asyncio.to_thread(partial(erasures.hurry, now_utc=clock.utc_now()))
        for _ in TRIPS:
            await takeback.step()
        stop.set()
    rows = await asyncio.to_thread(erasures.rows)
    assert [(row.erasure.batches, row.erasure.left) for row in rows if row.erasure] == [(1, 0)] * 3
    assert all("ingest confirms: 1 batch, 0 rows left" in line
               for line in rows_lines(rows_document(rows)))  # fmt: skip
    assert await asyncio.to_thread(home.batches) == []
    assert home.files() == []
