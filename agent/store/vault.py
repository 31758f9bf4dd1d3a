"""Data keys: every batch, offer, trip and segment is encrypted with one of its own.

A data key (AES-256-GCM) stands in the file ``slots``, wrapped (RFC 3394) with the key of its kind:
the purpose of a batch, or ``trip`` (charges too), ``segment`` and ``event``. The wrapping keys are
files of mode 0600 beside it, or wrapped once more by a token. Whoever destroys a slot destroys what
it opens, wherever copies of the ciphertext lie: the slot is overwritten in place and synced, and
nothing else holds the key.

Shape::

    slots  = *slot                            ; 64 bytes each, so that a write is whole or not there
    slot   = item (16) kind (4) wrapped key (40) crc32 (4)    ; all zeros: free
    item   = first 16 bytes of SHA-256 of the item's name;  kind = first 4 of SHA-256 of the kind's
    sealed = %xF5.01 nonce (12) ciphertext tag (16)           ; bound to the item's name

Copies of a wrapped key that flash keeps behind its own translation layer are out of reach of any
program; they die with the wrapping key.
"""

import fcntl
import hashlib
import os
import stat
import struct
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from ota.client.durable import sync_folder

KEY_BYTES = 32
OVERHEAD_BYTES = 30  # of a sealed value: mark, nonce and tag
TRIP, SEGMENT, EVENT = "trip", "segment", "event"
_FILES = (SEGMENT, EVENT)  # named by a folder, not by a row
_MARK = b"\xf5\x01"
_NONCE_BYTES = 12
_SLOT = struct.Struct(">16s4s40sI")
_MAX_SLOTS = 1 << 16


class KeyLostError(Exception):
    """A key is gone: what it opened stays closed for ever, everything else goes on."""

    code = "store.key_lost"


class KeyWrapper(Protocol):
    """Something that keeps a key which never leaves it, such as a token."""

    def wrap(self, key: bytes) -> bytes:
        """Return ``key`` wrapped."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return what was wrapped; raise KeyLostError if it was not wrapped here."""


