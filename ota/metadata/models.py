"""What okdrive adds to TUF roles, and the names both sides agree on.

Roles and signatures stay TUF 1.0 and are read and written by python-tuf. okdrive adds two signed
top-level fields, both kept by python-tuf among the unrecognized ones:

* ``vehicle`` (text): in Director Timestamp, Snapshot and Targets; the certificate name of the one
  vehicle this set is for.
* ``issued`` (``YYYY-MM-DDTHH:MM:SSZ``): in both Timestamps; when it was signed.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from tuf.api.exceptions import RepositoryError as TufRepositoryError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, Targets, Timestamp

from ota.errors import CustomFieldError, MalformedError

VEHICLE_FIELD = "vehicle"
ISSUED_FIELD = "issued"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"  # as TUF writes ``expires``

# Byte limits per role. Source: python-tuf's UpdaterConfig; timestamp raised from 16 KiB, which a
# set of post-quantum signatures would already fill.
MAX_ROOT_BYTES = 512_000
MAX_TIMESTAMP_BYTES = 32_768
MAX_SNAPSHOT_BYTES = 2_000_000
MAX_TARGETS_BYTES = 5_000_000
MAX_DIRECTOR_TARGETS_BYTES = 65_536  # a hundred ECUs of one vehicle; source: aktualizr's limit

MAX_DOCUMENT_BYTES = 65_536  # ours: a set of keys, a collection plan

MAX_VERSION = 1_000_000_000  # of a role: one a second for thirty years

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)
_VERSION = re.compile(r"(?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8})){2}", re.ASCII)
_DOCUMENT_NAME = re.compile(r"document/([^/]+)\.json", re.ASCII)
_TARGET_NAME = re.compile(r"(app|embedded)/([^/]+)/([^/]+)/([^/]+)\.okp", re.ASCII)

T = TypeVar("T", Root, Timestamp, Snapshot, Targets)


def is_identifier(text: str) -> bool:
    """Return whether ``text`` can be a vehicle, ECU or hardware id.

    1 to 64 of ``A-Z a-z 0-9 . _ -``, first a letter or digit: safe as one path segment.
    """
    return _IDENTIFIER.fullmatch(text) is not None


def is_app_name(text: str) -> bool:
    """Return whether ``text`` can name an app: 1 to 64 of ``a-z 0-9 -``, no ``-`` at the ends."""
    return _NAME.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """Return whether ``text`` is ``MAJOR.MINOR.PATCH`` in plain decimal numbers."""
    return _VERSION.fullmatch(text) is not None


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are compared by; raise ValueError if ``version`` is none."""
    if not is_version(version):
        raise ValueError(f"expected a version MAJOR.MINOR.PATCH, got {version!r}")
    return tuple(int(part) for part in version.split("."))


def target_name(name: str, version: str, kind: str = "app") -> str:
    """Return the target name of an app: ``<kind>/<name>/<version>/<name>-<version>.okp``."""
    if not is_app_name(name):
        raise ValueError(f"expected an app name of a-z, 0-9 and -, got {name!r}")
    version_key(version)
    return f"{kind}/{name}/{version}/{name}-{version}.okp"


def parse_target_name(target: str) -> tuple[str, str]:
    """Return ``(name, version)`` of an app's target name.

    Raises:
        CustomFieldError: ``target`` is not exactly what ``target_name`` builds, so it is never
            turned into a path.
    """
    found = _TARGET_NAME.fullmatch(target)
    if found and is_app_name(found[2]) and is_version(found[3]):
        kind, name, version, _ = found.groups()
        if target == target_name(name, version, kind):
            return name, version
    raise CustomFieldError(
        "target name",
        expected="app|embedded/<name>/<version>/<name>-<version>.okp",
        got=repr(target[:200]),
    )


def document_name(name: str) -> str:
    """Return the target name of a signed document: ``document/<name>.json``."""
    if not is_app_name(name):
        raise ValueError(f"expected a document name of a-z, 0-9 and -, got {name!r}")
    return f"document/{name}.json"


def is_document(target: str) -> bool:
    """Return whether ``target`` is exactly what ``document_name`` builds."""
    found = _DOCUMENT_NAME.fullmatch(target)
    return found is not None and is_app_name(found[1])


def format_utc(when: datetime) -> str:
    """Return ``when`` (timezone-aware) as ``YYYY-MM-DDTHH:MM:SSZ``."""
    return when.astimezone(UTC).strftime(TIME_FORMAT)


def parse_utc(text: object, *, subject: str) -> datetime:
    """Return the aware UTC time that ``text`` holds; raise MalformedError naming ``subject``."""
    try:
        parsed = datetime.strptime(str(text), TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        parsed = None
    if parsed is None or format_utc(parsed) != text:
        raise MalformedError(subject, expected="a time YYYY-MM-DDTHH:MM:SSZ", got=_short(text))
    return parsed


def parse_metadata(data: bytes, kind: type[T]) -> Metadata[T]:
    """Read ``data`` as metadata of the role ``kind``; signatures are not checked here.

    Raises:
        MalformedError: It is not metadata, or of another role.
    """
    try:
        metadata = Metadata[T].from_bytes(data)
    except (TufRepositoryError, ValueError, RecursionError) as error:
        raise MalformedError(kind.type, expected="signed metadata", got=_short(error)) from error
    if not isinstance(metadata.signed, kind):
        raise MalformedError(kind.type, expected=f"role {kind.type}", got=metadata.signed.type)
    return metadata


def vehicle_of(signed: Signed) -> str | None:
    """Return the vehicle that Director metadata is bound to; None if it names none."""
    vehicle = signed.unrecognized_fields.get(VEHICLE_FIELD)
    if vehicle is None:
        return None
    if not isinstance(vehicle, str) or not is_identifier(vehicle):
        raise MalformedError(f"{signed.type} vehicle", expected="a vehicle id", got=_short(vehicle))
    return vehicle


def issued_of(timestamp: Timestamp) -> datetime:
    """Return when ``timestamp`` was signed, aware UTC; raise MalformedError without that field."""
    return parse_utc(timestamp.unrecognized_fields.get(ISSUED_FIELD), subject="timestamp issued")


def bound_fields(vehicle: str | None, issued: datetime | None = None) -> dict[str, str]:
    """Return okdrive's signed top-level fields for a role; absent ones are left out."""
    fields = {} if vehicle is None else {VEHICLE_FIELD: vehicle}
    return fields | ({} if issued is None else {ISSUED_FIELD: format_utc(issued)})


def sha256_of(hashes: Mapping[str, str]) -> str:
    """Return the content hash (SHA-256, hex) among ``hashes``; raise MalformedError without it."""
    found = hashes.get("sha256", "")
    if not re.fullmatch(r"[0-9a-f]{64}", found, re.ASCII):
        raise MalformedError("target hashes", expected="a sha256 of 64 hex digits", got=found[:80])
    return found


def _short(thing: object) -> str:
    text = str(thing) if isinstance(thing, Exception) else repr(thing)
    return text[:200]
