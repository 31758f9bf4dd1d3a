"""Drives the battery watch, the charge tracker and the events, and keeps what they find.

Signals come in on the event loop and never wait for the disk; what has to be kept is handed to a
thread by ``run``. The battery's history needs no consent and never leaves.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from agent.signals.model import Signal
from agent.signals.table import VehicleTable
from agent.store.battery import BatteryHistory, DayFigure
from agent.store.events import EventFiles
from agent.store.sessions import Sessions
from agent.vehicle.battery.alerts import Alert, AlertChange, Step
from agent.vehicle.battery.memory import Kind, Measurement, Outcome, facts_of
from agent.vehicle.battery.rules import RULES, Code, Rule
from agent.vehicle.battery.watch import WATCH_PATHS, BatteryWatch
from agent.vehicle.capture import EventRule
from agent.vehicle.charge import ChargeConfig
from agent.vehicle.charge_session import CHARGE_PATHS, ChargeSession, Supply
from agent.watch.charges import ChargeKeeper, Clock
from agent.watch.events import AROUND, EventKeeper
from agent.watch.memory import encode, memory_of, read_stored
from agent.watch.pending import PendingWrites

log: Final = logging.getLogger(__name__)

KEPT_PATHS: Final = tuple(sorted({*WATCH_PATHS, *CHARGE_PATHS}))
_MEMORY: Final = "watch"
_FLUSH_S: Final = 2.0
_SAVE_EVERY_S: Final = 300.0  # an open charge session and the memory, at the latest
_BEFORE_S: Final = 10.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One alert as a screen or a command shows it."""

    alert: Alert
    is_acknowledged: bool


