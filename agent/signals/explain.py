"""What people and scripts see of a definition: `vehicle list`, `decode` and `explain`. Pure."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final

import msgspec
from msgspec import Struct

from agent.signals.catalog import CATALOG, present
from agent.signals.decode import Decoder
from agent.signals.errors import UnknownPathError
from agent.signals.model import Frame, Quality, Signal
from agent.signals.table import (
    Bits,
    DerivedState,
    FrameRule,
    Polled,
    Product,
    Rule,
    SignalRule,
    VehicleTable,
)
from agent.wording import COLUMNS

_AGE_EVERY_S: Final = 0.1
_NAME_COLUMNS: Final = 46
_LARGE: Final = 1e6  # `g` would write an exponent, and people do not read those
_ROOT: Final = "Vehicle."
WATCH_HEAD: Final = f"{'SIGNAL':<46} {'VALUE':>10} {'UNIT':<7} CHANGED"


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
        shown = "-" if self.value is None else _short(self.value)
        reason = "" if self.quality is Quality.OK else f" ({self.quality})"
        told = f" = {shown} {self.unit}".rstrip() + reason
        head = f"{self.t:13.3f} {self.frame:>4} "
        return f"{head}{_fitting(self.path.removeprefix(_ROOT), COLUMNS - len(head + told))}{told}"


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
    for signal in feed_with_ages(decoder, frames):
        yield _line(signal, ids)


def feed_with_ages(decoder: Decoder, frames: Iterable[Frame]) -> Iterator[Signal]:
    """Yield every change in ``frames``, also what becomes stale, on the clock of the frames."""
    aged_s: float | None = None
    for frame in frames:
        if aged_s is None or not aged_s <= frame.time_s < aged_s + _AGE_EVERY_S:
            aged_s = frame.time_s
            yield from decoder.age(frame.time_s)
        yield from decoder.feed(frame)


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


class Explanation(Struct, frozen=True, kw_only=True):
    """Where a path comes from, what has to hold for it to be valid, and what it is now.

    ``rejections`` counts by reason what was refused of its frame; ``quality`` says why there is no
    value; ``said`` is the same in a sentence.
    """

    path: str
    unit: str
    source: str
    rules: tuple[str, ...]
    value: float | bool | str | None
    quality: Quality
    t: float
    rejections: dict[str, int]
    said: str


REASONS: Final = {
    Quality.OK: "valid",
    Quality.LENGTH: "its frame is shorter than it must be",
    Quality.CRC: "the checksum of its frame is wrong",
    Quality.COUNTER: "the counter of its frame does not move: the sender is stuck",
    Quality.SENTINEL: "the sender says that it is not available",
    Quality.MUX: "its frame tells something else at the moment",
    Quality.SEQUENCE: "a part of the reply was lost",
    Quality.TIMING: "the reply came too slowly",
    Quality.RANGE: "it is outside of what is possible",
    Quality.STALE: "nothing new came within its allowed age",
    Quality.MISSING: "its frame was never seen, or what it depends on is not known",
}


def explain(decoder: Decoder, path: str) -> Explanation:
    """Return what there is to say about ``path`` after what ``decoder`` was fed.

    Raises:
        UnknownPathError: This vehicle does not tell ``path``.
    """
    known = next((name for name in full_paths(path) if name in decoder.latest), None)
    if known is None:
        raise UnknownPathError(decoder.table.name, path, decoder.table.paths())
    return explanation(
        decoder.table, _line(decoder.latest[known], frame_ids(decoder.table)), decoder
    )


def full_paths(path: str) -> tuple[str, str]:
    """Return what ``path`` may stand for: people leave out the `Vehicle.` that begins them all."""
    return path, f"{_ROOT}{path}"


def explanation(table: VehicleTable, now: DecodedLine, counted: "Decoder | None") -> Explanation:
    """Return what there is to say about the path of ``now``, with what ``counted`` refused.

    Raises:
        UnknownPathError: This vehicle does not tell the path.
    """
    rule = table.rule(now.path)
    if rule is None:
        raise UnknownPathError(table.name, now.path, table.paths())
    return Explanation(
        path=now.path,
        unit=now.unit,
        source=_source(table, rule),
        rules=tuple(_rules(table, rule)),
        value=now.value,
        quality=now.quality,
        t=now.t,
        rejections=_rejections(counted, now.frame) if counted else {},
        said=REASONS[now.quality],
    )


def _rejections(decoder: Decoder, frame: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, count in sorted(decoder.counters.items()):
        if f"{key.can_id:X}" == frame:
            found[key.reason] = found.get(key.reason, 0) + count
    return found


class SignalsNow(Struct, frozen=True):
    """Every signal of the running agent; ``now_s`` is on the same clock as their ``t``."""

    now_s: float
    signals: tuple[DecodedLine, ...]
    rejected: dict[str, dict[str, int]]  # by frame id, then reason


def signals_now(decoder: Decoder, now_s: float) -> SignalsNow:
    """Return what ``decoder`` knows at ``now_s``."""
    ids = frame_ids(decoder.table)
    told = tuple(_line(signal, ids) for signal in decoder.latest.values())
    rejected: dict[str, dict[str, int]] = {}
    for key, count in sorted(decoder.counters.items()):
        reasons = rejected.setdefault(f"{key.can_id:X}", {})
        reasons[key.reason] = reasons.get(key.reason, 0) + count
    return SignalsNow(now_s, told, rejected)


def chosen(now: SignalsNow, pattern: str) -> Iterator[DecodedLine]:
    """Yield the signals whose path matches ``pattern``: with * and ?, or a part of it."""
    wanted = pattern.lower() if set(pattern) & set("*?[") else f"*{pattern.lower()}*"
    for line in now.signals:
        if fnmatchcase(line.path.lower(), wanted):
            yield line


def watch_row(line: DecodedLine, now_s: float) -> str:
    """Return one row of at most 80 columns: path, value, unit, and how old or why not."""
    name = _fitting(line.path.removeprefix(_ROOT), _NAME_COLUMNS)
    value = "-" if line.value is None else _short(line.value)
    age_s = max(0.0, now_s - line.t)
    state = f"{age_s:6.1f} s ago" if line.quality is Quality.OK else line.quality.value
    return f"{name:<{_NAME_COLUMNS}} {value:>10} {line.unit:<7} {state}"[:80]


def _fitting(name: str, room: int) -> str:
    """Return ``name`` without as many of its first branches as it has too many for ``room``."""
    if len(name) <= room:
        return name
    starts = (at + 1 for at, letter in enumerate(name) if letter == ".")
    start = next((start for start in starts if len(name) - start < room), len(name) + 1 - room)
    return f"…{name[start:]}"


def _short(value: float | bool | str) -> str:  # noqa: FBT001 (as it reads)
    if not isinstance(value, float):
        return str(value).lower()
    return f"{value:.6g}" if abs(value) < _LARGE else f"{value:.0f}"


def _source(table: VehicleTable, rule: Rule) -> str:
    match rule:
        case SignalRule():
            frame = next(f for f in table.frames if rule in f.signals)
            bits = ", ".join(_bits(piece) for piece in rule.field)
            return f"frame {frame.can_id:X} {frame.name} on bus {frame.bus}, {rule.name}: {bits}"
        case Product():
            return f"{rule.of[0]} x {rule.of[1]}, of one frame"
        case Polled():
            poll = rule.poll
            ids = f"{poll.request_id:X}/{poll.reply_id:X}"
            return f"poll {poll.service} {poll.name} on bus {poll.bus}, ids {ids}"
        case DerivedState():
            return f"the state {rule.state!r} of the definition"


def _bits(piece: Bits) -> str:
    last = piece.shift + piece.width - 1
    return (
        f"d{piece.byte} bits {last}-{piece.shift}"
        if last > piece.shift
        else (f"d{piece.byte} bit {last}")
    )


def _rules(table: VehicleTable, rule: Rule) -> Iterator[str]:
    match rule:
        case SignalRule():
            frame = next(f for f in table.frames if rule in f.signals)
            yield from _frame_rules(frame)
            yield from _signal_rules(rule)
        case Product():
            yield "both factors are valid"
        case Polled():
            lengths = ", ".join(str(reply.length) for reply in rule.poll.replies)
            yield f"a reply of {lengths} bytes, every part in order and in time"
            yield f"not older than {rule.poll.stale_s:g} s"
        case DerivedState():
            rows = table.states[rule.state]
            said = (" and ".join(f"{c.path} {c.op} {c.value:g}" for c in row) for row in rows)
            yield " or ".join(said)


def _frame_rules(frame: FrameRule) -> Iterator[str]:
    yield f"{frame.length} bytes or more"
    if frame.check:
        yield f"checksum {frame.check}"
    if frame.counter:
        yield "its counter moves"


def _signal_rules(rule: SignalRule) -> Iterator[str]:
    if rule.sentinels:
        yield f"raw value is not {', '.join(str(code) for code in rule.sentinels)}"
    if rule.sentinel_of:
        yield f"{rule.sentinel_of} is available in the same frame"
    if rule.selector:
        yield f"the multiplexer reads {rule.selector.value}"
    if rule.scales:
        yield f"{rule.scales.path} is known: it tells the unit"
    if rule.values is None:
        yield f"{rule.minimum:g} to {rule.maximum:g}"
    yield f"not older than {rule.stale_s:g} s"
