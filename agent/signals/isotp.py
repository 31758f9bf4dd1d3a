"""ISO-TP (ISO 15765-2): a long reply out of single frames, checked at every step. Pure.

Normal 11-bit addressing on classic CAN. Shape of a frame's first byte: ``0L`` single frame of L
bytes; ``1LLL`` first frame of LLL bytes in all; ``2N`` consecutive frame number N (1 ... 15, 0, 1);
``3x`` flow control. A reply in which anything is wrong is dropped whole: half a reply put together
with another one's rest is a plausible wrong value.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_SILENCE_S: Final = 1.0  # N_Cr of ISO 15765-2: the next consecutive frame is due by then
MAX_BYTES: Final = 4095  # what twelve bits of length can say
_FIRST_DATA: Final = 6
_NEXT_DATA: Final = 7
_FRAME_BYTES: Final = 8


class Fault(StrEnum):
    """Why a reply was dropped."""

    LENGTH = "length"  # a frame, or the reply, is shorter or longer than it says
    SEQUENCE = "sequence"  # a consecutive frame is missing, doubled or belongs to nothing
    TIMING = "timing"  # the next frame came too late, or the clock went back


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one frame led to: a whole ``payload``, a ``fault``, or neither yet.

    ``is_first``: the frame opens a long reply, so its sender waits for flow control.
    """

    payload: bytes | None = None
    fault: Fault | None = None
    is_first: bool = False


_NOTHING: Final = Outcome()


class Reassembler:
    """Puts the replies of one (bus, id) together; one object for each."""

    def __init__(self) -> None:
        self._parts = bytearray()
        self._length = 0  # 0: no reply under way
        self._number = 0
        self._last_s = 0.0

    def feed(self, time_s: float, data: bytes) -> Outcome:
        """Take one frame; return what it led to."""
        if not data or len(data) > _FRAME_BYTES:
            return self._drop(Fault.LENGTH)
        match data[0] >> 4:
            case 0:
                return self._single(data)
            case 1:
                return self._first(time_s, data)
            case 2:
                return self._next(time_s, data)
            case 3:
                return _NOTHING  # flow control: about the other direction
            case _:
                return self._drop(Fault.SEQUENCE)

    def _single(self, data: bytes) -> Outcome:
        was_busy, self._length = self._length > 0, 0
        length = data[0] & 15
        if not 0 < length < len(data):
            return Outcome(fault=Fault.LENGTH)
        payload = data[1 : 1 + length]
        return Outcome(payload, Fault.SEQUENCE if was_busy else None)

    def _first(self, time_s: float, data: bytes) -> Outcome:
        was_busy = self._length > 0
        length = (data[0] & 15) << 8 | data[1] if len(data) == _FRAME_BYTES else 0
        if length < _FRAME_BYTES:  # it would have been a single frame
            return self._drop(Fault.LENGTH)
        self._length, self._number, self._last_s = length, 0, time_s
        self._parts = bytearray(data[2:])
        return Outcome(fault=Fault.SEQUENCE if was_busy else None, is_first=True)

    def _next(self, time_s: float, data: bytes) -> Outcome:
        if not self._length:
            return Outcome(fault=Fault.SEQUENCE)
        if not 0 <= time_s - self._last_s <= MAX_SILENCE_S:
            return self._drop(Fault.TIMING)
        self._number = self._number + 1 & 15
        if data[0] & 15 != self._number:
            return self._drop(Fault.SEQUENCE)
        missing = self._length - len(self._parts)
        if len(data) - 1 < min(missing, _NEXT_DATA):
            return self._drop(Fault.LENGTH)
        self._last_s = time_s
        self._parts += data[1:]
        if missing > _NEXT_DATA:
            return _NOTHING
        payload = bytes(self._parts[: self._length])
        self._length = 0
        return Outcome(payload)

    def _drop(self, fault: Fault) -> Outcome:
        self._length = 0
        return Outcome(fault=fault)


def single_frame(payload: bytes) -> bytes:
    """Return the one padded frame that carries ``payload``; raise ValueError past 7 bytes."""
    if not 0 < len(payload) <= _NEXT_DATA:
        raise ValueError(f"expected 1 to {_NEXT_DATA} bytes, got {len(payload)}")
    return (bytes((len(payload),)) + payload).ljust(_FRAME_BYTES, b"\0")


def segmented(payload: bytes) -> list[bytes]:
    """Return the frames that carry ``payload``; raise ValueError if it is empty or too long."""
    if len(payload) <= _NEXT_DATA:
        return [single_frame(payload)]
    if len(payload) > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES} bytes, got {len(payload)}")
    frames = [(0x1000 | len(payload)).to_bytes(2) + payload[:_FIRST_DATA]]
    for number, start in enumerate(range(_FIRST_DATA, len(payload), _NEXT_DATA), start=1):
        part = payload[start : start + _NEXT_DATA].ljust(_NEXT_DATA, b"\xff")
        frames.append(bytes((0x20 | number & 15,)) + part)
    return frames


FLOW_CONTROL: Final = bytes((0x30, 0, 0)).ljust(_FRAME_BYTES, b"\0")  # go on, all, at any pace
