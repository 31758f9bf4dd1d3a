"""The named states of a vehicle definition: ignition_on, in_park, parked, charging. Pure."""

from collections.abc import Mapping, Sequence

from agent.signals.model import Signal
from agent.signals.table import Condition, States


def evaluate(states: States, latest: Mapping[str, Signal]) -> dict[str, bool | None]:
    """Return each state of ``states``: true, false, or None when the signals cannot tell.

    One alternative that holds makes a state true; all have to fail to make it false. An invalid
    signal is neither: nothing is assumed about it.
    """
    return {name: _any(alternatives, latest) for name, alternatives in states.items()}


def _any(alternatives: Sequence[Sequence[Condition]], latest: Mapping[str, Signal]) -> bool | None:
    answers = [_all(conditions, latest) for conditions in alternatives]
    if True in answers:
        return True
    return None if None in answers else False


def _all(conditions: Sequence[Condition], latest: Mapping[str, Signal]) -> bool | None:
    answers = [_holds(condition, latest) for condition in conditions]
    if False in answers:
        return False
    return None if None in answers else True


def _holds(condition: Condition, latest: Mapping[str, Signal]) -> bool | None:
    signal = latest.get(condition.path)
    if signal is None or signal.value is None:
        return None
    match condition.op:
        case "==":
            return signal.value == condition.value
        case ">=":
            return signal.value >= condition.value
        case "<=":
            return signal.value <= condition.value
