"""A batch as ciphertext that only its recipient can open, in one of a few sizes.

HPKE (RFC 9180), base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, or with the hybrid
ML-KEM-768 + X25519 in place of X25519. Shape (CDDL, RFC 8610; docs/reference/sealed.cddl)::

    sealed = [1, key-id: bstr .size 8, bytes: bstr]     ; deterministic CBOR
    bytes  = encapsulated key (32 or 1,120 bytes) || ciphertext of the padded batch

Before sealing a batch is padded to a size class, so that its length tells only the class. The
purpose is bound as HPKE ``info``: what was sealed for one purpose cannot be opened as another. A
purpose is one of `telemetry/purposes.py`, or ``ERASE``.
"""

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from telemetry.codec.cbor import dump, load
from telemetry.codec.errors import CodecError

VERSION = 1
CONTENT_TYPE = "application/vnd.okdrive.sealed+cbor"
ERASE = "erase"  # what is sealed besides batches: a vehicle's word that it takes data back
KEY_ID_BYTES = 8
X25519_BYTES = 32
HYBRID_BYTES = 1_120  # source: draft-ietf-hpke-pq, MLKEM768-X25519 encapsulation
_TAG_BYTES = 16  # of AES-256-GCM
_FRAME_BYTES = 16  # array, version, key id and the head of a long byte string
_SHORT_BYTES = 1 << 16  # of a shorter byte string the head has two bytes less (RFC 8949, 3.1)
SMALLEST_CLASS_BYTES = 512
LARGEST_CLASS_BYTES = 1 << 24
LARGEST_BATCH_BYTES = LARGEST_CLASS_BYTES - 1
_STEPS_PER_DOUBLING = 4  # 512, 640, 768, 896, 1024, 1280 ...: at most a quarter is padding
_MARK = b"\x80"  # source: ISO/IEC 7816-4 padding; what follows is zeros


class SealError(Exception):
    """A sealed batch cannot be opened; nothing of it was used. ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_PLAIN = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_HYBRID = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class SealingKey:
    """The public key of one recipient for one purpose; hybrid if it has an ML-KEM half."""

    x25519: X25519PublicKey
    mlkem: MLKEM768PublicKey | None = None

    @property
    def key_id(self) -> bytes:
        """Return the first 8 bytes of the SHA-256 of the key's raw bytes."""
        second = self.mlkem.public_bytes_raw() if self.mlkem else b""
        return hashlib.sha256(self.x25519.public_bytes_raw() + second).digest()[:KEY_ID_BYTES]

    @property
    def is_hybrid(self) -> bool:
        """Tell whether a quantum computer alone could not open what is sealed to it."""
        return self.mlkem is not None

    def encrypt(self, plain: bytes, info: bytes) -> bytes:
        """Return encapsulated key and ciphertext."""
        if self.mlkem is None:
            return _PLAIN.encrypt(plain, self.x25519, info=info)
        return _HYBRID.encrypt(plain, MLKEM768X25519PublicKey(self.mlkem, self.x25519), info=info)


@dataclass(frozen=True, slots=True)
class OpeningKey:
    """The private key that fits a ``SealingKey``."""

    x25519: X25519PrivateKey
    mlkem: MLKEM768PrivateKey | None = None

    @property
    def public(self) -> SealingKey:
        """Return the key that batches are sealed to."""
        mlkem = self.mlkem.public_key() if self.mlkem else None
        return SealingKey(self.x25519.public_key(), mlkem)

    def decrypt(self, sealed: bytes, info: bytes) -> bytes:
        """Return what was sealed; raise InvalidTag or ValueError."""
        if self.mlkem is None:
            return _PLAIN.decrypt(sealed, self.x25519, info=info)
        return _HYBRID.decrypt(sealed, MLKEM768X25519PrivateKey(self.mlkem, self.x25519), info=info)


