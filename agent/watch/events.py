"""Looks for events and keeps what was read around them: only while a purpose is granted."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from agent.config import ConfigError, EventConfig, EventsConfig
from agent.signals import catalog
from agent.signals.model import Signal
from agent.store.events import EventFiles, EventReading, StoredEvent
from agent.vehicle.capture import Event, EventCapture, EventRule, Trigger
from agent.vehicle.events import BUILT_IN
from agent.vehicle.expression import ExpressionError
from agent.watch.charges import Clock
from agent.watch.pending import PendingWrites

# what is frozen around every event and every alert, besides what the conditions look at
AROUND: Final = (catalog.PACK_VOLTAGE, catalog.PACK_CURRENT, catalog.SOC, catalog.SPEED)


def event_rules(config: EventsConfig) -> tuple[EventRule, ...]:
    """Return the rules that ``config`` asks for: built-in ones, and its own in their place.

    Raises:
        ConfigError: A name twice or unknown, or a condition that is none.
    """
    if not config.enabled:
        return ()
    known = {rule.name: rule for rule in BUILT_IN}
    for name in config.without:
        if known.pop(name, None) is None:
            raise ConfigError(
                f"events.without: expected names of built-in events "
                f"({', '.join(rule.name for rule in BUILT_IN)}), got {name!r} - at `$.events`"
            )
    own = [_rule(one) for one in config.rules]
    if len({rule.name for rule in own}) < len(own):
        raise ConfigError("events.rules: expected each name once - at `$.events.rules`")
    return tuple((known | {rule.name: rule for rule in own}).values())


def _rule(config: EventConfig) -> EventRule:
    rule = EventRule(
        name=config.name,
        condition=config.condition,
        trigger=Trigger(config.trigger),
        lasting_s=config.lasting_s,
        cool_down_s=config.cool_down_s,
        before_s=config.before_s,
        after_s=config.after_s,
    )
    try:
        EventCapture((rule,), keep=())
    except ExpressionError as error:
        raise ConfigError(f"event {config.name!r}: {error} - at `$.events.rules`") from error
    return rule


def event_paths(rules: Sequence[EventRule]) -> frozenset[str]:
    """Return every path that the conditions of ``rules`` look at."""
    return EventCapture(rules, keep=()).paths


class EventKeeper:
    """One vehicle's events. ``withheld`` counts those seen while no purpose was granted."""

    def __init__(  # noqa: PLR0913 (doors, each by name)
        self,
        rules: Sequence[EventRule],
        *,
        files: EventFiles,
        clock: Clock,
        whose: Callable[[], str | None],
        holders: Callable[[], frozenset[str]],
        writes: PendingWrites,
    ) -> None:
        """Look for ``rules``; blocks.

        Args:
            rules: Names are unique.
            files: Where events are kept.
            clock: Both hands.
            whose: The driver for whom events are kept now; None: nobody who drives allows it.
            holders: Every driver who does: what was kept of somebody else does not stay.
            writes: Takes what has to be written.
        """
        self.capture = EventCapture(rules, keep=event_paths(rules).union(AROUND))
        self.withheld = 0
        self._conditions = {rule.name: rule.condition for rule in rules}
        self._files = files
        self._clock = clock
        self._boot_id = clock.boot_id()
        self._whose, self._holders = whose, holders
        self._watched = whose()
        self._kept_of: frozenset[str] | None = None  # None: nobody looked in this run
        self._writes = writes

    def take(self, changes: Sequence[Signal], now_s: float) -> None:
        """Take what changed up to ``now_s``; keep the events that are complete."""
        whose = self._whose()
        if whose != self._watched:  # what was read of one driver is in no event of another
            self._watched = whose
            self.capture.forget()
        for event in self.capture.step(changes, now_s):
            if whose is not None:
                stored = self._stored(event, now_s, whose)
                self._writes.add(partial(self._files.put, stored))
            else:
                self.withheld += 1

    def forget_withdrawn(self) -> None:
        """Delete the events of drivers who withdrew everything; a guest deletes nothing.

        The first time in a run, what an older release left is encrypted too.
        """
        holders = self._holders()
        if self._kept_of is None:
            self._writes.add(self._tidy)
        if holders != self._kept_of:
            self._kept_of = holders
            self._writes.add(partial(self._keep_of, holders))

    def _tidy(self) -> None:
        self._files.tidy()

    def _keep_of(self, holders: frozenset[str]) -> None:
        self._files.keep_of(holders)

    def counted(self) -> dict[str, int]:
        """Return how often each event was seen in this run, by name."""
        return dict(self.capture.fired)

    def _stored(self, event: Event, now_s: float, profile_id: str) -> StoredEvent:
        return StoredEvent(
            name=event.name,
            condition=self._conditions[event.name],
            at_utc=self._clock.utc_now() - timedelta(seconds=now_s - event.time_s),
            is_time_proven=self._clock.is_proven(),
            boot_id=self._boot_id,
            time_s=event.time_s,
            is_cut=event.is_cut,
            readings=tuple(
                EventReading(one.path, round(one.time_s - event.time_s, 3), one.value, one.quality)
                for one in event.readings
            ),
            profile_id=profile_id,
        )
