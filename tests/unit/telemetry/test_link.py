"""The link table and its patience."""

import itertools
import random

import pytest

from telemetry.link import TRANSITIONS, Backoff, LinkError, LinkEvent, LinkState, next_state

LEGAL = [(state, event) for state, moves in TRANSITIONS.items() for event in moves]
ILLEGAL = [pair for pair in itertools.product(LinkState, LinkEvent) if pair not in LEGAL]


@pytest.mark.parametrize(("state", "event"), LEGAL)
def test_a_legal_move_goes_where_the_table_says(state: LinkState, event: LinkEvent) -> None:
    assert next_state(state, event) is TRANSITIONS[state][event]


@pytest.mark.parametrize(("state", "event"), ILLEGAL)
def test_an_illegal_move_names_state_and_event(state: LinkState, event: LinkEvent) -> None:
    with pytest.raises(ValueError, match=f"no move for '{event.value}' in state '{state.value}'"):
        next_state(state, event)


def reachable(start: LinkState) -> set[LinkState]:
    seen = {start}
    for _ in LinkState:
        seen |= {after for state in seen for after in TRANSITIONS[state].values()}
    return seen


@pytest.mark.parametrize("state", LinkState)
def test_each_state_is_reachable_and_leads_home(state: LinkState) -> None:
    assert state in reachable(LinkState.DOWN)
    assert LinkState.DOWN in reachable(state)


def test_every_event_is_used() -> None:
    assert {event for _, event in LEGAL} == set(LinkEvent)


def test_the_ceiling_doubles_from_one_second_to_five_minutes() -> None:
    backoff = Backoff(lambda: 1.0)
    assert [backoff.next_delay_s() for _ in range(11)] == [
        1,
        2,
        4,
        8,
        16,
        32,
        64,
        128,
        256,
        300,
        300,
    ]
    backoff.reset()
    assert backoff.next_delay_s() == 1


def test_jitter_is_full() -> None:
    backoff = Backoff(random.Random(7).random, base_s=8, cap_s=8)
    delays_s = [backoff.next_delay_s() for _ in range(1000)]
    assert min(delays_s) < 0.2
    assert max(delays_s) > 7.8
    assert 3.6 < sum(delays_s) / 1000 < 4.4


@pytest.mark.parametrize(("base_s", "cap_s"), [(0, 1), (2, 1)])
def test_a_backoff_without_patience_is_our_mistake(base_s: float, cap_s: float) -> None:
    with pytest.raises(ValueError, match="expected 0 < base_s <= cap_s"):
        Backoff(random.random, base_s=base_s, cap_s=cap_s)


def test_a_link_error_is_temporary_unless_said_otherwise() -> None:
    error = LinkError("lost", code="link.lost")
    assert (str(error), error.code, error.is_permanent) == ("lost", "link.lost", False)
