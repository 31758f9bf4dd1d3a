"""A whole recording for a command: which interface plays which role, and what was left out.

On a vehicle the configuration says what each interface is. Of a file nobody says it, so it is
told from the ids and lengths at its beginning; what this cannot tell apart is not decoded.
"""

from collections.abc import Collection, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Final

from agent.signals.decode import Decoder, FrameKey
from agent.signals.detect import Census, ambiguous_ids, detect, matches, nobody, roles_of
from agent.signals.model import Frame
from agent.signals.replay import Clock, ReplaySource
from agent.signals.table import VehicleTable
from agent.wording import counted

HEAD_FRAMES: Final = 10_000  # enough to see every frame of a Leaf a few times


class Recording:
    """The frames of one file for one vehicle; ``buses`` maps each role to an interface.

    Raises:
        SourceError: As ``ReplaySource``, when it is made.
    """

    def __init__(self, path: Path, table: VehicleTable, *, clock: Clock) -> None:
        self._source = ReplaySource(path, speed=None, clock=clock)
        self._table = table
        self._all = self._source.read_all()
        self._head = list(islice(self._all, HEAD_FRAMES))
        self.census = Census()
        self.census.take(self._head)
        self.buses = roles_of(table, self.census)
        self.mixed = ambiguous_ids(table, self.census, self.buses)
        self.left_out = self.unknown = 0

    def frames(self, known: Collection[FrameKey] = ()) -> Iterator[Frame]:
        """Yield the frames once, but none that could be of either of two buses.

        With ``known``, the frames that a decoder needs, the others are counted as ``unknown``.
        """
        wanted = frozenset(known)
        for frame in chain(self._head, self._all):
            key = (frame.bus, frame.can_id)
            if self.mixed and key in self.mixed:
                self.left_out += 1
                continue
            self.unknown += bool(wanted) and key not in wanted
            yield frame

    def notes(self, decoder: Decoder, others: Collection[VehicleTable]) -> Iterator[str]:
        """Yield sentences on what was read, refused and left out, after ``frames`` ended.

        ``others`` are the vehicles that it could be of instead.
        """
        roles = ", ".join(
            f"no {role}" if name == nobody(role) else f"{role} is {name}"
            for role, name in decoder.buses.items()
        )
        yield f"{counted(decoder.frames, 'frame')} read as {self._table.name} ({roles})"
        refused = [
            f"{count:,} x {key.can_id:X} {key.reason}"
            for key, count in sorted(decoder.counters.items())
        ]
        if refused:
            yield f"refused: {', '.join(refused)}"
        if self.unknown:
            every = "every one of them" if self.unknown == decoder.frames else f"{self.unknown:,}"
            yield f"ids that {self._table.name} has no use for: {every}"
        if missed := sum(decoder.missed.values()):
            lost = counted(missed, "frame")
            yield f"lost before they were recorded, by their counters: {lost}"
        yield from self._unread()
        yield from self._doubts(others)

    def _unread(self) -> Iterator[str]:
        source = self._source
        if source.skipped:
            many = counted(source.skipped, "line or message", "lines or messages")
            yield f"unreadable: {many}, first {source.first_skipped}"
        if source.other_frames:
            many = counted(source.other_frames, "remote, error or CAN FD frame")
            yield f"left out: {many}"
        if source.backwards:
            yield f"time goes back {counted(source.backwards, 'time')}"
        if source.is_truncated:
            yield "the file is cut off or damaged; what comes before was decoded"

    def _doubts(self, others: Collection[VehicleTable]) -> Iterator[str]:
        if self.left_out:
            ids = ", ".join(sorted({f"{can_id:X}" for _, can_id in self.mixed}))
            yield (
                f"left out: {counted(self.left_out, 'frame')} of {ids}, because the file mixes "
                "two buses under one name and these ids mean something else on each"
            )
        found = [verdict.vehicle for verdict in matches(detect(others, self.census))]
        if found and self._table.name not in found and self._table.detection:
            yield (
                f"doubtful: ids and lengths are those of {' or '.join(found)}, "
                f"not of {self._table.name}; see `okdrive-agent vehicle detect`"
            )
