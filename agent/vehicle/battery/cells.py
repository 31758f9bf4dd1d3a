"""Cells and modules against their neighbours: by medians, which one bad one cannot move. Pure.

A standard deviation grows with the outlier it should find: with three sensors, one that is 10 K
off moves it by 4.7 K. The median of the absolute deviations (MAD) does not move.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Final

from agent.vehicle.battery.alerts import Evidence, Reading
from agent.vehicle.battery.rules import RULES, Code

GATE_A: Final = 20.0  # above this a cell's own resistance looks like imbalance; measured
MIN_CELLS: Final = 24
TOP_PERCENT: Final = 80.0  # from here on the cells of a pack show what divides them
MIN_THERMISTORS: Final = 3
_MAD_TO_SIGMA: Final = 1.4826  # of a normal distribution
_NOISE_K: Final = 0.5  # a thermistor's step is 1 K
CVLI_BELOW_V: Final = 3.712  # source: maker's manual, 2011; the formula holds below this


def mad(values: Sequence[float]) -> float:
    """Return the median of the absolute deviations from the median."""
    middle = statistics.median(values)
    return statistics.median(abs(value - middle) for value in values)


def imbalance(cells: Mapping[int, float], current_a: float) -> Reading | None:
    """Judge the spread of cell voltages in V, by number from 1.

    None if there are too few, or more current than lets anybody tell.
    """
    if len(cells) < MIN_CELLS or abs(current_a) > GATE_A:
        return None
    volts = tuple(cells.values())
    weakest = min(cells, key=lambda number: cells[number])
    spread = max(volts) - min(volts)
    return Reading(
        code=Code.WEAK_CELL,
        value=spread,
        evidence=(
            Evidence(name="spread", value=round(spread * 1_000), unit="mV"),
            Evidence(name="weakest_cell", value=weakest),
            Evidence(name="weakest", value=round(cells[weakest] * 1_000), unit="mV"),
            Evidence(name="median", value=round(statistics.median(volts) * 1_000), unit="mV"),
            Evidence(name="mad", value=round(mad(volts) * 1_000, 1), unit="mV"),
            Evidence(name="cells", value=len(cells)),
            Evidence(name="current", value=round(current_a, 1), unit="A"),
        ),
    )


def balancing(spread: Reading, soc_percent: float | None) -> Reading | None:
    """Judge whether the cells ask for a full, slow charge; None where that shows nowhere.

    Cells drift apart at the top of their charge first. A spread that is a weak cell is not told
    twice.
    """
    if soc_percent is None or soc_percent < TOP_PERCENT:
        return None
    value = spread.value if spread.value < RULES[Code.WEAK_CELL].raise_at else 0.0
    return Reading(code=Code.BALANCING, value=value, evidence=spread.evidence)


def cell_limit_v(pack_v: float, highest_cell_v: float) -> float:
    """Return the lowest voltage a good cell may have; gen-1 packs only (source: see rules)."""
    return (2.5 * pack_v - 0.144 * highest_cell_v * 1_000) / 96


def below_limit(cells: Mapping[int, float]) -> Reading | None:
    """Judge the lowest cell against the maker's limit; None where the formula does not hold."""
    if len(cells) < MIN_CELLS or min(cells.values()) > CVLI_BELOW_V:
        return None
    weakest = min(cells, key=lambda number: cells[number])
    limit_v = cell_limit_v(sum(cells.values()), max(cells.values()))
    return Reading(
        code=Code.CELL_BELOW_LIMIT,
        value=limit_v - cells[weakest],
        evidence=(
            Evidence(name="weakest_cell", value=weakest),
            Evidence(name="weakest", value=round(cells[weakest] * 1_000), unit="mV"),
            Evidence(name="limit", value=round(limit_v * 1_000), unit="mV"),
            Evidence(name="cells", value=len(cells)),
        ),
    )


def hot_spot(temperatures: Sequence[float]) -> Reading | None:
    """Judge the hottest thermistor against the median; None with fewer than three."""
    if len(temperatures) < MIN_THERMISTORS:
        return None
    middle = statistics.median(temperatures)
    above_k = max(temperatures) - middle
    sigma_k = _MAD_TO_SIGMA * max(mad(temperatures), _NOISE_K)
    is_lone = above_k > 4 * sigma_k or len(temperatures) == MIN_THERMISTORS
    return Reading(
        code=Code.HOT_MODULE,
        value=above_k if is_lone else 0.0,
        evidence=(
            Evidence(name="above_median", value=round(above_k, 1), unit="celsius"),
            Evidence(name="hottest", value=max(temperatures), unit="celsius"),
            Evidence(name="median", value=middle, unit="celsius"),
            Evidence(name="mad", value=mad(temperatures), unit="celsius"),
            Evidence(name="sensors", value=len(temperatures)),
        ),
    )


def hot_extreme(hottest_c: float, average_c: float) -> Reading:
    """Judge highest against average temperature, where a vehicle tells only these two."""
    return Reading(
        code=Code.HOT_MODULE,
        value=hottest_c - average_c,
        evidence=(
            Evidence(name="above_median", value=round(hottest_c - average_c, 1), unit="celsius"),
            Evidence(name="hottest", value=hottest_c, unit="celsius"),
            Evidence(name="average", value=average_c, unit="celsius"),
        ),
    )
