"""Who may open what is sent, and whose receipts are believed: the set of ingest keys in use.

The first set comes with provisioning; later ones come signed through the update chain and replace
it at once. A batch is sealed to the key of its purpose that became valid last; a receipt is
believed when a key of the set that has not expired signed it.
"""

import logging
import threading
from datetime import datetime
from pathlib import Path

from agent.consent.ledger import Recipient
from agent.consent.receipts import (
    VerifiedErasure,
    VerifiedReceipt,
    verify_erasure,
    verify_receipt,
)
from ota.client.durable import replace_file
from telemetry.keyset import (
    MAX_BYTES,
    KeySet,
    KeySetError,
    SealingEntry,
    decode_key_set,
    encode_key_set,
)

log = logging.getLogger(__name__)

NO_KEY = "none"  # stands for the key id where a recipient has published no key


class NoKeyError(Exception):
    """Nothing can be sealed for a purpose now; batches wait. ``str()`` is one sentence."""

    code = "uplink.no_key"


class Recipients:
    """The keys in use. May be asked from any thread; asking does not block."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._refused: frozenset[str] = frozenset()  # key ids that ingest cannot open

    @property
    def keys(self) -> KeySet:
        """Return the set in use."""
        return self._keys

    def named(self, purpose: str) -> Recipient:
        """Return who is named on the card and in the ledger, with the key of today."""
        found = self._keys.of(purpose)
        if not found:
            return Recipient(name=self._keys.recipient, key_id=NO_KEY)
        newest = found[0]
        is_hybrid = newest.kem != "x25519"
        name = self._keys.name_of(newest)
        return Recipient(name=name, key_id=newest.key_id, is_hybrid=is_hybrid)

    def name_of(self, entry: SealingEntry) -> str:
        """Return who opens what is sealed to ``entry``, in words."""
        return self._keys.name_of(entry)

    def sealing(self, purpose: str, now: datetime) -> SealingEntry:
        """Return the key that a batch is sealed to at ``now``; raise NoKeyError."""
        name, found = self._keys.recipient, self._keys.of(purpose)
        if not found:
            raise NoKeyError(f"{name} has published no key for {purpose} yet; it waits.")
        usable = [entry for entry in found if entry.is_valid(now)]
        if not usable:
            raise NoKeyError(_out_of_time(name, found[0], now))
        opening = [entry for entry in usable if entry.key_id not in self._refused]
        if not opening:
            raise NoKeyError(
                f"{name} cannot open what is sealed to key {usable[0].key_id}; it waits for a new"
                " set of keys, which comes with the next update check."
            )
        return opening[0]

    def believe(self, data: bytes, now: datetime) -> VerifiedReceipt:
        """Return the receipt in ``data`` if a key that was valid by ``now`` signed it.

        Raises:
            ForgedReceiptError: It is no receipt, or nobody in the set signed it.
        """
        return verify_receipt(data, [key for key in self._keys.receipts if now < key.not_after])

    def believe_erasure(self, data: bytes, now: datetime) -> VerifiedErasure:
        """Return the erasure in ``data`` if a key that was valid by ``now`` signed it.

        Raises:
            ForgedReceiptError: It is none, or nobody in the set signed it.
        """
        return verify_erasure(data, [key for key in self._keys.receipts if now < key.not_after])

    def refuse(self, key_id: str) -> None:
        """Do not seal to this key again before another set comes: ingest does not have it."""
        with self._lock:
            self._refused |= {key_id}
        log.warning("sealing_key_refused", extra={"key_id": key_id})

    def replace(self, keys: KeySet) -> bool:
        """Use a newer set from now on; return False if it is the one in use.

        Raises:
            KeySetError: It is older than the one in use, which stays.
        """
        with self._lock:
            if keys == self._keys:
                return False
            if keys.serial <= self._keys.serial:
                raise KeySetError(
                    f"keys: expected a serial above {self._keys.serial}, found {keys.serial}; the"
                    " set in use stays"
                )
            self._keys, self._refused = keys, frozenset()
        log.info("ingest_keys", extra={"serial": keys.serial, "sealing": len(keys.sealing)})
        return True


def load_recipients(provisioned: Path, received: Path) -> Recipients:
    """Return the newer of the set that came with the vehicle and the one received since. Blocks.

    A received file that cannot be read is left out: it comes again with the next update check.

    Raises:
        KeySetError: The provisioned set is missing or none.
    """
    found = Recipients(_read(provisioned))
    try:
        found.replace(_read(received))
    except KeySetError as error:
        if received.exists():
            log.warning("received_keys_left_out", extra={"reason": str(error)})
    return found


def keep(keys: KeySet, path: Path) -> None:
    """Write a received set to ``path``: the old file or the whole new one. Blocks."""
    replace_file(path, encode_key_set(keys))


def _read(path: Path) -> KeySet:
    try:
        with path.open("rb") as file:
            return decode_key_set(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise KeySetError(f"{path}: {error.strerror}") from error


def _out_of_time(name: str, newest: SealingEntry, now: datetime) -> str:
    if now < newest.not_before:
        return (
            f"The key of {name} is valid from {newest.not_before:%Y-%m-%d %H:%M} UTC, and this"
            f" vehicle's clock says {now:%Y-%m-%d %H:%M}; it waits."
        )
    return (
        f"The key of {name} expired on {newest.not_after:%Y-%m-%d}; it waits for a new set of keys,"
        " which comes with the next update check."
    )
