"""A recorded drive from a file, as a source of frames.

Files end in many ways: cut off, flipped bits, another format. A line that is no frame is skipped
and counted, a file without any frame is a SourceError, and nothing else comes out of here.
"""

import asyncio
import gzip
import io
import math
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

from agent.signals.batches import in_batches
from agent.signals.candump import MAX_LINE_BYTES, parse_line
from agent.signals.errors import SourceError
from agent.signals.model import Frame
from agent.signals.pythoncan import can, reader_of
from agent.wording import counted

CHUNK_FRAMES: Final = 2_048  # read ahead in one visit to the thread
MAX_PAUSE_S: Final = 2.0  # a longer gap in a recording is not waited for
_CAN_ID_BITS: Final = 29
_MAX_DATA_BYTES: Final = 8
_GZIP_MAGIC: Final = b"\x1f\x8b"


class Clock(Protocol):
    """The one hand of a clock that replay needs."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""


class ReplaySource:
    """Frames of a recording, paced as recorded or as fast as they are taken.

    Counts: ``frames`` yielded, ``skipped`` lines or messages (``first_skipped`` is the number of
    the first), ``other_frames`` (remote, error, FD), ``backwards`` (instants that go back),
    ``jumps`` (gaps not waited for); ``is_truncated`` if the file ends in mid-air.
    """

    def __init__(
        self,
        path: Path,
        *,
        speed: float | None,
        clock: Clock,
        repeat_tail_s: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            path: candump text (also .gz), or any format python-can reads.
            speed: 1 as recorded, 10 ten times faster; None or 0 as fast as possible.
            clock: What pacing goes by.
            repeat_tail_s: After the end, go on for ever with the last seconds of the recording at
                their own pace: a vehicle that stands there. None: end with the recording.
            sleep: Waits; a test hands in its own.
        """
        self.path = path
        self.frames = self.skipped = self.other_frames = self.backwards = self.jumps = 0
        self.first_skipped: int | None = None
        self.is_truncated = False
        self._speed = speed or None
        self._clock = clock
        self._repeat_tail_s = repeat_tail_s
        self._sleep = sleep
        self._last_s = -math.inf
        self._tail: list[Frame] = []
        self._reason = ""  # what python-can said of a file that it cannot read

    async def batches(self) -> AsyncIterator[Sequence[Frame]]:
        """Yield batches as ``in_batches``; see ``SignalSource``.

        Raises:
            SourceError: No such file, or not one frame in it.
        """
        pace = _Pace(self._speed, self._clock, self._sleep)
        frames = await asyncio.to_thread(self._open)
        while chunk := await asyncio.to_thread(self._read, frames):
            for batch in in_batches(chunk):
                self.jumps += await pace.wait(batch)
                self.frames += len(batch)
                yield batch
        if not self.frames:
            raise SourceError(self._nothing_found())
        async for repeated in self._repeated():
            yield repeated

    def read_all(self) -> Iterator[Frame]:
        """Yield every frame at once, for commands; blocks on the file. Raises as ``batches``."""
        frames = self._open()
        while chunk := self._read(frames):
            self.frames += len(chunk)
            yield from chunk
        if not self.frames:
            raise SourceError(self._nothing_found())

    def _nothing_found(self) -> str:
        kinds = {
            "unreadable line": self.skipped,
            "remote, error or CAN FD frame": self.other_frames,
        }
        many = " and ".join(counted(count, kind) for kind, count in kinds.items() if count)
        found = f"none that can be read: {self._reason}" if self._reason else many or "nothing"
        return (
            f"{self.path}: expected a recording with CAN frames, found {found}; "
            "nothing was recorded; choose another file (candump -L, ASC, BLF, MF4, TRC ...)"
        )

    def _open(self) -> Iterator[Frame]:
        try:
            with self.path.open("rb") as file:
                head = file.read(len(_GZIP_MAGIC))
        except OSError as error:
            raise SourceError(
                f"{self.path}: expected a readable recording, got: {error.strerror}; "
                "nothing was recorded; correct the path"
            ) from error
        name = self.path.name.removesuffix(".gz")
        if name.endswith((".log", ".txt", ".candump")) or "." not in name:
            return self._candump(is_gzip=head == _GZIP_MAGIC)
        return self._any_format()

    def _read(self, frames: Iterator[Frame]) -> list[Frame]:
        """Return the next frames, in a thread; an empty list is the end."""
        chunk = list(islice(frames, CHUNK_FRAMES))
        for frame in chunk:
            self.backwards += frame.time_s < self._last_s
            self._last_s = frame.time_s
        if self._repeat_tail_s is not None:
            first_s = self._last_s - self._repeat_tail_s
            self._tail = [f for f in (*self._tail, *chunk) if f.time_s > first_s]
        return chunk

    def _candump(self, *, is_gzip: bool) -> Iterator[Frame]:
        with self.path.open("rb") as raw:
            file = gzip.GzipFile(fileobj=raw) if is_gzip else raw
            for number, line in enumerate(self._lines(file), start=1):
                try:
                    frame = parse_line(line)
                except ValueError:
                    self._skip(number)
                    continue
                if frame is None:
                    self.other_frames += 1
                else:
                    yield frame

    def _lines(self, file: gzip.GzipFile | io.BufferedReader) -> Iterator[bytes]:
        try:
            while line := file.readline(MAX_LINE_BYTES):
                if not line.isspace():
                    yield line
        except (EOFError, OSError, zlib.error):  # a damaged gzip file ends where it is damaged
            self.is_truncated = True

    def _skip(self, number: int) -> None:
        self.skipped += 1
        if self.first_skipped is None:
            self.first_skipped = number

    def _any_format(self) -> Iterator[Frame]:
        number = 0
        try:
            with self.path.open("rb") as file, reader_of(self.path, file) as reader:
                for number, message in enumerate(reader, start=1):
                    if frame := self._converted(message, number):
                        yield frame
        except SourceError:
            raise
        # the readers of python-can and what they import raise whatever a damaged file leads to
        except Exception as error:  # noqa: BLE001
            self._reason = str(error) or type(error).__name__
            self.is_truncated = True
            self._skip(number + 1)

    def _converted(self, message: can.Message, number: int) -> Frame | None:
        if message.is_remote_frame or message.is_error_frame or message.is_fd:
            self.other_frames += 1
            return None
        time_s = message.timestamp
        if not 0 <= time_s < math.inf or message.arbitration_id >> _CAN_ID_BITS:
            self._skip(number)
            return None
        return Frame(time_s, _bus(message.channel), message.arbitration_id, bytes(message.data))

    async def _repeated(self) -> AsyncIterator[Sequence[Frame]]:
        if not self._tail or self._repeat_tail_s is None:
            return
        pace = _Pace(1.0, self._clock, self._sleep)
        shift_s = 0.0
        while True:
            shift_s += self._repeat_tail_s
            for part in in_batches(self._tail):
                again = [Frame(f.time_s + shift_s, f.bus, f.can_id, f.data) for f in part]
                await pace.wait(again)
                self.frames += len(again)
                yield again


class _Pace:
    """Waits so that instants pass at ``speed`` times the recording's own pace."""

    def __init__(
        self, speed: float | None, clock: Clock, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._speed = speed
        self._clock = clock
        self._sleep = sleep
        self._last_s: float | None = None
        self._due_s = 0.0

    async def wait(self, batch: Sequence[Frame]) -> int:
        """Wait until the last frame of ``batch`` is due; return how many gaps were shortened."""
        if self._speed is None:
            await self._sleep(0)  # others have their turn
            return 0
        now_s = self._clock.monotonic_s()
        time_s = batch[-1].time_s
        if self._last_s is None:
            self._last_s, self._due_s = batch[0].time_s, now_s
        gap_s, self._last_s = max(0.0, time_s - self._last_s), time_s
        self._due_s += min(gap_s, MAX_PAUSE_S) / self._speed
        await self._sleep(max(0.0, self._due_s - now_s))
        return int(gap_s > MAX_PAUSE_S)


def _bus(channel: object) -> str:
    """Return the name of a bus; formats that only number their buses start with can0."""
    return sys.intern(f"can{channel}" if isinstance(channel, int) else str(channel or "can0"))
