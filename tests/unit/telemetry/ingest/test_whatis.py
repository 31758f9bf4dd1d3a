"""Any file beside a batch: what travels is told, everything else is one clear error."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from benchmarks.i3 import Table
from benchmarks.wire_size import encode
from telemetry.codec.batch import BatchLimits, encode_batch
from telemetry.codec.cbor import dump
from telemetry.codec.erase import (
    EraseRequest,
    Erasure,
    encode_erase,
    encode_erasure,
)
from telemetry.codec.errors import CodecError
from telemetry.codec.part import split
from telemetry.codec.receipt import encode_receipt, pack_signed
from telemetry.ingest.cli import cli
from telemetry.ingest.errors import InspectError
from telemetry.ingest.whatis import in_words, max_bytes, what_is
from telemetry.purposes import Purpose
from telemetry.records import Receipt, ReceiptStatus
from telemetry.seal import SealingKey, seal
from tests.golden.codec_examples import GAPS

LIMITS = BatchLimits()
SIXTEEN, ID = bytes(range(16)), bytes(range(32))
KEY = SealingKey(X25519PrivateKey.generate().public_key())
BATCH = encode_batch(GAPS, pseudonym=SIXTEEN, nonce=SIXTEEN)
SEALED = seal(BATCH, purpose=Purpose.BATTERY, key=KEY)
FOREIGN = {0: 1, 1: "bench", 2: "other.1", 3: SIXTEEN, 4: [1, 2], 5: [2, 0], 6: SIXTEEN}
RECEIPT = Receipt(batch_id=ID, part=0, status=ReceiptStatus.REFUSED, code="codec.range")
ERASURE = Erasure(erase_id=ID, batches=2, rows=600, aside=1, left=0)


def told(data: bytes) -> str:
    return "\n".join(in_words(what_is(data, limits=LIMITS)))


def test_a_batch_of_the_benchmark_shows_its_container_and_how_much_is_in_it() -> None:
    table = Table([0, 1000, 2000], [[1, 2, 3], [5, 5, 6]], ("a", "b"), (1.0, 1.0), (0.0, 0.0))
    document = what_is(encode(table, seed="x"), limits=LIMITS)
    assert document["kind"] == "foreign"
    assert (document["purpose"], document["schema_id"]) == ("bench", "bench.any")
    assert (document["rows"], document["columns"], document["counts"]) == (3, 3, [3, 0])
    words = "\n".join(in_words(document))
    assert "schema 'bench.any' is not one of ours: only the container can be read" in words
    assert "3 of 3 rows in" in words


def test_without_its_schema_no_value_is_told() -> None:
    document = what_is(dump(FOREIGN), limits=LIMITS)
    assert (document["rows"], document["columns"]) == (None, None)
    assert "values" not in document
    assert "none that can be told without the schema" in told(dump(FOREIGN))


def test_a_registered_batch_and_a_sealed_one_are_told_as_ever() -> None:
    assert what_is(BATCH, limits=LIMITS)["kind"] == "columns"
    assert f"only who holds the key {KEY.key_id.hex()} can say more" in told(SEALED)


def test_the_largest_sealed_batch_is_not_too_large() -> None:
    large = seal(bytes(LIMITS.max_bytes), purpose=Purpose.BATTERY, key=KEY)
    assert len(large) <= max_bytes(LIMITS)
    assert what_is(large, limits=LIMITS)["kind"] == "sealed"


def test_a_part_names_the_sealed_batch_it_is_of() -> None:
    first, *_ = parts = split(SEALED, max_bytes=300)
    document = what_is(first, limits=LIMITS)
    assert (document["part"], document["parts"]) == (1, len(parts))
    assert document["sealed_bytes"] == len(SEALED)
    assert told(first).startswith(f"part 1 of {len(parts)} of a sealed batch")


def test_an_erase_request_names_the_pseudonym_and_never_its_token() -> None:
    message = encode_erase(EraseRequest(token=ID, batch_ids=(SIXTEEN * 2,)), nonce=SIXTEEN)
    document = what_is(message, limits=LIMITS)
    assert document["pseudonym"] == EraseRequest(token=ID).pseudonym.hex()
    assert document["batch_ids"] == [(SIXTEEN * 2).hex()]
    assert ID.hex() not in json.dumps(document)
    whole = encode_erase(EraseRequest(token=ID), nonce=SIXTEEN)
    assert "all under this pseudonym, now and later" in told(whole)


def test_receipts_of_delivery_and_of_erasure_are_told_apart() -> None:
    receipt = pack_signed(encode_receipt(RECEIPT), bytes(64))
    assert told(receipt).startswith("a receipt for the whole batch: refused, 'codec.range'")
    erasure = pack_signed(encode_erasure(ERASURE), bytes(64))
    assert told(erasure).startswith("a receipt for an erasure: 2 batches with 600 rows")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected a batch, sealed or not"),
        (b"Hello, this is a letter.", "found: not deterministic CBOR"),
        (b"\xff\xff", "found: not the CBOR we write"),
        (b"\x83\x01\x02\x03", "expected a batch.*version, key id and bytes"),
        (dump({9: 1}), "found other CBOR"),
        (dump(7), "found other CBOR"),
        (dump([1, 2]), "expected body and signature"),
        (dump({**FOREIGN, 0: 2}), "expected version 1"),
        (dump({**FOREIGN, 1: "x" * 81}), "as short texts"),
        (dump({**FOREIGN, 5: ["a"]}), "counts as whole numbers"),
        (dump({**FOREIGN, 3: b"x"}), "pseudonym"),
        (bytes(max_bytes(LIMITS) + 1), "at most"),
    ],
)
def test_everything_else_is_one_clear_error(data: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        what_is(data, limits=LIMITS)


def test_the_command_tells_a_foreign_batch_and_refuses_a_letter(tmp_path: Path) -> None:
    file, letter = tmp_path / "one.cbor", tmp_path / "letter.txt"
    file.write_bytes(dump({**FOREIGN, 1: "a\x1b[31m"}))
    letter.write_text("Dear driver")
    told = CliRunner().invoke(cli, ["batch", "inspect", str(file)])
    assert told.exit_code == 0
    assert "'a\\x1b[31m'" in told.output  # nothing a stranger wrote reaches the terminal as it is
    found = CliRunner().invoke(cli, ["batch", "inspect", str(file), "--json"])
    assert json.loads(found.output)["kind"] == "foreign"
    with pytest.raises(InspectError, match="expected a batch, sealed or not"):
        CliRunner().invoke(
            cli, ["batch", "inspect", str(letter)], catch_exceptions=False, standalone_mode=False
        )
