"""Which card the home screen shows, and what may be done while driving."""

from dataclasses import replace

import pytest

from agent.hmi.views import (
    ALLOWED,
    Action,
    BatteryAlert,
    Card,
    Criticality,
    DrivingState,
    Level,
    Notice,
    ScreenState,
    choose_card,
    effective_driving,
    is_allowed,
    shown_trip,
)
from sim.screens import PARKED, STATES

ALERTS = (BatteryAlert(code="weak_cell", level=Level.WARNING),)
EXPECTED = {
    "home-first": Card.HOME,
    "home-quiet": Card.HOME,
    "moving": Card.AMBIENT,
    "moving-stale": Card.AMBIENT,
    "idling-trip": Card.TRIP,
    "trip": Card.TRIP,
    "trip-two": Card.TRIP,
    "shared-held": Card.SHARED,
    "shared-queued": Card.SHARED,
    "update-ready": Card.UPDATE,
    "update-recall": Card.RECALL,
    "update-fetching": Card.HOME,
    "update-fetching-waits": Card.HOME,
    "update-scheduled": Card.HOME,
    "update-countdown": Card.RUNNING_UPDATE,
    "update-installing": Card.RUNNING_UPDATE,
    "update-checking": Card.RUNNING_UPDATE,
    "result-installed": Card.RESULT,
    "result-rolled-back": Card.RESULT,
    "result-refused": Card.RESULT,
    "battery-alert": Card.BATTERY,
    "trip-day": Card.TRIP,
    "trip-workshop": Card.TRIP,
    "home-all": Card.HOME,
    "home-paused": Card.HOME,
    "home-guest": Card.HOME,
    "home-driver-unknown": Card.HOME,
    "shared-standing": Card.SHARED,
    "battery-danger": Card.DANGER,
    "degraded": Card.DEGRADED,
    "danger": Card.DANGER,
}


def everything() -> ScreenState:
    return replace(
        PARKED,
        trips=STATES["trip"].trips,
        update=STATES["update-ready"].update,
        result=STATES["result-installed"].result,
        notices=STATES["degraded"].notices,
    )


def test_the_table_of_expected_cards_names_every_state() -> None:
    assert set(EXPECTED) == set(STATES)


@pytest.mark.parametrize("name", STATES)
def test_each_state_shows_its_one_card(name: str) -> None:
    assert choose_card(STATES[name]) is EXPECTED[name]


def test_prompts_come_one_at_a_time_in_the_order_of_their_weight() -> None:
    state = everything()
    recall = STATES["update-recall"].update
    assert choose_card(replace(state, update=recall)) is Card.RECALL
    assert choose_card(replace(state, alerts=ALERTS)) is Card.BATTERY
    assert choose_card(state) is Card.RESULT
    assert choose_card(replace(state, result=None)) is Card.UPDATE
    assert choose_card(replace(state, result=None, update=None)) is Card.TRIP
    assert choose_card(replace(state, result=None, update=None, trips=())) is Card.DEGRADED


def test_later_puts_an_update_off_and_lets_the_trip_ask() -> None:
    state = replace(everything(), result=None)
    assert state.update is not None
    later = replace(state, dismissed_update=state.update.content_hash)
    assert choose_card(later) is Card.TRIP


def test_a_trip_with_nothing_to_send_asks_nothing() -> None:
    trip = replace(STATES["trip"].trips[0], batches=())
    assert choose_card(replace(PARKED, trips=(trip,))) is Card.HOME


def test_do_not_drive_stays_in_every_driving_state() -> None:
    for driving in DrivingState:
        assert choose_card(replace(STATES["danger"], driving=driving)) is Card.DANGER


@pytest.mark.parametrize("driving", DrivingState)
def test_without_fresh_signals_the_car_counts_as_moving(driving: DrivingState) -> None:
    state = replace(everything(), driving=driving, vehicle_fresh=False)
    assert effective_driving(state) is DrivingState.MOVING
    assert choose_card(state) is Card.AMBIENT


def test_while_moving_only_backing_out_is_allowed() -> None:
    allowed = {action for action in Action if is_allowed(action, STATES["moving"])}
    assert allowed == {
        Action.WITHDRAW,
        Action.CANCEL_UPDATE,
        Action.PAUSE,
        Action.HIDE_PLACE,
        Action.ASK_AGAIN,
    }


def test_parked_everything_is_allowed_and_the_table_is_complete() -> None:
    assert set(ALLOWED) == set(Action)
    assert all(is_allowed(action, PARKED) for action in Action)


def test_idling_allows_one_button_cards_but_no_question() -> None:
    idling = replace(PARKED, driving=DrivingState.IDLING)
    allowed = {action for action in Action if is_allowed(action, idling)}
    assert allowed == {
        Action.PAUSE,
        Action.HIDE_PLACE,
        Action.ASK_AGAIN,
        Action.CHOOSE_DRIVER,
        Action.TAKE_BACK,
        Action.WITHDRAW,
        Action.CANCEL_UPDATE,
        Action.ACKNOWLEDGE,
    }


def test_the_shown_trip_is_one_that_waits_before_one_that_is_answered() -> None:
    answered, waiting = STATES["shared-held"].trips[0], STATES["trip"].trips[0]
    assert shown_trip(replace(PARKED, trips=(answered, waiting))) is waiting
    assert shown_trip(replace(PARKED, trips=(answered,))) is answered
    assert shown_trip(PARKED) is None


def test_an_information_alone_does_not_degrade_the_screen() -> None:
    notice = Notice(code="no_clock", level=Level.INFO)
    assert choose_card(replace(PARKED, notices=(notice,))) is Card.HOME


def test_a_recall_is_not_hidden_by_a_result() -> None:
    state = everything()
    assert state.update is not None
    recall = replace(state.update, criticality=Criticality.RECALL)
    assert choose_card(replace(state, update=recall)) is Card.RECALL


def test_a_warning_comes_at_the_next_stop_and_an_advice_when_the_trip_is_over() -> None:
    warning = replace(PARKED, alerts=ALERTS)
    advice = replace(PARKED, alerts=(BatteryAlert(code="resistance", level=Level.INFO),))
    cards = {
        driving: (
            choose_card(replace(warning, driving=driving)),
            choose_card(replace(advice, driving=driving)),
        )
        for driving in DrivingState
    }
    assert cards == {
        DrivingState.PARKED: (Card.BATTERY, Card.BATTERY),
        DrivingState.IDLING: (Card.BATTERY, Card.HOME),
        DrivingState.MOVING: (Card.AMBIENT, Card.AMBIENT),
    }


def test_an_acknowledged_alert_gives_way() -> None:
    alerts = (BatteryAlert(code="weak_cell", level=Level.WARNING, is_acknowledged=True),)
    assert choose_card(replace(PARKED, alerts=alerts)) is Card.HOME
