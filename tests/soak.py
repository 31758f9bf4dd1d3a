"""Faults for as long as you like: `python -m tests.soak --rounds 3000 --seed 7`.

Vehicles confirm trips and send them to one ingest over a network in memory, while the dice decide:
the agent is killed before or after any statement of its store, ingest before or after its commit
and its receipt, connections fail, messages and receipts are lost, doubled, forged or meant for
others, packets are so small that batches go in parts, clocks jump, drivers say No or take back.
At the end all faults stop, everything that waits is delivered, and four numbers are printed.
Then each way into the codec is fuzzed (by hand with `--fuzz 20000`); a fault prints its bytes.
The privacy attacks are tried on other towns (`--towns`); a row that misses its bar is printed.
Updates are ended before changes to the disk (`--kill-points`), and have their power cut on a disk
that forgets (`--power-cuts`); whoever is not well afterwards is counted.
The same seed plays the same faults.
"""

import argparse
import asyncio
import json
import math
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
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
from tests.fuzz.targets import TARGETS, fuzzed
from tests.support.clock import FakeClock
from tests.support.far_end import FakeFarEnd, FakeLink
from tests.support.ingest_store import local_store
from tests.support.kill_points import KilledError, Plug
from tests.support.trips import FakeTrip, open_sharing, write_segment
from tests.support.update_ends import LONG, WANTED, ended_everywhere, is_well, told, wrong

UPDATE_WORDS = {
    "points": "updates ended before a change to the disk, and restarted",
    "cuts": "updates whose power was cut on a disk that forgets",
    "ill": "vehicles that were not well afterwards",
}
ALL_POINTS = 3_300  # of the stories of the suite, about; the long ones have twice as many
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
    async def publish(self, topic: str, payload: bytes, **rest: object) -> None:  # type: ignore[override]
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


@dataclass
class Outcome:
    """What the soak found; ``lost`` and ``doubled`` must be 0, and so must ``without_ok``."""

    rounds: int = 0
    confirmed: int = 0
    stored: int = 0
    doubled: int = 0
    lost: int = 0
    without_ok: int = 0
    waiting: int = 0

    @property
    def is_well(self) -> bool:
        return (self.doubled, self.lost, self.without_ok, self.waiting) == (0, 0, 0, 0)


class Ending:
    """When to end early: at the first Ctrl-C, or after so many minutes; progress on stderr."""

    def __init__(self, minutes: float = math.inf) -> None:
        self._until_s = time.monotonic() + 60 * minutes
        self._told_s = time.monotonic()
        self._is_interrupted = False

    @property
    def is_over(self) -> bool:
        return self._is_interrupted or time.monotonic() >= self._until_s

    def interrupt(self, *_: object) -> None:
        """End where nothing is half done; a second Ctrl-C ends at once."""
        self._is_interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stderr.write("ending after this vehicle; once more to end at once\n")

    def tell(self, text: str, *, every_s: float = 10.0) -> None:
        if time.monotonic() >= self._told_s + every_s:
            self._told_s = time.monotonic()
            sys.stderr.write(f"{text}\n")


def soak(
    folder: Path, *, rounds: int, seed: int, ending: Ending | None = None
) -> tuple[Outcome, Counter[str]]:
    ending = ending or Ending()
    dice = random.Random(seed)
    (folder / "ingest").mkdir()
    far_end = SoakFarEnd(folder=folder / "ingest", dice=dice)
    confirmed: set[str] = set()
    waiting, played = 0, 0
    while played < rounds and not (played and ending.is_over):
        ending.tell(f"{played} of {rounds} rounds, {len(confirmed)} batches confirmed")
        home = folder / f"vehicle-{played}"
        home.mkdir()
        vehicle = Vehicle(home, far_end, dice)
        far_end.trouble = dice.choice([0.3, 0.6, 1.0])
        for _ in range(min(ROUNDS_PER_VEHICLE, rounds - played)):
            vehicle.round(played)
            played += 1
        far_end.trouble = 0.0
        said, dropped, left = vehicle.finish()
        confirmed |= said - dropped
        waiting += left
        shutil.rmtree(home)
    outcome = judge(far_end, confirmed)
    outcome.rounds, outcome.waiting = played, waiting
    far_end.store.close()
    return outcome, far_end.counts


def judge(far_end: SoakFarEnd, confirmed: set[str]) -> Outcome:
    """Compare what drivers confirmed with what stands in the index and in the files."""
    stored = Counter(batch.batch_id.hex() for batch in far_end.index.batches())
    files = Counter(Path(name).name.split("-")[0] for name in far_end.store.files.names())
    rows = [batch for batch in far_end.index.batches() if batch.row_count != _rows(far_end, batch)]
    return Outcome(
        confirmed=len(confirmed),
        stored=len(stored),
        doubled=sum(count - 1 for count in stored.values())
        + sum(count - 1 for count in files.values())
        + len(rows),
        lost=len(confirmed - stored.keys()),
        without_ok=len(stored.keys() - confirmed),
    )


