"""From signals to charge sessions: a state table, and what it adds up on the way. Pure.

A session lasts from plugged in to unplugged, over pauses, timers and energy that flows back. Not
every vehicle tells whether a cable is in: then a session ends ``settle_s`` after the last energy,
or when the vehicle drives. A sleeping vehicle is silent for hours; the session waits for it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from agent.signals import catalog
from agent.signals.model import Signal
from agent.vehicle.charge_session import NOTED, ChargeSession, Flow, SessionSums, Supply
from agent.vehicle.moves import Debounced, follow
from agent.vehicle.sums import Readings
from agent.vehicle.trip import STANDING_KM_H


class ChargeState(StrEnum):
    """Where a vehicle is in its charge session."""

    UNPLUGGED = "unplugged"  # no session
    PLUGGED = "plugged"  # connected, no energy has flowed yet
    CHARGING = "charging"
    DISCHARGING = "discharging"  # energy flows from the battery to the house or the grid
    PAUSED = "paused"  # energy has flowed and may flow again
    LOST = "lost"  # in a session, nothing is heard: the vehicle may sleep
    ENDED = "ended"  # the session is complete and waits to be taken


class ChargeEvent(StrEnum):
    """What the signals say, debounced."""

    CONNECTED = "connected"  # a cable, and no energy
    DISCONNECTED = "disconnected"  # no cable, or driving
    CHARGED = "charged"  # energy flows in
    DISCHARGED = "discharged"  # energy flows out through the cable
    SILENT = "silent"
    SETTLED = "settled"  # silent, or without energy where no cable is told, for too long
    FINISHED = "finished"  # the source of signals ended
    CLOSED = "closed"  # the ended session was taken


S, E = ChargeState, ChargeEvent

# fmt: off
TRANSITIONS: dict[ChargeState, dict[ChargeEvent, ChargeState]] = {
    S.UNPLUGGED:   {E.CONNECTED: S.PLUGGED, E.CHARGED: S.CHARGING, E.DISCHARGED: S.DISCHARGING},
    S.PLUGGED:     {E.CHARGED: S.CHARGING, E.DISCHARGED: S.DISCHARGING, E.SILENT: S.LOST,
                    E.DISCONNECTED: S.ENDED, E.FINISHED: S.ENDED, E.SETTLED: S.ENDED},
    S.CHARGING:    {E.CONNECTED: S.PAUSED, E.DISCHARGED: S.DISCHARGING, E.SILENT: S.LOST,
                    E.DISCONNECTED: S.ENDED, E.FINISHED: S.ENDED},
    S.DISCHARGING: {E.CONNECTED: S.PAUSED, E.CHARGED: S.CHARGING, E.SILENT: S.LOST,
                    E.DISCONNECTED: S.ENDED, E.FINISHED: S.ENDED},
    S.PAUSED:      {E.CHARGED: S.CHARGING, E.DISCHARGED: S.DISCHARGING, E.SILENT: S.LOST,
                    E.DISCONNECTED: S.ENDED, E.FINISHED: S.ENDED, E.SETTLED: S.ENDED},
    S.LOST:        {E.CONNECTED: S.PAUSED, E.CHARGED: S.CHARGING, E.DISCHARGED: S.DISCHARGING,
                    E.DISCONNECTED: S.ENDED, E.FINISHED: S.ENDED, E.SETTLED: S.ENDED},
    S.ENDED:       {E.CLOSED: S.UNPLUGGED},
}
# fmt: on
IN_SESSION: Final = frozenset({S.PLUGGED, S.CHARGING, S.DISCHARGING, S.PAUSED, S.LOST})
FLOWING: Final = frozenset({S.CHARGING, S.DISCHARGING})


def next_state(state: ChargeState, event: ChargeEvent) -> ChargeState:
    """Return the state after ``event``; raise ValueError if the table has no such move."""
    return follow(TRANSITIONS, state, event)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeConfig:
    """How long something has to last before it counts."""

    debounce_s: float = 2.0  # the charger's own relays bounce for about a second
    settle_s: float = 600.0  # no energy for this long, and no cable told: unplugged
    silent_s: float = 12 * 3600.0  # a timer may wait for the night
    hold_s: float = 2.0  # how long a last value is integrated when no new one comes


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """What the vehicle definition's states say now; None is "cannot tell"."""

    is_plugged: bool | None = None
    is_charging: bool | None = None
    is_discharging: bool | None = None  # to the house or the grid
    is_quick: bool | None = None  # DC


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeChange:
    """One move in the table. ``session`` is the complete session when ``state`` is ENDED."""

    event: ChargeEvent
    state: ChargeState
    time_s: float
    session: ChargeSession | None = None


# what flows while the signals say so: energy is counted from the first sign, states are debounced
_FLOWS: Final = {
    E.CONNECTED: Flow.PAUSED,
    E.CHARGED: Flow.CHARGING,
    E.DISCHARGED: Flow.DISCHARGING,
}
_FLOW_IN: Final = {
    S.CHARGING: Flow.CHARGING,
    S.DISCHARGING: Flow.DISCHARGING,
    S.LOST: Flow.UNHEARD,
}


