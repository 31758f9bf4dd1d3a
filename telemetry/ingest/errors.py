"""What can go wrong at ingest, each with a stable code, an exit code and four lines for a person.

IngestError
 +-- ConfigError      the configuration is missing or wrong: nothing was started
 +-- StorageError     the disk is wrong: nothing was half-written, no receipt was sent
 +-- NotFoundError    what was asked for is not stored
 +-- ConflictError    what is there already stands in the way
 +-- RefusedError     the broker will not serve us until somebody changes something
"""

from typing import ClassVar


class IngestError(Exception):
    """The root: ``str()`` is one sentence; ``advice`` is what to do."""

    code: ClassVar[str] = "ingest"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, intact: str, advice: str) -> None:
        super().__init__(message)
        self.intact = intact
        self.advice = advice


class ConfigError(IngestError):
    """The configuration, or a key file it names, cannot be used."""

    code = "ingest.config"


class StorageError(IngestError):
    """The store cannot be read or written."""

    code = "ingest.storage"


class NotFoundError(IngestError):
    """No such batch."""

    code = "ingest.not_found"
    exit_code = 6


class ConflictError(IngestError):
    """What was asked for does not go together with what is there."""

    code = "ingest.conflict"
    exit_code = 7


class InspectError(IngestError):
    """The file is nothing that this version can read; ``code`` is the codec's."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(
            message,
            intact="the file was only read",
            advice="name a file with the bytes of one message, as it left the vehicle or ingest",
        )
        self.code = code  # type: ignore[misc]


class RefusedError(IngestError):
    """The broker refuses us for a reason that waiting does not heal."""

    code = "ingest.broker_refuses"
    exit_code = 4
