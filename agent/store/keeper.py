"""Drives the battery watch and the charge tracker, and keeps what they find.

Signals come in on the event loop and never wait for the disk; what has to be kept is handed to a
thread by ``run``. The battery's history needs no consent and never leaves; charge sessions tell
when a vehicle stood at a cable, so they are kept under the same rule as trips.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from agent.signals import catalog
from agent.signals.model import Signal
from agent.signals.table import VehicleTable
from agent.store.battery import BatteryHistory, DayFigure
from agent.store.database import StoreError
from agent.store.sessions import SessionRow, Sessions
from agent.vehicle.battery.alerts import Alert, AlertChange, Step
from agent.vehicle.battery.resistance import Baseline, Bin
from agent.vehicle.battery.rules import RULES, Code, Rule
from agent.vehicle.battery.watch import (
    WATCH_PATHS,
    BatteryWatch,
    Facts,
    Kind,
    Measurement,
    Memory,
    Outcome,
    Rest,
)
from agent.vehicle.capture import EventCapture
from agent.vehicle.charge import (
    CHARGE_PATHS,
    ChargeConfig,
    ChargeSession,
    ChargeTracker,
    Plug,
    Supply,
)
from agent.vehicle.predicates import evaluate

log: Final = logging.getLogger(__name__)

KEPT_PATHS: Final = tuple(sorted({*WATCH_PATHS, *CHARGE_PATHS}))
_MEMORY: Final = "watch"
_FLUSH_S: Final = 2.0
_SAVE_EVERY_S: Final = 300.0  # an open charge session and the memory, at the latest
_PLUG_EVERY_S: Final = 0.2
_BEFORE_S: Final = 10.0
_MAX_PENDING: Final = 10_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# what is frozen around an alert
_AROUND: Final = (catalog.PACK_VOLTAGE, catalog.PACK_CURRENT, catalog.SOC, catalog.SPEED)


class Clock(Protocol):
    """Wall time, and whether anybody proves it."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""

    def is_proven(self) -> bool:
        """Return whether wall time is synchronised with a source that is trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One alert as a screen or a command shows it."""

    alert: Alert
    is_acknowledged: bool


class _StoredBaseline(msgspec.Struct, array_like=True, frozen=True):
    temperature_c: int
    charge_percent: int
    mean_ohm: float
    windows: int


