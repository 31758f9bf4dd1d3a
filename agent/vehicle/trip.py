"""From signals to trips: a state table, and what it adds up on the way. Pure.

A trip lasts from the first gear (or motion) to parked: gear P and standing for ``park_s``, or
switched off while parked. Missing signals are a state of their own: a trip survives them for
``silent_s``, then it ends at the last instant that is known.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from agent.signals import catalog
from agent.signals.model import Signal
from agent.vehicle.moves import Debounced, follow
from agent.vehicle.sums import SPEED_ERROR, EnergySum, Extremes, Readings

LEAST_DISTANCE_M: Final = 100.0  # below this a consumption is all start and stop
STANDING_KM_H: Final = 0.5  # below this the wheel sensors' noise and zero look alike


class TripState(StrEnum):
    """Where a vehicle is in its trip."""

    OFF = "off"  # no trip; off, or nothing known
    READY = "ready"  # no trip; on and parked
    DRIVING = "driving"
    STOPPED = "stopped"  # in a trip, standing in gear
    PARKING = "parking"  # in a trip, gear P and standing, not yet for long enough
    LOST = "lost"  # in a trip, speed unknown
    ENDED = "ended"  # the trip is complete and waits to be taken


class TripEvent(StrEnum):
    """What the signals say, debounced."""

    SWITCHED_ON = "switched_on"  # gear P, standing, on
    SWITCHED_OFF = "switched_off"  # off, and not moving
    MOVED = "moved"
    HALTED = "halted"  # standing in a gear other than P
    PARKED = "parked"  # gear P and standing
    SILENT = "silent"  # speed unknown
    SETTLED = "settled"  # parked for park_s, or silent for silent_s
    FINISHED = "finished"  # the source of signals ended
    CLOSED = "closed"  # the ended trip was taken


S, E = TripState, TripEvent

# fmt: off
TRANSITIONS: dict[TripState, dict[TripEvent, TripState]] = {
    S.OFF:     {E.MOVED: S.DRIVING, E.HALTED: S.STOPPED, E.SWITCHED_ON: S.READY},
    S.READY:   {E.MOVED: S.DRIVING, E.HALTED: S.STOPPED, E.SWITCHED_OFF: S.OFF, E.SILENT: S.OFF},
    S.DRIVING: {E.HALTED: S.STOPPED, E.PARKED: S.PARKING, E.SILENT: S.LOST,
                E.FINISHED: S.ENDED},
    S.STOPPED: {E.MOVED: S.DRIVING, E.PARKED: S.PARKING, E.SILENT: S.LOST,
                E.FINISHED: S.ENDED, E.SWITCHED_OFF: S.ENDED},
    S.PARKING: {E.MOVED: S.DRIVING, E.HALTED: S.STOPPED, E.SILENT: S.LOST,
                E.FINISHED: S.ENDED, E.SWITCHED_OFF: S.ENDED, E.SETTLED: S.ENDED},
    S.LOST:    {E.MOVED: S.DRIVING, E.HALTED: S.STOPPED, E.PARKED: S.PARKING,
                E.FINISHED: S.ENDED, E.SWITCHED_OFF: S.ENDED, E.SETTLED: S.ENDED},
    S.ENDED:   {E.CLOSED: S.OFF},
}
# fmt: on
IN_TRIP: Final = frozenset({S.DRIVING, S.STOPPED, S.PARKING, S.LOST})


def next_state(state: TripState, event: TripEvent) -> TripState:
    """Return the state after ``event``; raise ValueError if the table has no such move."""
    return follow(TRANSITIONS, state, event)


@dataclass(frozen=True, slots=True, kw_only=True)
class TripConfig:
    """How long something has to last before it counts."""

    debounce_s: float = 0.3  # a reading shorter than this is noise
    park_s: float = 5.0  # parked for this long ends the trip
    silent_s: float = 300.0  # unknown for this long ends the trip
    hold_s: float = 2.0  # how long a last value is integrated when no new one comes
    resume_s: float = 10.0  # a resumed trip of which nothing is heard for so long has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One trip. ``_s`` instants are on the clock of the frames; power + flows into the battery.

    ``started_utc`` is None until somebody who knows the time says so. ``moving_s`` is the time
    above standing speed. ``samples`` and ``invalid_samples`` count readings of the four signals
    the sums rest on (speed, voltage x current, SOC); ``unknown_s`` is the time during which
    nothing could be integrated.
    """

    trip_id: str
    started_s: float
    ended_s: float
    started_utc: datetime | None = None
    is_time_proven: bool = False  # somebody vouched for the wall clock
    is_whole: bool = True  # nobody paused it, and the same driver had agreed from start to end
    boot_id: str = ""  # whose monotonic clock the instants of a live bus belong to
    distance_m: float = 0.0
    duration_s: float = 0.0
    moving_s: float = 0.0
    unknown_s: float = 0.0
    energy_out_wh: float = 0.0
    energy_in_wh: float = 0.0
    soc_start_percent: float | None = None
    soc_end_percent: float | None = None
    max_power_w: float = 0.0  # largest discharge, positive
    max_regen_w: float = 0.0
    max_speed_km_h: float = 0.0
    samples: int = 0
    invalid_samples: int = 0
    distance_error_m: float = 0.0  # speed sensor, and what was driven while nothing was heard
    energy_error_wh: float = 0.0  # the most that rounding can have hidden, and what flowed unheard
    cell_temp_min_c: float | None = None
    cell_temp_max_c: float | None = None
    ambient_c: float | None = None  # mean over time
    restarts: int = 0  # how often the agent was restarted in mid-trip

    @property
    def energy_net_wh(self) -> float:
        """Energy taken from the battery, what came back subtracted, in Wh."""
        return self.energy_out_wh - self.energy_in_wh

    @property
    def regen_share(self) -> float | None:
        """Share of the energy taken out that came back, 0 to 1; None if none was taken out."""
        return self.energy_in_wh / self.energy_out_wh if self.energy_out_wh > 0 else None

    @property
    def consumption_wh_km(self) -> float | None:
        """Net energy per kilometre; None below 100 m, where it says nothing."""
        if self.distance_m < LEAST_DISTANCE_M:
            return None
        return self.energy_net_wh / (self.distance_m / 1_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class TripChange:
    """One move in the table. ``trip`` is the complete trip when ``state`` is ENDED."""

    event: TripEvent
    state: TripState
    time_s: float
    trip: Trip | None = None


class _Sums:
    """What a trip adds up: every value holds until the next one comes or it becomes invalid."""

    def __init__(self, start_s: float, hold_s: float, readings: Readings) -> None:
        self.start_s = self.now_s = start_s
        self._hold_s = hold_s
        self._readings = readings
        self._energy = EnergySum()
        self._cells, self._ambient = Extremes(), Extremes()
        self._distance_m = self._unheard_m = 0.0
        self._duration_s = self._moving_s = self._unknown_s = 0.0
        self._power_w = self._regen_w = self._speed_km_h = self._last_km_h = 0.0
        self._soc_first = readings.now[catalog.SOC]
        self._soc_last = self._soc_first
        self._samples = self._invalid = 0
        self._restarts = 0
        for path in (catalog.PACK_POWER, catalog.SPEED):
            self._peak(path, readings.now[path])
        for path in _NOTED:
            self.note(path, readings.now[path])

    def take_over(self, trip: Trip, gap_s: float) -> None:
        """Go on from ``trip``, of whose last ``gap_s`` nobody knows anything."""
        self.start_s, self._restarts = trip.started_s, trip.restarts + 1
        self._distance_m, self._moving_s = trip.distance_m, trip.moving_s
        self._duration_s, self._unknown_s = trip.duration_s, trip.unknown_s + gap_s
        known_m = trip.distance_error_m - trip.distance_m * SPEED_ERROR
        self._unheard_m = known_m + trip.max_speed_km_h / 3.6 * gap_s
        self._energy.out_wh, self._energy.in_wh = trip.energy_out_wh, trip.energy_in_wh
        self._energy.error_wh = trip.energy_error_wh
        self._soc_first, self._soc_last = trip.soc_start_percent, trip.soc_end_percent
        self._power_w, self._regen_w = trip.max_power_w, trip.max_regen_w
        self._speed_km_h = trip.max_speed_km_h
        self._samples, self._invalid = trip.samples, trip.invalid_samples
        for value in (trip.cell_temp_min_c, trip.cell_temp_max_c):
            self._cells.note(value)
        self._ambient.note(trip.ambient_c)
        self._ambient.hold(trip.ambient_c, trip.duration_s)

    def advance(self, time_s: float) -> None:
        """Integrate up to ``time_s``; a clock that goes back starts from there, adding nothing."""
        step_s = time_s - self.now_s
        if -self._hold_s <= step_s <= 0:  # of two buses, and not quite in order
            return
        self.now_s = time_s
        if step_s < 0:
            return
        if step_s > self._hold_s:  # nobody was listening, or the clock jumped
            self._unknown_s += step_s
            self._unheard_m += (self._readings.held[catalog.SPEED] or 0.0) / 3.6 * step_s
            return
        self._duration_s += step_s
        self._add_motion(step_s)
        held, is_heard = self._readings.held, self._readings.is_heard(catalog.PACK_POWER)
        self._energy.add(held[catalog.PACK_POWER], held[_VOLTS], step_s, is_heard=is_heard)
        self._ambient.hold(held[catalog.AMBIENT], step_s)

    def _add_motion(self, step_s: float) -> None:
        speed_km_h = self._readings.held[catalog.SPEED]
        if speed_km_h is not None:
            self._last_km_h = abs(speed_km_h)
        if not self._readings.is_heard(catalog.SPEED):
            self._unheard_m += self._last_km_h / 3.6 * step_s
        if speed_km_h is None:
            self._unknown_s += step_s
            return
        self._distance_m += speed_km_h / 3.6 * step_s
        if speed_km_h > STANDING_KM_H:
            self._moving_s += step_s

    def count(self, path: str, value: float | None) -> None:
        """Count a reading that just came, and keep its extremes."""
        self._samples += 1
        if value is None:
            self._invalid += 1
        elif path == catalog.SOC:
            self._soc_first = value if self._soc_first is None else self._soc_first
            self._soc_last = value
        else:
            self._peak(path, value)

    def _peak(self, path: str, value: float | None) -> None:
        if value is None:
            return
        if path == catalog.PACK_POWER:
            self._power_w = max(self._power_w, -value)
            self._regen_w = max(self._regen_w, value)
        elif path == catalog.SPEED:
            self._speed_km_h = max(self._speed_km_h, value)

    def note(self, path: str, value: float | None) -> None:
        """Keep the extremes of a temperature."""
        if path in _CELLS:
            self._cells.note(value)
        elif path == catalog.AMBIENT:
            self._ambient.note(value)

    def trip(self, trip_id: str) -> Trip:
        """Return the sums as a trip that ends now."""
        return Trip(
            trip_id=trip_id,
            started_s=self.start_s,
            ended_s=self.now_s,
            distance_m=self._distance_m,
            duration_s=self._duration_s,
            moving_s=self._moving_s,
            unknown_s=self._unknown_s,
            energy_out_wh=self._energy.out_wh,
            energy_in_wh=self._energy.in_wh,
            soc_start_percent=self._soc_first,
            soc_end_percent=self._soc_last,
            max_power_w=self._power_w,
            max_regen_w=self._regen_w,
            max_speed_km_h=self._speed_km_h,
            samples=self._samples,
            invalid_samples=self._invalid,
            distance_error_m=self._distance_m * SPEED_ERROR + self._unheard_m,
            energy_error_wh=self._energy.error_wh,
            cell_temp_min_c=self._cells.low,
            cell_temp_max_c=self._cells.high,
            ambient_c=self._ambient.mean,
            restarts=self._restarts,
        )


_SUMMED: Final = frozenset({catalog.SPEED, catalog.PACK_POWER, catalog.SOC})
_VOLTS: Final = catalog.PACK_VOLTAGE
_CELLS: Final = frozenset({catalog.CELL_TEMPERATURE_MIN, catalog.CELL_TEMPERATURE_MAX})
_NOTED: Final = _CELLS | {catalog.AMBIENT, _VOLTS}  # looked at, but they move nothing
_MOVING: Final = _SUMMED | {catalog.GEAR, catalog.IGNITION}
_WATCHED: Final = _MOVING | _NOTED
# the paths a decoder has to yield for the tracker
TRIP_PATHS: Final = tuple(sorted(_WATCHED))


class TripTracker:
    """Follows one vehicle through ``TRANSITIONS``; feed it every change of a signal.

    ``state`` is where it stands; ``trip()`` is the trip under way as it would end now.
    """

    def __init__(self, config: TripConfig, new_trip_id: Callable[[], str]) -> None:
        """Start OFF. ``new_trip_id`` makes the id of each trip: random, never from the vehicle."""
        self.state = TripState.OFF
        self._config = config
        self._new_trip_id = new_trip_id
        self._readings = Readings(_WATCHED, config.hold_s)
        self._said: Debounced[TripEvent] = Debounced()
        self._trip_id = ""
        self._sums: _Sums | None = None
        self._last_known: Trip | None = None  # as it was when it became parked or lost
        self._changes: list[TripChange] = []

    def trip(self) -> Trip | None:
        """Return the trip under way; None outside of trips."""
        if self._sums is None or self.state not in IN_TRIP:
            return None
        return self._sums.trip(self._trip_id)

    def resume(self, trip: Trip, time_s: float) -> None:
        """Go on with a trip that an earlier run left; call it before the first ``step``.

        Args:
            trip: As it was when that run ended, on the clock of the frames.
            time_s: Now, on the same clock. What lies between counts as unknown.
        """
        self._trip_id, self.state = trip.trip_id, TripState.LOST
        self._sums = _Sums(time_s, self._config.hold_s, self._readings)
        self._last_known = trip
        self._sums.take_over(trip, max(0.0, time_s - trip.ended_s))
        self._said.entered_s = time_s - self._config.silent_s + self._config.resume_s

    def step(self, signals: Iterable[Signal], time_s: float) -> list[TripChange]:
        """Take the signals that changed up to ``time_s``; return the moves they caused.

        Call it also without signals, at least every ``hold_s``: waiting is what ends a trip.
        Instants that go back add nothing and are survived.
        """
        for signal in signals:
            self._advance(signal.time_s)  # whatever it tells: that it was heard ends a silence
            if signal.path in _NOTED:
                self._readings.take(signal)
                if self._sums:
                    self._sums.note(signal.path, signal.value)
            elif signal.path in _MOVING:
                self._readings.take(signal)
                if self._sums and signal.path in _SUMMED:
                    self._sums.count(signal.path, signal.value)
                self._observe(signal.time_s)
        self._advance(time_s)
        self._observe(time_s)
        return self._take()

    def finish(self, time_s: float) -> list[TripChange]:
        """End the trip under way because no more signals will come; return the moves."""
        self._advance(time_s)
        if TripEvent.FINISHED in TRANSITIONS[self.state]:
            self._move(TripEvent.FINISHED, time_s)
        return self._take()

    def _take(self) -> list[TripChange]:
        changes, self._changes = self._changes, []
        return changes

    def _advance(self, time_s: float) -> None:
        if self._sums:
            for instant_s in self._readings.instants(time_s):
                self._sums.advance(instant_s)
        self._said.rewind(time_s)

    def _observe(self, time_s: float) -> None:
        event = observe(self._readings.now, is_in_trip=self.state in IN_TRIP)
        if self._said.is_new(event, time_s):
            self._prepare(event, time_s)
        is_legal = event is not None and event in TRANSITIONS[self.state]
        if event and is_legal and self._said.has_lasted(self._config.debounce_s, time_s):
            self._move(event, time_s)
        elif self._has_settled(time_s):
            self._move(TripEvent.SETTLED, time_s)

    def _prepare(self, event: TripEvent | None, time_s: float) -> None:
        """Add up from the first sign of a trip; keep the sums at the first sign of its end."""
        if self.state not in IN_TRIP:
            is_start = event in (TripEvent.MOVED, TripEvent.HALTED)
            self._sums = _Sums(time_s, self._config.hold_s, self._readings) if is_start else None
        elif event in (TripEvent.PARKED, TripEvent.SILENT, TripEvent.SWITCHED_OFF):
            self._last_known = self._last_known or self.trip()
        else:
            self._last_known = None

    def _has_settled(self, time_s: float) -> bool:
        waits = {TripState.PARKING: self._config.park_s, TripState.LOST: self._config.silent_s}
        wait_s = waits.get(self.state)
        return wait_s is not None and self._said.waited_s(time_s) >= wait_s

    def _move(self, event: TripEvent, time_s: float) -> None:
        before, self.state = self.state, next_state(self.state, event)
        self._said.entered_s = time_s
        if self.state in IN_TRIP and before not in IN_TRIP:
            self._trip_id = self._new_trip_id()
        is_ended = self.state is TripState.ENDED
        trip = self._ended_trip() if is_ended else None
        self._changes.append(TripChange(event=event, state=self.state, time_s=time_s, trip=trip))
        if is_ended:
            self._move(TripEvent.CLOSED, time_s)

    def _ended_trip(self) -> Trip | None:
        sums, known = self._sums, self._last_known
        self._sums = self._last_known = self._said.event = None
        return known or (sums.trip(self._trip_id) if sums else None)


def observe(readings: dict[str, float | None], *, is_in_trip: bool) -> TripEvent | None:
    """Return what the readings say now; None if they say nothing that concerns a trip."""
    speed, gear, ignition = (
        readings[path] for path in (catalog.SPEED, catalog.GEAR, catalog.IGNITION)
    )
    is_off = ignition == catalog.IGNITION_OFF
    is_in_park = gear == catalog.GEAR_PARK
    if speed is None:
        return E.SWITCHED_OFF if is_off and is_in_park else E.SILENT
    if abs(speed) > STANDING_KM_H:
        return E.MOVED if is_in_trip or not is_off else None  # off and moving: being towed
    if is_off and (is_in_park or gear is None):
        return E.SWITCHED_OFF
    if is_in_park:
        return E.PARKED if is_in_trip else E.SWITCHED_ON
    return E.HALTED if is_in_trip or (gear is not None and not is_off) else None
