"""Each reason why a batch has not left, alone and in order."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agent.departure import (
    RULES,
    DepartureLimits,
    Situation,
    Surroundings,
    affords,
    hindrance,
    reason,
)
from agent.network.model import NetworkClass
from agent.store.drops import DropCode

LIMITS = DepartureLimits(
    parked_send_s=900,
    min_low_voltage_v=11.8,
    bytes_per_day={NetworkClass.METERED: 100_000, NetworkClass.ROAMING: 0},
)
READY = Situation(surroundings=Surroundings(), limits=LIMITS, queued=1, next_bytes=5_000)
METERED = replace(READY, surroundings=Surroundings(network=NetworkClass.METERED))


def parked(**changes: object) -> Situation:
    return replace(READY, surroundings=replace(Surroundings(), **changes))


REASONS = {
    "queue.empty": (replace(READY, queued=0), "Nothing is waiting."),
    "uplink.paused": (replace(READY, is_paused=True), "Sending was switched off by hand."),
    "uplink.refused": (
        replace(READY, is_refused=True, failure="not authorised"),
        "Stopped: not authorised. Waiting does not heal this.",
    ),
    "uplink.held": (replace(READY, held_s=12), "The driver can still take it back for 12 s."),
    "uplink.withheld": (
        replace(READY, withheld="The consent ledger is damaged; sharing stopped."),
        "The consent ledger is damaged",
    ),
    "uplink.no_network": (parked(network=NetworkClass.NONE), "There is no network."),
    "uplink.parked": (parked(parked_for_s=900.0), "it leaves on the next drive"),
    "uplink.low_voltage": (parked(low_voltage_v=11.5), "The 12 V battery is at 11.5 V"),
    "uplink.budget": (
        replace(METERED, spent_bytes=99_000),
        "Today's budget on a metered network is used: 99,000 of 100,000 bytes",
    ),
    "uplink.pause": (replace(READY, retry_in_s=7), "A random pause between two connections: 7 s"),
    "uplink.back_off": (
        replace(READY, retry_in_s=7, failure="no broker"),
        "The last attempt failed: no broker. Next attempt in 7 s.",
    ),
}


@pytest.mark.parametrize("code", REASONS)
def test_each_reason_has_its_code_and_its_sentence(code: str) -> None:
    situation, sentence = REASONS[code]
    found = hindrance(situation)
    assert found is not None
    assert found.code == code
    assert sentence in found.sentence


def test_a_failure_is_told_even_when_the_next_attempt_is_due() -> None:
    assert reason(READY) == "1 batch is being sent."
    assert reason(replace(READY, failure="no broker")) == (
        "The last attempt failed: no broker. Next attempt in 0 s."
    )


def test_paused_is_said_also_while_nothing_waits() -> None:
    found = hindrance(replace(READY, queued=0, is_paused=True))
    assert found is not None
    assert found.code == "uplink.paused"


def test_every_rule_has_a_reason_here() -> None:
    assert len(REASONS) == len(RULES) + 1  # waiting has two sentences


def test_when_nothing_stands_in_the_way_it_leaves() -> None:
    assert hindrance(READY) is None


@pytest.mark.parametrize(
    "situation",
    [
        parked(parked_for_s=899.0),
        parked(parked_for_s=9_000.0, is_charging=True),
        parked(low_voltage_v=11.8),
        parked(low_voltage_v=11.0, is_charging=True),
        replace(METERED, spent_bytes=80_000),
        replace(METERED, next_bytes=10**9),
        replace(READY, spent_bytes=10**12),
        replace(READY, failure="earlier", retry_in_s=0),
    ],
    ids=[
        "parked-a-moment",
        "parked-and-charging",
        "battery-just-enough",
        "battery-being-charged",
        "budget-left",
        "larger-than-a-day-once",
        "no-limit-here",
        "back-off-over",
    ],
)
def test_what_is_no_reason_lets_it_leave(situation: Situation) -> None:
    assert hindrance(situation) is None


def test_roaming_sends_nothing_unless_it_is_allowed() -> None:
    roaming = replace(READY, surroundings=Surroundings(network=NetworkClass.ROAMING))
    found = hindrance(roaming)
    assert found is not None
    assert found.sentence == "Nothing is sent while the network is roaming."


def test_only_what_time_heals_says_for_how_long() -> None:
    waits = {code: found.wait_s for code in REASONS if (found := hindrance(REASONS[code][0]))}
    assert {code for code, wait_s in waits.items() if wait_s is not None} == {
        "uplink.held",
        "uplink.pause",
        "uplink.back_off",
    }


def test_the_driver_can_take_it_back_before_any_network_is_looked_at() -> None:
    found = hindrance(replace(parked(network=NetworkClass.NONE), held_s=5))
    assert found is not None
    assert found.code == "uplink.held"


def test_a_whole_day_may_go_into_one_batch_that_is_larger_than_a_day() -> None:
    assert affords(METERED, 200_000)
    assert not affords(replace(METERED, spent_bytes=1), 200_000)


PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "why-has-a-batch-not-left.md"


def sentences_of_the_page() -> dict[str, list[str]]:
    rows = re.findall(
        r"^\| `((?:uplink|queue)\.\w+)` \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE
    )
    found: dict[str, list[str]] = {}
    for code, sentence in rows:
        found.setdefault(code, []).append(".+".join(map(re.escape, sentence.split("…"))))
    return found


@pytest.mark.parametrize("code", REASONS)
def test_the_page_has_the_sentence_that_is_printed(code: str) -> None:
    found = hindrance(REASONS[code][0])
    assert found is not None
    assert any(re.fullmatch(one, found.sentence) for one in sentences_of_the_page()[code])


def test_the_page_has_every_code_of_a_drop_and_of_a_failure() -> None:
    root = Path(__file__).parents[3]
    sources = [*root.glob("agent/*.py"), *root.glob("agent/store/*.py")]
    sources += [*root.glob("telemetry/mqtt/*.py"), root / "telemetry" / "link.py"]
    codes = {
        code
        for source in sources
        for code in re.findall(r'code ?= ?"((?:link|uplink)\.\w+)"', source.read_text())
    }
    text = PAGE.read_text()
    assert len(codes) > 15
    assert [code for code in sorted(codes) if f"`{code}`" not in text] == []
    assert [code for code in DropCode if f"`{code}`" not in text] == []
