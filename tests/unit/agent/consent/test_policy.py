import pytest

from agent.consent.policy import decide
from telemetry.purposes import Purpose

ALL = frozenset(Purpose)


def test_a_granted_purpose_with_a_notice_and_a_whole_ledger_may_leave() -> None:
    assert decide(Purpose.BATTERY, granted=ALL, noticed=ALL, is_intact=True).is_allowed


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
    decision = decide(Purpose.BATTERY, granted=granted, noticed=noticed, is_intact=is_intact)
    assert not decision.is_allowed
    assert decision.code == code
    assert decision.sentence.endswith(".")
