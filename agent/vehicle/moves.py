"""What every table of states shares: the next state, and an event that has to last. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)


def follow(table: Mapping[S, Mapping[E, S]], state: S, event: E) -> S:
    """Return the state after ``event``; raise ValueError if ``table`` has no such move."""
    try:
        return table[state][event]
    except KeyError:
        legal = ", ".join(table[state])
        raise ValueError(f"{state}: expected one of {legal}, got {event}") from None


@dataclass(slots=True)
class Debounced(Generic[E]):
    """What the signals say, since when, and when the present state was entered.

    Instants are on the clock of the frames; one that goes back moves them along.
    """

    event: E | None = None
    entered_s: float = 0.0
    _since_s: float = 0.0

    def is_new(self, event: E | None, time_s: float) -> bool:
        """Take what the signals say now; return whether they said something else before."""
        if event is self.event:
            return False
        self.event, self._since_s = event, time_s
        return True

    def has_lasted(self, wait_s: float, time_s: float) -> bool:
        """Return whether the signals have said the same for ``wait_s``."""
        return time_s - self._since_s >= wait_s

    def waited_s(self, time_s: float) -> float:
        """Return how long ago the present state was entered."""
        return time_s - self.entered_s

    def rewind(self, time_s: float) -> None:
        """Let the clock have gone back to ``time_s``, if it has."""
        self._since_s = min(self._since_s, time_s)
        self.entered_s = min(self.entered_s, time_s)
