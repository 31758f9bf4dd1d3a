from dataclasses import replace
from typing import Any

import cbor2
import pytest

from telemetry.codec.batch import batch_pseudonym
from telemetry.codec.cbor import dump
from telemetry.codec.errors import CodecError
from telemetry.codec.workshop import decode_report, encode_report
from telemetry.purposes import SWITCHED, Purpose
from telemetry.records import WorkshopAlert, WorkshopFigure, WorkshopReport

FIGURE = WorkshopFigure(name="soh", value="87.5", unit="%")
REPORT = WorkshopReport(
    day="2026-11-22",
    contact="+49 30 1234567",
    name="Ü. Fahrer",
    message="Range is down.\nPlease call.",
    figures=(FIGURE,),
    alert=WorkshopAlert(code="cell_imbalance", severity="warning", evidence=(FIGURE,)),
)
PAYLOAD = encode_report(REPORT, pseudonym=b"p" * 16, nonce=b"n" * 16)


@pytest.mark.parametrize(
    "report",
    [
        REPORT,
        replace(REPORT, alert=None),
        replace(REPORT, figures=(), message=""),
        replace(REPORT, figures=(), alert=None),
    ],
    ids=["all", "figures", "alert", "message"],
)
def test_what_is_sent_is_what_is_read(report: WorkshopReport) -> None:
    payload = encode_report(report, pseudonym=b"p" * 16, nonce=b"n" * 16)
    assert decode_report(payload) == report
    assert batch_pseudonym(payload) == b"p" * 16


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"day": "2026-13-01"}, "day: expected 'YYYY-MM-DD'"),
        ({"contact": ""}, "contact: expected 1 to 200 characters, got 0"),
        ({"contact": "x" * 201}, "contact: expected 1 to 200 characters, got 201"),
        ({"name": "two\nlines"}, "name: expected text that can be printed"),
        ({"message": "x" * 1001}, "message: expected 0 to 1000 characters"),
        ({"message": "\x1b[2J"}, "message: expected text that can be printed"),
        ({"figures": (FIGURE,) * 65}, "figures: expected at most 64"),
        ({"message": "", "figures": (), "alert": None}, "got nothing"),
    ],
)
def test_what_is_no_report_cannot_be_made(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        replace(REPORT, **change)


def test_figures_and_alerts_have_codes_for_names() -> None:
    with pytest.raises(ValueError, match="name: expected words joined by dots"):
        WorkshopFigure(name="State of health", value="1")
    with pytest.raises(ValueError, match="value: expected 1 to 40 characters"):
        WorkshopFigure(name="soh", value="")
    with pytest.raises(ValueError, match="severity: expected words joined by dots"):
        WorkshopAlert(code="x", severity="VERY BAD")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({0: 2}, "codec.version"),
        ({1: "battery"}, "codec.purpose"),
        ({2: "workshop.9"}, "codec.schema"),
        ({3: b"short"}, "codec.shape"),
        ({4: []}, "codec.shape"),
        ({4: ["2026-11-22", 7, "", "hello", [], None]}, "codec.shape"),
        ({4: ["2026-11-22", "a", "", "hello", None, None]}, "codec.shape"),
        ({4: ["2026-11-22", "a", "", "hello", [["soh", "1"]], None]}, "codec.shape"),
        ({4: ["2026-11-22", "a", "", "", [], ["code"]]}, "codec.shape"),
        ({4: ["2026-11-22", "a", "", "\x07", [], None]}, "codec.range"),
        ({5: [2, 0]}, "codec.counts"),
        ({5: [True, 0]}, "codec.counts"),
    ],
)
def test_a_payload_that_is_no_report_is_refused(change: dict[int, Any], code: str) -> None:
    with pytest.raises(CodecError, match="batch: ") as caught:
        decode_report(dump(cbor2.loads(PAYLOAD) | change))
    assert caught.value.code == code


def test_the_workshop_is_asked_each_time_and_never_switched_on() -> None:
    assert set(Purpose) - set(SWITCHED) == {Purpose.WORKSHOP}
