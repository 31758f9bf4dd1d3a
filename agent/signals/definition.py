"""The text of a vehicle definition: what its TOML may hold, and where in the file it stands. Pure.

One file per vehicle; ``include`` names parts beside it that several vehicles share.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from agent.signals.errors import DefinitionError, Problem

Length = Annotated[int, Meta(ge=1, le=4095)]
Positive = Annotated[float, Meta(gt=0)]


class BusText(Struct, frozen=True, forbid_unknown_fields=True):
    """``[buses]``: where a role is expected, and the DBC (or several) that describes it."""

    interface: str
    dbc: str | tuple[str, ...]

    def files(self) -> tuple[str, ...]:
        """Return the names of its DBC files, relative to the TOML."""
        return (self.dbc,) if isinstance(self.dbc, str) else self.dbc


class UnitText(Struct, frozen=True, forbid_unknown_fields=True):
    """``unit_of``: the unit depends on the value of another path."""

    path: str
    units: dict[int, str]


class WhenText(Struct, frozen=True, forbid_unknown_fields=True):
    """``when``: the signal counts only while another one of its message reads ``value``."""

    name: str
    value: int


class SignalText(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``signals``."""

    name: str
    path: str
    unit: str | None = None  # in place of the DBC's
    minimum: float | None = None
    maximum: float | None = None
    sentinels: tuple[int, ...] = ()
    sentinel_of: str | None = None
    values: dict[int, float] | None = None
    otherwise: float | None = None
    when: WhenText | None = None
    unit_of: UnitText | None = None
    step: Positive | None = None
    stale_ms: Positive | None = None


class ProductText(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``products``: two names of the same message."""

    path: str
    of: tuple[str, str]
    step: Positive


class FrameText(Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[frames]]``."""

    message: str
    bus: str
    period_ms: Positive
    signals: tuple[SignalText, ...]
    check: Literal["crc8-85", "nibble-sum"] | None = None
    counter: str | None = None
    min_length: int | None = None
    products: tuple[ProductText, ...] = ()


class NumberText(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``signals`` in a reply: big-endian bytes ``at`` .. ``at + size``."""

    path: str
    at: int
    size: Literal[1, 2, 3, 4]
    unit: str = ""
    is_signed: bool = False
    factor: float = 1.0
    offset: float = 0.0
    sentinels: tuple[int, ...] = ()


class ArrayText(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``arrays`` in a reply: ``count`` numbers, ``every`` bytes apart."""

    prefix: str
    count: Annotated[int, Meta(ge=1, le=512)]
    at: int
    size: Literal[1, 2, 3, 4]
    every: int
    unit: str = ""
    is_signed: bool = False
    factor: float = 1.0
    offset: float = 0.0
    sentinels: tuple[int, ...] = ()
    absent_at: int | None = None
    absent: int = 0xFFFF
    lowest: str | None = None
    highest: str | None = None
    mean: str | None = None
    lowest_id: str | None = None
    highest_id: str | None = None


class ReplyText(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of ``replies``: what a reply of this length holds."""

    length: Length
    signals: tuple[NumberText, ...] = ()
    arrays: tuple[ArrayText, ...] = ()


class PollText(Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[polls]]``."""

    name: str
    bus: str
    request_id: Annotated[int, Meta(ge=0, le=0x7FF)]
    reply_id: Annotated[int, Meta(ge=0, le=0x7FF)]
    service: Annotated[str, Meta(pattern="^([0-9a-f]{2}){1,7}$")]
    period_s: Annotated[float, Meta(ge=1)]
    stale_s: Positive | None = None
    needs: str | None = None
    is_private: bool = False
    replies: tuple[ReplyText, ...] = ()


class DetectText(Struct, frozen=True, forbid_unknown_fields=True):
    """``[detect]``: ``ID`` or ``ID/LENGTH``, hex and decimal, on the bus of this role."""

    bus: str
    seen: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


class PartText(Struct, frozen=True, forbid_unknown_fields=True):
    """A file that ``include`` names."""

    frames: tuple[FrameText, ...] = ()
    polls: tuple[PollText, ...] = ()


class DefinitionText(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole TOML file of a vehicle."""

    name: str
    title: str
    record: tuple[str, ...]
    buses: dict[str, BusText]
    frames: tuple[FrameText, ...]
    states: dict[str, tuple[tuple[str, ...], ...]] = {}
    derived: dict[str, str] = {}
    detect: DetectText | None = None
    polls: tuple[PollText, ...] = ()
    include: tuple[str, ...] = ()


class TomlFile:
    """One TOML file and the line on which each of its things stands."""

    def __init__(self, file: Path) -> None:
        """Read ``file``; raise DefinitionError if it cannot be read."""
        self.file = file
        self.data = read_bytes(file)
        self._lines = self.data.decode("utf-8", "replace").splitlines()

    def parse(self, kind: "type[PartText | DefinitionText]") -> "PartText | DefinitionText":
        """Return the content; raise DefinitionError with the line of a mistake."""
        try:
            return msgspec.toml.decode(self.data, type=kind)
        except ValueError as error:
            raise DefinitionError(
                [Problem(self.file, self._line_of(str(error)), str(error))]
            ) from (error)

    def frame(self, place: int) -> int | None:
        """Return the line of the ``place``-th [[frames]], counted from 0."""
        return self._header("[[frames]]", place)

    def poll(self, place: int) -> int | None:
        """Return the line of the ``place``-th [[polls]], counted from 0."""
        return self._header("[[polls]]", place)

    def below(self, line: int | None, text: str) -> int | None:
        """Return the first line from ``line`` on that holds ``text``; ``line`` if none does."""
        for number, content in enumerate(self._lines[(line or 1) - 1 :], start=line or 1):
            if text in content:
                return number
        return line

    def _header(self, header: str, place: int) -> int | None:
        found = [n for n, line in enumerate(self._lines, start=1) if line.strip() == header]
        return found[place] if place < len(found) else None

    def _line_of(self, error: str) -> int | None:
        """Return the line that a message of the parser speaks of."""
        if match := re.search(r"\(at line (\d+)", error):
            return int(match[1])
        match = re.search(r"\$\.(frames|polls)\[(\d+)\]", error)
        start = self._header(f"[[{match[1]}]]", int(match[2])) if match else None
        unknown = re.search(r"unknown field `(\w+)`", error)
        key = unknown or re.search(r"\.([a-z_]+)(?:\[\.\.\.\])?`$", error)
        return self.below(start, key[1]) if key else start


def read_bytes(file: Path) -> bytes:
    """Return the content of ``file``; raise DefinitionError if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        text = f"expected a readable file, got {error.strerror}"
        raise DefinitionError([Problem(file, None, text)]) from error