class _Stored(msgspec.Struct, kw_only=True):
    """The memory of the watch as it lies on the disk."""

    baselines: list[_StoredBaseline] = []
    told_days: dict[Code, int] = {}
    suspect_days: dict[Code, int] = {}
    hot_charge_days: list[int] = []
    alerts: list[Alert] = []
    acknowledged: list[Code] = []
    rest_v: float | None = None
    rest: Rest | None = None


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
        new_session_id: Callable[[], str],
        on_change: Callable[[], None],
        rules: Mapping[Code, Rule] = RULES,
        charge: ChargeConfig | None = None,
    ) -> None:
        """Go on where the last run ended; blocks.

        Args:
            table: The vehicle's definition: its states say what is plugged and charging.
            latest: The decoder's present; read, never changed.
            history: The battery's own file.
            sessions: Charge sessions in the state file.
            clock: Wall time and whether it is proven.
            may_record: Whether a purpose is granted: without it no session is kept.
            new_session_id: Makes a random id.
            on_change: Called when an alert or a session changed; must not block.
            rules: Thresholds.
            charge: How long things last before they count.
        """
        stored = _read(history.recall(_MEMORY))
        self.watch = BatteryWatch(facts_of(table), _memory_of(stored), rules)
        self.tracker = ChargeTracker(charge or ChargeConfig(), new_session_id)
        self._capture = EventCapture((), keep=_AROUND)
        self._acknowledged = set(stored.acknowledged)
        self._table = table
        self._latest = latest
        self._history = history
        self._sessions = sessions
        self._clock = clock
        self._may_record = may_record
        self._on_change = on_change
        self._left_open = self._open_session()
        self._plug, self._plug_s = Plug(), float("-inf")
        self._pending: list[Callable[[], None]] = []
        self._wake = asyncio.Event()
        self._saved_s = clock.monotonic_s()
        self.dropped = 0  # found, but never stored: the disk took nothing for too long

    # -- on the event loop ---------------------------------------------------------------------

    def take(self, changes: Sequence[Signal], now_s: float) -> None:
        """Take what changed up to ``now_s``, on the clock of the frames."""
        utc = self._clock.utc_now()
        proven = utc if self._clock.is_proven() else None
        day = (utc - _EPOCH).days
        self._capture.step(changes, now_s)
        self._keep(self.watch.step(changes, now_s, utc=proven, day=day), utc, now_s)
        if self._left_open:
            self._resume(self._left_open, now_s, proven)
        self._follow(changes, now_s, utc, day)

    def finish(self, now_s: float) -> None:
        """End the charge session under way: the recording ended, no more signals will come."""
        for change in self.tracker.finish(now_s):
            if change.session:
                self._end(change.session, self._clock.utc_now())

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
            await self._flush()
            try:
                async with asyncio.timeout(_FLUSH_S):
                    await stop.wait()
            except TimeoutError:
                self._save_now_and_then()
        self._save_memory()
        self._save_open()
        await self._flush()
        await asyncio.to_thread(self._history.close)

    # -- charge sessions -----------------------------------------------------------------------

    def _follow(self, changes: Sequence[Signal], now_s: float, utc: datetime, day: int) -> None:
        if not 0 <= now_s - self._plug_s < _PLUG_EVERY_S:
            self._plug, self._plug_s = plug_of(self._table, self._latest), now_s
        for change in self.tracker.step(changes, self._plug, now_s):
            log.info("charge_state", extra={"state": change.state, "charge_event": change.event})
            if change.session:
                self._end(change.session, utc)
                self._note_heat(change.session, now_s, day, utc)
            else:
                self._save_open()

    def _end(self, session: ChargeSession, utc: datetime) -> None:
        if self._may_record() and session.has_energy:
            self._put(session, utc, is_open=False)
        self._on_change()

    def _note_heat(self, session: ChargeSession, now_s: float, day: int, utc: datetime) -> None:
        if session.supply is Supply.DC and session.has_energy:
            outcome = self.watch.note_quick_charge(session.cell_temp_max_c, now_s, day=day)
            self._keep(outcome, utc, now_s)

    def _save_open(self) -> None:
        session = self.tracker.session()
        if session and session.has_energy and self._may_record():
            self._put(session, self._clock.utc_now(), is_open=True)

    def _put(self, session: ChargeSession, utc: datetime, *, is_open: bool) -> None:
        started = session.started_utc or utc
        row = SessionRow(
            session_id=session.session_id,
            summary=msgspec.json.encode(dataclasses.replace(session, started_utc=started)).decode(),
            created_utc=utc,
            is_open=is_open,
        )
        self._later(lambda: self._sessions.put(row))

    def _open_session(self) -> tuple[ChargeSession, datetime] | None:
        row = self._sessions.open_session()
        if row is None:
            return None
        try:
            return msgspec.json.decode(row.summary, type=ChargeSession), row.created_utc
        except msgspec.DecodeError:
            log.warning("open_session_unreadable", extra={"session": row.session_id})
            return None

    def _resume(
        self, left: tuple[ChargeSession, datetime], now_s: float, proven: datetime | None
    ) -> None:
        session, saved = left
        gap_s = (proven - saved).total_seconds() if proven else None
        self.tracker.resume(session, now_s, gap_s=gap_s)
        self._left_open = None

    # -- the battery ---------------------------------------------------------------------------

    def _keep(self, outcome: Outcome, utc: datetime, now_s: float) -> None:
        for measured in outcome.measurements:
            self._later(self._adding(measured, utc))
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
            self._later(lambda: self._history.clear_alert(alert.code, now_utc=utc))
            return
        if change.is_told:
            self._acknowledged.discard(alert.code)
        event = self._capture.freeze(alert.code, now_s, before_s=_BEFORE_S)
        readings = [
            (s.path, round(s.time_s - now_s, 3), s.value, s.quality) for s in event.readings
        ]
        body = msgspec.json.encode(alert).decode()
        around = msgspec.json.encode(readings[-1_000:]).decode()
        self._later(
            lambda: self._history.raise_alert(
                code=alert.code, severity=alert.severity, now_utc=utc, body=body, event=around
            )
        )

    def _save_now_and_then(self) -> None:
        if self._clock.monotonic_s() - self._saved_s >= _SAVE_EVERY_S:
            self._saved_s = self._clock.monotonic_s()
            self._save_memory()
            self._save_open()

    def _save_memory(self) -> None:
        memory = self.watch.memory
        stored = _Stored(
            baselines=[
                _StoredBaseline(b.temperature_c, b.charge_percent, line.mean_ohm, line.windows)
                for b, line in memory.baselines.items()
            ],
            told_days=memory.told_days,
            suspect_days=memory.suspect_days,
            hot_charge_days=memory.hot_charge_days,
            alerts=memory.alerts,
            acknowledged=sorted(self._acknowledged),
            rest_v=memory.rest_v,
            rest=memory.rest,
        )
        body = msgspec.json.encode(stored).decode()
        self._later(lambda: self._history.remember(_MEMORY, body))

    # -- the disk ------------------------------------------------------------------------------

    def _later(self, act: Callable[[], None]) -> None:
        if len(self._pending) >= _MAX_PENDING:
            self.dropped += 1
            return
        self._pending.append(act)

    async def _flush(self) -> None:
        todo, self._pending = self._pending, []
        if not todo:
            return
        done = await asyncio.to_thread(_act, todo)
        self._pending = todo[done:] + self._pending


