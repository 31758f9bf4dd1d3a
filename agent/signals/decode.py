"""Frames to signals: table-driven, pure, with the full validity chain.

For one frame: long enough, checksum right, counter moving; for one value: multiplexer, not
"not available", in range; and ``age`` finds what has not come for three periods. Every rejection
is counted by frame and reason, and the paths concerned are invalid until a good value comes.
"""

import struct
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from agent.signals.crc import crc8, nibble_sum, word_tables
from agent.signals.generate import Slot, frame_source, words_of
from agent.signals.model import Frame, Quality, Signal
from agent.signals.table import FrameRule, Product, Scales, Selector, SignalRule, VehicleTable

_NEVER: Final = float("-inf")

Handler = Callable[[float, bytes], None]


class FrameKey(NamedTuple):
    """Which frame: the same id means other things on another bus."""

    bus: str
    can_id: int


class Rejection(NamedTuple):
    """What ``Decoder.counters`` counts by."""

    bus: str
    can_id: int
    reason: Quality


@dataclass(slots=True)
class _Part:
    """One wanted frame as it runs; ``forget`` makes its next values count as new."""

    key: FrameKey
    rule: FrameRule
    slots: list[Slot] = field(default_factory=list)
    products: list[tuple[int, Product]] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    forget: Callable[[Collection[int]], None] = lambda _indexes: None

    def indexes(self) -> list[int]:
        return [*(slot.index for slot in self.slots), *(index for index, _ in self.products)]


@dataclass(frozen=True, slots=True)
class _Group:
    """Signals that come together, so age together."""

    part: _Part
    stale_s: float
    selector: Selector | None

    def indexes(self) -> list[int]:
        mine = [s.index for s in self.part.slots if _age_of(s.rule) == _age_of(self)]
        paths = {s.rule.path for s in self.part.slots if s.index in mine}
        return mine + [i for i, product in self.part.products if paths.intersection(product.of)]


def _age_of(item: SignalRule | _Group) -> tuple[float, Selector | None]:
    return item.stale_s, item.selector


