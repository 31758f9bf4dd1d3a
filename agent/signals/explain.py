"""What people and scripts see of a definition: `vehicle list` and `vehicle decode`. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from agent.signals.catalog import CATALOG, present
from agent.signals.decode import Decoder
from agent.signals.model import Frame, Quality, Signal
from agent.signals.table import VehicleTable

_AGE_EVERY_S: Final = 0.1


class DecodedLine(Struct, frozen=True):
    """One change of one path: recording time in s, value in ``unit`` or null, and whose frame.

    ``value`` is a number, true or false, or VSS's word; ``quality`` is ``ok`` or the reason why
    there is no value; ``frame`` is the hex id of the frame it comes from.
    """

    t: float
    path: str
    value: float | bool | str | None
    unit: str
    quality: Quality
    frame: str

    def json(self) -> str:
        """Return the line as JSON, keys in the order above."""
        return msgspec.json.encode(self).decode()

    def text(self) -> str:
        """Return the line for an 80-column terminal."""
        shown = "-" if self.value is None else str(self.value)
        reason = "" if self.quality is Quality.OK else f" ({self.quality})"
        name = self.path.removeprefix("Vehicle.")
        return f"{self.t:13.3f} {self.frame:>4} {name} = {shown} {self.unit}".rstrip() + reason


class VehicleSummary(Struct, frozen=True):
    """One row of `vehicle list`."""

    name: str
    title: str
    frames: int
    signals: int
    buses: dict[str, str]


def summary(table: VehicleTable) -> VehicleSummary:
    """Return what `vehicle list` shows of ``table``."""
    return VehicleSummary(
        name=table.name,
        title=table.title,
        frames=len(table.frames),
        signals=len(table.paths()),
        buses=table.buses,
    )


def decode_lines(decoder: Decoder, frames: Iterable[Frame]) -> Iterator[DecodedLine]:
    """Yield one line per change in ``frames``: new values, and values that became invalid."""
    ids = frame_ids(decoder.table)
    aged_s: float | None = None
    for frame in frames:
        if aged_s is None or not aged_s <= frame.time_s < aged_s + _AGE_EVERY_S:
            aged_s = frame.time_s
            yield from (_line(signal, ids) for signal in decoder.age(frame.time_s))
        yield from (_line(signal, ids) for signal in decoder.feed(frame))


def frame_ids(table: VehicleTable) -> dict[str, str]:
    """Return the hex id of the frame each path comes from; a derived one names its first source."""
    ids: dict[str, str] = {}
    for frame in table.frames:
        paths = [signal.path for signal in frame.signals]
        paths += [product.path for product in frame.products]
        ids |= dict.fromkeys(paths, f"{frame.can_id:X}")
    for poll in table.polls:
        ids |= dict.fromkeys(poll.paths(), f"{poll.reply_id:X}")
    return ids | {rule.path: ids[table.paths_of_state(rule.state)[0]] for rule in table.derived}


def _line(signal: Signal, ids: dict[str, str]) -> DecodedLine:
    return DecodedLine(
        t=signal.time_s,
        path=signal.path,
        value=present(signal.path, signal.value),
        unit=CATALOG[signal.path].unit,
        quality=signal.quality,
        frame=ids[signal.path],
    )
