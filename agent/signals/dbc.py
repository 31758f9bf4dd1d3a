"""A DBC file with its lines, its overlaps and its bits. Needs cantools, which the vehicle has not.

cantools stops at the first overlap when it is strict and says nothing when it is not; here every
one is found, with its line.
"""

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.signals.definition import read_bytes
from agent.signals.errors import DefinitionError, Problem
from agent.signals.table import Bits, Field

if TYPE_CHECKING:
    from cantools.database.can import Database, Message
    from cantools.database.can import Signal as DbcSignal

MAX_FRAME_BYTES: Final = 8
_MESSAGE: Final = re.compile(r"\s*BO_\s+\d+\s+(\w+)\s*:")
_SIGNAL: Final = re.compile(r"\s*SG_\s+(\w+)")


class DbcFile:
    """The messages of one DBC file."""

    def __init__(self, file: Path) -> None:
        """Read ``file``; raise DefinitionError if it is no DBC, or cantools is not installed."""
        self.file = file
        text = read_bytes(file).decode("utf-8", "replace")
        self._lines = dict(_numbered(text))
        self.messages = {message.name: message for message in _load(file, text).messages}

    def line(self, message: str, signal: str = "") -> int | None:
        """Return the line of a message, or of a signal in it."""
        return self._lines.get((message, signal))

    def problems(self) -> Iterator[Problem]:
        """Yield every overlap, and every signal or message that is too long."""
        for message in self.messages.values():
            if message.length > MAX_FRAME_BYTES:
                text = f"{message.name}: expected at most 8 bytes, got {message.length}"
                yield Problem(self.file, self.line(message.name), text)
            for signal in message.signals:
                yield from self._too_long(message, signal)
            for first, second in combinations(message.signals, 2):
                if _bits_of(first) & _bits_of(second) and not _are_alternatives(first, second):
                    text = f"{message.name}: {second.name} is overlapping {first.name}"
                    yield Problem(self.file, self.line(message.name, second.name), text)

    def _too_long(self, message: "Message", signal: "DbcSignal") -> Iterator[Problem]:
        last = max(bits.byte for bits in field(signal))
        if last >= message.length:
            text = (
                f"{message.name}.{signal.name} does not fit: expected bytes 0 to "
                f"{message.length - 1}, got byte {last}"
            )
            yield Problem(self.file, self.line(message.name, signal.name), text)


def field(signal: "DbcSignal") -> Field:
    """Return the pieces of ``signal``, most significant first, at most one per byte."""
    if signal.byte_order == "big_endian":
        return tuple(_motorola(signal.start, signal.length))
    return tuple(reversed(tuple(_intel(signal.start, signal.length))))


def _motorola(start: int, length: int) -> Iterator[Bits]:
    byte, top = divmod(start, 8)  # start is the most significant bit
    while length > 0:
        width = min(top + 1, length)
        yield Bits(byte, top + 1 - width, width)
        byte, top, length = byte + 1, 7, length - width


def _intel(start: int, length: int) -> Iterator[Bits]:
    byte, low = divmod(start, 8)  # start is the least significant bit
    while length > 0:
        width = min(8 - low, length)
        yield Bits(byte, low, width)
        byte, low, length = byte + 1, 0, length - width


def _bits_of(signal: "DbcSignal") -> int:
    return sum(((1 << b.width) - 1) << b.shift + 8 * b.byte for b in field(signal))


def _are_alternatives(first: "DbcSignal", second: "DbcSignal") -> bool:
    """Tell whether a multiplexer never lets both be in one frame."""
    one, other = first.multiplexer_ids, second.multiplexer_ids
    is_same = first.multiplexer_signal == second.multiplexer_signal
    return bool(one and other and is_same and not set(one) & set(other))


def _numbered(text: str) -> Iterator[tuple[tuple[str, str], int]]:
    message = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _MESSAGE.match(line):
            message = match[1]
            yield (message, ""), number
        elif match := _SIGNAL.match(line):
            yield (message, match[1]), number


def _load(file: Path, text: str) -> "Database":
    # lazily: cantools is a tool for engineers, the vehicle runs without it
    try:
        from cantools.database import load_string  # noqa: PLC0415
        from cantools.database.can import Database  # noqa: PLC0415
        from cantools.errors import Error  # noqa: PLC0415
    except ImportError as error:
        what = "expected cantools (extra `tools`) to read it, got none"
        raise DefinitionError([Problem(file, None, what)]) from error
    try:
        database = load_string(text, database_format="dbc", strict=False)
    except (Error, ValueError) as error:
        what = str(error).rstrip(".")
        line = re.search(r"line (\d+)", what)
        raise DefinitionError([Problem(file, int(line[1]) if line else None, what)]) from error
    if not isinstance(database, Database):
        what = f"expected a CAN database, got {type(database).__name__}"
        raise DefinitionError([Problem(file, None, what)])
    return database