def _act(todo: Sequence[Callable[[], None]]) -> int:
    """Do what has to be done, in order; return how much of it the disk took."""
    for done, act in enumerate(todo):
        try:
            act()
        except StoreError as error:
            log.error("battery_not_stored", extra={"code": error.code})  # noqa: TRY400 (one line)
            return done
    return len(todo)


def facts_of(table: VehicleTable) -> Facts:
    """Return what the definition says about judging this vehicle."""
    checked = frozenset(
        signal.path for frame in table.frames if frame.check for signal in frame.signals
    )
    kind = table.name.rpartition("-")[2]
    return Facts(is_ze0=kind == "ze0", is_first_generation=kind in {"ze0", "aze0"}, checked=checked)


def plug_of(table: VehicleTable, latest: Mapping[str, Signal]) -> Plug:
    """Return what the definition's states say about the cable."""
    answers = evaluate(table.states, latest)
    return Plug(
        is_plugged=answers.get("plugged"),
        is_charging=answers.get("charging"),
        is_discharging=answers.get("v2x"),
        is_quick=answers.get("quick_charging"),
    )


def _read(body: str | None) -> _Stored:
    try:
        return msgspec.json.decode(body, type=_Stored) if body else _Stored()
    except msgspec.DecodeError:
        log.warning("battery_memory_unreadable")
        return _Stored()  # at worst an alert is told again, and baselines are measured anew


def _memory_of(stored: _Stored) -> Memory:
    return Memory(
        baselines={
            Bin(one.temperature_c, one.charge_percent): Baseline(one.mean_ohm, one.windows)
            for one in stored.baselines
        },
        told_days=stored.told_days,
        suspect_days=stored.suspect_days,
        hot_charge_days=stored.hot_charge_days,
        alerts=stored.alerts,
        rest_v=stored.rest_v,
        rest=stored.rest,
    )
