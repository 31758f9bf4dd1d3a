"""Receipts that a vehicle can check: signed with ingest's Ed25519 key."""

import hashlib
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from telemetry.codec.erase import Erasure, encode_erasure
from telemetry.codec.receipt import encode_receipt, pack_signed
from telemetry.ingest.errors import ConfigError
from telemetry.records import Receipt


class ReceiptSigner:
    """Signs receipts; ``key_id`` names the key as vehicles see it."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key()
        self.key_id = hashlib.sha256(self.public.public_bytes_raw()).hexdigest()[:16]

    def signed(self, answer: Receipt | Erasure) -> bytes:
        """Return what goes on the wire: the answer and the signature over it."""
        body = encode_erasure(answer) if isinstance(answer, Erasure) else encode_receipt(answer)
        return pack_signed(body, self._key.sign(body))


def load_signer(path: Path) -> ReceiptSigner:
    """Read a PEM private key of mode 0600; raise ConfigError."""
    return ReceiptSigner(load_signing_key(path))


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read a PEM private key of mode 0600; raise ConfigError."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise _error(path, str(error.strerror)) from error
    except (ValueError, TypeError) as error:
        raise _error(path, f"expected a private key in PEM: {error}") from error
    if mode & 0o077:
        raise _error(path, f"expected mode 0600, found {mode:04o}: others could read it")
    if not isinstance(key, Ed25519PrivateKey):
        raise _error(path, f"expected an Ed25519 key, found {type(key).__name__}")
    return key


def _error(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"signing key {path}: {why}",
        intact="nothing was started, nothing was received",
        advice="restore the key, or make a new one and give its public half to the vehicles",
    )
