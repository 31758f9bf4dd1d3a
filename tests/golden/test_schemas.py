"""Schemas old and new are read side by side, columns and records alike."""

from dataclasses import replace

import pytest

from telemetry.codec.batch import BatchLimits, decode_batch
from telemetry.codec.errors import CodecError
from telemetry.codec.sessions import decode_records
from telemetry.ingest.inspect import inspect_batch, sentences
from tests.golden import codec_examples
from tests.golden.schema_examples import ALL, EXAMPLES, FOLDER, SESSIONS, SESSIONS_2

LIMITS = BatchLimits()


def golden(name: str) -> bytes:
    return bytes.fromhex((FOLDER / name).read_text())


@pytest.mark.parametrize("name", EXAMPLES)
def test_bytes_match_the_golden_file(name: str) -> None:
    assert EXAMPLES[name].hex() == golden(name).hex()


def test_both_versions_of_a_column_schema_are_read() -> None:
    old = bytes.fromhex((codec_examples.FOLDER / "battery_1_one_minute.hex").read_text())
    minute = codec_examples.ONE_MINUTE
    assert decode_batch(old, schemas=ALL).body == minute
    without = tuple(replace(sample, cell_temp_c=None) for sample in minute.samples)
    assert decode_batch(golden("battery_fine.hex"), schemas=ALL).body.samples == without


def test_both_versions_of_a_record_schema_are_read() -> None:
    assert decode_records(golden("session_1.hex"), schemas=ALL).records == SESSIONS
    assert decode_records(golden("session_2.hex"), schemas=ALL).records == SESSIONS_2


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_decoder_that_does_not_know_the_schema_says_so(name: str) -> None:
    with pytest.raises(CodecError, match="unknown schema 'example") as caught:
        inspect_batch(golden(name), limits=LIMITS)
    assert caught.value.code == "codec.schema"


def test_records_are_not_taken_for_columns_nor_columns_for_records() -> None:
    with pytest.raises(CodecError, match=r"expected columns, example\.session\.1 has records"):
        decode_batch(golden("session_1.hex"), schemas=ALL)
    with pytest.raises(CodecError, match=r"expected records, example\.battery\.2 has columns"):
        decode_records(golden("battery_fine.hex"), schemas=ALL)


def test_records_are_told_in_plain_words() -> None:
    text = "\n".join(sentences(inspect_batch(golden("session_2.hex"), limits=LIMITS, schemas=ALL)))
    assert "2 records of 2026-11, schema example.session.2" in text
    assert "energy_kwh       in steps of 0.1 kWh: 0.9 to 1.2" in text
    assert "soc_out_percent  in steps of 1 %: 80 to 80, 1 missing" in text
    assert "hour_of_week 167, kind DC, energy_kwh [], soc_out_percent none" in text


def test_columns_are_told_in_plain_words() -> None:
    document = inspect_batch(golden("battery_fine.hex"), limits=LIMITS, schemas=ALL)
    lines = sentences(document)
    assert lines[1].startswith(f"{len(golden('battery_fine.hex'))} bytes for the purpose 'battery'")
    assert lines[3].startswith("0 s to 59 s of the trip, state of health not known")
    assert "pack_voltage_v   in steps of 0.1 V: 350.5 to 355, 1 missing" in lines
    assert lines[-1] == "... and 55 more; --json prints all"
    assert len(document["values"]) == document["rows"] == 60
    assert "cell_temp_c" not in document["values"][0]
