import itertools

import pytest

from agent.signals import catalog
from agent.signals.model import Quality, Signal
from agent.vehicle.trip import (
    TRANSITIONS,
    TRIP_PATHS,
    Trip,
    TripConfig,
    TripEvent,
    TripState,
    TripTracker,
    next_state,
)

CONFIG = TripConfig(debounce_s=0.3, park_s=5.0, silent_s=60.0, hold_s=2.0)
LEGAL = [(state, event) for state, events in TRANSITIONS.items() for event in events]
ILLEGAL = sorted(set(itertools.product(TripState, TripEvent)) - set(LEGAL))


@pytest.mark.parametrize(("state", "event"), LEGAL)
def test_a_legal_move_leads_where_the_table_says(state: TripState, event: TripEvent) -> None:
    assert next_state(state, event) is TRANSITIONS[state][event]


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_an_illegal_move_names_state_and_event(state: TripState, event: TripEvent) -> None:
    with pytest.raises(ValueError, match=rf"^{state}: expected one of .* got {event}$"):
        next_state(state, event)


def reachable(start: TripState) -> set[TripState]:
    found, todo = {start}, [start]
    while todo:
        news = set(TRANSITIONS[todo.pop()].values()) - found
        found |= news
        todo += news
    return found


@pytest.mark.parametrize("state", TripState)
def test_every_state_is_reached_and_leads_home(state: TripState) -> None:
    assert state in reachable(TripState.OFF)
    assert TripState.OFF in reachable(state)


class Drive:
    """Drives a tracker: ``go`` holds readings for a while, ten times a second."""

    def __init__(self, start_s: float = 100.0) -> None:
        ids = (f"trip-{number}" for number in itertools.count(1))
        self.tracker = TripTracker(CONFIG, lambda: next(ids))
        self.time_s = start_s
        self.trips: list[Trip] = []
        self.states: list[TripState] = []

    def go(self, seconds: float, **readings: float | None) -> None:
        names = {
            "speed": catalog.SPEED,
            "gear": catalog.GEAR,
            "ignition": catalog.IGNITION,
            "power": catalog.PACK_POWER,
            "soc": catalog.SOC,
            "volts": catalog.PACK_VOLTAGE,
            "hottest": catalog.CELL_TEMPERATURE_MAX,
            "coldest": catalog.CELL_TEMPERATURE_MIN,
            "ambient": catalog.AMBIENT,
        }
        signals = [
            Signal(names[name], value, Quality.STALE if value is None else Quality.OK, self.time_s)
            for name, value in readings.items()
        ]
        self.step(signals)
        for _ in range(round(seconds * 10)):
            self.time_s += 0.1
            self.step([])

    def step(self, signals: list[Signal]) -> None:
        for change in self.tracker.step(signals, self.time_s):
            self.states.append(change.state)
            if change.trip:
                self.trips.append(change.trip)

    def finish(self) -> None:
        self.trips += [c.trip for c in self.tracker.finish(self.time_s) if c.trip]


ON, OFF = catalog.IGNITION_ON, catalog.IGNITION_OFF
P, D = catalog.GEAR_PARK, catalog.GEAR_DRIVE


def test_a_trip_goes_from_the_first_gear_to_parked() -> None:
    drive = Drive()
    drive.go(10, speed=0.0, gear=P, ignition=ON, power=-500.0, soc=80.0)
    drive.go(2, gear=D)
    drive.go(60, speed=36.0, power=-7200.0)
    drive.go(10, speed=0.0, power=3600.0, soc=79.0)
    drive.go(10, gear=P, power=-360.0)
    assert drive.states == [
        TripState.READY,
        TripState.STOPPED,
        TripState.DRIVING,
        TripState.STOPPED,
        TripState.PARKING,
        TripState.ENDED,
        TripState.OFF,
        TripState.READY,
    ]
    (trip,) = drive.trips
    assert trip.trip_id == "trip-1"
    assert (trip.started_s, trip.ended_s) == (pytest.approx(110), pytest.approx(182))
    assert trip.distance_m == pytest.approx(600)
    assert trip.duration_s == pytest.approx(72)
    assert trip.moving_s == pytest.approx(60)
    assert trip.energy_out_wh == pytest.approx(120 + 500 * 2 / 3600)
    assert trip.energy_in_wh == pytest.approx(10)
    assert trip.energy_net_wh == pytest.approx(trip.energy_out_wh - 10)
    assert (trip.soc_start_percent, trip.soc_end_percent) == (80.0, 79.0)
    assert (trip.max_power_w, trip.max_regen_w, trip.max_speed_km_h) == (7200, 3600, 36)
    assert drive.tracker.trip() is None


def test_a_trip_under_way_can_be_looked_at() -> None:
    drive = Drive()
    drive.go(10, speed=36.0, gear=D, ignition=ON)
    trip = drive.tracker.trip()
    assert trip is not None
    assert trip.distance_m == pytest.approx(100)


