"""The vocabulary of readings: a frame from a bus, a signal decoded from it, its quality."""

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class Quality(StrEnum):
    """Why a value may be used, or the first reason in the validity chain why it may not."""

    OK = "ok"
    LENGTH = "length"  # the frame is shorter than the signal needs
    CRC = "crc"  # the frame's checksum is wrong
    COUNTER = "counter"  # the rolling counter of the frame does not move: a stuck sender
    SENTINEL = "not_available"  # the sender says "not available"
    MUX = "mux"  # the multiplexer selects another signal
    SEQUENCE = "sequence"  # a reply of several frames has one missing or too many
    TIMING = "timing"  # a reply of several frames came too slowly
    RANGE = "range"  # outside what is physically possible
    STALE = "stale"  # nothing new within the allowed age
    MISSING = "missing"  # never seen


# no reading came, or its sender had none; every other reason means that one came and was wrong
ABSENT = frozenset({Quality.SENTINEL, Quality.MUX, Quality.STALE, Quality.MISSING})


# Structs, not dataclasses: a frozen dataclass takes five times as long to make, and these two
# are made for every frame and every change (benchmarks/decode.py).
class Frame(Struct, frozen=True, gc=False):
    """One CAN frame as it came from a bus or a recording.

    ``time_s`` is the source's clock in seconds: monotonic for live buses, recording time for
    files. The key of a frame is (bus, can_id): the same id means other things on another bus.
    """

    time_s: float
    bus: str
    can_id: int
    data: bytes


class Signal(Struct, frozen=True, gc=False):
    """One reading: VSS path, value in the unit of the catalogue, quality, source time in s.

    ``value`` is None unless ``quality`` is OK: an invalid reading never carries a number.
    """

    path: str
    value: float | None
    quality: Quality
    time_s: float


class SignalSource(Protocol):
    """Where frames come from: a bus, a recording, a socket. Met by ``replay.ReplaySource``."""

    def batches(self) -> AsyncIterator[Sequence[Frame]]:
        """Yield bounded batches, oldest frame first, until the source ends.

        Raises:
            SourceError: The source cannot be read; what was yielded before stays valid.
        """
