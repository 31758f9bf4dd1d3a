"""The owner's read API: VSS names, units and times, on loopback and on a UNIX socket."""

import asyncio
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from agent.folders import Folders
from agent.hmi.owner import MAX_ROWS, create_owner_app
from agent.hmi.server import serve_unix
from agent.owner import owner_door
from agent.store.sessions import SessionRow, Sessions
from telemetry.purposes import Purpose
from tests.support.asgi import Client
from tests.support.clock import FakeClock
from tests.support.trips import TB, FakeTrip, open_sharing, write_segment
from tests.support.wait import wait_until

NOW = {"signals": [{"path": "Vehicle.Speed", "value": 50.0, "unit": "km/h", "quality": "ok"}]}


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    sharing = open_sharing(tmp_path)
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.offer_trip(FakeTrip(), write_segment(tmp_path / "segments", rows=25))
    charge = SessionRow(
        session_id="charge-1",
        summary='{"distance_m": 0, "duration_s": 60, "energy_out_wh": 0, "energy_in_wh": 5}',
        created_utc=FakeClock().utc_now(),
        is_open=False,
    )
    Sessions(sharing.state.database).put(charge)
    sharing.state.close()
    return Folders(root=tmp_path)


@pytest.fixture
def client(folders: Folders) -> Client:
    return Client(create_owner_app(owner_door(folders, lambda: NOW)))


async def read(client: Client, path: str, status: int = HTTPStatus.OK) -> dict[str, Any]:
    answer = await client.get(path)
    assert answer.status == status, answer.body
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def test_signals_of_now_come_with_path_and_unit(client: Client) -> None:
    assert await read(client, "/api/signals") == NOW


async def test_trips_and_charges_are_listed(client: Client) -> None:
    found = await read(client, "/api/trips")
    assert {(one["trip_id"], one["kind"]) for one in found["trips"]} == {
        ("trip-1", "trip"),
        ("charge-1", "charge"),
    }


async def test_a_trip_is_told_whole(client: Client) -> None:
    found = await read(client, "/api/trips/trip-1")
    assert found["trip"]["distance_m"] == 12_345.0


async def test_samples_come_in_pages_with_units(client: Client) -> None:
    first = await read(client, "/api/trips/trip-1/samples?limit=20")
    paths = [column["path"] for column in first["columns"]]
    row = dict(zip(paths, first["rows"][0], strict=True))
    assert row[f"{TB}.CurrentVoltage"] == 360.0
    assert {"path": "Vehicle.Speed", "unit": "km/h"} in first["columns"]
    assert (len(first["rows"]), first["next"]) == (20, 20)
    rest = await read(client, "/api/trips/trip-1/samples?first=20")
    assert (len(rest["rows"]), rest["next"]) == (5, None)


async def test_more_rows_than_one_answer_may_hold_are_not_given(client: Client) -> None:
    found = await read(client, f"/api/trips/trip-1/samples?limit={MAX_ROWS * 10}")
    assert len(found["rows"]) == 25


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/trips/nobody", HTTPStatus.NOT_FOUND, "owner.trip"),
        ("/api/trips/nobody/samples", HTTPStatus.NOT_FOUND, "owner.samples"),
        ("/api/trips/trip-1/samples?first=-1", HTTPStatus.BAD_REQUEST, "owner.number"),
        ("/api/trips/trip-1/samples?limit=1e9", HTTPStatus.BAD_REQUEST, "owner.number"),
    ],
)
async def test_what_is_not_there_is_said_with_a_code(
    client: Client, path: str, status: int, code: str
) -> None:
    assert (await read(client, path, status))["error"]["code"] == code


async def test_a_battery_without_history_is_no_error(client: Client) -> None:
    assert (await read(client, "/api/battery"))["alerts"] == []


async def test_the_socket_answers_whoever_may_open_it(folders: Folders, tmp_path: Path) -> None:
    stop, path = asyncio.Event(), tmp_path / "owner.sock"
    app = create_owner_app(owner_door(folders, lambda: NOW))
    async with asyncio.TaskGroup() as group:
        group.create_task(serve_unix(app, path, stop=stop))
        await wait_until(path.is_socket)
        assert path.stat().st_mode & 0o777 == 0o660
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /api/signals HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        stop.set()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(json.dumps(NOW, separators=(",", ":")).encode())


async def test_a_place_without_sockets_leaves_everything_else_running(tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    app = create_owner_app(owner_door(Folders(root=tmp_path), lambda: NOW))
    await serve_unix(app, tmp_path / ("x" * 120), stop=stop)
    assert not await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
