"""Wire bytes of every format version: a changed format is a visible diff."""

import pytest

from telemetry.codec.batch import decode_batch
from telemetry.codec.erase import decode_erase, decode_erasure
from telemetry.codec.receipt import decode_receipt, unpack_signed
from telemetry.codec.workshop import decode_report
from tests.golden.codec_examples import (
    BATCHES,
    ERASES,
    ERASURES,
    EXAMPLES,
    FOLDER,
    NONCE,
    PSEUDONYM,
    RECEIPTS,
    REPORTS,
)


def golden(name: str) -> bytes:
    return bytes.fromhex((FOLDER / name).read_text())


@pytest.mark.parametrize("name", EXAMPLES)
def test_bytes_match_the_golden_file(name: str) -> None:
    assert EXAMPLES[name].hex() == golden(name).hex()


@pytest.mark.parametrize("name", BATCHES)
def test_a_golden_batch_says_what_it_said(name: str) -> None:
    body, schema_id = BATCHES[name]
    decoded = decode_batch(golden(name))
    assert decoded.body == body
    assert (decoded.pseudonym, decoded.nonce) == (PSEUDONYM, NONCE)
    assert (decoded.version, decoded.schema) == (1, schema_id)


@pytest.mark.parametrize("name", RECEIPTS)
def test_a_golden_receipt_says_what_it_said(name: str) -> None:
    body, signature = unpack_signed(golden(name))
    assert decode_receipt(body) == RECEIPTS[name]
    assert signature == bytes(range(64))


@pytest.mark.parametrize("name", ERASES)
def test_a_golden_erase_says_what_it_said(name: str) -> None:
    assert decode_erase(golden(name)) == ERASES[name]


@pytest.mark.parametrize("name", ERASURES)
def test_a_golden_erasure_says_what_it_said(name: str) -> None:
    body, _ = unpack_signed(golden(name))
    assert decode_erasure(body) == ERASURES[name]


@pytest.mark.parametrize("name", REPORTS)
def test_a_golden_report_says_what_it_said(name: str) -> None:
    assert decode_report(golden(name)) == REPORTS[name]


def test_every_golden_file_has_its_example() -> None:
    assert {path.name for path in FOLDER.glob("*.hex")} == set(EXAMPLES)


def test_a_golden_batch_tells_wrong_readings_from_missing_ones() -> None:
    samples = decode_batch(golden("battery_2_gaps.hex")).body.samples
    assert samples[7].invalid == {"pack_voltage_v"}
    assert (samples[8].pack_current_a, samples[8].invalid) == (None, frozenset())
    assert samples[20].invalid == samples[21].invalid == {"pack_current_a"}
