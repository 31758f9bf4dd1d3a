"""The ledger: who agreed to what, when, on which text. Append-only, chained, signed.

Each entry names the hash of the one before it, so that none can be taken out or put in; each is
signed with the vehicle's key, so that none can be rewritten. Fields follow ISO/IEC TS 27560 as far
as they apply; an entry never leaves the vehicle by itself.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec
from msgspec import Struct

from agent.consent.keys import ED25519, PublicKey, Signer
from agent.consent.notices import Notice
from telemetry.purposes import Purpose

SCHEMA = "okdrive.consent/2"  # 1 had neither profile nor validity; its entries stay readable
KEY_LOST = "ledger.key_lost"  # there is nothing to verify or to sign with
NO_ENTRY = bytes(32)  # what the first entry names as the one before it


class ConsentEvent(StrEnum):
    """What the driver did."""

    GRANT = "grant"  # switched a purpose on
    WITHDRAW = "withdraw"  # switched it off
    OK = "ok"  # for one batch
    NO = "no"  # for one batch
    TAKE_BACK = "take_back"  # an OK undone while the batch was held
    STANDING = "standing"  # from now on every batch of a purpose, until a date
    STANDING_END = "standing_end"  # asked again, batch by batch
    ERASE = "erase"  # took back what had been sent; ingest is asked to delete it


class TimeQuality(StrEnum):
    """Whether the wall clock could be believed."""

    PROVEN = "proven"
    UNPROVEN = "unproven"


class Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry as it is signed: the fields as sorted JSON."""

    schema_version: str
    record_id: str  # 32 hex digits, random
    sequence: int  # from 1
    previous: str  # SHA-256 of the entry before, hex; 64 zeros in the first
    event: ConsentEvent
    event_time: str  # ISO 8601, UTC
    time_quality: TimeQuality
    principal: str  # key id of the vehicle; never a person's name
    signature_algorithm: str | None = None  # None: ed25519
    purpose: Purpose
    schema_id: str  # what a batch may hold
    notice_id: str
    notice_sha256: str
    language: str
    lawful_basis: str
    data_categories: tuple[str, ...]
    controller: str
    recipient: str
    recipient_key_id: str
    retention: str
    withdrawal: str
    batch_id: str | None = None  # hex; exactly for events about one batch
    shown_sha256: str | None = None  # of the short text on the screen, first layer of the notice
    profile: str | None = None  # random id of the driver's profile; never a name
    valid_until: str | None = None  # ISO 8601, UTC; of a standing OK
    released_under: str | None = None  # hash of the standing OK that released the batch, hex


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLedgerEntry:
    """An entry with its bytes and the signature over them."""

    entry: Entry
    body: bytes
    signature: bytes

    @property
    def sequence(self) -> int:
        """Return the place in the chain, from 1."""
        return self.entry.sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEnd:
    """Where the chain ends: how many entries, and the hash of the last."""

    length: int
    entry_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Who may open what is sent."""

    name: str
    key_id: str  # of the key that batches of the purpose are sealed to today
    is_hybrid: bool = False  # sealed with ML-KEM-768 beside X25519


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What the driver did, with everything that an entry says about it."""

    event: ConsentEvent
    purpose: Purpose
    schema_id: str
    notice: Notice
    recipient: Recipient
    at_utc: datetime
    time_quality: TimeQuality
    batch_id: bytes | None = None
    shown_sha256: str | None = None  # of the text on the screen, hex
    profile: str | None = None
    valid_until: datetime | None = None
    released_under: bytes | None = None


