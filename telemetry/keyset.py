"""The public keys of one recipient: what batches are sealed to, what receipts are checked with.

One signed document for a whole fleet. Shape (JSON, keys sorted; docs/reference/keys.md)::

    {"schema": "okdrive.ingest-keys/1", "serial": 3, "recipient": "okdrive ingest",
     "sealing": [{"key_id": "0011223344556677", "purpose": "battery", "kem": "x25519",
                  "public": "<base64>", "not_before": "2026-…Z", "not_after": "2027-…Z"}],
     "receipts": [{"key_id": "…", "public": "<base64>", "not_before": "…", "not_after": "…"}]}

A workshop's key may name it: ``"recipient": "Garage Huber"``. ``serial`` only ever grows. Who
signed the document is the business of those who hand it over.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from msgspec import Meta, Struct

from telemetry.seal import SealingKey

SCHEMA: Literal["okdrive.ingest-keys/1"] = "okdrive.ingest-keys/1"
MAX_BYTES = 65_536  # a set of forty hybrid keys is smaller
_X25519_BYTES = 32
_MAX_KEYS = 64

KeyId = Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
Aware = Annotated[datetime, Meta(tz=True)]


class KeySetError(Exception):
    """The document is no set of keys, or an older one; the set in use stays in use."""

    code = "keys.set"


class SealingEntry(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A key that batches of one purpose are sealed to, and when; it may have an owner of its own.

    ``recipient`` stands only where the key is not the set's recipient's: at a workshop.
    """

    key_id: KeyId
    purpose: Annotated[str, Meta(pattern="^[a-z]{1,32}$")]  # of a purpose, or "erase"
    kem: Literal["x25519", "mlkem768-x25519"]
    public: bytes  # X25519, 32 bytes; of the hybrid followed by ML-KEM-768, 1,184 bytes
    not_before: Aware
    not_after: Aware
    recipient: Annotated[str, Meta(max_length=80)] = ""

    @property
    def key(self) -> SealingKey:
        """Return the key itself; raise ValueError if the bytes are none."""
        head, rest = self.public[:_X25519_BYTES], self.public[_X25519_BYTES:]
        mlkem = MLKEM768PublicKey.from_public_bytes(rest) if self.kem != "x25519" else None
        if mlkem is None and rest:
            raise ValueError(f"key {self.key_id}: expected 32 bytes, found {len(self.public)}")
        return SealingKey(X25519PublicKey.from_public_bytes(head), mlkem)

    def is_valid(self, now: datetime) -> bool:
        """Tell whether a batch may be sealed to it at ``now``."""
        return self.not_before <= now < self.not_after


class ReceiptEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An Ed25519 key that receipts are checked with, and when."""

    key_id: KeyId
    public: bytes
    not_before: Aware
    not_after: Aware

    def is_valid(self, now: datetime) -> bool:
        """Tell whether receipts may be signed with it at ``now``."""
        return self.not_before <= now < self.not_after

    def is_signed(self, body: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is this key's over ``body``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, body)
        except InvalidSignature:
            return False
        return True


class KeySet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a vehicle must know of one recipient."""

    schema: Literal["okdrive.ingest-keys/1"] = SCHEMA
    serial: Annotated[int, Meta(ge=1)]
    recipient: Annotated[str, Meta(min_length=1, max_length=80)]
    sealing: Annotated[tuple[SealingEntry, ...], Meta(max_length=_MAX_KEYS)]
    receipts: Annotated[tuple[ReceiptEntry, ...], Meta(max_length=_MAX_KEYS)]

    def name_of(self, entry: SealingEntry) -> str:
        """Return who opens what is sealed to ``entry``, in words."""
        return entry.recipient or self.recipient

    def of(self, purpose: str) -> tuple[SealingEntry, ...]:
        """Return the keys of ``purpose``, the one that became valid last first."""
        found = [entry for entry in self.sealing if entry.purpose == purpose]
        return tuple(sorted(found, key=lambda entry: entry.not_before, reverse=True))


def sealing_entry(
    key: SealingKey,
    *,
    purpose: str,
    not_before: datetime,
    not_after: datetime,
    recipient: str = "",
) -> SealingEntry:
    """Return the entry of a public key."""
    second = key.mlkem.public_bytes_raw() if key.mlkem else b""
    return SealingEntry(
        key_id=key.key_id.hex(),
        purpose=purpose,
        kem="mlkem768-x25519" if key.is_hybrid else "x25519",
        public=key.x25519.public_bytes_raw() + second,
        not_before=not_before,
        not_after=not_after,
        recipient=recipient,
    )


def receipt_entry(
    key: Ed25519PublicKey, *, not_before: datetime, not_after: datetime
) -> ReceiptEntry:
    """Return the entry of a public key."""
    public = key.public_bytes_raw()
    return ReceiptEntry(
        key_id=hashlib.sha256(public).hexdigest()[:16],
        public=public,
        not_before=not_before,
        not_after=not_after,
    )


def encode_key_set(keys: KeySet) -> bytes:
    """Return the document. Deterministic."""
    return msgspec.json.format(msgspec.json.encode(keys, order="sorted"), indent=1) + b"\n"


def decode_key_set(data: bytes) -> KeySet:
    """Return the keys in ``data``, each of them a key of its id.

    Raises:
        KeySetError: Too large, another shape, an id that is not its key's, or one id twice.
    """
    if len(data) > MAX_BYTES:
        raise KeySetError(f"keys: expected at most {MAX_BYTES} bytes, got {len(data)}; not used")
    try:
        keys = msgspec.json.decode(data, type=KeySet)
        _expect_own_ids(keys)
    except ValueError as error:  # msgspec's errors are ValueErrors
        raise KeySetError(f"keys: expected a set of {SCHEMA}: {error}; not used") from error
    return keys


def _expect_own_ids(keys: KeySet) -> None:
    for entry in keys.sealing:
        _expect_id(entry.key_id, entry.key.key_id.hex())
    for receipt in keys.receipts:
        _expect_id(receipt.key_id, hashlib.sha256(receipt.public).hexdigest()[:16])
        Ed25519PublicKey.from_public_bytes(receipt.public)
    _expect_once([f"{entry.purpose} {entry.key_id}" for entry in keys.sealing])
    _expect_once([entry.key_id for entry in keys.receipts])


def _expect_id(found: str, expected: str) -> None:
    if found != expected:
        raise ValueError(f"key {found}: expected the id {expected} for these bytes")


def _expect_once(ids: Sequence[str]) -> None:
    if len(set(ids)) != len(ids):
        raise ValueError("a key stands in the set twice")
