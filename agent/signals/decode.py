"""Frames to signals: table-driven, pure, with the full validity chain.

For one frame: long enough, checksum right, counter moving; for one value: multiplexer, not
"not available", in range; and ``age`` finds what has not come for three periods. Every rejection
is counted by frame and reason, and the paths concerned are invalid until a good value comes.
"""

import struct
import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import GeneratorType, MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from agent.signals.derived import Derived, with_needs
from agent.signals.fields import WORDS
from agent.signals.generate import (
    Part,
    Slot,
    counter_states,
    counter_step,
    decoder_source,
    words_of,
)
from agent.signals.lookups import checker, following, lowest, tables
from agent.signals.model import Frame, Quality, Signal
from agent.signals.replies import Replies, placed
from agent.signals.scaling import Judge
from agent.signals.table import (
    FrameRule,
    Product,
    Selector,
    SignalRule,
    VehicleTable,
)

_NEVER: Final = float("-inf")

_Run: TypeAlias = "GeneratorType[None, tuple[Sequence[Frame], Collection[int]], None]"


class FrameKey(NamedTuple):
    """Which frame: the same id means other things on another bus."""

    bus: str
    can_id: int


class Rejection(NamedTuple):
    """What ``Decoder.counters`` counts by."""

    bus: str
    can_id: int
    reason: Quality


