"""Where an update stands: states, events and the one table of legal moves."""

from enum import StrEnum


class UpdateState(StrEnum):
    """What the update is doing; the values are what the journal holds."""

    IDLE = "idle"
    VERIFYING = "verifying"
    DOWNLOADING = "downloading"
    AWAITING_OK = "awaiting_ok"
    PREPARING = "preparing"
    INSTALLING = "installing"
    CHECKING = "checking"
    COMMITTING = "committing"
    ROLLING_BACK = "rolling_back"
    REPORTING = "reporting"


class UpdateEvent(StrEnum):
    """What can happen to an update; failure is an event like any other."""

    CHECK_ASKED = "check_asked"
    NOTHING_NEW = "nothing_new"
    DONE = "done"
    FAILED = "failed"
    GIVE_UP = "give_up"
    INTERRUPTED = "interrupted"


class IllegalMoveError(RuntimeError):
    """A state was given an event its row does not have: our own mistake, never caught."""

    def __init__(self, state: UpdateState, event: UpdateEvent) -> None:
        legal = ", ".join(TRANSITIONS[state])
        super().__init__(f"state {state}: expected one of {legal}; got {event}")


S, E = UpdateState, UpdateEvent

# A state with a GIVE_UP column has limited attempts. AWAITING_OK goes back to VERIFYING when a
# check is asked: the offer may have been withdrawn while it waited. PREPARING changes nothing that
# runs; INSTALLING switches every image of the bundle; from there on all of them stay or all go
# back. A gate that closes in between is INTERRUPTED: what ran before runs again, and the update
# waits again. COMMITTING and ROLLING_BACK cannot fail: they are repeated until the disk lets them
# finish, because half of either is no resting place. A restart (of the board, of the agent) will
# stand before CHECKING.
# fmt: off
TRANSITIONS: dict[UpdateState, dict[UpdateEvent, UpdateState]] = {
    S.IDLE:         {E.CHECK_ASKED: S.VERIFYING},
    S.VERIFYING:    {E.DONE: S.DOWNLOADING,  E.NOTHING_NEW: S.IDLE,
                     E.FAILED: S.REPORTING,  E.GIVE_UP: S.REPORTING},
    S.DOWNLOADING:  {E.DONE: S.AWAITING_OK,  E.FAILED: S.REPORTING,    E.GIVE_UP: S.REPORTING},
    S.AWAITING_OK:  {E.DONE: S.PREPARING,    E.FAILED: S.REPORTING,    E.CHECK_ASKED: S.VERIFYING},
    S.PREPARING:    {E.DONE: S.INSTALLING,   E.FAILED: S.ROLLING_BACK, E.GIVE_UP: S.ROLLING_BACK,
                     E.INTERRUPTED: S.ROLLING_BACK},
    S.INSTALLING:   {E.DONE: S.CHECKING,     E.FAILED: S.ROLLING_BACK, E.GIVE_UP: S.ROLLING_BACK,
                     E.INTERRUPTED: S.ROLLING_BACK},
    S.CHECKING:     {E.DONE: S.COMMITTING,   E.FAILED: S.ROLLING_BACK, E.GIVE_UP: S.ROLLING_BACK,
                     E.INTERRUPTED: S.ROLLING_BACK},
    S.COMMITTING:   {E.DONE: S.REPORTING},
    S.ROLLING_BACK: {E.DONE: S.REPORTING,    E.INTERRUPTED: S.AWAITING_OK},
    S.REPORTING:    {E.DONE: S.IDLE,         E.FAILED: S.IDLE},
}
# fmt: on

# A gate that closes ends these; what ran before runs again.
WATCHED = frozenset({S.PREPARING, S.INSTALLING, S.CHECKING})


def next_state(state: UpdateState, event: UpdateEvent) -> UpdateState:
    """Return where ``event`` leads from ``state``.

    Raises:
        IllegalMoveError: The table has no such move.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalMoveError(state, event) from None


def has_limited_attempts(state: UpdateState) -> bool:
    """Return whether the state gives up after a number of attempts."""
    return UpdateEvent.GIVE_UP in TRANSITIONS[state]
