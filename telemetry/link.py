"""The link as a table: its states, its moves, its patience. Pure; paho lives in mqtt.py."""

from collections.abc import Callable
from enum import StrEnum


class LinkState(StrEnum):
    """Where the connection to the broker stands."""

    DOWN = "down"
    CONNECTING = "connecting"
    UP = "up"
    CLOSING = "closing"


class LinkEvent(StrEnum):
    """What can happen to the connection."""

    CONNECT = "connect"  # we ask for it
    ACCEPTED = "accepted"  # the broker said yes
    FAILED = "failed"  # it could not be made
    LOST = "lost"  # it was there and is gone
    CLOSE = "close"  # we say goodbye
    CLOSED = "closed"  # goodbye is done


S, E = LinkState, LinkEvent

# fmt: off
TRANSITIONS: dict[LinkState, dict[LinkEvent, LinkState]] = {
    S.DOWN:       {E.CONNECT: S.CONNECTING},
    S.CONNECTING: {E.ACCEPTED: S.UP, E.FAILED: S.DOWN},
    S.UP:         {E.LOST: S.DOWN,   E.CLOSE: S.CLOSING},
    S.CLOSING:    {E.LOST: S.DOWN,   E.CLOSED: S.DOWN},
}
# fmt: on


def next_state(state: LinkState, event: LinkEvent) -> LinkState:
    """Return where ``event`` leads from ``state``.

    Raises:
        ValueError: The table has no such move; the message names both.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise ValueError(f"link: no move for {event.value!r} in state {state.value!r}") from None


class LinkError(Exception):
    """The one error of the link. ``code`` is stable; the message is for a person.

    ``is_permanent``: the broker will say the same again; stop and show it, do not retry.
    """

    def __init__(self, message: str, *, code: str, is_permanent: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.is_permanent = is_permanent


class Backoff:
    """How long to wait before the next attempt: exponential with full jitter.

    Source: "full jitter" spreads a fleet best after a common outage; base and cap are the
    project's design values. The random source is handed in: ``random()`` gives 0 <= x < 1.
    """

    def __init__(
        self, random: Callable[[], float], *, base_s: float = 1.0, cap_s: float = 300.0
    ) -> None:
        if not 0 < base_s <= cap_s:
            raise ValueError(f"expected 0 < base_s <= cap_s, got {base_s} and {cap_s}")
        self._random = random
        self._base_s = base_s
        self._cap_s = cap_s
        self._ceiling_s = base_s

    def next_delay_s(self) -> float:
        """Return a delay below the present ceiling, and double the ceiling up to the cap."""
        delay_s = self._random() * self._ceiling_s
        self._ceiling_s = min(self._cap_s, self._ceiling_s * 2)
        return delay_s

    def reset(self) -> None:
        """Start again from the base: call it once the link has proved stable."""
        self._ceiling_s = self._base_s
