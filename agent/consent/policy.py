"""What may leave, as far as the driver's word goes. Pure: facts in, decision out."""

from collections.abc import Collection
from dataclasses import dataclass

from agent.driver import Seat
from telemetry.purposes import Purpose


@dataclass(frozen=True, slots=True)
class Decision:
    """May it leave? If not, ``code`` is stable and ``sentence`` is for a person."""

    is_allowed: bool
    code: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Everything that the driver's word depends on.

    ``granted``: purposes whose last entry in the ledger is a grant; ``noticed``: purposes for which
    a notice is shipped; ``is_intact``: whether the ledger verified, a broken one stops all sharing;
    ``pause_ends`` is when a pause that is on ends, in words, None if there is none.
    """

    granted: Collection[Purpose]
    noticed: Collection[Purpose]
    is_intact: bool
    lost: Collection[Purpose] = ()  # their keys are gone: what they have stored stays closed
    seat: Seat = Seat.DRIVER
    pause_ends: str | None = None
    key_problem: str | None = None  # why nothing can be signed, in a sentence


_NOT_GRANTED = "consent.not_granted"
_ALLOW = Decision(is_allowed=True, code="consent.given", sentence="The driver switched it on.")
_SEATS = {
    Seat.GUEST: Decision(
        is_allowed=False,
        code="consent.guest",
        sentence="A guest drives: nothing is recorded and nothing is offered.",
    ),
    Seat.UNKNOWN: Decision(
        is_allowed=False,
        code="consent.driver_unknown",
        sentence="Nobody said who drives: nothing is recorded and nothing is offered.",
    ),
}


def decide(purpose: Purpose, now: Standing) -> Decision:
    """Decide whether batches of ``purpose`` may be built and offered."""
    found = may_send(purpose, now)
    if found.is_allowed or found.code == _NOT_GRANTED:
        return _SEATS.get(now.seat, found)  # nobody there can have switched anything on
    return found


def may_send(purpose: Purpose, now: Standing) -> Decision:
    """Decide whether a confirmed batch of ``purpose`` may leave, whoever drives now."""
    if not now.is_intact:
        return _broken(now)
    if purpose in now.lost:
        return _withhold(
            "consent.key_lost",
            f"The key of what is stored for {purpose} is lost; nothing of it can be read or sent."
            " Switching it off deletes it, and on again begins anew.",
        )
    if purpose not in now.noticed:
        return _withhold("consent.no_notice", f"There is no notice text for {purpose}.")
    if now.pause_ends is not None:
        return _withhold("consent.paused", f"Sharing is paused {now.pause_ends}.")
    if purpose not in now.granted:
        return _withhold(_NOT_GRANTED, f"The driver has not switched {purpose} on.")
    return _ALLOW


def _broken(now: Standing) -> Decision:
    if now.key_problem:
        return _withhold("consent.signing_key", signing_key_lost(now.key_problem))
    return _withhold("consent.ledger_broken", "The consent ledger is damaged; sharing stopped.")


def signing_key_lost(problem: str) -> str:
    """Return the sentence for a vehicle that cannot sign what its driver says."""
    return (
        f"The key that signs consents cannot be used ({problem}); sharing stopped, everything else"
        " goes on."
    )


def _withhold(code: str, sentence: str) -> Decision:
    return Decision(is_allowed=False, code=code, sentence=sentence)