def test_switching_off_in_park_ends_a_trip_at_once() -> None:
    drive = Drive()
    drive.go(10, speed=36.0, gear=D, ignition=ON)
    drive.go(1, speed=0.0, gear=P)
    drive.go(1, ignition=OFF)
    assert [trip.ended_s for trip in drive.trips] == [pytest.approx(110)]


def test_a_stop_at_a_red_light_is_not_the_end() -> None:
    drive = Drive()
    drive.go(10, speed=36.0, gear=D, ignition=ON)
    drive.go(300, speed=0.0)
    drive.go(2, gear=P)
    drive.go(10, speed=36.0, gear=D)
    assert not drive.trips
    drive.finish()
    assert drive.trips[0].distance_m == pytest.approx(200)


def test_a_reading_shorter_than_the_debounce_changes_nothing() -> None:
    drive = Drive()
    drive.go(5, speed=0.0, gear=P, ignition=ON)
    drive.go(0.2, gear=D)
    drive.go(5, gear=P)
    assert drive.states == [TripState.READY]


def test_missing_signals_are_a_state_and_a_trip_survives_them() -> None:
    drive = Drive()
    drive.go(10, speed=36.0, gear=D, ignition=ON)
    drive.go(20, speed=None, gear=None, ignition=None)
    assert drive.tracker.state is TripState.LOST
    drive.go(10, speed=36.0, gear=D, ignition=ON)
    drive.finish()
    (trip,) = drive.trips
    assert trip.distance_m == pytest.approx(220)  # what was last heard goes on for hold_s
    assert trip.unknown_s == pytest.approx(18)
    assert trip.distance_error_m == pytest.approx(220 * 0.005 + 200)
    assert trip.invalid_samples == 1


def test_silence_ends_a_trip_where_it_was_last_known() -> None:
    drive = Drive()
    drive.go(10, speed=36.0, gear=D, ignition=ON, soc=70.0)
    drive.go(70, speed=None, gear=None, ignition=None, soc=None)
    (trip,) = drive.trips
    assert trip.ended_s == pytest.approx(110)
    assert trip.soc_end_percent == 70.0
    assert drive.tracker.state is TripState.OFF


def test_a_vehicle_that_is_towed_makes_no_trip() -> None:
    drive = Drive()
    drive.go(60, speed=40.0, gear=P, ignition=OFF)
    assert drive.states == []


def test_speed_without_a_gear_is_still_a_trip() -> None:
    drive = Drive()
    drive.go(60, speed=36.0)
    drive.finish()
    assert drive.trips[0].distance_m == pytest.approx(600)


def test_standing_without_a_gear_starts_nothing() -> None:
    drive = Drive()
    drive.go(60, speed=0.0)
    assert drive.states == []


def test_the_end_of_the_recording_ends_the_trip() -> None:
    drive = Drive()
    drive.go(10, speed=36.0, gear=D, ignition=ON)
    drive.finish()
    drive.finish()
    assert len(drive.trips) == 1
    assert drive.tracker.state is TripState.OFF


def test_a_second_trip_starts_from_nothing() -> None:
    drive = Drive()
    for _ in range(2):
        drive.go(10, speed=36.0, gear=D, ignition=ON)
        drive.go(10, speed=0.0, gear=P)
    assert [trip.trip_id for trip in drive.trips] == ["trip-1", "trip-2"]
    assert drive.trips[1].distance_m == pytest.approx(100)


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_clock_step_adds_nothing_and_ends_nothing(step_s: float) -> None:
    drive = Drive(start_s=10_000)
    drive.go(10, speed=36.0, gear=D, ignition=ON, power=-3600.0)
    drive.time_s += step_s
    drive.go(10, speed=36.0, power=-3600.0)
    drive.go(10, speed=0.0, gear=P, power=0.0)
    (trip,) = drive.trips
    assert trip.distance_m == pytest.approx(200)
    assert trip.energy_out_wh == pytest.approx(20)
    assert trip.duration_s == pytest.approx(20)


def test_the_tracker_asks_for_what_moves_it_and_what_it_adds_up() -> None:
    assert set(TRIP_PATHS) >= {catalog.SPEED, catalog.GEAR, catalog.IGNITION, catalog.PACK_POWER}
    assert len(TRIP_PATHS) == 9


def test_a_tunnel_costs_no_trip_and_widens_the_error_by_what_may_have_been_driven() -> None:
    drive = Drive()
    drive.go(60, speed=36.0, gear=D, ignition=ON)
    drive.go(30, speed=None)
    drive.go(60, speed=36.0)
    drive.go(10, speed=0.0, gear=P)
    (trip,) = drive.trips
    assert trip.distance_m == pytest.approx(1220)  # the last speed goes on for hold_s
    assert trip.unknown_s == pytest.approx(28)
    assert trip.distance_error_m == pytest.approx(1200 * 0.005 + 300, rel=0.02)


