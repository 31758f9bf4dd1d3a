"""Confirms and delivers batch after batch on a disk, and says what it believes to be durable.

Forked for every cut from a parent that has loaded everything. What is written to the pipe was
returned by the store as done: from then on a power cut must not undo it.
"""

import os
import sqlite3
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agent.sharing import Sharing
from agent.store.database import StoreError
from agent.store.outbox import Outbox
from agent.store.rows import ReceiptRow
from agent.store.segment_records import SegmentError
from telemetry.purposes import Purpose
from tests.support.sealing import RECIPIENT
from tests.support.trips import FakeTrip, open_sharing, write_segment


def write_for_ever(folder: Path, pipe: int, *, synchronous: str = "FULL") -> None:
    """Work until the power is cut; any error of the dying disk ends it too."""
    with suppress(StoreError, OSError, sqlite3.Error):
        sharing = open_sharing(folder)
        sharing.set_consent(Purpose.BATTERY, is_granted=True)
        weaken(sharing, synchronous)
        number = 0
        while True:
            number += 1
            confirm(sharing, folder, f"trip-{number}", pipe)
            if number % 2 == 0:
                deliver_first(sharing.outbox, pipe)


def weaken(sharing: Sharing, synchronous: str) -> None:
    """Only to show that the bench is able to lose something."""
    with sharing.state.database.reading() as connection:
        connection.execute(f"PRAGMA synchronous={synchronous}")


def confirm(sharing: Sharing, folder: Path, trip_id: str, pipe: int) -> None:
    path = write_segment(folder / "segments", trip_id, rows=2)
    [preview] = sharing.offer_trip(FakeTrip(trip_id=trip_id), path)
    sharing.answer(trip_id, [bytes.fromhex(preview.batch_id)], share=True)
    os.write(pipe, f"confirmed {preview.batch_id}\n".encode())


def deliver_first(outbox: Outbox, pipe: int) -> None:
    first = outbox.lines()[0].batch_id
    outbox.begin_attempt(first, recipient=RECIPIENT.name)
    outbox.sealed(first, key_id="ab" * 8, seal=RECIPIENT.seal)
    outbox.confirm(
        ReceiptRow(
            batch_id=first,
            part=0,
            status="stored",
            code=None,
            body=b"",
            signature=b"",
            received_utc=datetime(2026, 11, 22, tzinfo=UTC),
        )
    )
    os.write(pipe, f"delivered {first.hex()}\n".encode())


@dataclass
class Verdict:
    """What a cut did to what was promised."""

    confirmed: int = 0
    delivered: int = 0
    lost: int = 0  # confirmed, and neither waiting nor delivered
    back: int = 0  # delivered, and waiting again
    broken: list[str] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        self.confirmed += other.confirmed
        self.delivered += other.delivered
        self.lost += other.lost
        self.back += other.back
        self.broken += other.broken


def judge(folder: Path, said: bytes) -> Verdict:
    """Open what is left as the agent does at its next start."""
    lines = [line.split() for line in said.decode().splitlines() if line.count(" ") == 1]
    confirmed = {batch for what, batch in lines if what == "confirmed"}
    delivered = {batch for what, batch in lines if what == "delivered"}
    try:
        sharing = open_sharing(folder)
    except (StoreError, sqlite3.Error) as error:
        return Verdict(lost=len(confirmed), broken=[str(error)])
    try:
        waiting = {line.batch_id.hex() for line in sharing.outbox.lines()}
        receipts = {row.batch_id.hex() for row in sharing.state.receipts(limit=-1)}
        with sharing.state.database.reading() as connection:
            intact = connection.execute("PRAGMA integrity_check").fetchone()[0]
        problems = [problem.sentence for problem in sharing.check_ledger()]
        return Verdict(
            confirmed=len(confirmed),
            delivered=len(delivered),
            lost=len(confirmed - waiting - receipts),
            back=len((delivered & waiting) | (delivered - receipts)),
            broken=problems + ([] if intact == "ok" else [intact]),
        )
    finally:
        sharing.state.close()


def main() -> None:
    """Confirm two batches and deliver one; the process may die at any system call."""
    folder = Path(sys.argv[1])
    try:
        sharing = open_sharing(folder)
        sharing.set_consent(Purpose.BATTERY, is_granted=True)
        for number in (1, 2):
            confirm(sharing, folder, f"trip-{number}", 1)
        deliver_first(sharing.outbox, 1)
        sharing.state.close()
    except StoreError as error:
        os.write(1, f"stopped {error.code}\n".encode())
        sys.exit(1)
    except SegmentError:
        os.write(1, b"stopped segment\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