class ChargeTracker:
    """Follows one vehicle through ``TRANSITIONS``; feed it every change of a signal.

    ``session()`` is the session under way as it would end now: what a restart hands to ``resume``.
    """

    def __init__(self, config: ChargeConfig, new_session_id: Callable[[], str]) -> None:
        """Start UNPLUGGED. ``new_session_id`` makes random ids, never from the vehicle."""
        self.state = ChargeState.UNPLUGGED
        self._config = config
        self._new_id = new_session_id
        self._readings = Readings(NOTED, config.hold_s)
        self._plug = Plug()
        self._said: Debounced[ChargeEvent] = Debounced()
        self._session_id = ""
        self._started_utc: datetime | None = None
        self._sums: SessionSums | None = None
        self._last_known: ChargeSession | None = None
        self._changes: list[ChargeChange] = []

    def session(self) -> ChargeSession | None:
        """Return the session under way; None outside of sessions."""
        if self._sums is None or self.state not in IN_SESSION:
            return None
        return self._sums.session(self._session_id, started_utc=self._started_utc)

    def resume(self, session: ChargeSession, time_s: float, *, gap_s: float | None) -> None:
        """Go on with a session that an earlier run left open; call it before the first ``step``.

        Args:
            session: As ``session`` returned it.
            time_s: Now, on the clock of the frames.
            gap_s: How long nobody listened; None if nothing proves it: it counts as nothing.
        """
        self._session_id, self._started_utc = session.session_id, session.started_utc
        self._sums = SessionSums(time_s, self._config.hold_s, self._readings, before=session)
        self._sums.unknown_s += max(0.0, gap_s or 0.0)
        self.state, self._said.entered_s = ChargeState.LOST, time_s
        self._last_known = self.session()

    def step(self, signals: Iterable[Signal], plug: Plug, time_s: float) -> list[ChargeChange]:
        """Take what changed up to ``time_s`` and what the states say from then on.

        Call it also without signals, at least every ``hold_s``: waiting is what ends a session.

        Returns:
            The moves, oldest first.
        """
        for signal in signals:
            self._advance(signal.time_s)  # whatever it tells: that it was heard ends a silence
            if signal.path in self._readings.now:
                self._readings.take(signal)
                if self._sums:
                    self._sums.note(signal.path, signal.value)
                self._observe(signal.time_s)
        self._advance(time_s)
        self._plug = plug
        self._observe(time_s)
        return self._take()

    def finish(self, time_s: float) -> list[ChargeChange]:
        """End the session under way because no more signals will come; return the moves."""
        self._advance(time_s)
        if ChargeEvent.FINISHED in TRANSITIONS[self.state]:
            self._move(ChargeEvent.FINISHED, time_s)
        return self._take()

    def _take(self) -> list[ChargeChange]:
        changes, self._changes = self._changes, []
        return changes

    def _advance(self, time_s: float) -> None:
        if self._sums:
            event = self._said.event
            held = _FLOW_IN.get(self.state, Flow.PAUSED)
            flow = _FLOWS.get(event, held) if event else held
            for instant_s in self._readings.instants(time_s):
                self._sums.advance(instant_s, flow, _supply_of(self._plug))
        self._said.rewind(time_s)

    def _observe(self, time_s: float) -> None:
        event = observe(
            self._plug, self._readings.now[catalog.SPEED], is_in_session=self.state in IN_SESSION
        )
        if self._said.is_new(event, time_s):
            self._prepare(event, time_s)
        is_legal = event is not None and event in TRANSITIONS[self.state]
        if event and is_legal and self._said.has_lasted(self._config.debounce_s, time_s):
            self._move(event, time_s)
        elif self._has_settled(time_s):
            self._move(ChargeEvent.SETTLED, time_s)

    def _prepare(self, event: ChargeEvent | None, time_s: float) -> None:
        """Add up from the first sign of a session; keep the sums at the first sign of its end."""
        if self.state not in IN_SESSION:
            is_start = event in _FLOWS
            self._sums = (
                SessionSums(time_s, self._config.hold_s, self._readings) if is_start else None
            )
            self._last_known = None
        elif event in (ChargeEvent.DISCONNECTED, ChargeEvent.SILENT):
            self._last_known = self._last_known or self.session()
        elif event is not None:
            self._last_known = None

    def _has_settled(self, time_s: float) -> bool:
        waited_s = self._said.waited_s(time_s)
        if self.state is S.LOST:
            return waited_s >= self._config.silent_s
        is_guess = self._plug.is_plugged is None and self.state in (S.PAUSED, S.PLUGGED)
        return is_guess and waited_s >= self._config.settle_s

    def _move(self, event: ChargeEvent, time_s: float) -> None:
        before, self.state = self.state, next_state(self.state, event)
        self._said.entered_s = time_s
        if before is S.UNPLUGGED:
            self._session_id, self._started_utc = self._new_id(), None
        if self.state is S.PAUSED and before in FLOWING and self._sums:
            self._sums.pauses += 1
        is_ended = self.state is S.ENDED
        session = self._ended_session() if is_ended else None
        self._changes.append(
            ChargeChange(event=event, state=self.state, time_s=time_s, session=session)
        )
        if is_ended:
            self._move(ChargeEvent.CLOSED, time_s)

    def _ended_session(self) -> ChargeSession | None:
        known = self._last_known or (
            self._sums.session(self._session_id, started_utc=self._started_utc)
            if self._sums
            else None
        )
        self._sums = self._last_known = self._said.event = None
        return known


def observe(plug: Plug, speed_km_h: float | None, *, is_in_session: bool) -> ChargeEvent | None:
    """Return what the states say now; None if they say nothing that concerns a session."""
    if speed_km_h is not None and abs(speed_km_h) > STANDING_KM_H:
        return E.DISCONNECTED if is_in_session else None  # nothing drives at a cable
    if plug.is_discharging:
        return E.DISCHARGED
    if plug.is_charging:
        return E.CHARGED
    if plug.is_plugged is not None:
        return E.CONNECTED if plug.is_plugged else E.DISCONNECTED
    if plug.is_charging is None:
        return E.SILENT
    return E.CONNECTED if is_in_session else None  # no energy, and no cable told: it may go on


def _supply_of(plug: Plug) -> Supply:
    if plug.is_quick is None:
        return Supply.UNKNOWN
    return Supply.DC if plug.is_quick else Supply.AC