class Vault:
    """The keys in a folder. Every method blocks; threads and processes may share the folder."""

    def __init__(self, folder: Path, *, wrapper: KeyWrapper | None = None) -> None:
        """Wire; nothing is read or written before the first key is needed."""
        self._folder = folder
        self._wrapper = wrapper
        self._lock = threading.RLock()
        self._seen: tuple[int, int] | None = None  # time and size of the file as it was read
        self._slots: dict[bytes, tuple[int, bytes, bytes]] = {}  # item -> place, kind, wrapped

    def use(self, wrapper: KeyWrapper) -> None:
        """Keep wrapping keys wrapped by ``wrapper`` from now on; older files are still read."""
        self._wrapper = wrapper

    @property
    def lock(self) -> threading.RLock:
        """Return what to hold while a key is made and what it opens is not named anywhere yet."""
        return self._lock

    def seal(self, item: str, kind: str, plain: bytes) -> bytes:
        """Return ``plain`` encrypted with the item's own key, which is durable by then.

        Raises:
            KeyLostError: The key of this kind is gone while things of this kind are left.
            OSError: The key cannot be written; there is nothing that would need it.
        """
        return _encrypt(self._key(item, kind), item, plain)

    def open(self, item: str, sealed: bytes) -> bytes:
        """Return what was sealed as ``item``; what was stored before there were keys is returned.

        Raises:
            KeyLostError: Its key was destroyed or lost, or the bytes are other ones.
        """
        if not sealed.startswith(_MARK):
            return sealed
        return _decrypt(self._known_key(item), item, sealed)

    def cipher(self, item: str, kind: str) -> "Cipher":
        """Return what encrypts the blocks of a file; makes the key if there is none."""
        return Cipher(self._key(item, kind), item)

    def known_cipher(self, item: str) -> "Cipher":
        """Return what decrypts the blocks of a file; raise KeyLostError."""
        return Cipher(self._known_key(item), item)

    def destroy(self, items: Iterable[str]) -> int:
        """Overwrite the keys of ``items`` for good; return how many there were."""
        return self._clear({_digest(item, 16) for item in items}.__contains__)

    def keep_only(self, items: Iterable[str]) -> int:
        """Overwrite the key of everything but ``items`` and of files; return how many."""
        kept, of_files = {_digest(item, 16) for item in items}, {_digest(one, 4) for one in _FILES}
        return self._clear(lambda item: item not in kept and self._slots[item][1] not in of_files)

    def keep_only_files(self, kind: str, items: Iterable[str]) -> int:
        """Overwrite the key of every file of ``kind`` but ``items``; hold ``lock`` meanwhile."""
        kept, wanted = {_digest(item, 16) for item in items}, _digest(kind, 4)
        return self._clear(lambda item: item not in kept and self._slots[item][1] == wanted)

    def destroy_all(self) -> None:
        """Overwrite every wrapping key and every slot: nothing that was stored opens again."""
        with self._changing() as descriptor:
            os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
            os.fdatasync(descriptor)
            for path in [*self._folder.glob("*.key"), *self._folder.glob("*.wrapped")]:
                _overwrite(path)
            sync_folder(self._folder)

    def is_lost(self, kind: str) -> bool:
        """Tell whether things of ``kind`` are left whose wrapping key is gone."""
        with self._lock:
            self._load()
            if not any(found == _digest(kind, 4) for _, found, _ in self._slots.values()):
                return False
            try:
                self._wrapping(kind, may_make=False)
            except KeyLostError:
                return True
            return False

    # -- one key -------------------------------------------------------------------------------

    def _key(self, item: str, kind: str) -> bytes:
        with self._lock:
            self._load()
            if _digest(item, 16) in self._slots:
                return self._known_key(item)
        with self._changing() as descriptor:
            wrapping = self._wrapping(kind, may_make=not self._has(kind))
            key = os.urandom(KEY_BYTES)
            slot = _slot(item, kind, aes_key_wrap(wrapping, key))
            place = self._free_place(os.fstat(descriptor).st_size)
            if os.pwrite(descriptor, slot, place) != _SLOT.size:
                raise OSError("the disk took only a part of a key")
            os.fdatasync(descriptor)
        return key

    def _known_key(self, item: str) -> bytes:
        with self._lock:
            self._load()
            found = self._slots.get(_digest(item, 16)) or self._reloaded(item)
            if found is None:
                raise KeyLostError(f"{item}: expected its key, found none; it stays closed")
            _, kind, wrapped = found
            try:
                return aes_key_unwrap(self._wrapping_of(kind), wrapped)
            except InvalidUnwrap as error:
                raise KeyLostError(
                    f"{item}: its key was wrapped by another; it stays closed"
                ) from (error)

    def _reloaded(self, item: str) -> tuple[int, bytes, bytes] | None:
        self._seen = None  # another process may have written within the same tick of the clock
        self._load()
        return self._slots.get(_digest(item, 16))

    # -- wrapping keys -------------------------------------------------------------------------

    def _wrapping_of(self, kind: bytes) -> bytes:
        for path in self._folder.glob("*.*"):
            if path.suffix in {".key", ".wrapped"} and _digest(path.stem, 4) == kind:
                return self._wrapping(path.stem, may_make=False)
        raise KeyLostError(f"{self._folder}: a wrapping key is gone; what it opened stays closed")

    def _wrapping(self, kind: str, *, may_make: bool) -> bytes:
        plain, wrapped = self._folder / f"{kind}.key", self._folder / f"{kind}.wrapped"
        if wrapped.exists():
            if self._wrapper is None:
                raise KeyLostError(f"{wrapped}: the token that wrapped it is not configured")
            return self._wrapper.unwrap(wrapped.read_bytes())
        if plain.exists():
            return _read_private(plain)
        if not may_make:
            raise KeyLostError(
                f"{plain}: the key of {kind} is gone; what it opened stays closed. Restore it, or"
                " withdraw the purpose: that deletes what is left, and begins anew"
            )
        key = os.urandom(KEY_BYTES)
        if self._wrapper is None:
            _write_private(plain, key)
        else:
            _write_private(wrapped, self._wrapper.wrap(key))
        return key

    def _has(self, kind: str) -> bool:
        return any(found == _digest(kind, 4) for _, found, _ in self._slots.values())

    # -- the file ------------------------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[int]:
        """Give the file to change, alone among threads and processes, as it is now."""
        with self._lock:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            path = self._folder / "slots"
            is_new = not path.exists()
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if is_new:
                    os.fsync(descriptor)
                    sync_folder(self._folder)
                self._seen = None
                self._load()
                yield descriptor
            finally:
                self._seen = None
                os.close(descriptor)

    def _clear(self, is_chosen: Callable[[bytes], bool]) -> int:
        with self._lock:
            if not (self._folder / "slots").exists():
                return 0
        with self._changing() as descriptor:
            chosen = [item for item in self._slots if is_chosen(item)]
            for item in chosen:
                os.pwrite(descriptor, bytes(_SLOT.size), self._slots[item][0])
            if chosen:
                os.fdatasync(descriptor)
        return len(chosen)

    def _free_place(self, size_bytes: int) -> int:
        taken = {place for place, _, _ in self._slots.values()}
        places = range(0, size_bytes - size_bytes % _SLOT.size, _SLOT.size)
        place = next((free for free in places if free not in taken), len(places) * _SLOT.size)
        if place >= _MAX_SLOTS * _SLOT.size:
            raise OSError(f"{self._folder}: expected at most {_MAX_SLOTS} keys")
        return place

    def _load(self) -> None:
        path = self._folder / "slots"
        try:
            found = path.stat()
            seen = (found.st_mtime_ns, found.st_size)
            if seen == self._seen:
                return
            data = path.read_bytes()
        except FileNotFoundError:
            self._slots, self._seen = {}, None
            return
        self._slots, self._seen = dict(_parsed(data)), seen


