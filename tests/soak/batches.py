"""Vehicles confirm trips and send them to one ingest over a network in memory; the dice decide.

The agent is killed before or after any statement of its store, ingest before or after its commit
and its receipt, connections fail, messages and receipts are lost, doubled, forged or meant for
others, packets are so small that batches go in parts, clocks jump, drivers say No or take back.
At the end of each vehicle all faults stop and everything that waits is delivered; at the end of
all, what drivers confirmed is compared with what ingest has.

Run as ``python -m tests.soak.batches FOLDER ROUNDS SEED``: prints a JSON object for each vehicle
and one at the end. SIGTERM ends it after the vehicle at which it is. The same seed plays the same
faults.
"""

import asyncio
import json
import logging
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.delivery import Patience
from agent.sharing import Sharing
from agent.uplink import Uplink, UplinkSettings
from telemetry.ingest.dedupe import Standing
from telemetry.ingest.desk import Desk, DeskSettings
from telemetry.ingest.entries import StoredBatch
from telemetry.ingest.signing import ReceiptSigner
from telemetry.ingest.sink import read_rows
from telemetry.link import Backoff, LinkError
from telemetry.mqtt.messages import Message
from telemetry.purposes import Purpose
from telemetry.records import Receipt
from tests.support.clock import FakeClock
from tests.support.ending import Ending
from tests.support.far_end import FakeFarEnd, FakeLink
from tests.support.ingest_store import local_store
from tests.support.kill_points import KilledError, Plug
from tests.support.trips import FakeTrip, open_sharing, write_segment

Counts = dict[str, int]
ROUNDS_PER_VEHICLE = 40  # the ledger is verified at every start
DAY_S = 86_400


class IngestKilledError(Exception):
    """Ingest is gone for a moment; nobody answers."""


@dataclass
class SoakFarEnd(FakeFarEnd):
    """The real desk, index and files of ingest behind a network that the dice rule."""

    folder: Path = Path()
    dice: random.Random = field(default_factory=random.Random)
    trouble: float = 0.5
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.store = local_store(self.folder)
        self.index = self.store.index
        self.genuine_finish = self.index.finish
        self.index.finish = self.finish_or_die  # type: ignore[method-assign]
        self.desk = Desk(
            store=self.store,
            open_batch=self.recipient.open,
            clock=FakeClock(),
            settings=DeskSettings(),
        )

    def happens(self, what: str, chance: float = 0.15) -> bool:
        it_does = self.dice.random() < chance * self.trouble
        self.counts[what] += it_does
        return it_does

    def finish_or_die(self, batch: StoredBatch) -> Standing:
        if self.happens("ingest killed before commit"):
            raise IngestKilledError
        standing = self.genuine_finish(batch)
        if self.happens("ingest killed after commit"):
            raise IngestKilledError
        return standing

    def make_link(self, client_id: str, on_message: Callable[[Message], None]) -> FakeLink:
        self.max_payload_bytes = 120 if self.happens("small packets", 0.3) else None
        self.connect_error = (
            LinkError("away", code="link.unreachable", is_overload=True)
            if self.happens("no broker")
            else None
        )
        return SoakLink(self, on_message)


class SoakLink(FakeLink):
    async def publish(self, topic: str, payload: bytes, **rest: object) -> None:
        far_end = self._far_end
        assert isinstance(far_end, SoakFarEnd)
        if far_end.happens("publish lost"):
            raise LinkError("lost", code="link.lost")
        content_type, response = rest.get("content_type"), rest.get("response_topic")
        assert isinstance(content_type, str)
        assert isinstance(response, str)
        receipts = []
        for _ in range(2 if far_end.happens("published twice") else 1):
            with suppress(IngestKilledError):
                receipts.append(far_end.desk.take(topic, payload, content_type))
        if far_end.happens("PUBACK lost"):
            raise LinkError("lost", code="link.lost")
        for receipt in receipts:
            self._answer(receipt, response)

    def _answer(self, receipt: Receipt, topic: str) -> None:
        far_end = self._far_end
        assert isinstance(far_end, SoakFarEnd)
        if far_end.happens("receipt forged"):
            forged = ReceiptSigner(Ed25519PrivateKey.generate()).signed(receipt)
            self._deliver(forged, topic)
        if far_end.happens("receipt for a stranger"):
            stranger = Receipt(batch_id=bytes(32), part=0, status=receipt.status, code=receipt.code)
            self._deliver(far_end.signed(stranger), topic)
        if far_end.happens("receipt lost"):
            return
        for _ in range(2 if far_end.happens("receipt doubled") else 1):
            self._deliver(far_end.signed(receipt), topic)


