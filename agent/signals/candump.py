"""One line of ``candump -L`` to a frame: the quick way for the usual recordings. Pure."""

import math
import sys
from typing import Final

from agent.signals.model import Frame

MAX_LINE_BYTES: Final = 256  # a CAN FD line has 155; a longer one is not a line of candump
_MAX_DATA_BYTES: Final = 8
_MAX_STANDARD_ID: Final = 0x7FF
_MAX_EXTENDED_ID: Final = 0x1FFFFFFF
_STANDARD_ID_DIGITS: Final = 3


def parse_line(line: bytes) -> Frame | None:
    """Return the classic data frame in ``line``; None for remote, error and FD frames.

    Shape: ``(seconds.micros) bus ID#DATA``, an ID of 3 or 8 hex digits; what follows is ignored.

    Raises:
        ValueError: Anything else, also a negative instant.
    """
    stamp, bus, content, *_ = line.split()
    id_text, hash_mark, data_text = content.partition(b"#")
    if not (stamp[:1] == b"(" and stamp[-1:] == b")" and hash_mark):
        raise ValueError("expected (seconds) bus ID#DATA")
    time_s = float(stamp[1:-1])
    can_id = int(id_text, 16)
    if not (0 <= time_s < math.inf and 0 <= can_id <= _limit(id_text)):
        raise ValueError(f"expected an instant and an id, got {stamp!r} and {id_text!r}")
    if data_text[:1] in (b"#", b"R"):
        return None
    data = bytes.fromhex(data_text.decode("ascii"))
    if len(data) > _MAX_DATA_BYTES:
        raise ValueError(f"expected at most {_MAX_DATA_BYTES} bytes, got {len(data)}")
    return Frame(time_s, sys.intern(bus.decode("ascii")), can_id, data)


def _limit(id_text: bytes) -> int:
    return _MAX_STANDARD_ID if len(id_text) <= _STANDARD_ID_DIGITS else _MAX_EXTENDED_ID


def format_line(frame: Frame) -> str:
    """Return ``frame`` as candump writes it, without the line end."""
    digits = 3 if frame.can_id <= _MAX_STANDARD_ID else 8
    return f"({frame.time_s:.6f}) {frame.bus} {frame.can_id:0{digits}X}#{frame.data.hex().upper()}"
