"""A recorder to be killed: it plays a drive as fast as it can and says how far it came."""

import asyncio
import mmap
import struct
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from agent.recorder import Recorder, wanted_paths
from agent.signals.decode import Decoder
from agent.signals.model import Frame
from agent.signals.table import load_table
from sim.drive import drive_states
from sim.frames import frames_of
from tests.support.clock import FakeClock

FRAMES = list(frames_of(drive_states(3, hops=5), start_s=1_000.0))  # made once, before the forks
STEP = 60
PROGRESS = struct.Struct("<dd")  # when the trip began to be recorded, and how far frames were taken


class _Source:
    """Yields the drive again and again, and notes each step when it has been taken."""

    def __init__(self, progress: mmap.mmap) -> None:
        self._progress = progress
        self.recorder: Recorder | None = None
        self._began_s = 0.0

    async def batches(self) -> AsyncIterator[Sequence[Frame]]:
        length_s = FRAMES[-1].time_s - FRAMES[0].time_s + 0.01
        for turn in range(1_000):
            for start in range(0, len(FRAMES), STEP):
                part = FRAMES[start : start + STEP]
                yield [Frame(f.time_s + turn * length_s, f.bus, f.can_id, f.data) for f in part]
                await asyncio.sleep(0)
                self._note(part[-1].time_s + turn * length_s)

    def _note(self, time_s: float) -> None:
        is_recording = self.recorder is not None and self.recorder.open_segment is not None
        self._began_s = (self._began_s or time_s) if is_recording else 0.0
        PROGRESS.pack_into(self._progress, 0, self._began_s, time_s)


def record(folder: str) -> None:
    """Record until killed; progress is in the file ``progress`` beside the segments."""
    path = Path(folder) / "progress"
    path.write_bytes(bytes(PROGRESS.size))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as progress:
        asyncio.run(_run(Path(folder), progress))


async def _run(folder: Path, progress: mmap.mmap) -> None:
    source = _Source(progress)
    table = load_table("nissan-leaf-ze1")
    numbers = iter(range(1_000_000))

    async def ignore(*_ended: object) -> None:
        """A trip that ended is on the disk already."""

    source.recorder = Recorder(
        source,
        Decoder(table, wanted_paths(table)),
        clock=FakeClock(),
        segments=folder / "segments",
        may_record=lambda: True,
        on_trip_end=ignore,
        new_trip_id=lambda: f"trip-{next(numbers):06}",
    )
    await source.recorder.run()
