"""Whatever is done to a ledger after it was written, the chain shows it."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agent.consent.ledger import (
    NO_ENTRY,
    Act,
    ChainEnd,
    ConsentEvent,
    TimeQuality,
    make_entry,
    read_entry,
    verify_chain,
)
from agent.consent.notices import load_notices
from telemetry.purposes import Purpose
from tests.support.trips import RECIPIENT, VEHICLE_KEY

NOTICE = load_notices()[Purpose.BATTERY]
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Stored:
    sequence: int
    entry_hash: bytes
    body: bytes
    signature: bytes


def ledger_of(length: int, start: datetime = START) -> list[Stored]:
    rows: list[Stored] = []
    end = ChainEnd(length=0, entry_hash=NO_ENTRY)
    for number in range(length):
        act = Act(
            event=ConsentEvent.OK if number else ConsentEvent.GRANT,
            purpose=Purpose.BATTERY,
            schema_id="battery.1",
            notice=NOTICE,
            recipient=RECIPIENT,
            at_utc=start + timedelta(minutes=number),
            time_quality=TimeQuality.UNPROVEN,
            batch_id=bytes([number]) * 32 if number else None,
        )
        entry = make_entry(act, after=end, record_id=bytes([number]) * 16, key=VEHICLE_KEY)
        entry_hash = hashlib.sha256(entry.body).digest()
        rows.append(Stored(entry.sequence, entry_hash, entry.body, entry.signature))
        end = ChainEnd(length=end.length + 1, entry_hash=entry_hash)
    return rows


LEDGER = ledger_of(6)


def problems(rows: list[Stored]) -> list[str]:
    found = verify_chain(rows, VEHICLE_KEY.public, expected_length=len(LEDGER))
    return [problem.code for problem in found]


def test_a_ledger_as_it_was_written_is_whole() -> None:
    assert problems(LEDGER) == []


@given(
    place=st.integers(0, len(LEDGER) - 1),
    field=st.sampled_from(["body", "signature", "entry_hash"]),
    at=st.integers(0, 10**6),
    flip=st.integers(1, 255),
)
def test_any_edited_byte_is_detected(place: int, field: str, at: int, flip: int) -> None:
    row = LEDGER[place]
    data = bytearray(getattr(row, field))
    data[at % len(data)] ^= flip
    values = {"sequence": row.sequence, "entry_hash": row.entry_hash}
    values |= {"body": row.body, "signature": row.signature, field: bytes(data)}
    edited = [*LEDGER[:place], Stored(**values), *LEDGER[place + 1 :]]  # type: ignore[arg-type]
    assert problems(edited)


@given(place=st.integers(0, len(LEDGER) - 1))
def test_a_deleted_entry_is_detected_the_last_one_too(place: int) -> None:
    assert problems([*LEDGER[:place], *LEDGER[place + 1 :]])


@given(order=st.permutations(range(len(LEDGER))))
def test_entries_in_another_order_are_detected(order: list[int]) -> None:
    moved = [LEDGER[at] for at in order]
    assert bool(problems(moved)) == (order != sorted(order))


@given(place=st.integers(0, len(LEDGER) - 2))
def test_an_entry_of_another_ledger_of_the_same_vehicle_is_detected(place: int) -> None:
    other = ledger_of(len(LEDGER), START + timedelta(days=1))
    assert problems([*LEDGER[:place], other[place], *LEDGER[place + 1 :]]) == ["ledger.order"] * (
        1 if place == 0 else 2
    )


def test_an_entry_signed_by_another_key_is_detected_even_with_its_own_hash() -> None:
    first = LEDGER[0]
    body = first.body.replace(b'"grant"', b'"withdraw"')
    forged = Stored(1, hashlib.sha256(body).digest(), body, first.signature)
    assert "ledger.signature" in problems([forged, *LEDGER[1:]])


def test_an_entry_names_text_recipient_and_batch() -> None:
    entry = read_entry(LEDGER[1].body)
    assert entry.event is ConsentEvent.OK
    assert entry.batch_id == (b"\x01" * 32).hex()
    assert entry.notice_sha256 == NOTICE.sha256
    assert (entry.recipient, entry.recipient_key_id) == (RECIPIENT.name, RECIPIENT.key_id)
    assert entry.event_time == "2026-11-22T12:01:00+00:00"
    assert entry.previous == hashlib.sha256(LEDGER[0].body).hexdigest()
