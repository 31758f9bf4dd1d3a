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
    ``is_overload``: the broker is away, busy or shutting down; every vehicle sees that now.
    """

    def __init__(
        self, message: str, *, code: str, is_permanent: bool = False, is_overload: bool = False
    ) -> None:
        super().__init__(message)
        self.code = code
        self.is_permanent = is_permanent
        self.is_overload = is_overload


class Backoff:
    """How long to wait before the next attempt: exponential with full jitter, and a storm guard.

    Source: "full jitter" spreads a fleet best after a common outage; base, cap and spread are the
    project's design values. The random source is handed in: ``random()`` gives 0 <= x < 1.

    The storm guard: after ``_STORM_AFTER`` failures in a row that every vehicle sees at once, the
    next attempt is anywhere within ``storm_s``, so that a fleet does not return in one minute. A
    broker that restarts within seconds does not get that far.
    """

    def __init__(
        self,
        random: Callable[[], float],
        *,
        base_s: float = 1.0,
        cap_s: float = 300.0,
        storm_s: float = 900.0,
    ) -> None:
        if not 0 < base_s <= cap_s:
            raise ValueError(f"expected 0 < base_s <= cap_s, got {base_s} and {cap_s}")
        self._random = random
        self._base_s = base_s
        self._cap_s = cap_s
        self._storm_s = storm_s
        self._ceiling_s = base_s
        self._overloads = 0

    def next_delay_s(self, *, is_overload: bool = False) -> float:
        """Return a delay below the present ceiling, and double the ceiling up to the cap."""
        self._overloads = self._overloads + 1 if is_overload else 0
        is_storm = self._overloads > _STORM_AFTER
        ceiling_s = max(self._storm_s, self._ceiling_s) if is_storm else self._ceiling_s
        self._ceiling_s = min(self._cap_s, self._ceiling_s * 2)
        return self._random() * ceiling_s

    def reset(self) -> None:
        """Start again from the base: call it once the link has proved stable."""
        self._ceiling_s = self._base_s
        self._overloads = 0


_STORM_AFTER = 3