def _rows(far_end: SoakFarEnd, batch: StoredBatch) -> int:
    return len(read_rows(far_end.store.files.read(batch.file)))


def fuzz(*, runs: int, seed: int) -> tuple[dict[str, int], str | None]:
    """Return how many edges of the codec each target reached, and the first fault in words."""
    edges: dict[str, int] = {}
    for target, corpus in TARGETS.items():
        try:
            edges[target.__name__] = len(fuzzed(target, corpus, runs=runs, seed=seed).edges)
        except AssertionError as fault:
            return edges, f"{target.__name__}: {fault}"
    return edges, None


async def end_updates(folder: Path, *, points: int) -> Counter[str]:
    """End updates at about ``points`` places or more, those of long stories only if need be."""
    found: Counter[str] = Counter()
    every = max(1, ALL_POINTS // max(1, points))
    for story in [*WANTED, *LONG] if points else []:
        if found["points"] < points:
            ends = await ended_everywhere(story, folder, every=every)
            found += Counter({"points": len(ends), "ill": len(wrong(story, ends))})
    return found


async def cut_updates(folder: Path, *, cuts: int, seed: int) -> Counter[str]:
    """Cut the power ``cuts`` times in an update on a disk that forgets."""
    ends = await told("update_power_cuts", folder, cuts, seed) if cuts else []
    ill = sum(not is_well(end) for end in ends)
    return Counter({"cuts": len(ends), "ill": ill})


def soak_updates(*, points: int, cuts: int, seed: int, place: Path | None) -> Counter[str]:
    """Return how many updates were ended, how often the power was cut, and who is ill since."""
    with tempfile.TemporaryDirectory(prefix="okdrive-soak-", dir=place) as folder:
        found = asyncio.run(end_updates(Path(folder), points=points))
        return found + asyncio.run(cut_updates(Path(folder), cuts=cuts, seed=seed))


def soak_privacy(seed: int) -> dict[str, list[str]]:
    """Try the attacks of tests/privacy on another town of 4,000 vehicles; some 90 s of a core."""
    from tests.support.privacy_attacks import attack, complaints, lines  # noqa: PLC0415 (numpy)

    results = attack(4_000, seed)
    missed = [f"MISSED {line}" for line in complaints(results)]
    return {"lines": [f"privacy attacks, seed {seed}", *lines(results)], "missed": missed}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--fuzz", type=int, default=400, help="inputs for each way into the codec")
    parser.add_argument("--kill-points", type=int, default=10_000, help="of updates, at least")
    parser.add_argument("--power-cuts", type=int, default=3_000, help="of updates")
    parser.add_argument("--towns", type=int, default=1, help="to try the privacy attacks on")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end early, all counted")
    parser.add_argument("--json", action="store_true", dest="is_json")
    chosen = parser.parse_args()
    began = time.monotonic()
    ending = Ending(chosen.minutes)
    signal.signal(signal.SIGINT, ending.interrupt)
    # agents die in-process here: a disk in memory forgets nothing and saves the medium
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="okdrive-soak-", dir=place) as folder:
        outcome, faults = soak(Path(folder), rounds=chosen.rounds, seed=chosen.seed, ending=ending)
    runs = 0 if ending.is_over else chosen.fuzz
    edges, fault = fuzz(runs=runs, seed=chosen.seed) if runs else ({}, None)
    points, cuts = (0, 0) if ending.is_over else (chosen.kill_points, chosen.power_cuts)
    updates = soak_updates(points=points, cuts=cuts, seed=chosen.seed, place=place)
    count = 0 if ending.is_over else chosen.towns
    towns = [soak_privacy(chosen.seed + number) for number in range(count)]
    seconds = time.monotonic() - began
    if chosen.is_json:
        found = {**vars(outcome), "seed": chosen.seed, "seconds": round(seconds, 1)}
        found |= {"faults": dict(faults), "fuzz_edges": edges, "fuzz_fault": fault}
        found |= {"updates": updates, "privacy": towns}
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for name, count in sorted(faults.items()):
            sys.stdout.write(f"{count:>7}  {name}\n")
        for name, count in edges.items():
            sys.stdout.write(f"{chosen.fuzz:>7}  inputs for {name}: {count} edges reached\n")
        for name in ("points", "cuts", "ill"):
            sys.stdout.write(f"{updates[name]:>7}  {UPDATE_WORDS[name]}\n")
        for town in towns:
            sys.stdout.write("\n".join(("", *town["lines"], *town["missed"], "")))
        if fault:
            sys.stdout.write(f"fuzz fault: {fault}\n")
        sys.stdout.write(
            f"{outcome.rounds} rounds, seed {chosen.seed}, {seconds:.0f} s: confirmed"
            f" {outcome.confirmed} / stored {outcome.stored} / doubled {outcome.doubled}"
            f" / lost {outcome.lost}\n"
        )
    has_lost = not outcome.is_well or fault is not None or updates["ill"] > 0
    has_lost |= any(town["missed"] for town in towns)
    return int(has_lost)


if __name__ == "__main__":
    import logging

    logging.disable(logging.CRITICAL)
    sys.exit(main())
