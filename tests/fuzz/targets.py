"""What is fuzzed: each way in which bytes from outside reach the codec.

An input is answered or refused with a code, within counted work; anything else is a fault.
"""

import json
from collections.abc import Callable
from contextlib import suppress

from telemetry.codec.batch import BatchLimits, batch_pseudonym, decode_batch, encode_batch
from telemetry.codec.cbor import dump
from telemetry.codec.cells import INVALID
from telemetry.codec.columns import decode_columns, encode_columns
from telemetry.codec.erase import decode_erase, decode_erasure, encode_erase, encode_erasure
from telemetry.codec.errors import CodecError
from telemetry.codec.part import split
from telemetry.codec.receipt import decode_receipt, pack_signed, unpack_signed
from telemetry.codec.schemas import BATTERY_1
from telemetry.codec.sessions import decode_records, encode_records
from telemetry.codec.workshop import decode_report, encode_report
from telemetry.ingest.whatis import in_words, what_is
from telemetry.purposes import Purpose
from telemetry.seal import SealError, key_id_of, open_sealed
from tests.fuzz.mutate import Mutator, Trace
from tests.golden import codec_examples, schema_examples, sealed_examples

MAX_ROWS = 200
MAX_LINES = 400_000  # 200 rows of 5 columns take at most 1,000 values of some 300 lines each
LIMITS = BatchLimits(max_bytes=4096, max_rows=MAX_ROWS)
CORPUS = [
    bytes.fromhex(path.read_text())
    for folder in (codec_examples.FOLDER, schema_examples.FOLDER)
    for path in sorted(folder.glob("*.hex"))
]
SEALED = [bytes.fromhex(path.read_text()) for path in sorted(sealed_examples.FOLDER.glob("*.hex"))]
RECEIPTS = [
    bytes.fromhex((codec_examples.FOLDER / name).read_text()) for name in codec_examples.RECEIPTS
]
ERASURES = [pack_signed(encode_erasure(one), bytes(64)) for one in codec_examples.ERASURES.values()]
FOREIGN = [
    dump({0: 1, 1: "bench", 2: "bench.i3", 3: bytes(16), 4: block, 5: [2, 0], 6: bytes(16)})
    for block in (encode_columns([[1, 2], [3, None]]), [1, b"x"])
]
BLOCKS = [
    encode_columns([[1, 2, 3], [None, 5, 5], [9, 9, None], [0, 0, 0], [2**40, 1, -7]]),
    encode_columns([[1, INVALID, 3], [None, 5, INVALID], [INVALID] * 3, [None] * 3, [0, 1, 2]]),
    encode_columns([[*range(60)]] * 5, model=BATTERY_1.model),
    b"",
]


def batch(data: bytes) -> None:
    """What is accepted is valid, and written again it is the same."""
    found = decode_batch(data, limits=LIMITS, schemas=schema_examples.ALL)
    schema = schema_examples.ALL[found.schema]
    assert len(found.body.samples) <= MAX_ROWS
    again = encode_batch(
        found.body,
        pseudonym=found.pseudonym,
        nonce=found.nonce,
        schema=schema,  # type: ignore[arg-type]
    )
    assert decode_batch(again, limits=LIMITS, schemas=schema_examples.ALL) == found


def records(data: bytes) -> None:
    found = decode_records(data, limits=LIMITS, schemas=schema_examples.ALL)
    assert data == encode_records(
        found.schema,
        found.records,
        month=found.month,
        pseudonym=found.pseudonym,
        nonce=found.nonce,
    )


def columns_of_a_schema(data: bytes) -> None:
    found = decode_columns(data, max_rows=MAX_ROWS, max_columns=5, model=BATTERY_1.model)
    assert all(len(column) <= MAX_ROWS for column in found)


def columns_of_a_segment(data: bytes) -> None:
    found = decode_columns(data, max_rows=MAX_ROWS, max_columns=5)
    assert len(found) <= 5
    assert all(len(column) <= MAX_ROWS for column in found)


def receipt(data: bytes) -> None:
    body, signature = unpack_signed(data)
    assert len(signature) == 64
    decode_receipt(body)


def sealed_batch(data: bytes) -> None:
    """What opens is what was sealed: no other bytes do."""
    for key in sealed_examples.KEYS.values():
        with suppress(SealError):
            opened = open_sealed(data, purpose=Purpose.BATTERY, key=key, max_bytes=4096)
            assert opened == sealed_examples.BATCH
    key_id_of(data, max_bytes=4096)


def erase(data: bytes) -> None:
    """What is accepted is the one way to write it."""
    assert data == encode_erase(decode_erase(data), nonce=data[-16:])


def erasure(data: bytes) -> None:
    assert data == encode_erasure(decode_erasure(data))


def report(data: bytes) -> None:
    found = decode_report(data)
    pseudonym = batch_pseudonym(data)
    assert data == encode_report(found, pseudonym=pseudonym, nonce=data[-16:])


def anything(data: bytes) -> None:
    """Whatever is told can be printed, as JSON and in words of one line each."""
    document = what_is(data, limits=LIMITS)
    json.dumps(document)
    assert all(line.isprintable() for line in in_words(document))


TARGETS: dict[Callable[[bytes], None], list[bytes]] = {
    batch: CORPUS,
    records: CORPUS,
    columns_of_a_schema: BLOCKS,
    columns_of_a_segment: BLOCKS,
    receipt: CORPUS,
    sealed_batch: SEALED,
    erase: CORPUS,
    erasure: [encode_erasure(one) for one in codec_examples.ERASURES.values()],
    report: CORPUS,
    anything: [*CORPUS, *SEALED, *RECEIPTS, *ERASURES, *FOREIGN, *split(bytes(300), max_bytes=200)],
}


def tried(target: Callable[[bytes], None], data: bytes) -> Trace:
    """Run one input; fail unless it was answered or refused within the counted work."""
    trace = Trace()
    try:
        trace.run(target, data)
    except (CodecError, SealError) as error:
        refusal = error
        assert refusal.code.startswith(("codec.", "seal.")), data.hex()
        assert len(str(refusal)) < 600, data.hex()
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} for {data.hex()}") from error
    assert trace.lines < MAX_LINES, data.hex()
    return trace


def fuzzed(
    target: Callable[[bytes], None], corpus: list[bytes], *, runs: int, seed: int
) -> Mutator:
    """Try ``runs`` mutations; raise AssertionError that names the first input which is a fault."""
    mutator = Mutator(corpus, seed)
    for _ in range(runs):
        data = mutator.draw()
        mutator.keep_if_new(data, tried(target, data))
    return mutator
