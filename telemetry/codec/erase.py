"""Take it back: what a vehicle asks ingest to erase, and what ingest swears it has done.

Shape (CDDL, RFC 8610; docs/reference/erase.cddl)::

    erase = { 0: 1, 1: token: bstr .size 32, 2: [* batch-id], 3: nonce: bstr .size 16 }
    signed-erasure = [body: bstr, signature: bstr .size 64]    ; Ed25519 over body
    body = { 0: 1, 5: erase-id, 6: batches: uint, 7: rows: uint, 8: aside: uint, 9: left: uint }
    batch-id = erase-id = bstr .size 32

The token is the pre-image of a pseudonym (SHA-256(token)[:16]): whoever shows it proves that the
pseudonym was theirs. No batch id means everything under this pseudonym, now and later. One token
per message, so that two pseudonyms are never named together. The erase id is the SHA-256 of the
message; its random bytes keep it from being guessed. The body shares no field but the version with
that of a delivery receipt, so that neither can be taken for the other.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, cast

from telemetry.codec.cbor import dump, load
from telemetry.codec.errors import CodecError
from telemetry.records import BATCH_ID_BYTES

CONTENT_TYPE = "application/vnd.okdrive.erase+cbor"
RECEIPT_TYPE = "application/vnd.okdrive.erased+cbor"
VERSION = 1
TOKEN_BYTES, NONCE_BYTES, PSEUDONYM_BYTES = 32, 16, 16
MAX_BATCH_IDS = 256  # of one pseudonym, which lasts a day at most
MAX_BYTES = 64 + MAX_BATCH_IDS * (BATCH_ID_BYTES + 2)
_COUNT_MAX = (1 << 63) - 1
_KEYS, _BODY_KEYS = {0, 1, 2, 3}, {0, 5, 6, 7, 8, 9}


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseRequest:
    """What one message asks for.

    Raises:
        ValueError: A token or an id of the wrong size, an id twice, ids out of order, too many.
    """

    token: bytes  # 32 bytes; SHA-256(token)[:16] is the pseudonym
    batch_ids: tuple[bytes, ...] = ()  # in order; none: everything under the pseudonym

    def __post_init__(self) -> None:
        if len(self.token) != TOKEN_BYTES:
            raise ValueError(f"token: expected {TOKEN_BYTES} bytes, got {len(self.token)}")
        if len(self.batch_ids) > MAX_BATCH_IDS:
            raise ValueError(
                f"batch_ids: expected at most {MAX_BATCH_IDS}, got {len(self.batch_ids)}"
            )
        if any(len(identity) != BATCH_ID_BYTES for identity in self.batch_ids):
            raise ValueError(f"batch_ids: expected {BATCH_ID_BYTES} bytes each")
        if list(self.batch_ids) != sorted(set(self.batch_ids)):
            raise ValueError("batch_ids: expected each once, in order")

    @property
    def pseudonym(self) -> bytes:
        """Return the 16 bytes that the batches carry."""
        return hashlib.sha256(self.token).digest()[:PSEUDONYM_BYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What ingest has erased. A request that comes again finds nothing: all counts are 0.

    Raises:
        ValueError: An id of the wrong size or a count below 0.
    """

    erase_id: bytes  # SHA-256 of the message, 32 bytes
    batches: int  # stored batches that were deleted
    rows: int  # rows in them
    aside: int  # refused batches, unfinished parts and reports not yet handed on
    left: int  # rows still stored under what was named: 0

    def __post_init__(self) -> None:
        if len(self.erase_id) != BATCH_ID_BYTES:
            raise ValueError(f"erase_id: expected 32 bytes, got {len(self.erase_id)}")
        for name in ("batches", "rows", "aside", "left"):
            count = getattr(self, name)
            if type(count) is not int or not 0 <= count <= _COUNT_MAX:
                raise ValueError(f"{name}: expected a count, got {count!r:.40}")


def erase_id(message: bytes) -> bytes:
    """Return the SHA-256 of an encoded request, 32 bytes: what its receipt names."""
    return hashlib.sha256(message).digest()


def encode_erase(request: EraseRequest, *, nonce: bytes) -> bytes:
    """Return ``request`` as one message; deterministic for a nonce of 16 random bytes.

    Raises:
        ValueError: The nonce has another size.
    """
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"nonce: expected {NONCE_BYTES} bytes, got {len(nonce)}")
    return dump({0: VERSION, 1: request.token, 2: list(request.batch_ids), 3: nonce})


def decode_erase(message: bytes) -> EraseRequest:
    """Return the request in ``message``.

    Raises:
        CodecError: Not a request of version 1.
    """
    fields = _fields(message, _KEYS, "erase", MAX_BYTES)
    token, ids, nonce = fields[1], fields[2], fields[3]
    if not isinstance(token, bytes) or not isinstance(nonce, bytes) or len(nonce) != NONCE_BYTES:
        raise CodecError("erase: expected token and 16 random bytes", code="codec.shape")
    if not isinstance(ids, list) or not all(isinstance(identity, bytes) for identity in ids):
        raise CodecError("erase: expected batch ids as bytes", code="codec.shape")
    try:
        return EraseRequest(token=token, batch_ids=tuple(ids))
    except ValueError as error:
        raise CodecError(f"erase: {error}", code="codec.range") from error


def encode_erasure(erasure: Erasure) -> bytes:
    """Return the bytes that are signed; ``codec.receipt.pack_signed`` joins both."""
    return dump(
        {
            0: VERSION,
            5: erasure.erase_id,
            6: erasure.batches,
            7: erasure.rows,
            8: erasure.aside,
            9: erasure.left,
        }
    )


def decode_erasure(body: bytes) -> Erasure:
    """Return the erasure in a body whose signature has been checked.

    Raises:
        CodecError: Not an erasure of version 1.
    """
    fields = _fields(body, _BODY_KEYS, "erasure", MAX_BYTES)
    if not isinstance(fields[5], bytes):
        raise CodecError("erasure: expected the erase id as bytes", code="codec.shape")
    try:
        return Erasure(
            erase_id=fields[5],
            batches=fields[6],
            rows=fields[7],
            aside=fields[8],
            left=fields[9],
        )
    except ValueError as error:
        raise CodecError(f"erasure: {error}", code="codec.range") from error


def _fields(data: bytes, keys: set[int], what: str, max_bytes: int) -> dict[int, Any]:
    fields = load(data, max_bytes=max_bytes, what=what)
    if not isinstance(fields, dict) or set(fields) != keys:
        raise CodecError(f"{what}: expected the fields {sorted(keys)}", code="codec.shape")
    if type(fields[0]) is not int or fields[0] != VERSION:
        raise CodecError(f"{what}: expected version 1", code="codec.version")
    return cast("dict[int, Any]", fields)
