"""Pseudonyms: one per purpose and day, unlinkable without the secret of that purpose.

Shape: token = HMAC-SHA256(secret, day), pseudonym = first 16 bytes of SHA-256(token). Where several
batches of a day must not be joined, each has a part: token = HMAC-SHA256(secret, day "/" part).
The pseudonym leaves the vehicle; the token never does, except when the driver claims the data back:
whoever shows the token proves that the pseudonym was theirs. Neither holds the VIN, the certificate
name or an MQTT client id.
"""

import hashlib
import hmac
from datetime import date

SECRET_BYTES = 32
PSEUDONYM_BYTES = 16


def day_token(secret: bytes, day: date, part: int | str | None = None) -> bytes:
    """Return the 32-byte token of ``day`` (UTC) under a purpose's secret.

    Args:
        secret: Of the purpose, 32 bytes.
        day: The day, UTC.
        part: Names the batch on this day, where each has a pseudonym of its own; else None. Made
            from what the vehicle keeps, so that the token can be made again to claim the batch.

    Raises:
        ValueError: ``secret`` is not 32 bytes.
    """
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"secret: expected {SECRET_BYTES} bytes, got {len(secret)}")
    name = day.isoformat() if part is None else f"{day.isoformat()}/{part}"
    return hmac.digest(secret, name.encode(), "sha256")


def pseudonym_of(token: bytes) -> bytes:
    """Return the 16 bytes that a batch carries in place of a name."""
    return hashlib.sha256(token).digest()[:PSEUDONYM_BYTES]
