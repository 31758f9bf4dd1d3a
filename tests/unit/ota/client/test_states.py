"""The table of states: every legal move, no other, and always a way home."""

import itertools

import pytest

from ota.client.states import (
    TRANSITIONS,
    WATCHED,
    IllegalMoveError,
    UpdateEvent,
    UpdateState,
    has_limited_attempts,
    next_state,
)

LEGAL = [(state, event) for state, row in TRANSITIONS.items() for event in row]
ILLEGAL = [pair for pair in itertools.product(UpdateState, UpdateEvent) if pair not in LEGAL]


def reachable(start: UpdateState) -> set[UpdateState]:
    found, left = {start}, [start]
    while left:
        for state in TRANSITIONS[left.pop()].values():
            if state not in found:
                found.add(state)
                left.append(state)
    return found


@pytest.mark.parametrize(("state", "event"), LEGAL)
def test_a_legal_move_leads_where_the_table_says(state: UpdateState, event: UpdateEvent) -> None:
    assert next_state(state, event) is TRANSITIONS[state][event]


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_an_illegal_move_names_state_and_event(state: UpdateState, event: UpdateEvent) -> None:
    with pytest.raises(IllegalMoveError, match=f"state {state}: expected .*; got {event}$"):
        next_state(state, event)


def test_every_state_is_reachable_from_idle() -> None:
    assert reachable(UpdateState.IDLE) == set(UpdateState)


@pytest.mark.parametrize("state", UpdateState)
def test_every_state_leads_home(state: UpdateState) -> None:
    assert UpdateState.IDLE in reachable(state)


def test_what_may_fail_again_and_again_has_limited_attempts() -> None:
    assert {state for state in UpdateState if has_limited_attempts(state)} == {
        UpdateState.VERIFYING,
        UpdateState.DOWNLOADING,
        UpdateState.PREPARING,
        UpdateState.INSTALLING,
        UpdateState.CHECKING,
    }


def ways_into(goal: UpdateState) -> set[UpdateState]:
    return {state for state, row in TRANSITIONS.items() if goal in row.values()}


def test_nothing_is_installed_without_having_waited_for_an_ok() -> None:
    assert ways_into(UpdateState.PREPARING) == {UpdateState.AWAITING_OK}
    assert ways_into(UpdateState.INSTALLING) == {UpdateState.PREPARING}


@pytest.mark.parametrize("state", WATCHED)
def test_a_gate_that_closes_in_the_middle_leads_back_to_waiting(state: UpdateState) -> None:
    assert next_state(state, UpdateEvent.INTERRUPTED) is UpdateState.ROLLING_BACK
    goal = next_state(UpdateState.ROLLING_BACK, UpdateEvent.INTERRUPTED)
    assert goal is UpdateState.AWAITING_OK
