"""Receipts to keep: the document, the QR code, and what an edited one is worth."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.consent.keepsake import (
    PREFIX,
    KeepsakeError,
    base45,
    from_base45,
    qr_lines,
    qr_svg,
    read_receipt_text,
    receipt_document,
    receipt_text,
)
from agent.consent.keys import SigningKey
from agent.consent.ledger import (
    Act,
    ChainEnd,
    ConsentEvent,
    Recipient,
    SignedLedgerEntry,
    TimeQuality,
    make_entry,
)
from agent.consent.notices import all_notices
from telemetry.purposes import Purpose
from tests.support.trips import VEHICLE_KEY

LANGUAGES = ("en", "de")


def entry(
    purpose: Purpose = Purpose.BATTERY, language: str = "en", number: int = 7
) -> SignedLedgerEntry:
    act = Act(
        event=ConsentEvent.OK,
        purpose=purpose,
        schema_id=f"{purpose}.1",
        notice=all_notices()[language][purpose],
        recipient=Recipient(name="okdrive ingest", key_id="0011223344556677"),
        at_utc=datetime(2026, 12, 3, 17, 44, 9, tzinfo=UTC),
        time_quality=TimeQuality.PROVEN,
        batch_id=bytes(range(32)),
        shown_sha256="ab" * 32,
        profile="89abcdef01234567",
        released_under=bytes(range(100, 132)),
    )
    end = ChainEnd(length=number - 1, entry_hash=bytes(range(50, 82)))
    return make_entry(act, after=end, record_id=bytes(range(16)), key=VEHICLE_KEY)


def text_of(signed: SignedLedgerEntry) -> str:
    return receipt_text(signed.body, signed.signature)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("purpose", Purpose)
def test_a_code_of_80_columns_holds_the_whole_signed_entry(purpose: Purpose, language: str) -> None:
    signed = entry(purpose, language)
    text = text_of(signed)
    assert read_receipt_text(text, VEHICLE_KEY.public) == signed.entry
    lines = qr_lines(text)
    assert {len(line) for line in lines} == {2 * len(lines) - 1} or len(lines[0]) % 2
    assert len(lines[0]) <= 80


def test_the_screen_gets_an_svg_that_needs_nothing_from_elsewhere() -> None:
    svg = qr_svg(text_of(entry()))
    assert svg.startswith("<svg")
    assert "http" not in svg
    assert len(svg) < 12_000


def test_one_edited_character_of_the_code_is_noticed() -> None:
    text = text_of(entry())
    for at in range(len(PREFIX), len(text), 7):
        other = "0" if text[at] != "0" else "1"
        with pytest.raises(KeepsakeError, match="receipt: expected"):
            read_receipt_text(text[:at] + other + text[at + 1 :], VEHICLE_KEY.public)


def test_another_vehicle_did_not_sign_it() -> None:
    stranger = SigningKey(Ed25519PrivateKey.generate()).public
    with pytest.raises(KeepsakeError, match="expected the signature of key"):
        read_receipt_text(text_of(entry()), stranger)


@pytest.mark.parametrize(
    "text", ["", "OKD2:00", "OKD1:", "OKD1:::", "OKD1:ä", "OKD1:" + "0" * 5_000, "https://x"]
)
def test_what_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(KeepsakeError, match="receipt: expected"):
        read_receipt_text(text, VEHICLE_KEY.public)


def test_the_document_has_the_fields_of_ts_27560() -> None:
    signed = entry()

    @dataclass(frozen=True)
    class Delivered:
        status: str = "stored"
        received_utc: datetime = datetime(2026, 12, 4, 8, 0, tzinfo=UTC)

    document = receipt_document(signed, [Delivered()])
    record = document["record"]
    assert record["event"]["state"] == "given"
    assert record["pii_principal"]["profile"] == "89abcdef01234567"
    assert record["purpose"]["batch_id"] == bytes(range(32)).hex()
    assert record["event"]["released_under"] == bytes(range(100, 132)).hex()
    for group in ("notice", "purpose", "controller", "recipient", "storage", "withdrawal"):
        assert record[group]
    assert document["proof"]["sequence"] == 7
    assert document["delivered"] == [
        {"status": "stored", "received_utc": "2026-12-04T08:00:00+00:00"}
    ]
    assert json.loads(json.dumps(document)) == document


@given(st.binary(max_size=80))
def test_base45_comes_back(data: bytes) -> None:
    assert from_base45(base45(data)) == data


def test_base45_is_that_of_rfc_9285() -> None:
    assert base45(b"AB") == "BB8"
    assert base45(b"Hello!!") == "%69 VD92EX0"
    assert from_base45("QED8WEX0") == b"ietf!"
    with pytest.raises(ValueError, match="groups of three or two"):
        from_base45("GGW")


def test_a_code_of_the_first_release_is_still_read() -> None:
    text = (Path(__file__).parents[3] / "golden/consent_receipt_1.txt").read_text().strip("\n")
    assert read_receipt_text(text, VEHICLE_KEY.public) == entry().entry
