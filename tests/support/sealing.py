"""A recipient with known keys: what a vehicle seals to, what ingest opens with."""

import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.consent.recipients import Recipients
from telemetry.ingest.keyring import LABELS
from telemetry.keyset import KeySet, receipt_entry, sealing_entry
from telemetry.purposes import Purpose
from telemetry.seal import OpeningKey, SealError, key_id_of, open_sealed, seal

LONG_AGO, FAR_AHEAD = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def new_key() -> OpeningKey:
    return OpeningKey(X25519PrivateKey.generate())


@dataclass
class FakeRecipient:
    """Ingest's keys; the same key for every purpose unless a test says otherwise."""

    name: str = "okdrive ingest"
    opening: list[OpeningKey] = field(default_factory=lambda: [new_key()])
    signing: list[Ed25519PrivateKey] = field(default_factory=lambda: [Ed25519PrivateKey.generate()])
    serial: int = 1
    not_before: datetime = LONG_AGO
    not_after: datetime = FAR_AHEAD

    @property
    def keys(self) -> KeySet:
        """The public document; the last key of a list is the one that became valid last."""
        return KeySet(
            serial=self.serial,
            recipient=self.name,
            sealing=tuple(
                sealing_entry(
                    key.public,
                    purpose=purpose,
                    not_before=self.not_before.replace(day=1 + number),
                    not_after=self.not_after,
                )
                for purpose in LABELS
                for number, key in enumerate(self.opening)
            ),
            receipts=tuple(
                receipt_entry(
                    key.public_key(), not_before=self.not_before, not_after=self.not_after
                )
                for key in self.signing
            ),
        )

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """What ingest does, with every key there is."""
        for key in self.opening:
            if key_id_of(sealed) == key.public.key_id:
                return open_sealed(sealed, purpose=purpose, key=key)
        raise SealError("seal.key", f"{purpose}: no key {key_id_of(sealed).hex()} here; not opened")

    def seal(self, batch: bytes, purpose: str = Purpose.BATTERY) -> bytes:
        """What a vehicle does."""
        return seal(batch, purpose=purpose, key=self.opening[-1].public)


RECIPIENT = FakeRecipient()


def recipients() -> Recipients:
    return Recipients(RECIPIENT.keys)


def unsealed(_purpose: str, payload: bytes) -> bytes:
    """An opener for tests of what comes after it: batches come as they are."""
    return payload


def write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    path.write_bytes(content)
