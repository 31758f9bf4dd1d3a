"""Receipts of the far end: believed only with its signature."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from telemetry.codec.erase import Erasure, decode_erasure
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


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedErasure:
    """What ingest swore it has erased, with the signed bytes as proof."""

    erasure: Erasure
    body: bytes
    signature: bytes


class ReceiptKey(Protocol):
    """A key that receipts may be signed with."""

    def is_signed(self, body: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is this key's over ``body``."""


def verify_receipt(data: bytes, keys: Sequence[ReceiptKey]) -> VerifiedReceipt:
    """Return the receipt in ``data``.

    Raises:
        ForgedReceiptError: It is no receipt, or not signed by any of ``keys``.
    """
    try:
        body, signature = _signed(data, keys)
        return VerifiedReceipt(receipt=decode_receipt(body), body=body, signature=signature)
    except CodecError as error:
        raise ForgedReceiptError(f"{error}; ignored") from error


def verify_erasure(data: bytes, keys: Sequence[ReceiptKey]) -> VerifiedErasure:
    """Return the erasure in ``data``.

    Raises:
        ForgedReceiptError: It is none, or not signed by any of ``keys``.
    """
    try:
        body, signature = _signed(data, keys)
        return VerifiedErasure(erasure=decode_erasure(body), body=body, signature=signature)
    except CodecError as error:
        raise ForgedReceiptError(f"{error}; ignored") from error


def _signed(data: bytes, keys: Sequence[ReceiptKey]) -> tuple[bytes, bytes]:
    body, signature = unpack_signed(data)
    if not any(key.is_signed(body, signature) for key in keys):
        raise ForgedReceiptError(
            f"receipt: expected a signature of one of {len(keys)} keys, found another; ignored"
        )
    return body, signature
