"""Errors of the signals room. One tree, one stable code per leaf.

SignalsError
 +-- DefinitionError      a vehicle's DBC or TOML is wrong: repair the file, compile again
 +-- UnknownVehicleError  no table of this name is shipped
 +-- SourceError          a recording or a bus cannot be read
"""

from collections.abc import Sequence


class SignalsError(Exception):
    """Anything the world did wrong on the way from a bus to a reading."""

    code = "signals"


class DefinitionError(SignalsError):
    """A vehicle definition (DBC, TOML or compiled table) cannot be used."""

    code = "signals.definition"


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


class SourceError(SignalsError):
    """The source of frames is missing, empty, or not readable."""

    code = "signals.source"
