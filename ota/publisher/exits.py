"""How okdrive-ota ends: one exit code per family of errors, and the four lines a person reads."""

from collections.abc import Mapping

from ota.errors import DownloadError, ManifestError, NotNowError, OtaError, RepositoryError
from ota.publisher.errors import (
    BrokenRepositoryError,
    ConflictError,
    KeyMissingError,
    MissingFactError,
    NoMatchError,
    NotFoundError,
    NotNewerError,
    SettingsError,
    UnknownVehicleError,
)

_EXIT_CODES: Mapping[type[Exception], int] = {  # docs/reference/exit-codes.md; first match counts
    SettingsError: 2,
    BrokenRepositoryError: 3,
    RepositoryError: 3,
    ManifestError: 3,
    NotNowError: 4,
    MissingFactError: 5,
    KeyMissingError: 5,
    NotFoundError: 6,
    UnknownVehicleError: 6,
    NoMatchError: 6,
    NotNewerError: 7,
    ConflictError: 7,
    DownloadError: 8,
}


def exit_code(error: Exception) -> int:
    """Return the exit code that ``error`` ends a command with; 1 for what nobody expected."""
    found = (code for kind, code in _EXIT_CODES.items() if isinstance(error, kind))
    return next(found, 1)


def explain(doing: str, error: Exception) -> str:
    """Return four lines about ``error``: what failed, why, what is intact and next, where more."""
    code = exit_code(error)
    if isinstance(error, OtaError):
        why = f"expected  {error.expected}; found {error.got}"
        left = f"intact    {error.intact}. Next: {error.advice}"
        what, more = error.subject, f"  {error.code}"
    elif isinstance(error, OSError):
        why = f"expected  a disk that takes files; found {error}"
        left = "intact    what was published before. Next: make room or mend the disk, run it again"
        what, more = str(error.filename or "the system"), "  ota.system"
    else:
        why = f"expected  no error of our own; found {error}"
        left = "intact    what was published before. Next: run it again with --debug, and report it"
        what, more = type(error).__name__, "  ota.unexpected"
    return "\n".join(
        (
            f"okdrive-ota: {doing} failed: {what}",
            f"  {why}",
            f"  {left}",
            f"  see       docs/reference/exit-codes.md{more}  [exit {code}]",
        )
    )
