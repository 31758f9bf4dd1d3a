"""Keys from files: the vehicle's signing key, the far end's public key, the purpose secrets."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from agent.privacy.pseudonyms import SECRET_BYTES
from ota.client.durable import sync_folder
from telemetry.purposes import Purpose

ED25519, ECDSA_P256 = "ed25519", "ecdsa-p256-sha256"  # as ledger entries name them
_MAX_KEY_BYTES = 16_384


class KeyFileError(Exception):
    """A key file is missing, unreadable for us or readable for others; nothing was started."""

    code = "agent.key_file"


class VerifyKey:
    """A public key, Ed25519 or EC on P-256.

    Its id is the first 16 hex digits of the SHA-256 of its bytes (of a point, uncompressed).
    """

    def __init__(self, key: Ed25519PublicKey | EllipticCurvePublicKey) -> None:
        self._key = key
        self.key_id = hashlib.sha256(_raw(key)).hexdigest()[:16]
        self.algorithm = ED25519 if isinstance(key, Ed25519PublicKey) else ECDSA_P256
        self.problem: str | None = None  # why there is no such key, for a person

    def is_signed(self, body: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is this key's over ``body``."""
        try:
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, body)
            else:
                half = len(signature) // 2
                numbers = (int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
                self._key.verify(encode_dss_signature(*numbers), body, ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def pem(self) -> bytes:
        """Return the key as others need it to verify what was signed."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class MissingPublicKey:
    """What stands for a key that is lost: nothing is signed by it."""

    key_id = "none"
    algorithm = "none"

    def __init__(self, problem: str) -> None:
        self.problem: str | None = problem

    def is_signed(self, body: bytes, signature: bytes) -> bool:  # noqa: ARG002 (the door)
        """Tell that it is not."""
        return False


class PublicKey(Protocol):
    """What entries are verified with."""

    key_id: str
    algorithm: str
    problem: str | None

    def is_signed(self, body: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is this key's over ``body``."""


class Signer(Protocol):
    """What signs ledger entries: a key in a file, or one that never leaves a token."""

    @property
    def public(self) -> PublicKey:
        """Return the public half."""

    def sign(self, body: bytes) -> bytes:
        """Return the signature over ``body``."""


class MissingKey:
    """A key that is lost: it signs nothing, and says why."""

    def __init__(self, problem: str) -> None:
        self.public: PublicKey = MissingPublicKey(problem)

    def sign(self, body: bytes) -> bytes:  # noqa: ARG002 (the door)
        """Refuse; raise KeyFileError."""
        raise KeyFileError(f"{self.public.problem}; nothing was signed")


class SigningKey:
    """An Ed25519 private key: signs ledger entries."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: PublicKey = VerifyKey(key.public_key())

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
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise KeyFileError(f"{path}: expected an Ed25519 or EC key, found {type(key).__name__}")
    return VerifyKey(key)


def _raw(key: Ed25519PublicKey | EllipticCurvePublicKey) -> bytes:
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


class SecretWrapper(Protocol):
    """Something that keeps a key which never leaves it, such as a token; raises KeyFileError."""

    def wrap(self, key: bytes) -> bytes:
        """Return ``key`` wrapped."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return what was wrapped."""


def load_purpose_secret(
    folder: Path, purpose: Purpose, wrapper: SecretWrapper | None = None
) -> bytes:
    """Return the 32-byte secret of ``purpose``, made at first use. Blocks.

    With a ``wrapper`` the file ``<purpose>.wrapped`` holds it; one that stood there in plain,
    because there was no token yet, is wrapped first and then overwritten.

    Raises:
        KeyFileError: It cannot be read or written, or the token that wrapped it is not there.
    """
    plain, wrapped = folder / f"{purpose}.secret", folder / f"{purpose}.wrapped"
    if wrapper is not None:
        return _wrapped_secret(plain, wrapped, wrapper)
    if wrapped.exists():
        raise KeyFileError(
            f"{wrapped}: expected the token that wrapped it, found none configured; [token] in"
            " agent.toml names it"
        )
    if not plain.exists():
        _write_secret(plain, os.urandom(SECRET_BYTES))
    return _expect_secret(plain, _read_private(plain))


def _wrapped_secret(plain: Path, wrapped: Path, wrapper: SecretWrapper) -> bytes:
    if not wrapped.exists():
        is_new = not plain.exists()
        known = os.urandom(SECRET_BYTES) if is_new else _read_private(plain)
        _write_secret(wrapped, wrapper.wrap(_expect_secret(plain, known)))
    secret = _expect_secret(wrapped, wrapper.unwrap(_read_private(wrapped)))
    if plain.exists():  # not before what was wrapped has come back whole
        if _read_private(plain) != secret:
            raise KeyFileError(f"{plain}: expected what {wrapped.name} holds, found another secret")
        _destroy(plain)
        sync_folder(plain.parent)
    return secret


def _expect_secret(path: Path, secret: bytes) -> bytes:
    if len(secret) != SECRET_BYTES:
        raise KeyFileError(
            f"{path}: expected {SECRET_BYTES} bytes, found {len(secret)}; restore it, or delete it"
            " to start with new pseudonyms"
        )
    return secret


def _write_secret(path: Path, content: bytes) -> None:
    """Write beside, sync, rename: a power cut leaves no secret or a whole one."""
    beside = path.with_suffix(".new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        beside.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot write the secret: {error.strerror}") from error


def destroy_secrets(folder: Path) -> int:
    """Overwrite and delete every purpose secret; return how many there were. May be repeated.

    Without them nobody can tell any more which pseudonyms were this vehicle's; new ones are made
    when they are needed.

    Raises:
        KeyFileError: One could not be destroyed; those before it are gone.
    """
    paths = [path for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []
    for path in paths:
        _destroy(path)
    if paths:
        sync_folder(folder)
    return len(paths)


def _destroy(path: Path) -> None:
    try:
        with path.open("rb+") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except OSError as error:
        raise KeyFileError(f"{path}: cannot destroy it: {error.strerror}") from error


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