def size_class(size_bytes: int) -> int:
    """Return the smallest class that holds a padded batch of ``size_bytes``.

    Raises:
        ValueError: It is larger than any class.
    """
    needed, base = size_bytes + 1, SMALLEST_CLASS_BYTES  # one byte marks where the padding begins
    while needed > 2 * base:
        base *= 2
    step = base // _STEPS_PER_DOUBLING
    found = max(base, -(-needed // step) * step)
    if found > LARGEST_CLASS_BYTES:
        raise ValueError(f"size: expected at most {LARGEST_CLASS_BYTES} bytes, got {size_bytes}")
    return found


def pad(batch: bytes) -> bytes:
    """Return ``batch`` filled up to its size class; raise ValueError if there is none."""
    return (batch + _MARK).ljust(size_class(len(batch)), b"\x00")


def unpad(padded: bytes) -> bytes:
    """Return what ``pad`` was given; raise SealError if it was not made by it."""
    batch = padded.rstrip(b"\x00")
    if not batch.endswith(_MARK) or len(padded) != size_class(len(batch) - 1):
        raise SealError("seal.padding", "expected a padded batch, found other bytes; dropped")
    return batch[:-1]


def sealed_bytes(size_bytes: int, *, is_hybrid: bool = False) -> int:
    """Return what a batch of ``size_bytes`` has on the wire once it is padded and sealed.

    Raises:
        ValueError: It is larger than any class.
    """
    encapsulated = HYBRID_BYTES if is_hybrid else X25519_BYTES
    encrypted = encapsulated + size_class(size_bytes) + _TAG_BYTES
    return encrypted + _FRAME_BYTES - (2 if encrypted < _SHORT_BYTES else 0)


def largest_sealed(max_bytes: int) -> int:
    """Return how large a sealed batch may be when the batch itself may have ``max_bytes``."""
    return HYBRID_BYTES + size_class(max_bytes) + _TAG_BYTES + _FRAME_BYTES


def seal(batch: bytes, *, purpose: str, key: SealingKey) -> bytes:
    """Return ``batch`` padded and sealed to ``key``; every call gives other bytes."""
    return _framed(key.key_id, key.encrypt(pad(batch), _info(purpose)))


def key_id_of(sealed: bytes, *, max_bytes: int = LARGEST_BATCH_BYTES) -> bytes:
    """Return the id of the key that ``sealed`` is for, 8 bytes; nothing else of it is believed.

    Raises:
        SealError: It is no sealed batch (``seal.shape``).
    """
    return _unframed(sealed, max_bytes)[0]


def open_sealed(
    sealed: bytes, *, purpose: str, key: OpeningKey, max_bytes: int = LARGEST_BATCH_BYTES
) -> bytes:
    """Return the batch in ``sealed``, which may have ``max_bytes`` at most.

    Raises:
        SealError: Not a sealed batch or too large (``seal.shape``), sealed to another key
            (``seal.key``), changed on the way or sealed for another purpose (``seal.broken``), or
            not padded as it must be (``seal.padding``).
    """
    found, encrypted = _unframed(sealed, max_bytes)
    expected = key.public.key_id
    if found != expected:
        raise SealError("seal.key", f"expected key {expected.hex()}, found {found.hex()}; kept")
    try:
        padded = key.decrypt(encrypted, _info(purpose))
    except (InvalidTag, ValueError) as error:
        raise SealError("seal.broken", f"{purpose}: changed or not for us; dropped") from error
    return unpad(padded)


def _framed(key_id: bytes, encrypted: bytes) -> bytes:
    return dump([VERSION, key_id, encrypted])


def _unframed(sealed: bytes, max_bytes: int) -> tuple[bytes, bytes]:
    try:
        fields = load(sealed, max_bytes=largest_sealed(max_bytes), what="sealed batch")
    except CodecError as error:
        raise SealError("seal.shape", f"{error}; not opened") from error
    if not isinstance(fields, list) or [type(field) for field in fields] != [int, bytes, bytes]:
        raise SealError("seal.shape", "expected version, key id and bytes; not opened")
    version, key_id, encrypted = fields
    if version != VERSION or len(key_id) != KEY_ID_BYTES:
        raise SealError("seal.shape", f"expected version {VERSION} and a key id of 8 bytes")
    return key_id, encrypted


def _info(purpose: str) -> bytes:
    return f"okdrive.batch/1 {purpose}".encode()
