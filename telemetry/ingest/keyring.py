"""The private keys that open batches: one file each, in a folder that only ingest reads.

A file is called ``<purpose>-<key id>.pem``, mode 0600, and holds an X25519 key in PEM (PKCS #8); of
the hybrid an ML-KEM-768 key follows in the same file. What is sealed for one purpose is never tried
with the key of another. A key stays here, and opens, until nobody seals to it any more: its dates
stand in the public key set and bind the vehicles only.
"""

import re
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from telemetry.ingest.errors import ConfigError
from telemetry.purposes import Purpose
from telemetry.seal import ERASE, OpeningKey, SealError, key_id_of, open_sealed

_END = b"-----END PRIVATE KEY-----"
_MAX_FILE_BYTES = 8_192
_NAME = re.compile(r"^(?P<purpose>[a-z]+)-(?P<key_id>[0-9a-f]{16})$")

LABELS = (*Purpose, ERASE)
Keys = Mapping[tuple[str, bytes], OpeningKey]


class Keyring:
    """Opens sealed batches with the keys of a folder. May be called from any thread."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        """Read every key; raise ConfigError if one is unreadable. ``max_bytes``: of a batch."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._version = _version(folder)
        self._keys = load_keys(folder)

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._keys)

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Return the batch in ``sealed``; a key that was added since the start is found.

        Raises:
            SealError: As ``open_sealed``; ``seal.key`` when there is no such key of this purpose.
        """
        key_id = key_id_of(sealed, max_bytes=self._max_bytes)
        key = self._keys.get((purpose, key_id)) or self._added(purpose, key_id)
        return open_sealed(sealed, purpose=purpose, key=key, max_bytes=self._max_bytes)

    def _added(self, purpose: str, key_id: bytes) -> OpeningKey:
        with self._lock:
            try:
                if (version := _version(self._folder)) != self._version:
                    self._keys, self._version = load_keys(self._folder), version
            except ConfigError as error:
                raise SealError("seal.key", f"{error}; not opened") from error
        if found := self._keys.get((purpose, key_id)):
            return found
        raise SealError("seal.key", f"{purpose}: no key {key_id.hex()} here; not opened")


def load_keys(folder: Path) -> Keys:
    """Return every key in ``folder`` by purpose and id; raise ConfigError."""
    return dict(_load(path) for path in sorted(folder.glob("*.pem")))


def load_key(path: Path) -> OpeningKey:
    """Return the key in one file; raise ConfigError."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES)
        blocks = [block + _END for block in content.split(_END)[:-1]]
        keys = [load_pem_private_key(block, password=None) for block in blocks]
    except OSError as error:
        raise _error(path, str(error.strerror)) from error
    except (ValueError, TypeError) as error:
        raise _error(path, f"expected private keys in PEM: {error}") from error
    if mode & 0o077:
        raise _error(path, f"expected mode 0600, found {mode:04o}: others could read it")
    match keys:
        case [X25519PrivateKey() as x25519]:
            return OpeningKey(x25519)
        case [X25519PrivateKey() as x25519, MLKEM768PrivateKey() as mlkem]:
            return OpeningKey(x25519, mlkem)
        case _:
            kinds = ", ".join(type(key).__name__ for key in keys) or "none"
            raise _error(path, f"expected an X25519 key, alone or with ML-KEM-768, found {kinds}")


def _load(path: Path) -> tuple[tuple[str, bytes], OpeningKey]:
    name = _NAME.match(path.stem)
    if name is None or name["purpose"] not in LABELS:
        raise _error(path, "expected a name like battery-0011223344556677.pem")
    key = load_key(path)
    if (found := key.public.key_id.hex()) != name["key_id"]:
        raise _error(path, f"expected key {name['key_id']}, found key {found}")
    return (name["purpose"], key.public.key_id), key


def _version(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError as error:
        raise _error(folder, str(error.strerror)) from error


def _error(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"sealing key {path}: {why}",
        intact="nothing was started, nothing was received",
        advice="restore the key, or make one with okdrive-ingest keys make",
    )
