"""What the store knows: one frozen record for each kind of row, units and days in its names.

Of an arrival the day is all that is kept: no minute, no client id, no response topic, no address.
"""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBatch:
    """One stored part of a batch. (pseudonym, batch_id, part) is unique."""

    pseudonym: bytes
    batch_id: bytes
    part: int
    purpose: str
    schema_id: str
    month: str  # "YYYY-MM", as the batch says
    row_count: int
    size_bytes: int  # on the wire
    file: str  # its name among the files of batches
    stored_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A sealed batch that was refused: ciphertext and reason, for a few days; never plaintext."""

    batch_id: bytes  # of the batch once it was opened, else SHA-256 of the payload
    code: str
    reason: str
    size_bytes: int
    payload: bytes | None  # sealed; None: too large to keep, or not sealed at all
    pseudonym: bytes | None  # None: it could not be read
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenReceipt:
    """An answer that was given, and how often."""

    batch_id: bytes
    part: int
    status: str
    code: str | None
    answers: int
    day: date  # of the first time
