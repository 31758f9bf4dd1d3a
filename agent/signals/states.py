"""Whether the named states of a vehicle definition hold. Pure, and never a guess."""

from collections.abc import Mapping, Sequence

from agent.signals.model import Signal
from agent.signals.table import Condition


def any_row(
    alternatives: Sequence[Sequence[Condition]], latest: Mapping[str, Signal]
) -> bool | None:
    """Return whether one alternative of a state holds; None when the signals cannot tell."""
    answers = [_all(conditions, latest) for conditions in alternatives]
    if True in answers:
        return True
    return None if None in answers else False


def _all(conditions: Sequence[Condition], latest: Mapping[str, Signal]) -> bool | None:
    answers = [holds(condition, latest.get(condition.path)) for condition in conditions]
    if False in answers:
        return False
    return None if None in answers else True


def holds(condition: Condition, signal: Signal | None) -> bool | None:
    """Return whether ``condition`` holds of the latest signal of its path; None: cannot tell."""
    if signal is None or signal.value is None:
        return None
    match condition.op:
        case "==":
            return signal.value == condition.value
        case ">=":
            return signal.value >= condition.value
        case "<=":
            return signal.value <= condition.value
