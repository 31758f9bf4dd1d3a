"""Follows charge sessions and keeps them: only under consent, for they tell when a vehicle stood.

An open session is saved now and then; after a restart the next run goes on with it.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from agent.signals.model import Signal
from agent.signals.states import holds
from agent.signals.table import Condition, VehicleTable
from agent.store.sessions import SessionRow, Sessions
from agent.vehicle.charge import (
    IN_SESSION,
    ChargeChange,
    ChargeConfig,
    ChargeTracker,
    Plug,
)
from agent.vehicle.charge_session import ChargeSession
from agent.vehicle.predicates import evaluate
from agent.watch.pending import PendingWrites

log: Final = logging.getLogger(__name__)
_CABLE_STATES: Final = ("plugged", "charging", "v2x", "quick_charging")


class Clock(Protocol):
    """Both hands, which boot the second belongs to, and whether anybody proves the first."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""

    def boot_id(self) -> str:
        """Return the id of this boot."""

    def is_proven(self) -> bool:
        """Return whether wall time is synchronised with a source that is trusted."""


class ChargeKeeper:
    """One vehicle's charge tracker and its sessions on the disk."""

    def __init__(  # noqa: PLR0913 (doors, each by name)
        self,
        table: VehicleTable,
        latest: Mapping[str, Signal],
        *,
        sessions: Sessions,
        clock: Clock,
        may_record: Callable[[], bool],
        new_session_id: Callable[[], str],
        writes: PendingWrites,
        config: ChargeConfig | None = None,
    ) -> None:
        """Look for a session that the last run left open; blocks.

        Args:
            table: The vehicle's definition: its states say what is plugged and charging.
            latest: The decoder's present; read once.
            sessions: Where sessions are kept.
            clock: Both hands.
            may_record: Whether a purpose is granted: without it no session is kept.
            new_session_id: Makes a random id.
            writes: Takes what has to be written.
            config: How long things last before they count.
        """
        self.tracker = ChargeTracker(config or ChargeConfig(), new_session_id)
        self._sessions = sessions
        self._clock = clock
        self._boot_id = clock.boot_id()
        self._may_record = may_record
        self._writes = writes
        self._left_open = _left_open(sessions)
        self._resumed: ChargeSession | None = None
        self._started_s: float | None = None  # of the session under way, on the monotonic clock
        self._cable = Cable(table, latest)

    def follow(self, changes: Sequence[Signal], now_s: float) -> list[ChargeSession]:
        """Take what changed up to ``now_s``; return the sessions that ended with energy."""
        if self._left_open:
            self._resume(*self._left_open, now_s)
        moves = []
        for signals, plug, until_s in self._cable.parts(changes, now_s):
            moves += self.tracker.step(signals, plug, until_s)
        return self._handle(moves)

    def finish(self, now_s: float) -> list[ChargeSession]:
        """End the session under way: the source of signals ended."""
        return self._handle(self.tracker.finish(now_s))

    def save_open(self) -> None:
        """Save the session under way, so that a restart can go on with it."""
        session = self.tracker.session()
        if session and session.has_energy:
            self._put(self._dated(session), is_open=True)

    def _handle(self, changes: Sequence[ChargeChange]) -> list[ChargeSession]:
        ended = []
        for change in changes:
            log.info("charge_state", extra={"state": change.state, "charge_event": change.event})
            if change.session:
                ended.append(self._end(change.session))
            elif change.state in IN_SESSION:
                self._started_s = self._started_s or self._clock.monotonic_s()
                self.save_open()
        return [session for session in ended if session.has_energy]

    def _end(self, session: ChargeSession) -> ChargeSession:
        dated = self._dated(session)
        self._started_s = self._resumed = None
        if session.has_energy:
            self._put(dated, is_open=False)
        return dated

    def _dated(self, session: ChargeSession) -> ChargeSession:
        """Return ``session`` with its start in wall time: the clock may have been proven since."""
        clock, first = self._clock, self._resumed
        if first and first.started_utc:
            started, is_proven = first.started_utc, first.is_time_proven
        else:
            now_s = clock.monotonic_s()
            elapsed_s = now_s - (now_s if self._started_s is None else self._started_s)
            started, is_proven = clock.utc_now() - timedelta(seconds=elapsed_s), clock.is_proven()
        return dataclasses.replace(
            session, started_utc=started, is_time_proven=is_proven, boot_id=self._boot_id
        )

    def _put(self, session: ChargeSession, *, is_open: bool) -> None:
        if not self._may_record():
            return
        row = SessionRow(
            session_id=session.session_id,
            summary=msgspec.json.encode(session).decode(),
            created_utc=self._clock.utc_now(),
            is_open=is_open,
        )
        self._writes.add(lambda: self._sessions.put(row))

    def _resume(self, session: ChargeSession, saved: datetime, now_s: float) -> None:
        self._left_open, self._resumed = None, session
        self.tracker.resume(session, now_s, gap_s=self._gap_s(session, saved, now_s))

    def _gap_s(self, session: ChargeSession, saved: datetime, now_s: float) -> float | None:
        """Return how long nobody listened: proven on both sides, or within one boot; else None."""
        if session.is_time_proven and self._clock.is_proven():
            return (self._clock.utc_now() - saved).total_seconds()
        if session.boot_id == self._boot_id and now_s >= session.ended_s:
            return now_s - session.ended_s
        return None


class Cable:
    """What the definition's states say about the cable, at every instant of a batch."""

    def __init__(self, table: VehicleTable, latest: Mapping[str, Signal]) -> None:
        """Start from ``latest``, which is read once."""
        self._table = table
        self._latest = dict(latest)
        self._conditions: dict[str, list[Condition]] = {}
        for name in _CABLE_STATES:
            for row in table.states.get(name, ()):
                for condition in row:
                    self._conditions.setdefault(condition.path, []).append(condition)
        self._answers: dict[str, list[bool | None]] = {}
        self.plug = plug_of(table, self._latest)

    def parts(
        self, changes: Sequence[Signal], now_s: float
    ) -> Iterator[tuple[Sequence[Signal], Plug, float]]:
        """Yield ``changes`` cut where the cable changes: signals, plug and instant of each end."""
        start = 0
        for place, signal in enumerate(changes, start=1):
            if signal.path in self._conditions and self._is_other(signal):
                yield changes[start:place], self.plug, signal.time_s
                start = place
        yield changes[start:], self.plug, now_s

    def _is_other(self, signal: Signal) -> bool:
        self._latest[signal.path] = signal
        answers = [holds(condition, signal) for condition in self._conditions[signal.path]]
        if answers == self._answers.get(signal.path):  # a current that flows changes nothing
            return False
        self._answers[signal.path] = answers
        before, self.plug = self.plug, plug_of(self._table, self._latest)
        return self.plug != before


def plug_of(table: VehicleTable, latest: Mapping[str, Signal]) -> Plug:
    """Return what the definition's states say about the cable."""
    answers = evaluate(table.states, latest)
    return Plug(
        is_plugged=answers.get("plugged"),
        is_charging=answers.get("charging"),
        is_discharging=answers.get("v2x"),
        is_quick=answers.get("quick_charging"),
    )


def _left_open(sessions: Sessions) -> tuple[ChargeSession, datetime] | None:
    row = sessions.open_session()
    if row is None:
        return None
    try:
        return msgspec.json.decode(row.summary, type=ChargeSession), row.created_utc
    except msgspec.DecodeError:
        log.warning("open_session_unreadable", extra={"session": row.session_id})
        return None
