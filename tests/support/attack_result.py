"""How often an attack was right, beside chance on the same tries; what all attacks share."""

import math
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.support.leaks import Stored

TRACKS = ("raw", "envirocar")
TARGETS = 3_500
HEAD = f"{'ATTACK':<16}{'FORM':<13}{'TRIES':>7}{'RIGHT':>9}  {'95 % INTERVAL':<18}{'CHANCE':>9}"
HEAD += f"{'GAIN <':>9}"


@dataclass(frozen=True, slots=True)
class Result:
    """How often an attack was right, try by try, and how often chance was on the same tries."""

    attack: str
    form: str
    hits: Sequence[bool]
    lucky: Sequence[float]  # probability, or 0 and 1 where chance is a guess of its own

    @property
    def rate(self) -> float:
        return sum(self.hits) / len(self.hits)

    @property
    def chance(self) -> float:
        return sum(self.lucky) / len(self.lucky)

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, after Wilson."""
        z, n = 1.96, len(self.hits)
        middle = (self.rate + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(self.rate * (1 - self.rate) / n + z * z / (4 * n * n))
        half /= 1 + z * z / n
        return max(0.0, middle - half), min(1.0, middle + half)

    @property
    def gain(self) -> float:
        """Upper bound (95 %) of rate minus chance; by pairs where chance is a guess of its own."""
        if not {0, 1} >= set(self.lucky):
            return self.interval[1] - self.chance
        apart = np.subtract(self.hits, self.lucky, dtype=float)
        high = float(apart.mean() + 1.96 * apart.std() / math.sqrt(len(apart)))
        return min(high, 1.0 - self.chance)

    def line(self) -> str:
        low, high = self.interval
        return (
            f"{self.attack:<16}{self.form:<13}{len(self.hits):>7}{self.rate:>9.2%}"
            f"  {low:>7.2%} to {high:>7.2%}{self.chance:>9.2%}{self.gain:>9.2%}"
        )


def pooled(result: Result, others: Iterable[Result]) -> Result:
    """Return ``result`` with the tries of ``others`` of the same form."""
    same = [result, *(one for one in others if one.form == result.form)]
    return Result(
        result.attack,
        result.form,
        [hit for one in same for hit in one.hits],
        [luck for one in same for luck in one.lucky],
    )


def by_name(batches: Iterable[Stored]) -> dict[bytes, list[Stored]]:
    """Return the batches under each pseudonym, earliest first."""
    found: defaultdict[bytes, list[Stored]] = defaultdict(list)
    for batch in sorted(batches, key=lambda batch: batch.arrived):
        found[batch.pseudonym].append(batch)
    return found


def sample(units: Sequence[Any], form: str) -> Sequence[Any]:
    """Return at most ``TARGETS`` of them, always the same; fewer for tracks, which show clearly."""
    count = min(len(units), TARGETS // 10 if form in TRACKS else TARGETS)
    return random.Random(form).sample(units, count)
