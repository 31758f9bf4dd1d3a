"""Receipts of the far end: what is signed, and how signature and body travel together.

Shape (CDDL, RFC 8610; docs/reference/batch.cddl)::

    signed-receipt = [body: bstr, signature: bstr .size 64]     ; Ed25519 over body
    body = { 0: 1, 1: batch-id: bstr .size 32, 2: part: uint,
             3: "stored" / "duplicate" / "refused", 4: code: tstr / null }

Both are deterministic CBOR. Keys and verification are the callers' business.
"""

from typing import Any, cast

from telemetry.codec.cbor import dump, load
from telemetry.codec.errors import CodecError
from telemetry.records import Receipt, ReceiptStatus

__all__ = ["CodecError", "decode_receipt", "encode_receipt", "pack_signed", "unpack_signed"]

VERSION = 1
CONTENT_TYPE = "application/vnd.okdrive.receipt+cbor"
MAX_BYTES = 512  # a receipt with the longest code has under 200
SIGNATURE_BYTES = 64  # RFC 8032, Ed25519
_KEYS = {0, 1, 2, 3, 4}


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the bytes that are signed. Deterministic."""
    return dump(
        {
            0: VERSION,
            1: receipt.batch_id,
            2: receipt.part,
            3: receipt.status.value,
            4: receipt.code,
        }
    )


def pack_signed(body: bytes, signature: bytes) -> bytes:
    """Return ``body`` and its signature as one message.

    Raises:
        ValueError: The signature is not 64 bytes.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise ValueError(f"signature: expected 64 bytes, got {len(signature)}")
    return dump([body, signature])


def unpack_signed(data: bytes) -> tuple[bytes, bytes]:
    """Return (body, signature), neither of them believed yet.

    Raises:
        CodecError: Not such a message.
    """
    pair = load(data, max_bytes=MAX_BYTES, what="receipt")
    if not isinstance(pair, list) or [type(item) for item in pair] != [bytes, bytes]:
        raise CodecError("receipt: expected body and signature as bytes", code="codec.shape")
    body, signature = pair
    if len(signature) != SIGNATURE_BYTES:
        raise CodecError("receipt: expected a signature of 64 bytes", code="codec.shape")
    return body, signature


def decode_receipt(body: bytes) -> Receipt:
    """Return the receipt in a body whose signature has been checked.

    Raises:
        CodecError: Not a receipt of version 1.
    """
    fields = load(body, max_bytes=MAX_BYTES, what="receipt")
    if not isinstance(fields, dict) or set(fields) != _KEYS:
        raise CodecError("receipt: expected the fields 0 to 4", code="codec.shape")
    if type(fields[0]) is not int or fields[0] != VERSION:
        raise CodecError("receipt: expected version 1", code="codec.version")
    return _receipt(cast("dict[int, Any]", fields))


def _receipt(fields: dict[int, Any]) -> Receipt:
    identity, status, code = fields[1], fields[3], fields[4]
    if not isinstance(identity, bytes) or not isinstance(status, str):
        raise CodecError("receipt: expected batch id as bytes, status as text", code="codec.shape")
    if code is not None and not isinstance(code, str):
        raise CodecError("receipt: expected the code as text or null", code="codec.shape")
    try:
        return Receipt(batch_id=identity, part=fields[2], status=ReceiptStatus(status), code=code)
    except ValueError as error:
        raise CodecError(f"receipt: {error}", code="codec.range") from error
