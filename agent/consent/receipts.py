"""Receipts of the far end: believed only with its signature."""

from dataclasses import dataclass

from agent.consent.keys import VerifyKey
from telemetry.codec.receipt import CodecError, decode_receipt, unpack_signed
from telemetry.records import Receipt


class ForgedReceiptError(Exception):
    """A message on the receipt topic that ingest did not sign; it changed nothing."""

    code = "receipt.forged"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedReceipt:
    """A receipt whose signature was checked, with the signed bytes as proof."""

    receipt: Receipt
    body: bytes
    signature: bytes


def verify_receipt(data: bytes, key: VerifyKey) -> VerifiedReceipt:
    """Return the receipt in ``data``.

    Raises:
        ForgedReceiptError: It is no receipt, or not signed by ``key``.
    """
    try:
        body, signature = unpack_signed(data)
        if not key.is_signed(body, signature):
            raise ForgedReceiptError(
                f"receipt: expected the signature of key {key.key_id}, found another; ignored"
            )
        return VerifiedReceipt(receipt=decode_receipt(body), body=body, signature=signature)
    except CodecError as error:
        raise ForgedReceiptError(f"{error}; ignored") from error