class Decoder:
    """Turns the frames of one vehicle into signals.

    ``latest`` holds every wanted path at all times: quality ``missing`` until it is first seen;
    its ``time_s`` is the instant of the last change. ``counters`` counts rejections, ``missed``
    counts frames that the rolling counters say were lost, ``frames`` everything fed.
    """

    def __init__(
        self,
        table: VehicleTable,
        paths: Collection[str] | None = None,
        *,
        buses: Mapping[str, str] | None = None,
        checks: bool = True,
    ) -> None:
        """Prepare to decode ``paths`` (None: all) of ``table``.

        Args:
            table: From ``load_table``.
            paths: Wanted VSS paths; what they depend on is decoded too.
            buses: Role to interface, in place of the table's own.
            checks: False for a benchmark against decoders that check nothing.

        Raises:
            ValueError: A path that this vehicle does not tell.
        """
        self.table = table
        self.frames = 0
        self.counters: Counter[Rejection] = Counter()
        self.missed: Counter[FrameKey] = Counter()
        self._latest: dict[str, Signal] = {}
        self.latest: Mapping[str, Signal] = MappingProxyType(self._latest)
        self._changes: list[Signal] = []
        self._paths: list[str] = []
        self._seen: list[float] = []
        self._groups: list[_Group] = []
        self._handlers: dict[str, dict[int, Handler]] = {}
        wanted = _with_needs(table, table.paths() if paths is None else paths)
        interfaces = {**table.buses, **(buses or {})}
        for rule in table.frames:
            part = _Part(FrameKey(interfaces[rule.bus], rule.can_id), rule)
            self._place(part, wanted)
            if part.slots:
                handler = self._generate(part, checks=checks)
                self._handlers.setdefault(part.key.bus, {})[part.key.can_id] = handler

    @property
    def needed(self) -> Collection[FrameKey]:
        """Which frames are looked at; a source may leave out all others."""
        return {FrameKey(bus, can_id) for bus, ids in self._handlers.items() for can_id in ids}

    def feed(self, frame: Frame) -> Sequence[Signal]:
        """Decode one frame; return the signals that changed or became invalid."""
        return self.feed_all((frame,))

    def feed_all(self, frames: Sequence[Frame]) -> Sequence[Signal]:
        """Decode frames in order; return the signals that changed or became invalid."""
        bus = ""
        handlers: Mapping[int, Handler] = {}
        for frame in frames:
            if frame.bus is not bus:  # equal but not the same only costs one look-up more
                bus = frame.bus
                handlers = self._handlers.get(bus, {})
            if frame.can_id in handlers:
                handlers[frame.can_id](frame.time_s, frame.data)
        self.frames += len(frames)
        return self._take()

    def age(self, now_s: float) -> Sequence[Signal]:
        """Make stale what has not come for its allowed age; return what became stale.

        ``now_s`` is on the clock of the frames. Where that clock went back, ages start again.
        """
        for index, group in enumerate(self._groups):
            seen_s = self._seen[index]
            if seen_s > now_s:
                self._seen[index] = now_s
            elif now_s - seen_s > group.stale_s and seen_s != _NEVER:
                self._seen[index] = _NEVER
                self._refuse(group.part, group.indexes(), Quality.STALE, now_s)
        return self._take()

    def _take(self) -> Sequence[Signal]:
        changes = self._changes[:]
        self._changes.clear()
        return changes

    def _place(self, part: _Part, wanted: Collection[str]) -> None:
        for rule in part.rule.signals:
            if rule.path in wanted:
                part.slots.append(Slot(self._new_path(rule.path), self._group(part, rule), rule))
        for product in part.rule.products:
            if product.path in wanted:
                part.products.append((self._new_path(product.path), product))

    def _new_path(self, path: str) -> int:
        self._latest[path] = Signal(path, None, Quality.MISSING, 0.0)
        self._paths.append(path)
        return len(self._paths) - 1

    def _group(self, part: _Part, rule: SignalRule) -> int:
        for index in part.groups:
            if _age_of(self._groups[index]) == _age_of(rule):
                return index
        self._groups.append(_Group(part, *_age_of(rule)))
        self._seen.append(_NEVER)
        part.groups.append(len(self._seen) - 1)
        return part.groups[-1]

    def _generate(self, part: _Part, *, checks: bool) -> Handler:
        source = frame_source(part.rule, part.slots, part.products, checks=checks)
        names = self._names(part)
        words = words_of(part.rule, part.slots, checks=checks)
        names["unpack"] = struct.Struct(
            ">" + "".join("H" if word in words else "2x" for word in range(4))
        ).unpack
        # The text comes from the typed table alone; why it is generated: agent/signals/generate.py
        exec(compile(source, f"<{part.rule.name}>", "exec"), names)  # noqa: S102
        handler: Handler
        handler, part.forget = names["make"]()
        return handler

    def _names(self, part: _Part) -> dict[str, Any]:
        """Return what the generated text of ``part`` calls and reads."""
        quiet: dict[bytes, int] = {}
        return {
            "error": struct.error,
            "short": partial(self._reject, part, Quality.LENGTH),
            "damaged": partial(self._reject, part, Quality.CRC),
            "stuck": partial(self._reject, part, Quality.COUNTER),
            "gap": partial(self._count_missed, part.key),
            "invalid": partial(self._invalid, part.key),
            "mark": self._mark,
            "new": Signal,
            "ok": Quality.OK,
            "latest": self._latest,
            "emit": self._changes.append,
            "seen": self._seen,
            "quiet": quiet,
            "known": quiet.get,
            "hush": quiet.clear,
            "check": _checker(part.rule),
            "maps": {slot.index: slot.rule.values for slot in part.slots},
            "scale": _scaler({slot.index: slot.rule.scales for slot in part.slots}),
            **{f"c{place}": table for place, table in enumerate(word_tables())},
            **{f"p{index}": self._paths[index] for index in part.indexes()},
        }

    def _reject(self, part: _Part, reason: Quality, time_s: float) -> None:
        for group in part.groups:
            self._seen[group] = time_s  # the frame is there: wrong, but not stale
        self._refuse(part, part.indexes(), reason, time_s)

    def _refuse(
        self, part: _Part, indexes: Collection[int], reason: Quality, time_s: float
    ) -> None:
        self.counters[Rejection(*part.key, reason)] += 1
        for index in indexes:
            self._mark(index, reason, time_s)
        part.forget(indexes)

    def _count_missed(self, key: FrameKey, frames: int) -> None:
        self.missed[key] += frames

    def _invalid(self, key: FrameKey, index: int, reason: str, time_s: float) -> None:
        self.counters[Rejection(*key, Quality(reason))] += 1
        self._mark(index, Quality(reason), time_s)

    def _mark(self, index: int, reason: Quality, time_s: float) -> None:
        path = self._paths[index]
        if self._latest[path].quality is not reason:
            self._latest[path] = signal = Signal(path, None, reason, time_s)
            self._changes.append(signal)


def _with_needs(table: VehicleTable, paths: Collection[str]) -> Collection[str]:
    """Return ``paths`` and everything they are computed from."""
    wanted = set(paths)
    if unknown := wanted.difference(table.paths()):
        raise ValueError(f"{table.name}: expected paths of this vehicle, got {sorted(unknown)}")
    for frame in table.frames:
        for product in frame.products:
            wanted.update(product.of if product.path in wanted else ())
        for rule in frame.signals:
            wanted.update(_needs(rule) if rule.path in wanted else ())
    return wanted


def _needs(rule: SignalRule) -> set[str]:
    needs = {rule.sentinel_of} if rule.sentinel_of else set()
    return needs | ({rule.scales.path} if rule.scales else set())


def _checker(rule: FrameRule) -> Callable[[bytes], bool]:
    if rule.check == "nibble-sum":
        return lambda data: nibble_sum(rule.can_id, data) == data[-1] & 15
    return lambda data: crc8(data[:-1]) == data[-1]


def _scaler(
    scales: Mapping[int, Scales | None],
) -> Callable[[int, Mapping[str, Signal]], float | None]:
    def scale(index: int, latest: Mapping[str, Signal]) -> float | None:
        rule = scales[index]
        value = latest[rule.path].value if rule else None
        return rule.factors.get(int(value)) if rule and value is not None else None

    return scale
