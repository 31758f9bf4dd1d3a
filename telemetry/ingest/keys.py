"""Keys of ingest: made, retired, dropped; what vehicles may know of them stands in ``ingest.json``.

The public document lies beside the private keys. It changes in one place only, here, and its serial
grows with every change; it reaches the vehicles when a publisher signs it.
"""

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from telemetry.ingest.errors import ConfigError, ConflictError, NotFoundError
from telemetry.ingest.files import sync_folder
from telemetry.keyset import (
    KeySet,
    KeySetError,
    SealingEntry,
    decode_key_set,
    encode_key_set,
    receipt_entry,
    sealing_entry,
)
from telemetry.seal import OpeningKey

DOCUMENT = "ingest.json"
_WORKSHOP = "workshop"  # the purpose whose key may be somebody else's
_BACKDATED = timedelta(hours=1)  # vehicles' clocks may run behind


def key_file(folder: Path, entry: SealingEntry) -> Path:
    """Return where the private half of ``entry`` lies."""
    return folder / f"{entry.purpose}-{entry.key_id}.pem"


def read_document(folder: Path) -> KeySet | None:
    """Return the public document; None before the first key. Raises ConfigError. Blocks."""
    path = folder / DOCUMENT
    try:
        return decode_key_set(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, KeySetError) as error:
        raise _error(path, str(error)) from error


def make_keys(  # noqa: PLR0913 (what a set of keys consists of)
    folder: Path,
    purposes: Sequence[str],
    *,
    recipient: str,
    now: datetime,
    days: int,
    is_hybrid: bool = False,
    workshop: str = "",
) -> KeySet:
    """Make one key for each purpose, beside older ones, and return the new document. Blocks.

    ``workshop`` names the workshop to the drivers; a new key of one that has a name keeps it.

    Raises:
        ConfigError: The folder cannot be written; at worst a private key lies there that the
            document does not name, and nobody seals to it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = read_document(folder) or _empty(recipient)
    made = []
    for purpose in purposes:
        key = _new_key(is_hybrid=is_hybrid)
        entry = sealing_entry(
            key.public,
            purpose=purpose,
            not_before=now - _BACKDATED,
            not_after=now + timedelta(days=days),
            recipient=(workshop or _known_name(document, purpose)) * (purpose == _WORKSHOP),
        )
        _write(key_file(folder, entry), _pem(key))
        made.append(entry)
    return _save(folder, document, sealing=(*document.sealing, *made), recipient=recipient)


def _known_name(document: KeySet, purpose: str) -> str:
    return next((entry.recipient for entry in document.of(purpose)), "")


def add_receipt_key(
    folder: Path, key: Ed25519PublicKey, *, recipient: str, now: datetime, days: int
) -> KeySet:
    """Let vehicles check receipts with ``key`` too; return the document. Blocks."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = read_document(folder) or _empty(recipient)
    entry = receipt_entry(key, not_before=now - _BACKDATED, not_after=now + timedelta(days=days))
    if any(known.key_id == entry.key_id for known in document.receipts):
        return document
    return _save(folder, document, receipts=(*document.receipts, entry))


def make_receipt_key(path: Path) -> Ed25519PublicKey:
    """Write a new private key for receipts to ``path``, which must not exist. Blocks.

    Raises:
        ConflictError: There is a file already; it was not touched.
    """
    if path.exists():
        raise ConflictError(
            f"{path}: expected no file, found one",
            intact="it was not touched",
            advice="name another file: a key that vehicles know is never overwritten",
        )
    key = Ed25519PrivateKey.generate()
    _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key.public_key()


def retire(folder: Path, key_id: str, *, now: datetime) -> KeySet:
    """End a key's time now: vehicles that learn of it seal to another; it still opens here."""
    document = _expect_document(folder)
    changes: dict[str, object] = {}
    for name in ("sealing", "receipts"):
        entries = getattr(document, name)
        if any(entry.key_id == key_id for entry in entries):
            changes[name] = tuple(
                msgspec.structs.replace(entry, not_after=min(now, entry.not_after))
                if entry.key_id == key_id
                else entry
                for entry in entries
            )
    if not changes:
        raise _unknown(folder, key_id)
    return _save(folder, document, **changes)


def drop(folder: Path, key_id: str, *, now: datetime) -> KeySet:
    """Delete a retired key for good: what is still sealed to it is never opened again.

    Raises:
        NotFoundError: No such sealing key.
        ConflictError: Vehicles may still seal to it.
    """
    document = _expect_document(folder)
    found = [entry for entry in document.sealing if entry.key_id == key_id]
    if not found:
        raise _unknown(folder, key_id)
    if any(now < entry.not_after for entry in found):
        raise ConflictError(
            f"key {key_id}: expected a retired key, found one that is valid until"
            f" {found[0].not_after:%Y-%m-%d}",
            intact="nothing was changed",
            advice=f"okdrive-ingest keys retire {key_id}, publish, wait until no vehicle uses it",
        )
    kept = tuple(entry for entry in document.sealing if entry.key_id != key_id)
    changed = _save(folder, document, sealing=kept)
    for entry in found:
        key_file(folder, entry).unlink(missing_ok=True)
    sync_folder(folder)
    return changed


def _empty(recipient: str) -> KeySet:
    return KeySet(serial=1, recipient=recipient, sealing=(), receipts=())


def _save(folder: Path, document: KeySet, **changes: object) -> KeySet:
    is_new = not (folder / DOCUMENT).exists()
    serial = document.serial if is_new else document.serial + 1
    changed = msgspec.structs.replace(document, serial=serial, **changes)
    _write(folder / DOCUMENT, encode_key_set(changed))
    return changed


def _new_key(*, is_hybrid: bool) -> OpeningKey:
    mlkem = MLKEM768PrivateKey.generate() if is_hybrid else None
    return OpeningKey(X25519PrivateKey.generate(), mlkem)


def _pem(key: OpeningKey) -> bytes:
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    second = key.mlkem.private_bytes(*form) if key.mlkem else b""
    return key.x25519.private_bytes(*form) + second


def _write(path: Path, content: bytes) -> None:
    """Write beside, sync, rename, sync the folder: there is the old file or the whole new one."""
    beside = path.with_suffix(".new")
    try:
        beside.unlink(missing_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        beside.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _error(path, str(error.strerror)) from error


def _expect_document(folder: Path) -> KeySet:
    document = read_document(folder)
    if document is None:
        raise NotFoundError(
            f"{folder / DOCUMENT}: expected the public document, found none",
            intact="nothing was changed",
            advice="okdrive-ingest keys make",
        )
    return document


def _unknown(folder: Path, key_id: str) -> NotFoundError:
    return NotFoundError(
        f"key {key_id}: expected a key of {folder / DOCUMENT}, found none",
        intact="nothing was changed",
        advice="okdrive-ingest keys list",
    )


def _error(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: {why}",
        intact="the keys in use stay in use",
        advice="restore the file, or check that the folder can be written",
    )
