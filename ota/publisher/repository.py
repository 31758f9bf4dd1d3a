"""One TUF repository in a folder: read what is published, publish what comes next.

The folder holds ``N.root.json``, ``N.targets.json``, ``N.snapshot.json`` and ``timestamp.json``.
Publishing writes new files only and replaces ``timestamp.json`` last: until that one rename,
everything a client is led to is the old state, so a crash in between costs nothing. What a crash
left behind is written again under the same number, which nobody was led to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from tuf.api.exceptions import RepositoryError as TufRepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from ota.errors import MalformedError
from ota.metadata.models import is_document, parse_metadata
from ota.publisher.errors import BrokenRepositoryError, ConflictError, NotFoundError
from ota.publisher.keys import KeyRing
from ota.publisher.ports import Clock, Files, locked
from ota.publisher.roles import Lifetimes, new_snapshot, new_targets, new_timestamp, sign

RENEW_AFTER = 0.5  # share of its life after which an online role is signed again
T = TypeVar("T", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The set of roles a client is led to now; versions of TUF are numbers from 1."""

    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: Metadata[Targets]


class Repository:
    """One folder of metadata; Director sets are bound to ``vehicle`` and share ``root_folder``."""

    def __init__(  # noqa: PLR0913 (one argument per door)
        self,
        folder: Path,
        *,
        ring: KeyRing,
        clock: Clock,
        files: Files,
        lifetimes: Lifetimes,
        vehicle: str | None = None,
        root_folder: Path | None = None,
    ) -> None:
        self.folder = folder
        self.vehicle = vehicle
        self._root_folder = root_folder or folder
        self._ring, self._clock, self._files, self._lifetimes = ring, clock, files, lifetimes
        self._newest: Metadata[Root] | None = None  # read and checked once for each version

    def create_root(self, root: Root) -> None:
        """Publish ``root`` as version 1; raise ConflictError if there is one."""
        if latest_root_version(self._root_folder):
            raise ConflictError(str(self._root_folder), expected="no root yet", got="one")
        data = sign(root, self._ring.signers_for("root", root.roles["root"]))
        self._files.write(self._root_folder / f"{root.version}.root.json", data)

    def next_root(self, root: Root) -> None:
        """Publish ``root`` after the newest one; both roots' keys sign it.

        Raises:
            ConflictError: Its version does not follow the newest.
            KeyMissingError: Root keys are not at hand.
        """
        before = self.root().signed
        if root.version != before.version + 1:
            raise ConflictError(
                "root version", expected=str(before.version + 1), got=str(root.version)
            )
        signers = self._ring.signers_for("root", before.roles["root"])
        known = {signer.public_key.keyid for signer in signers}
        more = self._ring.signers_for("root", root.roles["root"])
        signers += [signer for signer in more if signer.public_key.keyid not in known]
        self._files.write(self._root_folder / f"{root.version}.root.json", sign(root, signers))

    def root(self) -> Metadata[Root]:
        """Return the newest root; raise NotFoundError or BrokenRepositoryError without one.

        A version is written once and never again, so it is read and checked once.
        """
        version, known = latest_root_version(self._root_folder), self._newest
        if known is None or known.signed.version != version:
            known = self._newest = read_root(self._root_folder)
        return known

    def published(self) -> Published | None:
        """Return what clients are led to, every signature checked; None before the first time.

        Raises:
            BrokenRepositoryError: Files are missing, or not signed by the root's keys. Nothing is
                ever signed on top of such a folder.
        """
        if not (self.folder / "timestamp.json").exists():
            return None
        timestamp = self._read("timestamp.json", Timestamp)
        version = timestamp.signed.snapshot_meta.version
        snapshot = self._read(f"{version}.snapshot.json", Snapshot)
        version = snapshot.signed.meta["targets.json"].version
        targets = self._read(f"{version}.targets.json", Targets)
        return Published(timestamp=timestamp, snapshot=snapshot, targets=targets)

    def targets(self) -> dict[str, TargetFile]:
        """Return the listed targets by name; empty before the first publication."""
        published = self.published()
        return {} if published is None else dict(published.targets.signed.targets)

    def check_keys(self) -> None:
        """Raise KeyMissingError unless a new Targets could be signed and published now."""
        roles = self.root().signed.roles
        for role in ("targets", "snapshot", "timestamp"):
            self._ring.signers_for(role, roles[role])

    def publish(self, targets: Mapping[str, TargetFile]) -> int:
        """Publish a new Targets, Snapshot and Timestamp; return the Targets version.

        Raises:
            KeyMissingError: Keys of a role are not at hand; nothing was published.
            OSError: The disk refused; what was published before is intact.
        """
        with locked(self.folder):
            return self._publish(targets, self.published())

    def add_target(self, name: str, target: TargetFile) -> int:
        """Publish what is listed plus ``target`` under ``name``; return the Targets version.

        Raises:
            ConflictError: ``name`` is listed already; a released image never changes.
            KeyMissingError: Keys of a role are not at hand; nothing was published.
        """
        with locked(self.folder):
            before = self.published()
            listed = {} if before is None else dict(before.targets.signed.targets)
            if name in listed:
                raise ConflictError(name, expected="a new target", got="one that is published")
            return self._publish(listed | {name: target}, before)

    def replace_target(self, name: str, target: TargetFile) -> int:
        """Publish what is listed with ``target`` under ``name``; return the Targets version.

        For documents only, whose newest version is the one that counts: an image never changes.

        Raises:
            KeyMissingError: Keys of a role are not at hand; nothing was published.
        """
        with locked(self.folder):
            before = self.published()
            listed = {} if before is None else dict(before.targets.signed.targets)
            return self._publish(listed | {name: target}, before)

    def images(self) -> dict[str, TargetFile]:
        """Return the listed images by name, without the documents."""
        return {name: file for name, file in self.targets().items() if not is_document(name)}

    def renew(self, *, only_if_due: bool = False) -> list[str]:
        """Sign the online roles again; return the roles that were.

        Timestamp always, or with ``only_if_due`` when something else is or half its life is gone;
        Snapshot and (where its keys are at hand) Targets when half of their life is gone.
        """
        if only_if_due and not self._is_due():  # the common case, without the lock
            return []
        with locked(self.folder):
            before = self._must_be_published()
            if self._is_spent("targets", before.targets.signed.expires) and self._ring.can_sign(
                self.root().signed.roles["targets"]
            ):
                self._publish(before.targets.signed.targets, before)
                return ["targets", "snapshot", "timestamp"]
            if self._is_spent("snapshot", before.snapshot.signed.expires):
                data = self._data_of(before)
                self._lead_to(data, before.targets.signed.version, before)
                return ["snapshot", "timestamp"]
            if only_if_due and not self._is_due():
                return []  # somebody else did it while we waited for the lock
            self._sign_timestamp(before.snapshot.signed.version, before)
            return ["timestamp"]

    def _publish(self, targets: Mapping[str, TargetFile], before: Published | None) -> int:
        self.check_keys()  # before the first file is written
        role = self.root().signed.roles["targets"]
        version = 1 if before is None else before.targets.signed.version + 1
        expires = self._expires("targets")
        made = new_targets(targets, version=version, expires=expires, vehicle=self.vehicle)
        data = sign(made, self._ring.signers_for("targets", role))
        self._files.write(self.folder / f"{version}.targets.json", data)
        self._lead_to(data, version, before)
        return version

    def _lead_to(self, targets: bytes, targets_version: int, before: Published | None) -> None:
        role = self.root().signed.roles["snapshot"]
        version = 1 if before is None else before.snapshot.signed.version + 1
        made = new_snapshot(
            targets,
            targets_version,
            version=version,
            expires=self._expires("snapshot"),
            vehicle=self.vehicle,
        )
        data = sign(made, self._ring.signers_for("snapshot", role))
        self._files.write(self.folder / f"{version}.snapshot.json", data)
        self._sign_timestamp(version, before)

    def _sign_timestamp(self, snapshot_version: int, before: Published | None) -> None:
        role = self.root().signed.roles["timestamp"]
        made = new_timestamp(
            (self.folder / f"{snapshot_version}.snapshot.json").read_bytes(),
            snapshot_version,
            version=1 if before is None else before.timestamp.signed.version + 1,
            expires=self._expires("timestamp"),
            issued=self._clock.utc_now(),
            vehicle=self.vehicle,
        )
        data = sign(made, self._ring.signers_for("timestamp", role))
        self._files.write(self.folder / "timestamp.json", data)

    def _is_due(self) -> bool:
        before = self._must_be_published()
        may_targets = self._ring.can_sign(self.root().signed.roles["targets"])
        return (
            self._is_spent("timestamp", before.timestamp.signed.expires)
            or self._is_spent("snapshot", before.snapshot.signed.expires)
            or (may_targets and self._is_spent("targets", before.targets.signed.expires))
        )

    def _is_spent(self, role: str, expires: datetime) -> bool:
        left = expires - self._clock.utc_now()
        return left < self._lifetimes.of(role) * (1 - RENEW_AFTER)

    def _expires(self, role: str) -> datetime:
        return self._lifetimes.expires(role, self._clock.utc_now())

    def _data_of(self, published: Published) -> bytes:
        return (self.folder / f"{published.targets.signed.version}.targets.json").read_bytes()

    def _must_be_published(self) -> Published:
        found = self.published()
        if found is None:
            raise NotFoundError(str(self.folder), expected="a published repository", got="none")
        return found

    def _read(self, name: str, kind: type[T]) -> Metadata[T]:
        path = self.folder / name
        try:
            metadata = parse_metadata(path.read_bytes(), kind)
            self.root().signed.verify_delegate(
                kind.type, metadata.signed_bytes, metadata.signatures
            )
        except (OSError, MalformedError, TufRepositoryError) as error:
            raise BrokenRepositoryError(
                str(path), expected="a file signed by the root's keys", got=str(error)
            ) from error
        return metadata


def latest_root_version(folder: Path) -> int:
    """Return the highest N of ``N.root.json`` in ``folder``; 0 if there is none."""
    numbers = [path.name.removesuffix(".root.json") for path in folder.glob("*.root.json")]
    return max((int(number) for number in numbers if number.isdecimal()), default=0)


def read_root(folder: Path) -> Metadata[Root]:
    """Return the newest root in ``folder``, checked against its own keys.

    Raises:
        NotFoundError: There is none.
        BrokenRepositoryError: It is not signed by its own threshold.
    """
    version = latest_root_version(folder)
    if not version:
        raise NotFoundError(str(folder), expected="N.root.json", got="none; run okdrive-ota init")
    path = folder / f"{version}.root.json"
    try:
        root = parse_metadata(path.read_bytes(), Root)
        root.signed.verify_delegate("root", root.signed_bytes, root.signatures)
    except (OSError, MalformedError, TufRepositoryError) as error:
        raise BrokenRepositoryError(
            str(path), expected="a root signed by its own keys", got=str(error)
        ) from error
    return root
