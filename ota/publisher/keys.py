"""Signing keys: files of their owner alone, and who may sign a role.

A key is a PKCS#8 PEM file, mode 0600. Offline keys (both roots, Image targets) live in a folder of
their own that is brought to the machine for a release and taken away again; the Director service
runs without it.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey
from tuf.api.metadata import Role

from ota.publisher.errors import ConflictError, KeyMissingError, SettingsError


class KeyRing:
    """The signers at hand, found by key id."""

    def __init__(self, signers: Iterable[Signer] = ()) -> None:
        self._signers = {signer.public_key.keyid: signer for signer in signers}

    @classmethod
    def load(cls, *folders: Path) -> "KeyRing":
        """Return the ring of every ``*.pem`` under ``folders``; a folder may be missing.

        Raises:
            SettingsError: A file is not a private Ed25519 key, or others may read it.
        """
        paths = [path for folder in folders for path in sorted(folder.rglob("*.pem"))]
        return cls(load_signer(path) for path in paths)

    def signers(self, keyids: Iterable[str]) -> list[Signer]:
        """Return the signers at hand among ``keyids``, in that order."""
        return [self._signers[keyid] for keyid in keyids if keyid in self._signers]

    def can_sign(self, role: Role) -> bool:
        """Return whether the keys at hand reach the threshold of ``role``."""
        return len(self.signers(role.keyids)) >= role.threshold

    def signers_for(self, name: str, role: Role) -> list[Signer]:
        """Return signers that reach the threshold of ``role``.

        Raises:
            KeyMissingError: Too few of its private keys are at hand.
        """
        found = self.signers(role.keyids)
        if len(found) < role.threshold:
            raise KeyMissingError(
                f"keys of role {name}", expected=f"{role.threshold} at hand", got=str(len(found))
            )
        return found


def generate_keys(folder: Path, role: str, count: int) -> list[CryptoSigner]:
    """Make ``count`` keys ``<role>-1.pem`` ... in ``folder``; raise ConflictError if one exists."""
    return [write_key(folder / f"{role}-{number}.pem") for number in range(1, count + 1)]


def write_key(path: Path) -> CryptoSigner:
    """Make a new Ed25519 key in ``path`` (PEM, mode 0600) and return its signer.

    Raises:
        ConflictError: ``path`` exists; a key is never overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    signer: CryptoSigner = CryptoSigner.generate_ed25519()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConflictError(
            str(path), expected="no key of that name", got="one", intact="no key was changed"
        ) from None
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(signer.private_bytes)
        stream.flush()
        os.fsync(descriptor)
    return signer


def load_signer(path: Path) -> CryptoSigner:
    """Return the signer of the private key in ``path``.

    Raises:
        SettingsError: Not an Ed25519 PEM key, unreadable, or readable by group or others.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _bad_key(path, "a PEM private key", str(error)) from error
    if mode & 0o077:
        raise _bad_key(path, "mode 0600", oct(mode))
    if not isinstance(key, Ed25519PrivateKey):
        raise _bad_key(path, "an Ed25519 key", type(key).__name__)
    return CryptoSigner(key, SSlibKey.from_crypto(key.public_key()))


def public_keys(signers: Sequence[Signer]) -> list[Key]:
    """Return the public halves of ``signers``."""
    return [signer.public_key for signer in signers]


def _bad_key(path: Path, expected: str, got: str) -> SettingsError:
    return SettingsError(str(path), expected=expected, got=got, intact="nothing was signed")
