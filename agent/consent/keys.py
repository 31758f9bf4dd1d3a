"""Keys from files: the vehicle's signing key, the far end's public key, the purpose secrets."""

import hashlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from agent.privacy.pseudonyms import SECRET_BYTES
from telemetry.purposes import Purpose

_MAX_KEY_BYTES = 16_384


class KeyFileError(Exception):
    """A key file is missing, unreadable for us or readable for others; nothing was started."""

    code = "agent.key_file"


class VerifyKey:
    """An Ed25519 public key. Its id is the first 16 hex digits of the SHA-256 of its bytes."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.key_id = hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]

    def is_signed(self, body: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is this key's over ``body``."""
        try:
            self._key.verify(signature, body)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """An Ed25519 private key: signs ledger entries."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = VerifyKey(key.public_key())

    def sign(self, body: bytes) -> bytes:
        """Return the 64-byte signature over ``body``."""
        return self._key.sign(body)


def load_signing_key(path: Path) -> SigningKey:
    """Read a PEM private key of mode 0600; raise KeyFileError. Blocks."""
    try:
        key = load_pem_private_key(_read_private(path), password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path}: expected an Ed25519 private key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: expected an Ed25519 key, found {type(key).__name__}")
    return SigningKey(key)


def load_verify_key(path: Path) -> VerifyKey:
    """Read a PEM public key; raise KeyFileError. Blocks."""
    try:
        key = load_pem_public_key(_read(path))
    except ValueError as error:
        raise KeyFileError(f"{path}: expected an Ed25519 public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path}: expected an Ed25519 key, found {type(key).__name__}")
    return VerifyKey(key)


def load_purpose_secret(folder: Path, purpose: Purpose) -> bytes:
    """Return the 32-byte secret of ``purpose``, made at first use; raise KeyFileError. Blocks."""
    path = folder / f"{purpose}.secret"
    if not path.exists():
        _create_secret(path)
    secret = _read_private(path)
    if len(secret) != SECRET_BYTES:
        raise KeyFileError(
            f"{path}: expected {SECRET_BYTES} bytes, found {len(secret)}; restore it, or delete it"
            " to start with new pseudonyms"
        )
    return secret


def _create_secret(path: Path) -> None:
    """Write beside, sync, rename: a power cut leaves no secret or a whole one."""
    beside = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(SECRET_BYTES))
            file.flush()
            os.fsync(descriptor)
        beside.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot write the secret: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_private(path: Path) -> bytes:
    data = _read(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileError(
            f"{path}: expected mode 0600, found {mode:04o}: others could read it; chmod 600 {path}"
        )
    return data


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
