"""The named states of a vehicle definition: ignition_on, in_park, parked, charging. Pure."""

from collections.abc import Mapping

from agent.signals.model import Signal
from agent.signals.states import any_row
from agent.signals.table import States


def evaluate(states: States, latest: Mapping[str, Signal]) -> dict[str, bool | None]:
    """Return each state of ``states``: true, false, or None when the signals cannot tell.

    One alternative that holds makes a state true; all have to fail to make it false. An invalid
    signal is neither: nothing is assumed about it.
    """
    return {name: any_row(alternatives, latest) for name, alternatives in states.items()}
