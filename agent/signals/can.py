"""Live frames through python-can: SocketCAN with kernel filters, or any other interface it knows.

Listen-only as far as this module goes: ``send`` exists for polls alone. A thread per bus reads; the
loop gets batches from a bounded queue. An interface that fails is a state of the bus watch, and is
opened again; nothing here ends the daemon.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from typing import Final, Protocol

from agent.signals.batches import BATCH_FRAMES, BATCH_S
from agent.signals.bus import BusWatch
from agent.signals.decode import FrameKey
from agent.signals.errors import SourceError
from agent.signals.model import Frame
from agent.signals.pythoncan import can

MAX_QUEUED: Final = 8_192  # frames, about 2 s of the busiest pair of buses
_READ_S: Final = 0.2  # a thread looks this often whether it should stop
_AGAIN_S: Final = 5.0  # between two attempts to open an interface
_SHORT_MASK: Final = 0x7FF
_LONG_MASK: Final = 0x1FFFFFFF
_ERROR_CLASSES: Final = 0x1FF

OpenBus = Callable[[str, Sequence[can.typechecking.CanFilter]], can.BusABC]


class Clock(Protocol):
    """The one hand of a clock that a live bus needs."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""


def filters_for(needed: Collection[FrameKey], interface: str) -> list[can.typechecking.CanFilter]:
    """Return one kernel filter for each needed id of ``interface``: the rest never wakes us."""
    return [
        can.typechecking.CanFilter(
            can_id=key.can_id,
            can_mask=_SHORT_MASK if key.can_id <= _SHORT_MASK else _LONG_MASK,
            extended=key.can_id > _SHORT_MASK,
        )
        for key in sorted(needed)
        if key.bus == interface
    ]


class CanSource:
    """Frames of several live interfaces, in the order in which they were read.

    ``dropped`` counts frames that found the queue full (the oldest goes), ``other_frames`` remote
    and FD frames, ``reopened`` how often an interface was opened again.
    """

    def __init__(  # noqa: PLR0913 (doors and limits, each by name)
        self,
        interfaces: Collection[str],
        needed: Collection[FrameKey],
        *,
        clock: Clock,
        watch: BusWatch,
        kind: str = "socketcan",
        open_bus: OpenBus | None = None,
        again_s: float = _AGAIN_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            interfaces: Names as ``can0``; a needed bus that is not among them is not read.
            needed: Which frames are wanted: ``Decoder.needed`` and the request ids of polls.
            clock: Stamps frames at arrival; a kernel stamp is wall time, which jumps.
            watch: Told errors of the controller and interfaces that fail.
            kind: python-can's name of the interface.
            open_bus: Opens a bus with filters; None: python-can with ``kind``.
            again_s: Pause before an interface that failed is opened again.
            sleep: Waits while a batch gathers; a test hands in its own.
        """
        self.dropped = self.other_frames = self.reopened = 0
        self._interfaces = tuple(interfaces)
        self._needed = frozenset(needed)
        self._clock = clock
        self._watch = watch
        self._open_bus = open_bus or _opener(kind)
        self._again_s = again_s
        self._queue: deque[Frame] = deque(maxlen=MAX_QUEUED)
        self._buses: dict[str, can.BusABC] = {}
        self._sleep = sleep
        self._arrived = asyncio.Event()
        self._is_told = False  # so that the loop is woken once a batch, not by every frame

    async def batches(self) -> AsyncIterator[Sequence[Frame]]:
        """Yield what arrived since the last time, for ever; see ``SignalSource``.

        Raises:
            SourceError: No interface is configured.
        """
        if not self._interfaces:
            raise SourceError("expected an interface to read, got none; nothing was recorded")
        loop, stop = asyncio.get_running_loop(), threading.Event()
        threads = [
            threading.Thread(
                target=self._read_for_ever, args=(name, loop, stop), name=f"can-{name}", daemon=True
            )
            for name in self._interfaces
        ]
        for thread in threads:
            thread.start()
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                await self._sleep(BATCH_S)
                self._is_told = False  # before the queue is looked at: nothing is left behind
                while self._queue:
                    count = min(BATCH_FRAMES, len(self._queue))
                    yield [self._queue.popleft() for _ in range(count)]
        finally:
            stop.set()
            await asyncio.to_thread(_join, threads)

    def send(self, frame: Frame) -> bool:
        """Send a poll's frame; False if its bus is not there. Blocks for a moment at most."""
        bus = self._buses.get(frame.bus)
        if bus is None:
            return False
        message = can.Message(
            arbitration_id=frame.can_id, data=frame.data, is_extended_id=frame.can_id > _SHORT_MASK
        )
        try:
            bus.send(message, timeout=_READ_S)
        except can.CanError as error:
            self._watch.down(frame.bus, self._clock.monotonic_s(), str(error))
            return False
        return True

    def _read_for_ever(
        self, name: str, loop: asyncio.AbstractEventLoop, stop: threading.Event
    ) -> None:
        """Read one interface in its thread until ``stop``; open it again after a failure."""
        while not stop.is_set():
            try:
                with self._open_bus(name, filters_for(self._needed, name)) as bus:
                    self._buses[name] = bus
                    while not stop.is_set():
                        self._read(name, bus, loop)
            except (can.CanError, OSError, ValueError) as error:
                self._watch.down(name, self._clock.monotonic_s(), str(error))
                self.reopened += 1
                stop.wait(self._again_s)
            finally:
                self._buses.pop(name, None)

    def _read(self, name: str, bus: can.BusABC, loop: asyncio.AbstractEventLoop) -> None:
        message = bus.recv(_READ_S)
        if message is None:
            return
        now_s = self._clock.monotonic_s()
        if message.is_error_frame:
            error_class = message.arbitration_id & _ERROR_CLASSES
            self._watch.error(name, now_s, error_class, bytes(message.data))
        elif message.is_remote_frame or message.is_fd:
            self.other_frames += 1
        else:
            self.dropped += len(self._queue) == self._queue.maxlen
            frame = Frame(now_s, name, message.arbitration_id, bytes(message.data))
            self._queue.append(frame)
            if not self._is_told:
                self._is_told = True
                loop.call_soon_threadsafe(self._arrived.set)


def _opener(kind: str) -> OpenBus:
    def open_bus(name: str, filters: Sequence[can.typechecking.CanFilter]) -> can.BusABC:
        # what we send is not heard again: every request on the bus is another tester's
        return can.Bus(
            channel=name, interface=kind, can_filters=list(filters), receive_own_messages=False
        )

    return open_bus


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
