"""The attacks on what ingest holds of 4,000 vehicles over 20 days.

An attack that fails is a test that passes; that an attack *can* succeed is shown on raw tracks in
the same run, and beside it on tracks cropped by 250 m and 60 s, the same everywhere. That each
would notice a transform that is off is in test_leaky_builds.py; other towns are `make soak`'s.
"""

import pytest

from tests.support.attack_result import HEAD, Result
from tests.support.privacy_attacks import ATTACKS, MARGIN, OURS, WEAK, attack, lines

pytestmark = [pytest.mark.system, pytest.mark.timeout(1_800)]

VEHICLES, SEED = 4_000, 5

Table = dict[tuple[str, str], Result]


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Table:
    results = attack(VEHICLES, SEED)
    plugins = request.config.pluginmanager
    with plugins.getplugin("capturemanager").global_and_fixture_disabled():
        for line in ("", *lines(results)):
            plugins.getplugin("terminalreporter").write_line(line)  # shown also when all is well
    return {(result.attack, result.form): result for result in results}


def _gains_nothing(table: Table, attack: str, form: str) -> None:
    result = table[attack, form]
    assert len(result.hits) >= 1_000, result.line()
    assert result.gain <= MARGIN, f"{HEAD}\n{result.line()}"


@pytest.mark.parametrize("form", OURS)
def test_attack_a_does_not_find_a_home_within_300_m(table: Table, form: str) -> None:
    _gains_nothing(table, "a home", form)


@pytest.mark.parametrize("form", OURS)
def test_attack_b_does_not_link_two_days_of_a_vehicle(table: Table, form: str) -> None:
    _gains_nothing(table, "b two days", form)


@pytest.mark.parametrize("form", OURS)
def test_attack_c_does_not_recognise_a_vehicle_from_one_known_trip(table: Table, form: str) -> None:
    _gains_nothing(table, "c known trip", form)


@pytest.mark.parametrize("form", OURS)
def test_attack_d_does_not_undo_the_crop_by_averaging_many_trips(table: Table, form: str) -> None:
    _gains_nothing(table, "d averaging", form)


@pytest.mark.parametrize("form", OURS)
def test_attack_e_does_not_read_contents_from_sizes_and_times(table: Table, form: str) -> None:
    _gains_nothing(table, "e size and time", form)


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_attack_succeeds_on_raw_tracks(table: Table, attack: str) -> None:
    result = table[attack, "raw"]
    assert result.rate >= WEAK, f"too weak to prove anything\n{HEAD}\n{result.line()}"


def test_battery_is_in_the_table_and_can_be_linked_as_its_notice_says(table: Table) -> None:
    assert table["b two days", "battery"].rate > table["b two days", "battery"].chance
