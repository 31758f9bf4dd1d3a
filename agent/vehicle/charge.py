"""From signals to charge sessions: a state table, and what it adds up on the way. Pure.

A session lasts from plugged in to unplugged, over pauses, timers and energy that flows back. Not
every vehicle tells whether a cable is in: then a session ends ``settle_s`` after the last energy,
or when the vehicle drives. A sleeping vehicle is silent for hours; the session waits for it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from agent.signals import catalog
from agent.signals.model import Signal
from agent.vehicle.sums import EnergySum, Extremes
from agent.vehicle.trip import STANDING_KM_H

QUARTER_S: Final = 900.0
MAX_QUARTERS: Final = 4 * 24 * 7  # a week at the cable; later energy counts in the last one


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
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        legal = ", ".join(TRANSITIONS[state])
        raise ValueError(f"{state}: expected one of {legal}, got {event}") from None


class Supply(StrEnum):
    """Through which plug the energy came."""

    AC = "ac"
    DC = "dc"
    UNKNOWN = "unknown"


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
class ChargeSession:
    """One charge session. ``_s`` instants are on the clock of the frames.

    Energy is what the battery took (``in``) and gave (``out``); ``charger_wh`` is what the charger
    said it delivered, 0 if it says nothing. ``quarters_wh``: net energy into the battery in each
    quarter of an hour since the start. ``charging_s`` and ``paused_s`` are the times with and
    without energy; ``unknown_s`` is the time nobody listened, ``restarts`` how often the agent was
    restarted meanwhile.
    """

    session_id: str
    started_s: float
    ended_s: float
    started_utc: datetime | None = None
    is_time_proven: bool = False  # somebody vouched for the wall clock
    boot_id: str = ""  # whose monotonic clock the instants of a live bus belong to
    supply: Supply = Supply.UNKNOWN
    duration_s: float = 0.0
    charging_s: float = 0.0
    discharging_s: float = 0.0
    paused_s: float = 0.0
    pauses: int = 0
    unknown_s: float = 0.0
    restarts: int = 0
    energy_in_wh: float = 0.0
    energy_out_wh: float = 0.0
    energy_error_wh: float = 0.0
    charger_wh: float = 0.0
    quarters_wh: tuple[float, ...] = ()
    soc_start_percent: float | None = None
    soc_end_percent: float | None = None
    max_power_w: float = 0.0  # into the battery
    cell_temp_min_c: float | None = None
    cell_temp_max_c: float | None = None
    ambient_c: float | None = None

    @property
    def has_energy(self) -> bool:
        """Whether any energy flowed: a cable alone is no charge."""
        return self.charging_s > 0 or self.discharging_s > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeChange:
    """One move in the table. ``session`` is the complete session when ``state`` is ENDED."""

    event: ChargeEvent
    state: ChargeState
    time_s: float
    session: ChargeSession | None = None


_NOTED: Final = (
    catalog.PACK_POWER,
    catalog.PACK_VOLTAGE,
    catalog.SOC,
    catalog.CHARGER_POWER,
    catalog.CELL_TEMPERATURE_MIN,
    catalog.CELL_TEMPERATURE_MAX,
    catalog.AMBIENT,
    catalog.SPEED,
)
# the paths a decoder has to yield for the tracker, as far as the vehicle tells them
CHARGE_PATHS: Final = tuple(sorted(_NOTED))


@dataclass(slots=True)
class _Sums:
    """What a session adds up; ``before`` is what an earlier run of the agent had added up."""

    start_s: float
    hold_s: float
    readings: dict[str, float | None]
    before: ChargeSession | None = None
    now_s: float = 0.0
    energy: EnergySum = field(default_factory=EnergySum)
    charger_wh: float = 0.0
    quarters: list[float] = field(default_factory=list)
    times: dict[ChargeState, float] = field(default_factory=dict)
    unknown_s: float = 0.0
    pauses: int = 0
    supplies: dict[Supply, float] = field(default_factory=dict)
    soc_first: float | None = None
    soc_last: float | None = None
    max_power_w: float = 0.0
    cells: Extremes = field(default_factory=Extremes)
    ambient: Extremes = field(default_factory=Extremes)

    def __post_init__(self) -> None:
        self.now_s = self.start_s
        if self.before:
            self._take_over(self.before)
        self.soc_first = self.soc_first if self.before else self.readings[catalog.SOC]
        for path, value in self.readings.items():
            self.note(path, value)

    def _take_over(self, before: ChargeSession) -> None:
        self.energy.in_wh, self.energy.out_wh = before.energy_in_wh, before.energy_out_wh
        self.energy.error_wh, self.charger_wh = before.energy_error_wh, before.charger_wh
        self.quarters = list(before.quarters_wh)
        self.times = {
            S.CHARGING: before.charging_s,
            S.DISCHARGING: before.discharging_s,
            S.PAUSED: before.paused_s,
        }
        self.unknown_s, self.pauses = before.unknown_s, before.pauses
        self.supplies = {before.supply: 1.0}
        self.soc_first, self.soc_last = before.soc_start_percent, before.soc_end_percent
        self.max_power_w = before.max_power_w
        for value in (before.cell_temp_min_c, before.cell_temp_max_c):
            self.cells.note(value)

    def note(self, path: str, value: float | None) -> None:
        """Take a reading that just came."""
        if value is None:
            return
        if path == catalog.SOC:
            self.soc_first = value if self.soc_first is None else self.soc_first
            self.soc_last = value
        elif path == catalog.PACK_POWER:
            self.max_power_w = max(self.max_power_w, value)
        elif path in (catalog.CELL_TEMPERATURE_MIN, catalog.CELL_TEMPERATURE_MAX):
            self.cells.note(value)
        elif path == catalog.AMBIENT:
            self.ambient.note(value)

    def advance(self, time_s: float, state: ChargeState, supply: Supply) -> None:
        """Integrate up to ``time_s``; a clock that goes back starts from there, adding nothing."""
        step_s, self.now_s = time_s - self.now_s, time_s
        if step_s <= 0:
            return
        if step_s > self.hold_s or state is S.LOST:
            self.unknown_s += step_s
            return
        kept = state if state in FLOWING else S.PAUSED
        self.times[kept] = self.times.get(kept, 0.0) + step_s
        self.ambient.hold(self.readings[catalog.AMBIENT], step_s)
        if state in FLOWING:
            self._add_energy(step_s, supply)

    def _add_energy(self, step_s: float, supply: Supply) -> None:
        power_w = self.readings[catalog.PACK_POWER] or 0.0
        self.energy.add(power_w, self.readings[catalog.PACK_VOLTAGE], step_s)
        self.charger_wh += (self.readings[catalog.CHARGER_POWER] or 0.0) * step_s / 3.6
        self.supplies[supply] = self.supplies.get(supply, 0.0) + step_s
        elapsed_s = sum(self.times.values()) + self.unknown_s
        quarter = min(int(elapsed_s / QUARTER_S), MAX_QUARTERS - 1)
        self.quarters += [0.0] * (quarter + 1 - len(self.quarters))
        self.quarters[quarter] += power_w * step_s / 3600

    def session(self, session_id: str, *, started_utc: datetime | None) -> ChargeSession:
        """Return the sums as a session that ends now."""
        before = self.before
        return ChargeSession(
            session_id=session_id,
            started_s=self.start_s,
            ended_s=self.now_s,
            started_utc=started_utc,
            supply=self._supply(),
            duration_s=sum(self.times.values()) + self.unknown_s,
            charging_s=self.times.get(S.CHARGING, 0.0),
            discharging_s=self.times.get(S.DISCHARGING, 0.0),
            paused_s=self.times.get(S.PAUSED, 0.0),
            pauses=self.pauses,
            unknown_s=self.unknown_s,
            restarts=before.restarts + 1 if before else 0,
            energy_in_wh=self.energy.in_wh,
            energy_out_wh=self.energy.out_wh,
            energy_error_wh=self.energy.error_wh,
            charger_wh=self.charger_wh,
            quarters_wh=tuple(self.quarters),
            soc_start_percent=self.soc_first,
            soc_end_percent=self.soc_last,
            max_power_w=self.max_power_w,
            cell_temp_min_c=self.cells.low,
            cell_temp_max_c=self.cells.high,
            ambient_c=self.ambient.mean,
        )

    def _supply(self) -> Supply:
        known = {supply: time for supply, time in self.supplies.items() if supply is not _UNKNOWN}
        return max(known, key=lambda supply: known[supply]) if known else _UNKNOWN


_UNKNOWN: Final = Supply.UNKNOWN
# what flows while the signals say so: energy is counted from the first sign, states are debounced
_FLOW: Final = {E.CONNECTED: S.PAUSED, E.CHARGED: S.CHARGING, E.DISCHARGED: S.DISCHARGING}


class ChargeTracker:
    """Follows one vehicle through ``TRANSITIONS``; feed it every change of a signal.

    ``session()`` is the session under way as it would end now: what a restart hands to ``resume``.
    """

    def __init__(self, config: ChargeConfig, new_session_id: Callable[[], str]) -> None:
        """Start UNPLUGGED. ``new_session_id`` makes random ids, never from the vehicle."""
        self.state = ChargeState.UNPLUGGED
        self._config = config
        self._new_id = new_session_id
        self._readings: dict[str, float | None] = dict.fromkeys(_NOTED)
        self._plug = Plug()
        self._event: ChargeEvent | None = None
        self._event_since_s = self._entered_s = 0.0
        self._session_id = ""
        self._started_utc: datetime | None = None
        self._sums: _Sums | None = None
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
        self._sums = _Sums(time_s, self._config.hold_s, self._readings, before=session)
        self._sums.unknown_s += max(0.0, gap_s or 0.0)
        self.state, self._entered_s = ChargeState.LOST, time_s
        self._last_known = self.session()

    def step(self, signals: Iterable[Signal], plug: Plug, time_s: float) -> list[ChargeChange]:
        """Take what changed up to ``time_s`` and what the states say now; return the moves.

        Call it also without signals from time to time: waiting is what ends a session.
        """
        self._advance(time_s)
        for signal in signals:
            if signal.path in self._readings:
                self._readings[signal.path] = signal.value
                if self._sums:
                    self._sums.note(signal.path, signal.value)
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
            told = _FLOW.get(self._event, self.state) if self._event else self.state
            self._sums.advance(time_s, told, _supply_of(self._plug))
        if time_s < self._event_since_s or time_s < self._entered_s:  # the clock went back
            self._event_since_s = min(self._event_since_s, time_s)
            self._entered_s = min(self._entered_s, time_s)

    def _observe(self, time_s: float) -> None:
        event = observe(
            self._plug, self._readings[catalog.SPEED], is_in_session=self.state in IN_SESSION
        )
        if event is not self._event:
            self._event, self._event_since_s = event, time_s
            self._prepare(event, time_s)
        is_legal = event is not None and event in TRANSITIONS[self.state]
        if event and is_legal and time_s - self._event_since_s >= self._config.debounce_s:
            self._move(event, time_s)
        elif self._has_settled(time_s):
            self._move(ChargeEvent.SETTLED, time_s)

    def _prepare(self, event: ChargeEvent | None, time_s: float) -> None:
        """Add up from the first sign of a session; keep the sums at the first sign of its end."""
        if self.state not in IN_SESSION:
            is_start = event in _FLOW
            self._sums = _Sums(time_s, self._config.hold_s, self._readings) if is_start else None
            self._last_known = None
        elif event in (ChargeEvent.DISCONNECTED, ChargeEvent.SILENT):
            self._last_known = self._last_known or self.session()
        elif event is not None:
            self._last_known = None

    def _has_settled(self, time_s: float) -> bool:
        waited_s = time_s - self._entered_s
        if self.state is S.LOST:
            return waited_s >= self._config.silent_s
        is_guess = self._plug.is_plugged is None and self.state in (S.PAUSED, S.PLUGGED)
        return is_guess and waited_s >= self._config.settle_s

    def _move(self, event: ChargeEvent, time_s: float) -> None:
        before, self.state = self.state, next_state(self.state, event)
        self._entered_s = time_s
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
        self._sums = self._last_known = self._event = None
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
