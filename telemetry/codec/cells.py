"""What one place of an integer column holds: a number, nothing, or word that a reading was wrong.

Missing (``None``) means that no reading came; ``INVALID`` that one came and is not to be believed.
Neither is ever a number.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final


class Gap(Enum):
    """A place without a number that is not simply empty."""

    INVALID = "invalid"


INVALID: Final = Gap.INVALID
Cell = int | Gap | None


def number(cell: Cell) -> int | None:
    """Return the number in ``cell``; None if there is none, whatever the reason."""
    return cell if isinstance(cell, int) else None


def numbers(column: Sequence[Cell]) -> list[int | None]:
    """Return the numbers of a column; None wherever there is none."""
    return [number(cell) for cell in column]


def count_gaps(columns: Iterable[Sequence[Cell]]) -> tuple[int, int]:
    """Return how many places are missing and how many are invalid, over all columns."""
    missing = invalid = 0
    for column in columns:
        missing += column.count(None)
        invalid += column.count(INVALID)
    return missing, invalid
