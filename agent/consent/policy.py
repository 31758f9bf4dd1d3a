"""What may leave, as far as the driver's word goes. Pure: facts in, decision out."""

from collections.abc import Collection
from dataclasses import dataclass

from telemetry.purposes import Purpose


@dataclass(frozen=True, slots=True)
class Decision:
    """May it leave? If not, ``code`` is stable and ``sentence`` is for a person."""

    is_allowed: bool
    code: str
    sentence: str


_ALLOW = Decision(is_allowed=True, code="consent.given", sentence="The driver switched it on.")


def decide(
    purpose: Purpose, *, granted: Collection[Purpose], noticed: Collection[Purpose], is_intact: bool
) -> Decision:
    """Decide whether batches of ``purpose`` may be built and offered.

    Args:
        purpose: What they would be for.
        granted: Purposes whose last entry in the ledger is a grant.
        noticed: Purposes for which a notice is shipped.
        is_intact: Whether the ledger verified; a broken one stops all sharing.
    """
    if not is_intact:
        return _withhold("consent.ledger_broken", "The consent ledger is damaged; sharing stopped.")
    if purpose not in noticed:
        return _withhold("consent.no_notice", f"There is no notice text for {purpose}.")
    if purpose not in granted:
        return _withhold("consent.not_granted", f"The driver has not switched {purpose} on.")
    return _ALLOW


def _withhold(code: str, sentence: str) -> Decision:
    return Decision(is_allowed=False, code=code, sentence=sentence)
