"""Every purpose that ingest may read becomes rows; old and new schemas lie side by side."""

from pathlib import Path

import pytest

from telemetry.codec.batch import BatchLimits
from telemetry.codec.bodies import RecordBody, encode_body
from telemetry.codec.errors import CodecError
from telemetry.codec.schemas import BATTERY_1, BATTERY_2
from telemetry.ingest.desk import Desk, DeskSettings
from telemetry.ingest.prepare import prepare
from telemetry.ingest.sink import read_rows
from telemetry.records import (
    ChargingBatch,
    CurrentKind,
    DiagnosticsBatch,
    DwellClass,
    JourneyClass,
    JourneysBatch,
    ReceiptStatus,
    TrafficBatch,
)
from tests.support.batches import PSEUDONYM, batch_payload
from tests.support.clock import FakeClock
from tests.support.ingest_store import local_store
from tests.support.sealing import unsealed

BODIES: dict[str, tuple[RecordBody, dict[str, object]]] = {
    "charging": (
        ChargingBatch(
            cell=0x871F1D489FFFFFF,
            hour_of_week=17,
            soc_in_percent=30,
            current=CurrentKind.DC,
            quarter_hours_wh=(9_000, 4_500),
            soc_out_percent=80,
            dwell=DwellClass.HOUR,
        ),
        {
            "cell": 0x871F1D489FFFFFF,
            "hour_of_week": 17,
            "soc_in_percent": 30,
            "current": "dc",
            "quarter_hours_wh": [9_000, 4_500],
            "soc_out_percent": 80,
            "dwell": "hour",
        },
    ),
    "journeys": (
        JourneysBatch(
            kind=JourneyClass.ERRAND,
            distance_from_km=5,
            duration_from_min=10,
            consumption_wh_km=None,
            ambient_c=-10,
        ),
        {
            "kind": "errand",
            "distance_from_km": 5,
            "duration_from_min": 10,
            "consumption_wh_km": None,
            "ambient_c": -10,
        },
    ),
    "traffic": (
        TrafficBatch(
            cell=0x891F1D48973FFFF, hour_of_week=8, speed_tenths=(0, 0, 4, 6, 0, 0, 0, 0, 0)
        ),
        {
            "cell": 0x891F1D48973FFFF,
            "hour_of_week": 8,
            "speed_tenths": [0, 0, 4, 6, 0, 0, 0, 0, 0],
        },
    ),
    "diagnostics": (
        DiagnosticsBatch(version="1.2.3", uptime_class=2, losses=(("dropped", 3),)),
        {"version": "1.2.3", "uptime_class": 2, "losses": [("dropped", 3)]},
    ),
}


def payload_of(body: RecordBody) -> bytes:
    return encode_body(body, month="2026-11", pseudonym=PSEUDONYM, nonce=bytes(16))


@pytest.mark.parametrize("purpose", BODIES)
def test_a_record_is_stored_as_its_vehicle_made_it(purpose: str, tmp_path: Path) -> None:
    body, expected = BODIES[purpose]
    store = local_store(tmp_path)
    desk = Desk(store=store, open_batch=unsealed, clock=FakeClock(), settings=DeskSettings())
    assert desk.take(f"okdrive/1/up/{purpose}", payload_of(body)).status is ReceiptStatus.STORED
    [stored] = store.index.batches()
    assert (stored.purpose, stored.schema_id, stored.row_count) == (purpose, f"{purpose}.1", 1)
    assert stored.file.startswith(f"{purpose}/2026-11/")
    [row] = read_rows(store.files.read(stored.file))
    assert row == {"pseudonym": PSEUDONYM, "month": "2026-11", **expected}
    store.close()


def test_a_record_on_the_topic_of_another_purpose_is_refused(tmp_path: Path) -> None:
    store = local_store(tmp_path)
    desk = Desk(store=store, open_batch=unsealed, clock=FakeClock(), settings=DeskSettings())
    body, _ = BODIES["journeys"]
    assert desk.take("okdrive/1/up/traffic", payload_of(body)).code == "ingest.wrong_topic"
    store.close()


def test_a_record_that_cannot_be_is_refused() -> None:
    broken = payload_of(BODIES["traffic"][0]).replace(bytes([0, 0, 4, 6]), bytes([0, 0, 4, 7]))
    with pytest.raises(CodecError, match="10 together"):
        prepare(broken, BatchLimits())


def test_the_old_schema_and_the_new_one_have_the_same_columns() -> None:
    tables = [
        read_rows(prepare(batch_payload(schema=schema), BatchLimits()).parquet)
        for schema in (BATTERY_1, BATTERY_2)
    ]
    assert [set(rows[0]) for rows in tables] == [set(tables[0][0])] * 2
    assert [rows[0]["cell_temp_c_invalid"] for rows in tables] == [None, False]
