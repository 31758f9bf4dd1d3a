"""Named events: a condition over signals freezes what was read before and after it. Pure.

Memory is bounded: the history is one ring for all events, and of what follows an event at most as
much again is kept.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from agent.signals.catalog import CATALOG
from agent.signals.model import Signal
from agent.vehicle.expression import Expression, parse

MAX_READINGS: Final = 8_192  # in the ring; ten seconds of eight signals at 100 Hz
MAX_OPEN: Final = 8  # events whose "after" is still being collected


class Trigger(StrEnum):
    """When a condition counts."""

    EDGE = "edge"  # when it becomes true; again only after it was false
    LEVEL = "level"  # while it is true, once per cool-down


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    """What to look for, and how much to keep around it.

    ``condition`` is the text of an expression; it has to hold for ``lasting_s`` without a break.
    """

    name: str
    condition: str
    trigger: Trigger = Trigger.EDGE
    lasting_s: float = 0.0
    cool_down_s: float = 60.0
    before_s: float = 10.0
    after_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One frozen event: ``readings`` in time order, from ``before_s`` before ``time_s`` on.

    What did not change within that time comes first, with the older reading that still held.
    ``is_cut``: the ring did not reach back far enough, or there was too much afterwards.
    """

    name: str
    time_s: float
    readings: tuple[Signal, ...]
    is_cut: bool


@dataclass(slots=True)
class _Watch:
    rule: EventRule
    expression: Expression
    true_since_s: float | None = None
    was_true: bool = False  # the last answer that was not "unknown"
    fired_s: float | None = None

    def fires(self, values: Mapping[str, float | None], time_s: float) -> bool:
        answer = self.expression.holds(values)
        if not answer:
            self.true_since_s = None
            self.was_true = self.was_true and answer is None
            return False
        if self.true_since_s is None or time_s < self.true_since_s:
            self.true_since_s = time_s
        has_lasted = time_s - self.true_since_s >= self.rule.lasting_s
        if not has_lasted or self._is_cooling(time_s):
            return False
        if self.rule.trigger is Trigger.EDGE and self.was_true:
            return False
        self.was_true, self.fired_s = True, time_s
        return True

    def _is_cooling(self, time_s: float) -> bool:
        if self.fired_s is None or time_s < self.fired_s:  # never, or the clock went back
            return False
        return time_s - self.fired_s < self.rule.cool_down_s


@dataclass(slots=True)
class _Open:
    rule: EventRule
    time_s: float
    readings: list[Signal] = field(default_factory=list)
    is_cut: bool = False


class EventCapture:
    """Looks for events; feed it every change of a signal.

    ``fired`` counts events by name, ``missed`` those that found no room.
    """

    def __init__(
        self, rules: Sequence[EventRule], *, keep: Iterable[str], max_readings: int = MAX_READINGS
    ) -> None:
        """Prepare ``rules``.

        Args:
            rules: Names are unique.
            keep: Paths whose readings are frozen with an event.
            max_readings: Bound of the ring, and of what is collected after one event.

        Raises:
            ExpressionError: A condition is not one.
        """
        self.fired: dict[str, int] = {rule.name: 0 for rule in rules}
        self.missed = 0
        self._watches = [_Watch(rule, parse(rule.condition, CATALOG)) for rule in rules]
        self._values: dict[str, float | None] = {}
        self._by_path: dict[str, list[_Watch]] = {}
        for watch in self._watches:
            self._values.update(dict.fromkeys(watch.expression.paths))
            for path in watch.expression.paths:
                self._by_path.setdefault(path, []).append(watch)
        self._keep = frozenset(keep)
        self._max_readings = max_readings
        self._ring: deque[Signal] = deque(maxlen=max_readings)
        self._older: dict[str, Signal] = {}  # the last reading of each path that left the ring
        self._open: list[_Open] = []

    @property
    def paths(self) -> frozenset[str]:
        """Return every path that conditions or frozen readings need."""
        return self._keep.union(self._values)

    def step(self, signals: Iterable[Signal], time_s: float) -> list[Event]:
        """Take what changed up to ``time_s``; return the events that are complete."""
        for signal in signals:
            if signal.path in self._keep:
                self._remember(signal)
            if signal.path in self._values:
                self._values[signal.path] = signal.value
                self._look(self._by_path[signal.path], signal.time_s)
        self._look(self._watches, time_s)
        return self._closed(time_s)

    def forget(self) -> None:
        """Forget every reading and what is not complete: somebody else drives from now on."""
        self._ring.clear()
        self._older.clear()
        self._open.clear()

    def freeze(self, name: str, time_s: float, *, before_s: float) -> Event:
        """Return what was read in the last ``before_s``, because somebody else saw an event."""
        return Event(
            name=name, time_s=time_s, readings=self._since(time_s - before_s), is_cut=False
        )

    def _remember(self, signal: Signal) -> None:
        if len(self._ring) == self._max_readings:
            self._older[self._ring[0].path] = self._ring[0]
        self._ring.append(signal)
        for event in self._open:
            if len(event.readings) < 2 * self._max_readings:
                event.readings.append(signal)
            else:
                event.is_cut = True

    def _look(self, watches: Iterable[_Watch], time_s: float) -> None:
        for watch in watches:
            if watch.fires(self._values, time_s):
                self._start(watch.rule, time_s)

    def _start(self, rule: EventRule, time_s: float) -> None:
        self.fired[rule.name] += 1
        if len(self._open) >= MAX_OPEN:
            self.missed += 1
            return
        is_full = len(self._ring) == self._max_readings
        is_cut = is_full and self._ring[0].time_s > time_s - rule.before_s
        before = list(self._since(time_s - rule.before_s))
        self._open.append(_Open(rule, time_s, before, is_cut=is_cut))

    def _since(self, time_s: float) -> tuple[Signal, ...]:
        within = [signal for signal in self._ring if signal.time_s >= time_s]
        held = self._older | {one.path: one for one in self._ring if one.time_s < time_s}
        told = {signal.path for signal in within}
        return (*(one for path, one in held.items() if path not in told), *within)

    def _closed(self, time_s: float) -> list[Event]:
        ready = [e for e in self._open if not e.time_s <= time_s < e.time_s + e.rule.after_s]
        self._open = [event for event in self._open if event not in ready]
        return [
            Event(
                name=event.rule.name,
                time_s=event.time_s,
                readings=tuple(event.readings),
                is_cut=event.is_cut,
            )
            for event in ready
        ]
