import itertools

import pytest

from agent.signals import catalog
from agent.signals.model import Quality, Signal
from agent.vehicle.charge import (
    TRANSITIONS,
    ChargeConfig,
    ChargeEvent,
    ChargeState,
    ChargeTracker,
    Plug,
    next_state,
)
from agent.vehicle.charge_session import ChargeSession, Supply

CONFIG = ChargeConfig(debounce_s=2.0, settle_s=600.0, silent_s=3600.0, hold_s=2.0)
LEGAL = [(state, event) for state, events in TRANSITIONS.items() for event in events]
ILLEGAL = sorted(set(itertools.product(ChargeState, ChargeEvent)) - set(LEGAL))


@pytest.mark.parametrize(("state", "event"), LEGAL)
def test_a_legal_move_leads_where_the_table_says(state: ChargeState, event: ChargeEvent) -> None:
    assert next_state(state, event) is TRANSITIONS[state][event]


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_an_illegal_move_names_state_and_event(state: ChargeState, event: ChargeEvent) -> None:
    with pytest.raises(ValueError, match=rf"^{state}: expected one of .* got {event}$"):
        next_state(state, event)


@pytest.mark.parametrize("state", ChargeState)
def test_every_state_is_reached_and_leads_home(state: ChargeState) -> None:
    assert state in _reachable(ChargeState.UNPLUGGED)
    assert ChargeState.UNPLUGGED in _reachable(state)


def _reachable(start: ChargeState) -> set[ChargeState]:
    found, todo = {start}, [start]
    while todo:
        news = set(TRANSITIONS[todo.pop()].values()) - found
        found |= news
        todo += news
    return found


NAMES = {
    "power": catalog.PACK_POWER,
    "volts": catalog.PACK_VOLTAGE,
    "soc": catalog.SOC,
    "hottest": catalog.CELL_TEMPERATURE_MAX,
    "ambient": catalog.AMBIENT,
    "charger": catalog.CHARGER_POWER,
    "speed": catalog.SPEED,
}
OUT = Plug(is_plugged=False, is_charging=False)
IN = Plug(is_plugged=True, is_charging=False)
AC = Plug(is_plugged=True, is_charging=True, is_quick=False)
DC = Plug(is_charging=True, is_quick=True)
V2X = Plug(is_plugged=True, is_charging=False, is_discharging=True)
SILENT = Plug()


class Stand:
    """A parked vehicle: ``go`` holds plug and readings for a while, once a second."""

    def __init__(self, start_s: float = 100.0) -> None:
        ids = (f"charge-{number}" for number in itertools.count(1))
        self.tracker = ChargeTracker(CONFIG, lambda: next(ids))
        self.time_s = start_s
        self.sessions: list[ChargeSession] = []
        self.states: list[ChargeState] = []

    def go(self, seconds: float, plug: Plug, **readings: float | None) -> None:
        signals = [
            Signal(NAMES[name], value, Quality.STALE if value is None else Quality.OK, self.time_s)
            for name, value in readings.items()
        ]
        for _ in range(round(seconds)):
            self.time_s += 1.0
            self.step(signals, plug)
            signals = []

    def step(self, signals: list[Signal], plug: Plug) -> None:
        for change in self.tracker.step(signals, plug, self.time_s):
            self.states.append(change.state)
            if change.session:
                self.sessions.append(change.session)


def test_a_session_goes_from_plugged_in_to_unplugged() -> None:
    stand = Stand()
    stand.go(10, OUT, soc=50.0, power=0.0, ambient=12.0)
    stand.go(20, IN)
    stand.go(1802, AC, power=3600.0, volts=360.0, charger=4.0, hottest=21.0)
    stand.go(10, AC, soc=54.5, hottest=23.0)
    stand.go(30, IN, power=0.0)
    stand.go(10, OUT)
    (session,) = stand.sessions
    assert stand.states == [
        ChargeState.PLUGGED,
        ChargeState.CHARGING,
        ChargeState.PAUSED,
        ChargeState.ENDED,
        ChargeState.UNPLUGGED,
    ]
    assert session.supply is Supply.AC
    assert session.energy_in_wh == pytest.approx(1812, abs=4)
    assert session.charger_wh == pytest.approx(1812 * 4 / 3.6, abs=4)
    assert session.energy_error_wh == pytest.approx(0.25 * 360 * 1812 / 3600, rel=0.01)
    assert (session.soc_start_percent, session.soc_end_percent) == (50.0, 54.5)
    assert session.max_power_w == 3600
    assert (session.cell_temp_min_c, session.cell_temp_max_c) == (21.0, 23.0)
    assert session.ambient_c == 12.0
    assert session.has_energy
    assert stand.tracker.session() is None


def test_energy_is_told_per_quarter_of_an_hour() -> None:
    stand = Stand()
    stand.go(3, AC, power=3600.0)
    stand.go(900, AC, power=3600.0)
    stand.go(890, AC, power=1800.0)
    stand.go(10, OUT)
    (session,) = stand.sessions
    assert session.quarters_wh == (pytest.approx(900, abs=5), pytest.approx(445, abs=5))
    assert sum(session.quarters_wh) == pytest.approx(session.energy_in_wh)