class Keeper:
    """One vehicle's watch and charge tracker; ``run`` it in a TaskGroup.

    ``take`` and ``finish`` are called on the event loop with every batch of changes.
    """

    def __init__(  # noqa: PLR0913 (doors, each by name)
        self,
        table: VehicleTable,
        latest: Mapping[str, Signal],
        *,
        history: BatteryHistory,
        sessions: Sessions,
        clock: Clock,
        may_record: Callable[[], bool],
        whose: Callable[[], str | None],
        holders: Callable[[], frozenset[str]],
        new_session_id: Callable[[], str],
        on_change: Callable[[], None],
        event_files: EventFiles,
        rules: Mapping[Code, Rule] = RULES,
        events: Sequence[EventRule] = (),
        charge: ChargeConfig | None = None,
    ) -> None:
        """Go on where the last run ended; blocks.

        Args:
            table: The vehicle's definition: its states say what is plugged and charging.
            latest: The decoder's present; read, never changed.
            history: The battery's own file.
            sessions: Charge sessions in the state file.
            clock: Wall time and whether it is proven.
            may_record: Whether who drives granted a purpose: without it no session is kept.
            whose: The driver for whom events are kept now; None: nobody who drives allows it.
            holders: Every driver who does: no event of anybody else stays.
            new_session_id: Makes a random id.
            on_change: Called when an alert or a session changed; must not block.
            event_files: Where events are kept.
            rules: Thresholds.
            events: Moments to capture.
            charge: How long things last before they count.
        """
        stored = read_stored(history.recall(_MEMORY))
        self.watch = BatteryWatch(facts_of(table), memory_of(stored), rules)
        self._writes = PendingWrites()
        self._charges = ChargeKeeper(
            table,
            latest,
            sessions=sessions,
            clock=clock,
            may_record=may_record,
            new_session_id=new_session_id,
            writes=self._writes,
            config=charge,
        )
        self._events = EventKeeper(
            events,
            files=event_files,
            clock=clock,
            whose=whose,
            holders=holders,
            writes=self._writes,
        )
        self._acknowledged = set(stored.acknowledged)
        self._history = history
        self._writes.add(lambda: _seal_plain(sessions))
        self._clock = clock
        self._on_change = on_change
        self._saved_s = clock.monotonic_s()

    def events(self) -> dict[str, int]:
        """Return how often each event was seen in this run, by name."""
        return self._events.counted()

    @property
    def dropped(self) -> int:
        """Return what was found and never stored: the disk took nothing for too long."""
        return self._writes.dropped

    # -- on the event loop ---------------------------------------------------------------------

    def take(self, changes: Sequence[Signal], now_s: float) -> None:
        """Take what changed up to ``now_s``, on the clock of the frames."""
        utc = self._clock.utc_now()
        proven = utc if self._clock.is_proven() else None
        day = (utc - _EPOCH).days
        self._events.take(changes, now_s)
        self._keep(self.watch.step(changes, now_s, utc=proven, day=day), utc, now_s)
        self._note_ended(self._charges.follow(changes, now_s), now_s, utc, day)

    def finish(self, now_s: float) -> None:
        """End the charge session under way: the recording ended, no more signals will come."""
        utc = self._clock.utc_now()
        self._note_ended(self._charges.finish(now_s), now_s, utc, (utc - _EPOCH).days)

    def alerts(self) -> tuple[Shown, ...]:
        """Return the alerts that are raised, most severe first."""
        return tuple(
            Shown(alert=alert, is_acknowledged=alert.code in self._acknowledged)
            for alert in self.watch.active
        )

    def figures(self) -> list[DayFigure]:
        """Return health and capacity by day, oldest first. Blocks; raises StoreError."""
        return [
            figure
            for kind in (Kind.HEALTH, Kind.CAPACITY)
            for figure in self._history.figures(kind)
        ]

    def acknowledge(self, code: Code) -> bool:
        """Put an alert away until it is told again; return whether it was raised."""
        if all(shown.alert.code is not code for shown in self.alerts()):
            return False
        self._acknowledged.add(code)
        self._save_memory()
        self._on_change()
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Store what was found until ``stop``, and then what is still open."""
        while not stop.is_set():
            self._events.forget_withdrawn()
            await self._writes.flush()
            try:
                async with asyncio.timeout(_FLUSH_S):
                    await stop.wait()
            except TimeoutError:
                self._save_now_and_then()
        self._events.forget_withdrawn()
        self._save_memory()
        self._charges.save_open()
        await self._writes.flush()
        await asyncio.to_thread(self._history.close)

    def _note_ended(
        self, ended: Sequence[ChargeSession], now_s: float, utc: datetime, day: int
    ) -> None:
        for session in ended:
            if session.supply is Supply.DC:
                outcome = self.watch.note_quick_charge(session.cell_temp_max_c, now_s, day=day)
                self._keep(outcome, utc, now_s)
            self._on_change()

    # -- the battery ---------------------------------------------------------------------------

    def _keep(self, outcome: Outcome, utc: datetime, now_s: float) -> None:
        for measured in outcome.measurements:
            self._writes.add(self._adding(measured, utc))
        for change in outcome.changes:
            self._keep_change(change, utc, now_s)
        if outcome.changes:
            self._save_memory()
            self._on_change()

    def _adding(self, measured: Measurement, utc: datetime) -> Callable[[], None]:
        return lambda: self._history.add(
            utc.date(), measured.kind, measured.value, place=measured.where
        )

    def _keep_change(self, change: AlertChange, utc: datetime, now_s: float) -> None:
        alert = change.alert
        log.warning(
            "battery_alert",
            extra={"code": alert.code, "step": change.step, "severity": alert.severity},
        )
        if change.step is Step.CLEARED:
            self._acknowledged.discard(alert.code)
            self._writes.add(lambda: self._history.clear_alert(alert.code, now_utc=utc))
            return
        if change.is_told:
            self._acknowledged.discard(alert.code)
        event = self._events.capture.freeze(alert.code, now_s, before_s=_BEFORE_S)
        readings = [
            (s.path, round(s.time_s - now_s, 3), s.value, s.quality)
            for s in event.readings
            if s.path in AROUND
        ]
        body = msgspec.json.encode(alert).decode()
        around = msgspec.json.encode(readings[-1_000:]).decode()
        self._writes.add(
            lambda: self._history.raise_alert(
                code=alert.code, severity=alert.severity, now_utc=utc, body=body, event=around
            )
        )

    def _save_now_and_then(self) -> None:
        if self._clock.monotonic_s() - self._saved_s >= _SAVE_EVERY_S:
            self._saved_s = self._clock.monotonic_s()
            self._save_memory()
            self._charges.save_open()

    def _save_memory(self) -> None:
        body = encode(self.watch.memory, self._acknowledged)
        self._writes.add(lambda: self._history.remember(_MEMORY, body))


def _seal_plain(sessions: Sessions) -> None:
    """Encrypt what an older release stored as it was."""
    sessions.seal_plain()
