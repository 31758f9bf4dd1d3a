from dataclasses import replace

import pytest

from agent.consent.policy import Standing, decide, may_send
from agent.driver import Seat
from telemetry.purposes import Purpose

ALL = frozenset(Purpose)
WELL = Standing(granted=ALL, noticed=ALL, is_intact=True)


def test_a_granted_purpose_with_a_notice_and_a_whole_ledger_may_leave() -> None:
    assert decide(Purpose.BATTERY, WELL).is_allowed


@pytest.mark.parametrize(
    ("granted", "noticed", "is_intact", "code"),
    [
        (frozenset(), ALL, True, "consent.not_granted"),
        (ALL, frozenset(), True, "consent.no_notice"),
        (ALL, ALL, False, "consent.ledger_broken"),
        (frozenset(), frozenset(), False, "consent.ledger_broken"),
    ],
)
def test_everything_else_is_withheld_with_its_reason(
    *, granted: frozenset[Purpose], noticed: frozenset[Purpose], is_intact: bool, code: str
) -> None:
    decision = decide(
        Purpose.BATTERY, Standing(granted=granted, noticed=noticed, is_intact=is_intact)
    )
    assert not decision.is_allowed
    assert decision.code == code
    assert decision.sentence.endswith(".")


@pytest.mark.parametrize(
    ("seat", "code"), [(Seat.GUEST, "consent.guest"), (Seat.UNKNOWN, "consent.driver_unknown")]
)
def test_nothing_is_offered_to_a_guest_or_a_stranger_but_what_was_confirmed_may_leave(
    seat: Seat, code: str
) -> None:
    now = replace(WELL, seat=seat)
    assert decide(Purpose.BATTERY, now).code == code
    assert may_send(Purpose.BATTERY, now).is_allowed


def test_a_pause_stops_offering_and_sending() -> None:
    now = replace(WELL, pause_ends="until 18:00")
    assert decide(Purpose.BATTERY, now).sentence == "Sharing is paused until 18:00."
    assert may_send(Purpose.BATTERY, now).code == "consent.paused"


def test_a_lost_signing_key_stops_every_purpose_with_its_own_sentence() -> None:
    lost = replace(WELL, is_intact=False, key_problem="token vehicle in x.so: NoSuchToken")
    decision = decide(Purpose.BATTERY, lost)
    assert (decision.is_allowed, decision.code) == (False, "consent.signing_key")
    assert "NoSuchToken); sharing stopped, everything else goes on" in decision.sentence
