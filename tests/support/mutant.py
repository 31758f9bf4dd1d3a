"""One check of the verifier, where it stands, and the case that notices its absence."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A check in words, the case that notices its absence, and where the check stands.

    ``edits``: module, what stands there exactly once, what stands there without the check. More
    than one where a second check stands behind the first.
    """

    check: str
    case: str
    edits: tuple[tuple[str, str, str], ...]


def one(check: str, case: str, module: str, present: str, absent: str) -> Mutant:
    return Mutant(check, case, ((module, present, absent),))