@dataclass(frozen=True, slots=True)
class _Group:
    """Signals that come together, so age together: ``indexes`` with what is computed from them."""

    part: int
    stale_s: float
    selector: Selector | None
    indexes: list[int] = field(default_factory=list)


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
        self._forgotten: list[int] = []  # became stale since the last batch
        self._paths: list[str] = []
        self._seen: list[float] = []
        self._groups: list[_Group] = []
        self._keys: list[FrameKey] = []
        self._parts: list[Part] = []
        self._slots: dict[int, Slot] = {}
        self._memory: dict[int, dict[int, float | None]] = {}
        self._judges: dict[int, Judge] = {}
        self._checks = checks
        self._scaling = {
            rule.scales.path for frame in table.frames for rule in frame.signals if rule.scales
        }
        wanted = with_needs(table, table.paths() if paths is None else paths)
        self.buses = interfaces = {**table.buses, **(buses or {})}
        # the block of a frequent frame is found first
        for rule in sorted(table.frames, key=lambda rule: rule.period_s):
            key = FrameKey(sys.intern(interfaces[rule.bus]), rule.can_id)
            self._place(rule, key, wanted)
        self._is_any_old = _old(self._groups)
        self._states = Derived(table, wanted)
        for derived in self._states.rules:
            self._new_path(derived.path)
        self._replies = self._listeners(interfaces, wanted)
        self._run = self._start()

    @property
    def needed(self) -> Collection[FrameKey]:
        """Which frames are looked at; a source may leave out all others."""
        return frozenset((*self._keys, *self._replies))

    def periods_s(self) -> dict[tuple[str, int], float]:
        """Return how often each needed frame is expected."""
        parts = zip(self._keys, self._parts, strict=True)
        return {(key.bus, key.can_id): part.rule.period_s for key, part in parts}

    def feed(self, frame: Frame) -> Sequence[Signal]:
        """Decode one frame; return the signals that changed or became invalid."""
        return self.feed_all((frame,))

    def feed_all(self, frames: Sequence[Frame]) -> Sequence[Signal]:
        """Decode frames in order; return the signals that changed or became invalid."""
        if self._run.gi_frame is None:  # an exception went through it: our mistake, not for ever
            self._run = self._start()
        self._run.send((frames, self._forgotten))
        self._forgotten.clear()
        self.frames += len(frames)
        return self._take()

    def age(self, now_s: float) -> Sequence[Signal]:
        """Make stale what has not come for its allowed age; return what became stale.

        ``now_s`` is on the clock of the frames. Where that clock went back, ages start again.
        """
        if self._is_any_old(now_s, self._seen):
            self._make_stale(now_s)
        for replies in self._replies.values():
            replies.age(now_s)
        return self._take()

    def _make_stale(self, now_s: float) -> None:
        for index, group in enumerate(self._groups):
            seen_s = self._seen[index]
            if seen_s > now_s:
                self._seen[index] = now_s
            elif now_s - seen_s > group.stale_s and seen_s != _NEVER:
                self._seen[index] = _NEVER
                self._refuse(group.part, group.indexes, Quality.STALE, now_s)
                self._forgotten += group.indexes

    def _take(self) -> Sequence[Signal]:
        changes = self._changes[:]
        self._changes.clear()
        if self._states.rules:
            for signal in self._states.follow(changes, self._latest):
                self._latest[signal.path] = signal
                changes.append(signal)
        return changes

    def _listeners(
        self, interfaces: Mapping[str, str], wanted: Collection[str]
    ) -> dict[FrameKey, Replies]:
        found: dict[FrameKey, Replies] = {}
        for place, polls in placed(self.table.polls, interfaces).items():
            told = dict.fromkeys(p for poll in polls for p in poll.paths() if p in wanted)
            if told:
                for path in told:
                    self._new_path(path)
                key = FrameKey(*place)
                reject = partial(self._count, key)
                found[key] = Replies(polls, told, emit=self._tell, reject=reject)
        return found

    def _count(self, key: FrameKey, reason: Quality) -> None:
        self.counters[Rejection(*key, reason)] += 1

    def _tell(self, path: str, value: float | None, quality: Quality, time_s: float) -> None:
        known = self._latest[path]
        if known.value != value or known.quality is not quality:
            self._latest[path] = signal = Signal(path, value, quality, time_s)
            self._changes.append(signal)

    def _listen(self, frame: Frame) -> None:
        replies = self._replies.get(FrameKey(frame.bus, frame.can_id))
        if replies:
            replies.feed(frame)

    def _place(self, rule: FrameRule, key: FrameKey, wanted: Collection[str]) -> None:
        number = len(self._parts)
        signals = [signal for signal in rule.signals if signal.path in wanted]
        if signals:
            slots = tuple(self._slot(number, signal) for signal in signals)
            self._slots |= {slot.index: slot for slot in slots}
            self._judges |= {slot.index: Judge(slot.rule, checks=self._checks) for slot in slots}
            products = tuple(
                (self._product(number, product), product)
                for product in rule.products
                if product.path in wanted
            )
            self._parts.append(Part(number, rule, slots, products))
            self._keys.append(key)

    def _slot(self, part: int, rule: SignalRule) -> Slot:
        index = self._new_path(rule.path)
        for number, group in enumerate(self._groups):
            if group.part == part and _age_of(group) == _age_of(rule):
                group.indexes.append(index)
                return Slot(index, number, rule, is_held=rule.path not in self._scaling)
        self._groups.append(_Group(part, *_age_of(rule), [index]))
        self._seen.append(_NEVER)
        return Slot(index, len(self._seen) - 1, rule, is_held=rule.path not in self._scaling)

    def _product(self, part: int, product: Product) -> int:
        index = self._new_path(product.path)
        for group in self._groups:
            paths = {self._paths[member] for member in group.indexes}
            if group.part == part and paths.intersection(product.of):
                group.indexes.append(index)
        return index

    def _new_path(self, path: str) -> int:
        self._latest[path] = Signal(path, None, Quality.MISSING, 0.0)
        self._paths.append(path)
        return len(self._paths) - 1

    def _start(self) -> _Run:
        names = self._names()
        source = decoder_source(self._parts, names, checks=self._checks)
        scope: dict[str, Any] = {}
        # The text comes from the typed table alone; why it is generated: agent/signals/generate.py
        exec(compile(source, f"<{self.table.name}>", "exec"), scope)  # noqa: S102
        run: _Run = scope["run"](**names)
        next(run)
        return run

    def _names(self) -> dict[str, Any]:
        """Return what the generated text calls and reads."""
        numbers = self._numbers()
        slots = self._slots.values()
        self._memory = {slot.index: {} for slot in slots if slot.is_narrow}
        names: dict[str, Any] = {
            "blocks": lowest(numbers),
            "elsewhere": lambda frame: numbers.get(FrameKey(frame.bus, frame.can_id)),
            "new": Signal,
            "ok": Quality.OK,
            "latest": self._latest,
            "changes": self._changes,
            "seen": self._seen,
            "error": struct.error,
            "reject": self._reject,
            "refuse": self._refuse_value,
            "gap": self._gap,
            "learn": self._learn,
            "mark": self._mark,
            "listen": self._listen,
            "maps": {slot.index: slot.rule.values for slot in slots},
            "scale": self._scale,
            **{f"v{index}": values for index, values in self._memory.items()},
            **{f"p{index}": path for index, path in enumerate(self._paths)},
        }
        for part, key in zip(self._parts, self._keys, strict=True):
            names |= self._names_of(part, key.bus, numbers[key])
        return names

    def _numbers(self) -> dict[FrameKey, int]:
        """Return the block of each needed frame; replies share the number after the last block."""
        blocks = {key: number for number, key in enumerate(self._keys)}
        return dict.fromkeys(self._replies, len(blocks)) | blocks

    def _names_of(self, part: Part, bus: str, number: int) -> dict[str, Any]:
        quiet: dict[bytes, int] = {}
        words = words_of(part, checks=self._checks)
        layout = ">" + "".join("H" if word in words else "2x" for word in range(WORDS))
        return {
            f"k{part.number}": number,
            f"bus{part.number}": bus,
            f"unpack{part.number}": struct.Struct(layout).unpack,
            f"check{part.number}": checker(part.rule),
            f"quiet{part.number}": quiet,
            f"known{part.number}": quiet.get,
            f"hush{part.number}": quiet.clear,
            f"after{part.number}": following(part.rule),
            **{f"{name}{part.number}": table for name, table in tables(part.rule)},
        }

    def _learn(self, index: int, raw: int) -> float | None:
        """Return the value of a raw number that came for the first time; None for none."""
        verdict = self._judges[index](raw)
        value = None if isinstance(verdict, Quality) else verdict
        self._memory[index][raw] = value
        return value

    def _scale(self, index: int, latest: Mapping[str, Signal]) -> float | None:
        rule = self._slots[index].rule.scales
        value = latest[rule.path].value if rule else None
        return rule.factors.get(int(value)) if rule and value is not None else None

    def _reject(self, part: int, reason: str, time_s: float) -> None:
        self._refuse(part, self._parts[part].indexes(), Quality(reason), time_s)

    def _refuse(self, part: int, indexes: Collection[int], reason: Quality, time_s: float) -> None:
        self.counters[Rejection(*self._keys[part], reason)] += 1
        for index in indexes:
            self._mark(index, reason, time_s)

    def _gap(self, part: int, found: int, due: int) -> int:
        """Return how many frames the counter says were lost; 0: it did not move at all."""
        rule = self._parts[part].rule
        step, count = counter_step(rule), counter_states(rule)
        lost: int = (found - due) // step % count
        if lost == count - 1:
            return 0
        self.missed[self._keys[part]] += lost
        return lost

    def _refuse_value(self, part: int, index: int, raw: int, time_s: float) -> None:
        rule = self._slots[index].rule
        reason = self._why_refused(index, rule, raw)
        # a code of a mapped field that says "cannot tell" is an answer, not a rejection
        if rule.values is None or reason is not Quality.SENTINEL:
            self.counters[Rejection(*self._keys[part], reason)] += 1
        self._mark(index, reason, time_s)

    def _why_refused(self, index: int, rule: SignalRule, raw: int) -> Quality:
        verdict = self._judges[index](raw)
        if isinstance(verdict, Quality):
            return verdict
        if rule.scales:
            return Quality.RANGE if self._scale(index, self._latest) else Quality.MISSING
        return Quality.SENTINEL  # its twin is not available

    def _mark(self, index: int, reason: Quality, time_s: float) -> None:
        path = self._paths[index]
        if self._latest[path].quality is not reason:
            self._latest[path] = signal = Signal(path, None, reason, time_s)
            self._changes.append(signal)


def _old(groups: Sequence[_Group]) -> Callable[[float, Sequence[float]], bool]:
    """Return a comparison of every age in one expression: no loop as long as nothing is stale."""
    ages = (
        f"(not 0 <= now - seen[{n}] <= {group.stale_s!r} and seen[{n}] != never)"
        for n, group in enumerate(groups)
    )
    text = f"lambda now, seen: {' or '.join(ages) or False}"
    # floats and numbers of ours; why text becomes code: agent/signals/generate.py
    is_old: Callable[[float, Sequence[float]], bool] = eval(text, {"never": _NEVER})  # noqa: S307
    return is_old