def test_a_charge_that_pauses_is_one_session() -> None:
    stand = Stand()
    for _ in range(3):
        stand.go(60, AC, power=3600.0)
        stand.go(300, IN, power=0.0)
    stand.go(10, OUT)
    (session,) = stand.sessions
    assert session.pauses == 3
    assert session.paused_s == pytest.approx(900, abs=10)
    assert session.charging_s == pytest.approx(180, abs=10)


def test_energy_that_flows_to_the_house_counts_as_out() -> None:
    stand = Stand()
    stand.go(60, AC, power=3600.0)
    stand.go(60, V2X, power=-3600.0)
    stand.go(60, AC, power=3600.0)
    stand.go(10, OUT)
    (session,) = stand.sessions
    assert ChargeState.DISCHARGING in stand.states
    assert session.energy_out_wh == pytest.approx(60, abs=3)
    assert session.energy_in_wh == pytest.approx(120, abs=3)
    assert session.discharging_s == pytest.approx(60, abs=3)
    assert session.quarters_wh[0] == pytest.approx(60, abs=3)


def test_without_a_plug_signal_a_session_ends_some_time_after_the_last_energy() -> None:
    stand = Stand()
    stand.go(60, DC, power=36_000.0)
    stand.go(599, Plug(is_charging=False), power=0.0)
    assert stand.sessions == []
    stand.go(10, Plug(is_charging=False))
    (session,) = stand.sessions
    assert session.supply is Supply.DC


def test_without_a_plug_signal_driving_off_ends_a_session_at_once() -> None:
    stand = Stand()
    stand.go(60, DC, power=36_000.0)
    stand.go(20, Plug(is_charging=False), power=0.0)
    stand.go(5, Plug(is_charging=False), speed=10.0)
    assert len(stand.sessions) == 1


def test_a_bouncing_relay_changes_nothing() -> None:
    stand = Stand()
    stand.go(60, AC, power=3600.0)
    stand.go(1, IN)
    stand.go(60, AC)
    assert stand.states == [ChargeState.CHARGING]


def test_a_vehicle_that_sleeps_at_the_cable_goes_on_with_its_session() -> None:
    stand = Stand()
    stand.go(60, IN)
    stand.go(1800, SILENT, power=None)
    stand.go(60, AC, power=3600.0)
    stand.go(10, OUT)
    (session,) = stand.sessions
    assert session.unknown_s == pytest.approx(1800, abs=5)
    assert session.energy_in_wh == pytest.approx(58, abs=3)


def test_silence_for_too_long_ends_a_session_where_it_was_last_known() -> None:
    stand = Stand()
    stand.go(60, AC, power=3600.0, soc=60.0)
    stand.go(3700, SILENT, power=None, soc=None)
    (session,) = stand.sessions
    assert session.ended_s == pytest.approx(161, abs=1)
    assert session.soc_end_percent == 60.0


def test_a_cable_without_energy_is_a_session_without_energy() -> None:
    stand = Stand()
    stand.go(60, IN)
    stand.go(10, OUT)
    (session,) = stand.sessions
    assert not session.has_energy
    assert session.supply is Supply.UNKNOWN


def test_a_restart_in_mid_charge_goes_on_with_the_same_session() -> None:
    first = Stand()
    first.go(602, AC, power=3600.0, soc=40.0)
    saved = first.tracker.session()
    assert saved is not None
    second = Stand(start_s=5.0)
    second.tracker.resume(saved, 5.0, gap_s=120.0)
    second.go(600, AC, power=3600.0, soc=44.0)
    second.go(10, OUT)
    (session,) = second.sessions
    assert session.session_id == saved.session_id
    assert session.restarts == 1
    assert session.energy_in_wh == pytest.approx(1200, abs=6)
    assert session.unknown_s == pytest.approx(120, abs=4)
    assert (session.soc_start_percent, session.soc_end_percent) == (40.0, 44.0)
    assert sum(session.quarters_wh) == pytest.approx(session.energy_in_wh)


def test_a_restart_after_the_cable_was_pulled_ends_the_session_as_it_was() -> None:
    first = Stand()
    first.go(602, AC, power=3600.0, soc=40.0)
    saved = first.tracker.session()
    assert saved is not None
    second = Stand(start_s=5.0)
    second.tracker.resume(saved, 5.0, gap_s=None)
    second.go(10, OUT, soc=30.0)
    (session,) = second.sessions
    assert session.energy_in_wh == saved.energy_in_wh
    assert session.soc_end_percent == 40.0


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_a_clock_step_adds_no_energy_and_ends_nothing(step_s: float) -> None:
    stand = Stand(start_s=10_000)
    stand.go(60, AC, power=3600.0)
    stand.time_s += step_s
    stand.go(60, AC)
    stand.go(10, OUT)
    (session,) = stand.sessions
    assert session.energy_in_wh == pytest.approx(120, abs=4)
    assert session.unknown_s == pytest.approx(max(0.0, step_s), abs=2)


def test_the_end_of_the_recording_ends_the_session() -> None:
    stand = Stand()
    stand.go(60, AC, power=3600.0)
    changes = stand.tracker.finish(stand.time_s)
    assert [change.session is not None for change in changes] == [True, False]
    assert stand.tracker.finish(stand.time_s) == []


def test_driving_without_a_session_is_nothing() -> None:
    stand = Stand()
    stand.go(60, SILENT, speed=50.0)
    stand.go(60, OUT, speed=50.0)
    assert stand.states == []
