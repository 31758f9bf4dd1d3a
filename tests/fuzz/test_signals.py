"""Damaged recordings and replies: read, refused or counted, in every vehicle's decoder.

Runs and seed as in ``test_codec``. The property tests draw frames; here whole files and whole
replies are damaged as a disk, a cable or another tester damages them.
"""

import math
import os
import random
from functools import cache
from pathlib import Path

import pytest

from agent.signals.catalog import CATALOG
from agent.signals.decode import Decoder
from agent.signals.errors import SourceError
from agent.signals.explain import feed_with_ages
from agent.signals.isotp import segmented
from agent.signals.model import Frame, Quality
from agent.signals.replay import ReplaySource
from agent.signals.table import known_vehicles, load_table
from sim.drive import synthetic_drive
from sim.frames import EV, write_candump
from tests.fuzz.mutate import BYTES, splice
from tests.support.clock import FakeClock

RUNS = int(os.environ.get("OKDRIVE_FUZZ_RUNS", "250"))
SEED = int(os.environ.get("OKDRIVE_FUZZ_SEED", "1"))
VEHICLES = known_vehicles()


@cache
def decoder_of(vehicle: str) -> Decoder:
    return Decoder(load_table(vehicle))


def decode(decoder: Decoder, frames: list[Frame]) -> None:
    """Decode; every value is possible, and what is invalid carries none."""
    for signal in feed_with_ages(decoder, frames):
        assert (signal.value is not None) == (signal.quality is Quality.OK)
        if signal.value is not None:
            entry = CATALOG[signal.path]
            assert math.isfinite(signal.value)
            assert entry.minimum - 1e-9 <= signal.value <= entry.maximum + 1e-9, signal


@pytest.mark.parametrize("name", VEHICLES)
def test_a_damaged_recording_never_raises_and_tells_nothing_impossible(
    name: str, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    path = tmp_path / "drive.log"
    write_candump(list(synthetic_drive(1))[5_000:5_060], path)
    whole, read = path.read_bytes(), 0
    for _ in range(RUNS // 10):
        data = whole
        for _ in range(chance.choice((1, 4, 30))):
            data = chance.choice((*BYTES, splice))(chance, data, [whole])
        path.write_bytes(data)
        source = ReplaySource(path, speed=None, clock=FakeClock())
        try:
            frames = list(source.read_all())
        except SourceError:
            continue
        read += 1
        decode(decoder_of(name), frames)
    assert read > RUNS / 20


@pytest.mark.parametrize("name", VEHICLES)
def test_damaged_replies_never_raise_and_tell_nothing_impossible(name: str) -> None:
    chance = random.Random(SEED)
    decoder, at_s = decoder_of(name), 0.0
    polls = decoder.table.polls
    for _ in range(RUNS // 5):
        poll = chance.choice(polls)
        length = chance.choice([reply.length for reply in poll.replies] or [20])
        parts = segmented(poll.echo() + chance.randbytes(length))
        for _ in range(chance.choice((0, 1, 3))):
            place = chance.randrange(len(parts))
            match chance.choice(("flip", "lose", "double", "swap")):
                case "flip":
                    parts[place] = chance.choice(BYTES)(chance, parts[place], [parts[place]])[:8]
                case "lose":
                    parts = [*parts[:place], *parts[place + 1 :]] or [b""]
                case "double":
                    parts.insert(place, parts[place])
                case _:
                    other = chance.randrange(len(parts))
                    parts[place], parts[other] = parts[other], parts[place]
        at_s += 10
        bus = chance.choice((EV, "can1"))
        frames = [Frame(at_s + n / 100, bus, poll.reply_id, data) for n, data in enumerate(parts)]
        decode(decoder, frames)