@dataclass
class Vehicle:
    """One vehicle's folder; every round is a start of its agent that may be killed."""

    folder: Path
    far_end: SoakFarEnd
    dice: random.Random
    clock: FakeClock = field(default_factory=FakeClock)

    def round(self, number: int) -> None:
        at = self.dice.randrange(160) if self.far_end.happens("agent killed", 0.7) else 10**9
        plug = Plug(at, self.dice.choice(["before", "after"]))
        self.clock.boot = f"boot-{number}"
        try:
            with suppress(KilledError, BaseExceptionGroup):
                self.live(open_sharing(self.folder, clock=self.clock, connect=plug.connect), number)
        finally:
            plug.die()

    def live(self, sharing: Sharing, number: int) -> None:
        sharing.set_consent(Purpose.BATTERY, is_granted=True)
        trip_id = f"trip-{number}"
        sharing.offer_trip(
            FakeTrip(trip_id=trip_id), write_segment(self.folder / "segments", trip_id, rows=20)
        )
        if self.far_end.happens("clock jump"):
            self.clock.jump_wall_s(self.dice.choice([-400, -1, 1, 400]) * DAY_S)
        for card in sharing.cards():
            batches = [bytes.fromhex(preview.batch_id) for preview in card.previews]
            share = not self.far_end.happens("driver says No")
            sharing.answer(card.trip.trip_id, batches, share=share)
        sharing.expire()
        self.send(sharing, steps=self.dice.randrange(1, 4))

    def send(self, sharing: Sharing, *, steps: int) -> None:
        uplink = Uplink(
            sharing=sharing,
            make_link=self.far_end.make_link,
            clock=self.clock,
            settings=UplinkSettings(patience=Patience(receipt_s=0.005), pause_max_s=0.0),
            backoff=Backoff(lambda: 0.0),
        )

        async def steps_() -> None:
            for _ in range(steps):
                await uplink.step()

        asyncio.run(steps_())

    def finish(self) -> tuple[set[str], set[str], int]:
        """Deliver all that waits; return what was confirmed, what was dropped, what still waits."""
        sharing = open_sharing(self.folder, clock=self.clock)
        try:
            assert sharing.check_ledger() == []
            self.clock.advance_s(DAY_S)
            for _ in range(60):
                if not sharing.outbox.lines():
                    break
                self.send(sharing, steps=3)
            entries = [json.loads(row.body) for row in sharing.state.ledger()]
            confirmed = {entry["batch_id"] for entry in entries if entry["event"] == "ok"}
            dropped = {drop.batch_id.hex() for drop in sharing.outbox.drops()}
            return confirmed, dropped, len(sharing.outbox.lines())
        finally:
            sharing.state.close()


class Ledger:
    """What all drivers of a soak confirmed, and what still waited in the end."""

    def __init__(self) -> None:
        self.confirmed: set[str] = set()
        self.waiting = 0

    def take(self, confirmed: set[str], dropped: set[str], waiting: int) -> None:
        self.confirmed |= confirmed - dropped
        self.waiting += waiting


def soak(folder: Path, *, rounds: int, seed: int, is_over: Callable[[], bool]) -> Iterator[Counts]:
    """Play ``rounds``; yield the rounds of each vehicle, and in the end what is left of all."""
    dice, ledger, played = random.Random(seed), Ledger(), 0
    (folder / "ingest").mkdir()
    far_end = SoakFarEnd(folder=folder / "ingest", dice=dice)
    while played < rounds and not is_over():
        count = min(ROUNDS_PER_VEHICLE, rounds - played)
        ledger.take(*play(folder / "vehicle", far_end, range(played, played + count)))
        played += count
        yield {"rounds": count}
    found = judge(far_end, ledger.confirmed)
    far_end.store.close()
    yield {**found, "waiting": ledger.waiting, **far_end.counts}


def play(home: Path, far_end: SoakFarEnd, rounds: range) -> tuple[set[str], set[str], int]:
    """Let one vehicle live for so many rounds; then all faults stop, and it finishes."""
    home.mkdir()
    vehicle = Vehicle(home, far_end, far_end.dice)
    far_end.trouble = far_end.dice.choice([0.3, 0.6, 1.0])
    for number in rounds:
        vehicle.round(number)
    far_end.trouble = 0.0
    found = vehicle.finish()
    shutil.rmtree(home)
    return found


def judge(far_end: SoakFarEnd, confirmed: set[str]) -> Counts:
    """Compare what drivers confirmed with what stands in the index and in the files."""
    stored = Counter(batch.batch_id.hex() for batch in far_end.index.batches())
    files = Counter(Path(name).name.split("-")[0] for name in far_end.store.files.names())
    rows = [batch for batch in far_end.index.batches() if batch.row_count != _rows(far_end, batch)]
    return {
        "confirmed": len(confirmed),
        "stored": len(stored),
        "doubled": sum(count - 1 for count in stored.values())
        + sum(count - 1 for count in files.values())
        + len(rows),
        "lost": len(confirmed - stored.keys()),
        "without_ok": len(stored.keys() - confirmed),
    }


def _rows(far_end: SoakFarEnd, batch: StoredBatch) -> int:
    return len(read_rows(far_end.store.files.read(batch.file)))


def main(folder: Path, rounds: int, seed: int) -> None:
    """Print what happened, a line for each vehicle."""
    logging.disable(logging.CRITICAL)  # faults are what this is about
    ending = Ending()
    for counts in soak(folder, rounds=rounds, seed=seed, is_over=lambda: ending.is_asked):
        print(json.dumps({"counts": counts}), flush=True)  # noqa: T201 (its output)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