class StoredEntry(Protocol):
    """An entry as a store gives it back."""

    @property
    def sequence(self) -> int:
        """Return the place under which it is stored."""

    @property
    def entry_hash(self) -> bytes:
        """Return the hash under which it is stored."""

    @property
    def body(self) -> bytes:
        """Return the signed bytes."""

    @property
    def signature(self) -> bytes:
        """Return the signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainProblem:
    """One thing wrong with a ledger; ``code`` is stable."""

    sequence: int
    code: str
    sentence: str


def make_entry(act: Act, *, after: ChainEnd, record_id: bytes, key: Signer) -> SignedLedgerEntry:
    """Make and sign the entry that follows ``after``; ``record_id`` is 16 random bytes."""
    notice = act.notice
    entry = Entry(
        schema_version=SCHEMA,
        record_id=record_id.hex(),
        sequence=after.length + 1,
        previous=after.entry_hash.hex(),
        event=act.event,
        event_time=act.at_utc.isoformat(timespec="seconds"),
        time_quality=act.time_quality,
        principal=key.public.key_id,
        signature_algorithm=None if key.public.algorithm == ED25519 else key.public.algorithm,
        purpose=act.purpose,
        schema_id=act.schema_id,
        notice_id=notice.notice_id,
        notice_sha256=notice.sha256,
        language=notice.language,
        lawful_basis=notice.lawful_basis,
        data_categories=notice.data_categories,
        controller=notice.controller,
        recipient=act.recipient.name,
        recipient_key_id=act.recipient.key_id,
        retention=notice.retention,
        withdrawal=notice.withdrawal,
        batch_id=act.batch_id.hex() if act.batch_id else None,
        shown_sha256=act.shown_sha256,
        profile=act.profile,
        valid_until=act.valid_until.isoformat(timespec="seconds") if act.valid_until else None,
        released_under=act.released_under.hex() if act.released_under else None,
    )
    body = _canonical(entry)
    return SignedLedgerEntry(entry=entry, body=body, signature=key.sign(body))


def read_entry(body: bytes) -> Entry:
    """Return the entry in ``body``; raise ValueError if it is none."""
    return msgspec.json.decode(body, type=Entry)


def verify_chain(
    entries: Iterable[StoredEntry], key: PublicKey, *, expected_length: int | None = None
) -> list[ChainProblem]:
    """Return everything wrong with a ledger, oldest first; empty if it is whole.

    Args:
        entries: Oldest first.
        key: The vehicle's public key.
        expected_length: How many entries were ever made, counted apart from them; shows an end
            that was cut off. None if unknown.
    """
    if key.problem:
        return [ChainProblem(sequence=0, code=KEY_LOST, sentence=key.problem)]
    problems: list[ChainProblem] = []
    previous, length = NO_ENTRY, 0
    for stored in entries:
        length += 1
        problems += _entry_problems(stored, key, place=length, previous=previous)
        previous = hashlib.sha256(stored.body).digest()
    if expected_length is not None and length != expected_length:
        found = f"expected {expected_length} entries, found {length}"
        problems.append(ChainProblem(sequence=length, code="ledger.length", sentence=found))
    return problems


def switch_problems(switches: Iterable[tuple[str, str]], *, length: int) -> list[ChainProblem]:
    """Return a problem for each switch that is not as the ledger's last word has it.

    Args:
        switches: Driver's profile and purpose of each.
        length: Of the ledger: what is wrong stands behind its last entry.
    """
    return [
        ChainProblem(
            sequence=length,
            code="ledger.switch",
            sentence=f"{purpose} of driver {profile_id[:8]}: expected the switch as the ledger's"
            " last entry about it says, found another; it counts as off",
        )
        for profile_id, purpose in switches
    ]


def _entry_problems(
    stored: StoredEntry, key: PublicKey, *, place: int, previous: bytes
) -> list[ChainProblem]:
    found = []
    if not key.is_signed(stored.body, stored.signature):
        found.append(("ledger.signature", "the signature does not fit: the entry was edited"))
    if hashlib.sha256(stored.body).digest() != stored.entry_hash:
        found.append(("ledger.hash", "it is stored under another hash than its own"))
    found += _place_problems(stored, place=place, previous=previous)
    return [
        ChainProblem(sequence=place, code=code, sentence=f"entry {place}: {text}")
        for code, text in found
    ]


def _place_problems(stored: StoredEntry, *, place: int, previous: bytes) -> list[tuple[str, str]]:
    try:
        entry = read_entry(stored.body)
    except ValueError as error:
        return [("ledger.shape", f"expected an entry of {SCHEMA}: {error}")]
    if entry.sequence == stored.sequence == place and entry.previous == previous.hex():
        return []
    return [("ledger.order", "the entry before it is missing, moved or edited")]


def _canonical(entry: Entry) -> bytes:
    return msgspec.json.encode(entry, order="sorted")
