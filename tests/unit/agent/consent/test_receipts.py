import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.consent.receipts import ForgedReceiptError, verify_receipt
from telemetry.codec.receipt import encode_receipt, pack_signed
from telemetry.ingest.signing import ReceiptSigner
from telemetry.keyset import receipt_entry
from telemetry.records import Receipt, ReceiptStatus
from tests.support.sealing import FAR_AHEAD, LONG_AGO

INGEST = Ed25519PrivateKey.generate()
KEYS = [
    receipt_entry(key.public_key(), not_before=LONG_AGO, not_after=FAR_AHEAD)
    for key in (Ed25519PrivateKey.generate(), INGEST)
]
RECEIPT = Receipt(batch_id=bytes(range(32)), part=0, status=ReceiptStatus.STORED, code=None)


def test_a_receipt_signed_by_ingest_is_believed() -> None:
    assert verify_receipt(ReceiptSigner(INGEST).signed(RECEIPT), KEYS).receipt == RECEIPT


def test_a_receipt_signed_by_somebody_else_is_refused() -> None:
    forged = ReceiptSigner(Ed25519PrivateKey.generate()).signed(RECEIPT)
    with pytest.raises(ForgedReceiptError, match="expected a signature of one of 2 keys"):
        verify_receipt(forged, KEYS)


def test_a_receipt_with_any_bit_flipped_is_refused() -> None:
    data = ReceiptSigner(INGEST).signed(RECEIPT)
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1
        with pytest.raises(ForgedReceiptError, match="ignored"):
            verify_receipt(bytes(broken), KEYS)


def test_a_signed_message_that_is_no_receipt_is_refused() -> None:
    body = encode_receipt(RECEIPT)[:-1]
    with pytest.raises(ForgedReceiptError, match="ignored"):
        verify_receipt(pack_signed(body, INGEST.sign(body)), KEYS)
