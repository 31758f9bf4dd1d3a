"""How many frames are handled in one go. Pure.

Every batch costs, whatever is in it: waking up, ages, trackers. A longer one would be felt on the
screen, and a slow bus is not waited for.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final

from agent.signals.model import Frame

BATCH_FRAMES: Final = 512  # at most
BATCH_S: Final = 0.2  # a Leaf's bus has 270 frames in it


def in_batches(frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
    """Yield ``frames`` in order, at most BATCH_FRAMES and BATCH_S at a time; no batch is empty."""
    start = 0
    while start < len(frames):
        most = min(len(frames), start + BATCH_FRAMES)
        until_s = frames[start].time_s + BATCH_S
        # where instants go back this finds some end or other, and any will do
        end = bisect_right(frames, until_s, start + 1, most, key=attrgetter("time_s"))
        yield frames[start:end]
        start = end