_vaults: dict[Path, Vault] = {}  # one for a folder: what its lock guards is the folder's
_vaults_lock = threading.Lock()


def vault_of(state_folder: Path) -> Vault:
    """Return the keys of a state folder, the same object to all of this process."""
    folder = state_folder.absolute() / "keys"
    with _vaults_lock:
        return _vaults.setdefault(folder, Vault(folder))


class Cipher:
    """Encrypts and decrypts the records of one file with the file's own key."""

    def __init__(self, key: bytes, item: str) -> None:
        self._key = key
        self._item = item

    def seal(self, plain: bytes) -> bytes:
        """Return ``plain`` encrypted under a new nonce."""
        return _encrypt(self._key, self._item, plain)

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed; raise KeyLostError if these are other bytes."""
        return _decrypt(self._key, self._item, sealed)


def is_sealed(value: bytes) -> bool:
    """Tell whether ``value`` was sealed by a key; batches, JSON and columns never begin so."""
    return value.startswith(_MARK)


def batch_item(batch_id: bytes) -> str:
    """Return the name under which a batch's key is kept."""
    return f"batch {batch_id.hex()}"


def trip_item(trip_id: str) -> str:
    """Return the name under which the key of a trip's summary is kept."""
    return f"trip {trip_id}"


def charge_item(session_id: str) -> str:
    """Return the name under which the key of a charge session's summary is kept."""
    return f"charge {session_id}"


def event_item(path: Path) -> str:
    """Return the name under which the key of a captured event is kept."""
    return f"event {path.name}"


def segment_item(path: Path) -> str:
    """Return the name under which the key of a segment file is kept."""
    return f"segment {path.name}"


def _encrypt(key: bytes, item: str, plain: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return _MARK + nonce + AESGCM(key).encrypt(nonce, plain, item.encode())


def _decrypt(key: bytes, item: str, sealed: bytes) -> bytes:
    nonce, rest = sealed[2 : 2 + _NONCE_BYTES], sealed[2 + _NONCE_BYTES :]
    try:
        return AESGCM(key).decrypt(nonce, rest, item.encode())
    except (InvalidTag, ValueError) as error:
        raise KeyLostError(f"{item}: expected what its key sealed, found other bytes") from error


def _digest(name: str, size: int) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:size]


def _slot(item: str, kind: str, wrapped: bytes) -> bytes:
    head = _digest(item, 16) + _digest(kind, 4) + wrapped
    return head + zlib.crc32(head).to_bytes(4)


def _parsed(data: bytes) -> Iterator[tuple[bytes, tuple[int, bytes, bytes]]]:
    for place in range(0, len(data) - _SLOT.size + 1, _SLOT.size):
        item, kind, wrapped, crc = _SLOT.unpack_from(data, place)
        if crc and zlib.crc32(data[place : place + _SLOT.size - 4]) == crc:
            yield item, (place, kind, wrapped)


def _read_private(path: Path) -> bytes:
    key = path.read_bytes()
    mode = stat.S_IMODE(path.stat().st_mode)
    if len(key) != KEY_BYTES or mode & 0o077:
        raise KeyLostError(
            f"{path}: expected {KEY_BYTES} bytes of mode 0600, found {len(key)} of {mode:04o}"
        )
    return key


def _write_private(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    beside.rename(path)
    sync_folder(path.parent)


def _overwrite(path: Path) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.unlink()