def test_a_drive_of_a_hundred_metres_is_a_trip_with_a_consumption() -> None:
    drive = Drive()
    drive.go(10.1, speed=36.0, gear=D, ignition=ON, power=-7200.0, volts=360.0)
    drive.go(10, speed=0.0, gear=P, power=0.0)
    (trip,) = drive.trips
    assert trip.distance_m == pytest.approx(101)
    assert trip.consumption_wh_km == pytest.approx(200)
    assert trip.energy_error_wh == pytest.approx(0.25 * 360 * 10.1 / 3600)


def test_moving_the_vehicle_aside_has_no_consumption() -> None:
    drive = Drive()
    drive.go(9, speed=36.0, gear=D, ignition=ON, power=-7200.0)
    drive.go(10, speed=0.0, gear=P, power=0.0)
    assert drive.trips[0].consumption_wh_km is None


def test_the_share_that_came_back_is_told() -> None:
    drive = Drive()
    drive.go(10, speed=36.0, gear=D, ignition=ON, power=-7200.0)
    drive.go(10, power=1800.0)
    drive.go(10, speed=0.0, gear=P, power=0.0)
    assert drive.trips[0].regen_share == pytest.approx(0.25)
    assert Trip(trip_id="none", started_s=0, ended_s=0).regen_share is None


def test_temperatures_have_their_extremes_and_their_mean() -> None:
    drive = Drive()
    drive.go(10, speed=36.0, gear=D, ignition=ON, hottest=20.0, coldest=17.0, ambient=10.0)
    drive.go(10, hottest=24.0, ambient=12.0)
    drive.go(10, speed=0.0, gear=P)
    (trip,) = drive.trips
    assert (trip.cell_temp_min_c, trip.cell_temp_max_c) == (17.0, 24.0)
    assert trip.ambient_c == pytest.approx(11.0, abs=0.01)


def test_a_towed_vehicle_whose_speed_comes_and_goes_makes_no_trip() -> None:
    drive = Drive()
    for speed in (0.0, 30.0, None, 45.0, 0.0):
        drive.go(20, speed=speed, gear=P, ignition=OFF)
    drive.go(20, speed=40.0, gear=None, ignition=OFF)
    assert drive.trips == []
    assert drive.states == []


def test_a_restart_in_mid_trip_goes_on_with_the_same_trip() -> None:
    before = Drive()
    before.go(
        60, speed=36.0, gear=D, ignition=ON, power=-7200.0, soc=80.0, volts=360.0, ambient=9.0
    )
    left = before.tracker.trip()
    assert left is not None
    after = Drive(start_s=before.time_s + 30)
    after.tracker.resume(left, after.time_s)
    assert after.tracker.state is TripState.LOST
    after.go(60, speed=36.0, gear=D, ignition=ON, power=-7200.0, soc=79.0, ambient=9.0)
    after.go(10, speed=0.0, gear=P, power=0.0)
    (trip,) = after.trips
    assert (trip.trip_id, trip.restarts, trip.started_s) == ("trip-1", 1, left.started_s)
    assert trip.distance_m == pytest.approx(1200, rel=0.01)
    assert trip.energy_out_wh == pytest.approx(240, rel=0.01)
    assert trip.unknown_s == pytest.approx(30, abs=0.5)
    assert trip.distance_error_m == pytest.approx(1200 * 0.005 + 300, rel=0.02)
    assert (trip.soc_start_percent, trip.soc_end_percent) == (80.0, 79.0)
    assert trip.ambient_c == pytest.approx(9.0)


def test_a_resumed_trip_of_which_nothing_is_heard_ends_as_it_was_left() -> None:
    before = Drive()
    before.go(60, speed=36.0, gear=D, ignition=ON)
    left = before.tracker.trip()
    assert left is not None
    after = Drive(start_s=before.time_s + 30)
    after.tracker.resume(left, after.time_s)
    after.go(11)
    assert after.trips == [left]


def test_a_resumed_trip_of_a_vehicle_that_has_parked_meanwhile_ends_when_that_is_heard() -> None:
    before = Drive()
    before.go(60, speed=36.0, gear=D, ignition=ON)
    left = before.tracker.trip()
    assert left is not None
    after = Drive(start_s=before.time_s + 30)
    after.tracker.resume(left, after.time_s)
    after.go(20, speed=0.0, gear=P, ignition=OFF)
    (trip,) = after.trips
    assert trip.ended_s == pytest.approx(left.ended_s + 30)
    assert trip.distance_m == left.distance_m  # what it drove unheard is an error, not a distance
    assert trip.distance_error_m > left.distance_error_m + 299
