"""The shapes of what is measured: a figure, a table, and the part that one benchmark gives."""

from collections.abc import Sequence
from typing import TypedDict


class Result(TypedDict):
    """One figure of a run.

    ``ratio`` is value ÷ peer, measured in the same run; None where there is no peer. ``must`` and
    ``aim`` are the budgets of the design, on the ratio where there is one, else on the value.
    ``ok`` says whether the must holds; None where there is no bar.
    """

    name: str
    value: float
    unit: str
    peer: float | None
    ratio: float | None
    must: float | None
    aim: float | None
    ok: bool | None


def at_most(
    name: str, value: float, unit: str, *, must: float | None = None, aim: float | None = None
) -> Result:
    """Return a figure that should be small, without a peer; rounded to what a page shows."""
    return Result(
        name=name,
        value=round(value, 3),
        unit=unit,
        peer=None,
        ratio=None,
        must=must,
        aim=aim,
        ok=None if must is None else value <= must,
    )


class Table(TypedDict):
    """What does not fit one line: a title, a sentence, a head and rows as long as the head."""

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]


class Part(TypedDict):
    """All that one benchmark found: figures for the first table, and tables of its own."""

    results: Sequence[Result]
    tables: Sequence[Table]
