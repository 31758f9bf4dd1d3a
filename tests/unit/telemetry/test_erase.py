import hashlib
from typing import Any

import cbor2
import pytest

from telemetry.codec.cbor import dump
from telemetry.codec.erase import (
    MAX_BATCH_IDS,
    MAX_BYTES,
    EraseRequest,
    Erasure,
    decode_erase,
    decode_erasure,
    encode_erase,
    encode_erasure,
    erase_id,
)
from telemetry.codec.errors import CodecError
from telemetry.codec.receipt import decode_receipt, encode_receipt
from telemetry.records import Receipt, ReceiptStatus

TOKEN, NONCE = b"t" * 32, b"n" * 16
IDS = (b"a" * 32, b"b" * 32)
MESSAGE = encode_erase(EraseRequest(token=TOKEN, batch_ids=IDS), nonce=NONCE)
ERASURE = Erasure(erase_id=erase_id(MESSAGE), batches=2, rows=600, aside=1, left=0)


def test_what_is_asked_is_what_is_read() -> None:
    assert decode_erase(MESSAGE) == EraseRequest(token=TOKEN, batch_ids=IDS)
    assert decode_erase(MESSAGE).pseudonym == hashlib.sha256(TOKEN).digest()[:16]


def test_what_was_done_is_what_is_read() -> None:
    assert decode_erasure(encode_erasure(ERASURE)) == ERASURE


def test_the_largest_request_fits_its_limit() -> None:
    ids = tuple(number.to_bytes(32) for number in range(MAX_BATCH_IDS))
    message = encode_erase(EraseRequest(token=TOKEN, batch_ids=ids), nonce=NONCE)
    assert len(message) <= MAX_BYTES
    assert decode_erase(message).batch_ids == ids


def test_the_same_request_with_other_random_bytes_has_another_id() -> None:
    request = EraseRequest(token=TOKEN)
    ids = {erase_id(encode_erase(request, nonce=bytes([number]) * 16)) for number in range(3)}
    assert len(ids) == 3


def test_neither_answer_can_be_taken_for_the_other() -> None:
    receipt = Receipt(batch_id=IDS[0], part=0, status=ReceiptStatus.STORED, code=None)
    with pytest.raises(CodecError, match="expected the fields 0 to 4"):
        decode_receipt(encode_erasure(ERASURE))
    with pytest.raises(CodecError, match=r"erasure: expected the fields \[0, 5, 6, 7, 8, 9\]"):
        decode_erasure(encode_receipt(receipt))


@pytest.mark.parametrize(
    ("change", "match", "code"),
    [
        ({0: 2}, "expected version 1", "codec.version"),
        ({0: True}, "expected version 1", "codec.version"),
        ({1: "text"}, "expected token and 16 random bytes", "codec.shape"),
        ({1: b"short"}, "token: expected 32 bytes, got 5", "codec.range"),
        ({2: 7}, "expected batch ids as bytes", "codec.shape"),
        ({2: ["text"]}, "expected batch ids as bytes", "codec.shape"),
        ({2: [b"short"]}, "expected 32 bytes each", "codec.range"),
        ({2: [IDS[1], IDS[0]]}, "each once, in order", "codec.range"),
        ({2: [IDS[0], IDS[0]]}, "each once, in order", "codec.range"),
        ({3: b"short"}, "expected token and 16 random bytes", "codec.shape"),
        ({4: 1}, r"expected the fields \[0, 1, 2, 3\]", "codec.shape"),
    ],
)
def test_a_request_that_is_none_is_refused(change: dict[int, Any], match: str, code: str) -> None:
    with pytest.raises(CodecError, match=match) as caught:
        decode_erase(dump(cbor2.loads(MESSAGE) | change))
    assert caught.value.code == code


@pytest.mark.parametrize("change", [{5: "text"}, {6: -1}, {7: True}, {8: None}, {9: 1 << 64}])
def test_an_erasure_that_is_none_is_refused(change: dict[int, Any]) -> None:
    with pytest.raises(CodecError, match="erasure: "):
        decode_erasure(dump(cbor2.loads(encode_erasure(ERASURE)) | change))


def test_more_ids_than_a_request_may_name_are_refused() -> None:
    ids = [number.to_bytes(32) for number in range(MAX_BATCH_IDS + 1)]
    with pytest.raises(CodecError, match=f"expected at most {MAX_BYTES} bytes"):
        decode_erase(dump({0: 1, 1: TOKEN, 2: ids, 3: NONCE}))
    with pytest.raises(ValueError, match="expected at most 256, got 257"):
        EraseRequest(token=TOKEN, batch_ids=tuple(ids))


def test_a_nonce_of_another_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="nonce: expected 16 bytes"):
        encode_erase(EraseRequest(token=TOKEN), nonce=b"")
