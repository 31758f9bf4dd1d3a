"""Errors of the signals room. One tree, one stable code per leaf.

SignalsError
 +-- DefinitionError      a vehicle's DBC or TOML is wrong: repair the file, compile again
 +-- UnknownVehicleError  no table of this name is shipped
 +-- UnknownPathError     no such path in this vehicle
 +-- SourceError          a recording or a bus cannot be read
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


class SignalsError(Exception):
    """Anything the world did wrong on the way from a bus to a reading."""

    code = "signals"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a definition: where, what was expected and what was found."""

    file: Path
    line: int | None
    text: str

    def __str__(self) -> str:
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.text}"


class DefinitionError(SignalsError):
    """A vehicle definition (DBC, TOML or compiled table) cannot be used; ``problems`` say why."""

    code = "signals.definition"

    def __init__(self, problems: Sequence[Problem], *, advice: str | None = None) -> None:
        also = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{also}; {advice or _ADVICE}")
        self.problems = tuple(problems)


_ADVICE = (
    "no table was written; correct the definition (`okdrive-agent vehicle check` names every "
    "mistake) and compile it again"
)


class UnknownVehicleError(SignalsError):
    """The vehicle named is neither shipped nor a file."""

    code = "signals.vehicle.unknown"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            f"vehicle: expected one of {', '.join(known)} or the path of a compiled table, "
            f"got {name!r}; nothing was decoded; choose a listed name, or compile a definition "
            "with `okdrive-agent vehicle compile`"
        )
        self.name, self.known = name, tuple(known)


class UnknownPathError(SignalsError):
    """The path named is not among those that the vehicle tells."""

    code = "signals.path.unknown"

    def __init__(self, vehicle: str, path: str, known: Sequence[str]) -> None:
        near = (
            get_close_matches(path, known, n=3, cutoff=0.5)
            or [name for name in known if path.lower() in name.lower()][:3]
        )
        also = f"; near it: {', '.join(near)}" if near else ""
        super().__init__(f"{vehicle}: expected a path that this vehicle tells, got {path!r}{also}")
        self.path = path


class SourceError(SignalsError):
    """The source of frames is missing, empty, or not readable."""

    code = "signals.source"
