"""From NetworkManager's words to what a byte costs."""

import pytest

from agent.network.model import NetworkClass, NetworkFacts, network_class

CASES = {
    "nobody_says_anything": (None, NetworkClass.METERED),
    "a_wireless_network_that_is_free": (NetworkFacts(state=70, metered=2), NetworkClass.UNMETERED),
    "one_guessed_to_be_free": (NetworkFacts(state=70, metered=4), NetworkClass.UNMETERED),
    "one_marked_as_metered": (NetworkFacts(state=70, metered=1), NetworkClass.METERED),
    "one_guessed_to_be_metered": (NetworkFacts(state=70, metered=3), NetworkClass.METERED),
    "one_without_a_word": (NetworkFacts(state=70, metered=0), NetworkClass.METERED),
    "a_site_without_the_world": (NetworkFacts(state=60, metered=2), NetworkClass.UNMETERED),
    "this_machine_only": (NetworkFacts(state=50, metered=2), NetworkClass.NONE),
    "nothing_connected": (NetworkFacts(state=20, metered=0), NetworkClass.NONE),
    "a_modem_at_home": (
        NetworkFacts(state=70, metered=1, kind="gsm", is_roaming=False),
        NetworkClass.METERED,
    ),
    "a_modem_abroad": (
        NetworkFacts(state=70, metered=1, kind="gsm", is_roaming=True),
        NetworkClass.ROAMING,
    ),
    "a_modem_abroad_said_to_be_free": (
        NetworkFacts(state=70, metered=2, kind="gsm", is_roaming=True),
        NetworkClass.ROAMING,
    ),
    "a_modem_that_says_nothing": (
        NetworkFacts(state=70, metered=1, kind="gsm", is_roaming=None),
        NetworkClass.METERED,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_network_has_one_class(case: str) -> None:
    facts, expected = CASES[case]
    assert network_class(facts) is expected
