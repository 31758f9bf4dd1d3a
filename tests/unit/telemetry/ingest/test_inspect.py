"""Any batch in plain words: each purpose, a report, and what is still sealed."""

import h3
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from telemetry.codec.anybatch import encode_any
from telemetry.codec.batch import BatchLimits
from telemetry.codec.errors import CodecError
from telemetry.codec.workshop import encode_report
from telemetry.ingest.inspect import inspect_batch, sentences
from telemetry.purposes import Purpose
from telemetry.records import (
    Body,
    ChargingBatch,
    DiagnosticsBatch,
    JourneyClass,
    JourneysBatch,
    TrafficBatch,
    WorkshopAlert,
    WorkshopFigure,
    WorkshopReport,
)
from telemetry.seal import SealingKey, seal
from tests.golden.codec_examples import GAPS

HERE = (48.137, 11.575)
FINE, COARSE = (h3.latlng_to_cell(*HERE, resolution) for resolution in (9, 7))
SIXTEEN = bytes(range(16))
FIGURE = WorkshopFigure(name="capacity", value="51.2", unit="Ah")


def payload(body: Body) -> bytes:
    return encode_any(body, month="2026-11", pseudonym=SIXTEEN, nonce=SIXTEEN)


def told(data: bytes) -> str:
    return "\n".join(sentences(inspect_batch(data, limits=BatchLimits())))


BODIES: dict[str, tuple[Body, list[str]]] = {
    "traffic": (
        TrafficBatch(
            cell=h3.str_to_int(FINE), hour_of_week=5, speed_tenths=(1, 9, 0, 0, 0, 0, 0, 0, 0)
        ),
        [f"cell               {FINE}", "speed_tenths       1, 9, 0"],
    ),
    "charging": (
        ChargingBatch(cell=h3.str_to_int(COARSE), hour_of_week=3, soc_in_percent=50),
        [f"cell               {COARSE}", "soc_in_percent     50", "dwell              none"],
    ),
    "journeys": (
        JourneysBatch(
            kind=JourneyClass.COMMUTE,
            distance_from_km=5,
            duration_from_min=10,
            consumption_wh_km=150,
            ambient_c=10,
        ),
        ["kind               commute", "distance_from_km   5", "consumption_wh_km  150"],
    ),
    "diagnostics": (
        DiagnosticsBatch(version="1.2.3", uptime_class=1, losses=(("dropped", 2),)),
        ["version            1.2.3", "losses             dropped 2"],
    ),
}


@pytest.mark.parametrize("purpose", BODIES)
def test_the_record_of_a_purpose_is_told_in_its_own_units(purpose: str) -> None:
    body, lines = BODIES[purpose]
    text = told(payload(body))
    assert f"for the purpose '{purpose}': 1 record of 2026-11, schema {purpose}.1" in text
    for line in lines:
        assert line in text


def test_a_report_is_told_as_the_driver_wrote_it() -> None:
    report = WorkshopReport(
        day="2026-11-22",
        contact="+49 89 1234",
        message="It hums.",
        figures=(FIGURE,),
        alert=WorkshopAlert(code="battery.heat", severity="warning", evidence=(FIGURE,)),
    )
    data = encode_report(report, pseudonym=SIXTEEN, nonce=SIXTEEN)
    text = told(data)
    assert "1 report of 2026-11, schema workshop.1" in text
    assert "contact            +49 89 1234" in text
    assert "figures            capacity 51.2 Ah" in text
    assert inspect_batch(data, limits=BatchLimits())["body"]["message"] == "It hums."


def test_wrong_readings_are_told_from_missing_ones() -> None:
    document = inspect_batch(payload(GAPS), limits=BatchLimits())
    assert (document["missing"], document["invalid"]) == (4, 3)
    assert document["values"][7]["invalid"] == ["pack_voltage_v"]
    assert "pack_current_a   in steps of 0.5 A: -40 to 27.5, 1 missing, 2 invalid" in told(
        payload(GAPS)
    )


def test_what_is_sealed_says_for_which_key_and_no_more() -> None:
    key = SealingKey(X25519PrivateKey.generate().public_key())
    data = seal(payload(GAPS), purpose=Purpose.BATTERY, key=key)
    document = inspect_batch(data, limits=BatchLimits())
    assert (document["kind"], document["key_id"]) == ("sealed", key.key_id.hex())
    assert set(document) == {"batch_id", "bytes", "version", "kind", "key_id"}
    assert f"sealed; only who holds the key {key.key_id.hex()} can say more" in told(data)


def test_what_is_neither_is_refused() -> None:
    with pytest.raises(CodecError, match="batch: "):
        inspect_batch(b"\x83\x01\x02\x03", limits=BatchLimits())
