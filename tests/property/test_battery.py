"""Whatever signals say, in whatever order: no exception, no impossible figure."""

import math

from hypothesis import given
from hypothesis import strategies as st

from agent.signals import catalog
from agent.signals.catalog import CATALOG
from agent.signals.model import Quality, Signal
from agent.vehicle.battery.alerts import Step
from agent.vehicle.battery.watch import WATCH_PATHS, BatteryWatch
from agent.vehicle.charge import ChargeConfig, ChargeTracker, Plug
from agent.vehicle.charge_session import CHARGE_PATHS
from agent.vehicle.trip import TRIP_PATHS, TripConfig, TripTracker

LIVELY = sorted({*TRIP_PATHS, *CHARGE_PATHS, *WATCH_PATHS} - set(catalog.CELL_VOLTAGES[4:]))


BAD = [quality for quality in Quality if quality is not Quality.OK]
STEPS_S = (0.0, 0.01, 1.0, 30.0, 4_000.0, -500.0)
raw = st.tuples(
    st.sampled_from(STEPS_S),
    st.sampled_from(LIVELY),
    st.none() | st.integers(0, 100),
    st.sampled_from(BAD),
)


def _played(rows: list[tuple[float, str, int | None, Quality]]) -> list[tuple[float, Signal]]:
    """Readings within the catalogue's ranges, at times that mostly go on and now and then jump."""
    time_s, found = 1_000.0, []
    for step_s, path, share, bad in rows:
        time_s += step_s
        entry = CATALOG[path]
        value = None if share is None else _between(entry.minimum, entry.maximum, share)
        quality = bad if value is None else Quality.OK
        found.append((time_s, Signal(path, value, quality, time_s)))
    return found


def _between(low: float, high: float, percent: int) -> float:
    return low + (high - low) * percent / 100


def signals() -> st.SearchStrategy[list[tuple[float, Signal]]]:
    return st.lists(raw, max_size=60).map(_played)


maybe = st.none() | st.booleans()
plugs = st.builds(Plug, is_plugged=maybe, is_charging=maybe, is_discharging=maybe, is_quick=maybe)


@given(signals())
def test_the_watch_survives_any_signals_and_its_alerts_come_and_go_in_turn(
    readings: list[tuple[float, Signal]],
) -> None:
    watch = BatteryWatch()
    raised = set()
    for time_s, signal in readings:
        for change in watch.step([signal], time_s, utc=None, day=1).changes:
            is_new = change.step is Step.RAISED
            assert is_new is (change.alert.code not in raised)
            if is_new:
                raised.add(change.alert.code)
            if change.step is Step.CLEARED:
                raised.remove(change.alert.code)
    assert {alert.code for alert in watch.active} == raised


@given(signals(), st.lists(plugs, min_size=1, max_size=5))
def test_a_charge_session_of_any_signals_adds_up(
    readings: list[tuple[float, Signal]], states: list[Plug]
) -> None:
    tracker = ChargeTracker(ChargeConfig(debounce_s=0.0), lambda: "charge")
    sessions = []
    for number, (time_s, signal) in enumerate(readings):
        sessions += tracker.step([signal], states[number % len(states)], time_s)
    sessions += tracker.finish(readings[-1][0] if readings else 0.0)
    for session in (change.session for change in sessions if change.session):
        assert session.energy_in_wh >= 0
        assert session.energy_out_wh >= 0
        net_wh = session.energy_in_wh - session.energy_out_wh
        assert math.isclose(sum(session.quarters_wh), net_wh, abs_tol=1e-6, rel_tol=1e-9)
        assert session.duration_s >= session.charging_s + session.discharging_s
        assert session.pauses >= 0


@given(signals())
def test_a_trip_of_any_signals_has_no_impossible_figure(
    readings: list[tuple[float, Signal]],
) -> None:
    tracker = TripTracker(TripConfig(debounce_s=0.0), lambda: "trip")
    changes = []
    for time_s, signal in readings:
        changes += tracker.step([signal], time_s)
    changes += tracker.finish(readings[-1][0] if readings else 0.0)
    for trip in (change.trip for change in changes if change.trip):
        assert trip.distance_m >= 0
        assert trip.duration_s >= trip.moving_s
        assert trip.distance_error_m >= 0
        assert trip.regen_share is None or trip.regen_share >= 0
