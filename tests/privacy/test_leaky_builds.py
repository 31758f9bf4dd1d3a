"""With one transform off, the attack that it is there for succeeds: the attacks themselves work."""

import pytest

from tests.support.attack_result import Result
from tests.support.homes import average_crops, find_homes
from tests.support.leaky import On, leaky_charging, leaky_traffic
from tests.support.linking import link_days, recognise
from tests.support.privacy_attacks import MARGIN
from tests.support.sizes import read_sizes
from tests.support.traces import Town

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

VEHICLES, DAYS, SEED = 600, 14, 11


def clear_gain(result: Result) -> float:
    """The lower end of the 95 % interval of the rate, minus chance."""
    return result.interval[0] - result.chance


@pytest.fixture(scope="module")
def town() -> Town:
    return Town(VEHICLES, seed=SEED)


def test_without_crop_and_with_order_attack_a_finds_homes(town: Town) -> None:
    [result] = find_homes(leaky_traffic(town, 2), town)
    assert clear_gain(result) > 0.3, result.line()


def test_without_crop_attack_d_finds_homes_by_averaging(town: Town) -> None:
    [result] = average_crops(leaky_traffic(town, 4), town)
    assert clear_gain(result) > 0.3, result.line()


def test_with_cells_told_at_home_attack_a_finds_homes(town: Town) -> None:
    [result] = find_homes(leaky_charging(town, DAYS, On(silence=False, turns=False)), town)
    assert clear_gain(result) > MARGIN, result.line()


def test_with_one_pseudonym_for_two_days_attack_b_links_them(town: Town) -> None:
    result, _ = link_days(leaky_charging(town, DAYS, On(names=False, turns=False)))
    possible = [hit for hit, share in zip(result.hits, result.lucky, strict=True) if share]
    assert len(possible) >= 100
    assert sum(possible) >= 0.99 * len(possible), result.line()


def test_without_turns_attack_b_links_days_by_habit(town: Town) -> None:
    result, _ = link_days(leaky_charging(town, DAYS, On(turns=False)))
    assert clear_gain(result) > MARGIN, result.line()


def test_with_whole_routes_attack_c_recognises_a_vehicle(town: Town) -> None:
    stored = leaky_traffic(town, 4)
    truth = {driver.number: [trip for trip, _ in town.life(driver, 4)] for driver in town.drivers}
    [result] = recognise(stored, truth)
    assert clear_gain(result) > 0.1, result.line()


def test_without_delay_attack_e_reads_the_hour_of_a_stop(town: Town) -> None:
    [result] = read_sizes(leaky_charging(town, DAYS, On(delay=False, turns=False)))
    assert clear_gain(result) > 0.1, result.line()
