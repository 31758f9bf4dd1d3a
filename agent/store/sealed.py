"""Small documents in the state file that nobody reads without their key: AES-256-GCM.

Shape of a value: base64 of nonce (12 bytes) and ciphertext with its tag; the name of the note is
bound to it. A flipped byte, another note's value or another key is noticed, never believed.
"""

import base64
import binascii
import os
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.store.database import Database

_NONCE_BYTES = 12


class SealedNote:
    """One document. Every method blocks and may raise StoreError."""

    def __init__(self, database: Database, name: str, key: Callable[[], bytes]) -> None:
        """Wire; ``key`` returns 32 bytes and is called only when there is something to read."""
        self._database = database
        self._name = name
        self._key = key

    def read(self) -> bytes | None:
        """Return the document; None if there is none. Raise DamagedNoteError."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT value FROM notes WHERE name=?", (self._name,)
            ).fetchone()
        if row is None:
            return None
        try:
            sealed = base64.b64decode(row[0], validate=True)
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return AESGCM(self._key()).decrypt(nonce, rest, self._name.encode())
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise DamagedNoteError(self._name) from error

    def write(self, document: bytes) -> None:
        """Store the document under a new nonce; joins a transaction under way."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + AESGCM(self._key()).encrypt(nonce, document, self._name.encode())
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO notes VALUES (?, ?)",
                (self._name, base64.b64encode(sealed).decode()),
            )


class DamagedNoteError(Exception):
    """A sealed document does not open: damaged on disk, or its key was lost; it is begun anew."""

    code = "store.sealed_note"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: expected a document sealed with this vehicle's key, found another; nothing"
            " of it is believed and it is begun anew"
        )
