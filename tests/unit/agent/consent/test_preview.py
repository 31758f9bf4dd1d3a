import json
from dataclasses import fields
from pathlib import Path

from agent.consent.notices import load_notices
from agent.consent.preview import _RECORD_FIELDS, preview_of, rows_as_json
from agent.privacy.battery import battery_batches
from agent.privacy.cells import cell_at
from agent.store.segments import read_segment
from telemetry.codec.anybatch import encode_any
from telemetry.codec.batch import batch_id, decode_batch, encode_batch
from telemetry.purposes import Purpose
from telemetry.records import (
    Body,
    ChargingBatch,
    DiagnosticsBatch,
    JourneyClass,
    JourneysBatch,
    TrafficBatch,
)
from tests.support.trips import RECIPIENT, write_segment


def payload(folder: Path) -> bytes:
    segment = read_segment(write_segment(folder))
    [batch] = battery_batches(segment.columns, segment.rows, month="2026-11")
    return encode_batch(batch, pseudonym=b"p" * 16, nonce=b"n" * 16)


def test_the_preview_says_what_the_bytes_hold(tmp_path: Path) -> None:
    data = payload(tmp_path)
    preview = preview_of(data, notice=load_notices()[Purpose.BATTERY], recipient=RECIPIENT)
    assert preview.batch_id == batch_id(data).hex()
    assert preview.size_bytes == len(data)
    assert (preview.row_count, preview.from_s, preview.to_s) == (60, 0.0, 59.0)
    assert (preview.month, preview.soh_percent) == ("2026-11", 91)
    assert preview.recipient == RECIPIENT.name
    assert "position" in preview.not_sent
    fields = {field.name: field for field in preview.fields}
    voltage = fields["pack_voltage_v"]
    assert (voltage.unit, voltage.precision, voltage.count) == ("V", 0.5, 60)
    assert (voltage.lowest, voltage.highest) == (360.0, 363.0)
    assert (fields["cell_temp_c"].count, fields["cell_temp_c"].lowest) == (0, None)


def test_the_rows_shown_are_the_rows_sent(tmp_path: Path) -> None:
    data = payload(tmp_path)
    shown = json.loads(rows_as_json(data))
    sent = decode_batch(data).body.samples
    assert [row["pack_current_a"] for row in shown] == [sample.pack_current_a for sample in sent]
    assert set(shown[0]) == {
        "since_start_ms",
        "pack_voltage_v",
        "pack_current_a",
        "soc_percent",
        "cell_temp_c",
        "invalid",
    }


def test_every_purpose_has_a_notice_and_a_changed_word_changes_its_hash() -> None:
    notices = load_notices()
    assert set(notices) == set(Purpose)
    notice = notices[Purpose.BATTERY]
    assert len(notice.sha256) == 64
    other = type(notice)(
        **{name: getattr(notice, name) for name in notice.__struct_fields__ if name != "text"},
        text=notice.text + " ",
    )
    assert other.sha256 != notice.sha256


def record(body: Body) -> bytes:
    return encode_any(body, month="2026-11", pseudonym=b"p" * 16, nonce=b"n" * 16)


def test_a_record_is_shown_field_by_field_with_words_for_classes() -> None:
    body = JourneysBatch(
        kind=JourneyClass.SCHOOL_RUN,
        distance_from_km=5,
        duration_from_min=10,
        consumption_wh_km=150,
        ambient_c=None,
    )
    notice = load_notices()[Purpose.JOURNEYS]
    preview = preview_of(record(body), notice=notice, recipient=RECIPIENT)
    assert (preview.row_count, preview.soh_percent) == (1, None)
    shown = {field.name: (field.count, field.lowest, field.text) for field in preview.fields}
    assert shown == {
        "kind": (1, None, "school run"),
        "distance_from_km": (1, 5.0, ""),
        "duration_from_min": (1, 10.0, ""),
        "consumption_wh_km": (1, 150.0, ""),
        "ambient_c": (0, None, ""),
    }


def test_a_cell_and_its_shares_are_shown_as_they_leave() -> None:
    cell = cell_at(48.1, 11.5, 9)
    data = record(TrafficBatch(cell=cell, hour_of_week=8, speed_tenths=(0, 0, 0, 5, 5, 0, 0, 0, 0)))
    [row] = json.loads(rows_as_json(data))
    assert row == {
        "cell": f"{cell:x}",
        "hour_of_week": 8,
        "speed_tenths": [0, 0, 0, 5, 5, 0, 0, 0, 0],
    }
    preview = preview_of(data, notice=load_notices()[Purpose.TRAFFIC], recipient=RECIPIENT)
    assert [field.text for field in preview.fields] == [f"{cell:x}", "", "0 0 0 5 5 0 0 0 0"]


def test_every_field_of_every_record_has_a_label() -> None:
    for kind in (ChargingBatch, JourneysBatch, TrafficBatch, DiagnosticsBatch):
        assert {field.name for field in fields(kind)} <= set(_RECORD_FIELDS)
