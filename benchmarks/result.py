"""The one shape of a measured figure."""

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
