"""Build and sign one role; pure: keys, times and contents come in, bytes go out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from securesystemslib.signer import Key, Signer
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from ota.metadata.models import bound_fields
from ota.metadata.offline import ROLES_FIELD
from ota.publisher.errors import ConflictError

T = TypeVar("T", Root, Timestamp, Snapshot, Targets)
ROLES = ("root", "targets", "snapshot", "timestamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long each role is valid after it was signed, in seconds.

    Source: Uptane deployment considerations, key management: roots about a year, online roles
    about a day.
    """

    root_s: int = 365 * 86_400
    targets_s: int = 90 * 86_400
    snapshot_s: int = 7 * 86_400
    timestamp_s: int = 86_400
    offline_s: int = 90 * 86_400  # of both roles for sticks: how long one can be used

    def of(self, role: str) -> timedelta:
        """Return the lifetime of ``role``."""
        seconds: int = getattr(self, f"{role}_s")
        return timedelta(seconds=seconds)

    def expires(self, role: str, now: datetime) -> datetime:
        """Return when ``role``, signed at ``now``, expires; whole seconds, as TUF writes it."""
        return now.replace(microsecond=0) + self.of(role)


def new_root(
    keys: Mapping[str, Sequence[Key]],
    *,
    expires: datetime,
    thresholds: Mapping[str, int] | None = None,
    version: int = 1,
    offline: Mapping[str, Sequence[Key]] | None = None,
) -> Root:
    """Return a Root that gives each of the four ROLES its ``keys`` and threshold (1 if unnamed).

    ``offline``: the keys of the Director's two roles for sticks, one of which must sign.

    Raises:
        ConflictError: A threshold is not between 1 and the number of keys of its role.
    """
    root: Root = Root(version=version, expires=expires, consistent_snapshot=True)
    for role in ROLES:
        for key in keys[role]:
            root.add_key(key, role)
        wanted = (thresholds or {}).get(role, 1)
        if not 1 <= wanted <= len(keys[role]):
            raise ConflictError(
                f"threshold of {role}", expected=f"1 to {len(keys[role])} keys", got=str(wanted)
            )
        root.roles[role].threshold = wanted
    if offline:
        add_offline_roles(root, offline)
    return root


def add_offline_roles(root: Root, offline: Mapping[str, Sequence[Key]]) -> None:
    """Let ``root`` name the keys of the Director's two roles for sticks; one of each must sign."""
    root.keys |= {key.keyid: key for listed in offline.values() for key in listed}
    root.unrecognized_fields[ROLES_FIELD] = {
        role: {"keyids": [key.keyid for key in listed], "threshold": 1}
        for role, listed in offline.items()
    }


def new_targets(
    targets: Mapping[str, TargetFile], *, version: int, expires: datetime, vehicle: str | None
) -> Targets:
    """Return Targets that list ``targets``; ``vehicle`` binds Director Targets to one vehicle."""
    return Targets(
        version=version,
        expires=expires,
        targets=dict(targets),
        unrecognized_fields=bound_fields(vehicle),
    )


def new_snapshot(
    targets: bytes, targets_version: int, *, version: int, expires: datetime, vehicle: str | None
) -> Snapshot:
    """Return a Snapshot that names the signed ``targets`` by version, length and hash."""
    return Snapshot(
        version=version,
        expires=expires,
        meta={"targets.json": _meta_file(targets, targets_version)},
        unrecognized_fields=bound_fields(vehicle),
    )


def new_timestamp(  # noqa: PLR0913 (the fields of one format)
    snapshot: bytes,
    snapshot_version: int,
    *,
    version: int,
    expires: datetime,
    issued: datetime,
    vehicle: str | None,
) -> Timestamp:
    """Return a Timestamp that names the signed ``snapshot`` and says when it was ``issued``."""
    return Timestamp(
        version=version,
        expires=expires,
        snapshot_meta=_meta_file(snapshot, snapshot_version),
        unrecognized_fields=bound_fields(vehicle, issued),
    )


def sign(signed: T, signers: Sequence[Signer]) -> bytes:
    """Return ``signed`` with a signature of each of ``signers``, as it is published."""
    metadata: Metadata[T] = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()


def _meta_file(data: bytes, version: int) -> MetaFile:
    return MetaFile.from_data(version, data, ["sha256"])
