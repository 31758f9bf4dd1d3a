"""Full verification of a stick: the same checks, and the three rules of PURE-2 that differ.

Source: Uptane PURE-2. The Image Snapshot may have expired, because nobody can renew a stick; what
is offered is chosen by hardware id, at most one image for each ECU; and an offline Snapshot older
than one that was seen, on a stick or online, revokes the stick. There is no Timestamp: a stick says
nothing about now.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from tuf.api import exceptions as tuf
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, TargetFile, Targets

from ota.client.delegated import DelegatedRoles
from ota.client.delegations import Search
from ota.client.durable import make_folder
from ota.client.early import check_keys, digests_of, versions_of
from ota.client.floor import ROOT, Floor, RepositoryState, RoleVersion
from ota.client.folder import SCHEME, FolderFetcher
from ota.client.offer import Ecu, Offer
from ota.client.ports import Fetcher
from ota.client.timekeeper import TimeKeeper, no_earlier
from ota.client.translate import read_bounded, translated
from ota.client.uptane import Assignment, check_no_delegations, check_together, match
from ota.errors import (
    FastForwardError,
    FreezeError,
    MixAndMatchError,
    RepeatedEcuError,
    ServerRefusedError,
)
from ota.metadata.models import (
    MAX_DIRECTOR_TARGETS_BYTES,
    MAX_ROOT_BYTES,
    MAX_SNAPSHOT_BYTES,
    MAX_TARGETS_BYTES,
    MAX_VERSION,
    parse_metadata,
    parse_target_name,
)
from ota.metadata.offline import (
    SNAPSHOT,
    TARGETS,
    offline_delegator,
    offline_roles,
    parse_offline_custom,
)

_MAX_ROOTS = 256  # source: python-tuf's UpdaterConfig
_DIRECTOR, _IMAGE = f"{SCHEME}director", f"{SCHEME}image/metadata"
_LISTED = f"{TARGETS}.json"

T = TypeVar("T", Root, Snapshot, Targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineVerifier:
    """Asks a stick what this vehicle should run, and believes only what holds.

    ``folder`` keeps delegated roles; the two roots are those shipped with the vehicle.
    """

    ecus: Sequence[Ecu]
    director_root: bytes
    image_root: bytes
    folder: Path
    floor: Floor
    time: TimeKeeper

    def check(self, stick: Path) -> tuple[Offer, ...]:
        """Return what ``stick`` offers each ECU; it need not be newer than what runs. Blocks.

        Raises:
            RepositoryError: A leaf that names the attack.
            DownloadError: The stick cannot be read.
            InstallError: Floor or metadata folder cannot be used.
        """
        reader = _Reader(FolderFetcher(stick))
        with translated("stick"):
            director = reader.root(_DIRECTOR, self.director_root)
            image = reader.root(_IMAGE, self.image_root)
            now = no_earlier(self.time.witnessed(), self.floor.lowest_time())
            _check_expiry(now, director=director, image=image)
            wanted, state = reader.offline(director, now)
            snapshot = reader.image_snapshot(image)
            targets = reader.image_targets(image, snapshot, now)
            self._compare(director, image, snapshot)
            self.floor.admit((state,))
            find = self._finder(reader.fetcher, snapshot, targets, now)
            offers = tuple(self._offers(wanted, find))
        committed = {ecu.ecu_id: self.floor.release_counter(ecu.ecu_id) for ecu in self.ecus}
        check_together(offers, self.ecus, committed)
        return offers

    def _compare(self, director: Root, image: Root, snapshot: Snapshot) -> None:
        keys = digests_of(image.roles[Snapshot.type].keyids)
        listed = versions_of(snapshot).items()
        roles = [RoleVersion(name=name, version=version, keys=keys) for name, version in listed]
        self.floor.compare_some("director", [_root_version(director)])
        self.floor.compare_some("image", [_root_version(image), *roles])

    def _finder(
        self, fetcher: Fetcher, snapshot: Snapshot, targets: Targets, now: datetime
    ) -> Callable[[str, str], TargetFile | None]:
        make_folder(self.folder)
        roles = DelegatedRoles(
            folder=self.folder,
            metadata_url=f"{_IMAGE}/",
            has_versioned_names=True,
            fetcher=fetcher,
            snapshot=snapshot,
            now=now,
        )
        return lambda target, hardware_id: Search(
            target, hardware_id=hardware_id, load=roles.load
        ).run(targets)

    def _offers(
        self, wanted: Targets, find: Callable[[str, str], TargetFile | None]
    ) -> Iterator[Offer]:
        for ecu in self.ecus:
            chosen = [one for file in wanted.targets.values() if (one := _for(ecu, file))]
            if len(chosen) > 1:
                raise RepeatedEcuError(f"ECU {ecu.ecu_id}", expected="one image", got="two")
            for assignment in chosen:
                released = find(assignment.file.path, ecu.hardware_id)
                floor = self.floor.release_counter(ecu.ecu_id)
                yield match(assignment, released, counter_floor=floor)


def offline_state(root: Root, snapshot: Snapshot) -> RepositoryState:
    """Return the versions of the offline roles, each with the keys its floor belongs to."""
    keys = digests_of(offline_roles(root)[SNAPSHOT].keyids)
    listed = snapshot.meta[_LISTED].version
    return RepositoryState(
        repository="offline",
        root_version=root.version,
        root_expires=root.expires,
        issued=None,
        roles=(
            RoleVersion(name=SNAPSHOT, version=snapshot.version, keys=keys),
            RoleVersion(name=_LISTED, version=listed, keys=keys),
        ),
    )


def verify_offline_snapshot(root: Root, data: bytes) -> Snapshot:
    """Return the offline Snapshot in ``data`` if ``root`` lets its signers sign it.

    Raises:
        RepositoryError: Ours or python-tuf's; it is not signed so, or of another shape.
    """
    metadata = _parse(data, Snapshot)
    offline_delegator(root).verify_delegate(SNAPSHOT, metadata.signed_bytes, metadata.signatures)
    if set(metadata.signed.meta) != {_LISTED}:
        raise MixAndMatchError(SNAPSHOT, expected=_LISTED, got="other roles")
    return metadata.signed


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads and verifies the roles of one stick."""

    fetcher: FolderFetcher

    def root(self, folder: str, shipped: bytes) -> Root:
        """Return the newest root that ``shipped`` leads to."""
        trusted = parse_metadata(shipped, Root).signed
        for _ in range(_MAX_ROOTS):
            url = f"{folder}/{trusted.version + 1}.root.json"
            try:
                data = read_bounded(self.fetcher, url, max_bytes=MAX_ROOT_BYTES)
            except ServerRefusedError:  # the newest there is
                break
            trusted = _next_root(trusted, data)
        return trusted

    def offline(self, root: Root, now: datetime) -> tuple[Targets, RepositoryState]:
        """Return what the Director lets sticks install, and the versions that say so."""
        snapshot = verify_offline_snapshot(root, self._read(f"{_DIRECTOR}/{SNAPSHOT}.json"))
        listed = snapshot.meta[_LISTED]
        data = self._read(f"{_DIRECTOR}/{TARGETS}.json", MAX_DIRECTOR_TARGETS_BYTES)
        targets = _listed(data, listed)
        metadata = _parse(data, Targets)
        offline_delegator(root).verify_delegate(TARGETS, metadata.signed_bytes, metadata.signatures)
        check_no_delegations(targets)
        _check_expiry(now, **{"offline snapshot": snapshot, "offline targets": targets})
        return targets, offline_state(root, snapshot)

    def image_snapshot(self, root: Root) -> Snapshot:
        """Return the Image Snapshot, expired or not."""
        metadata = _parse(self._read(f"{_IMAGE}/snapshot.json"), Snapshot)
        root.verify_delegate(Snapshot.type, metadata.signed_bytes, metadata.signatures)
        return metadata.signed

    def image_targets(self, root: Root, snapshot: Snapshot, now: datetime) -> Targets:
        """Return the top-level Targets that ``snapshot`` lists."""
        listed = snapshot.meta.get("targets.json")
        if listed is None:
            raise MixAndMatchError("stick snapshot", expected="targets.json", got="none")
        data = self._read(f"{_IMAGE}/{listed.version}.targets.json", MAX_TARGETS_BYTES)
        targets = _listed(data, listed)
        metadata = _parse(data, Targets)
        root.verify_delegate(Targets.type, metadata.signed_bytes, metadata.signatures)
        _check_expiry(now, **{"image targets": targets})
        return targets

    def _read(self, url: str, max_bytes: int = MAX_SNAPSHOT_BYTES) -> bytes:
        return read_bounded(self.fetcher, url, max_bytes=max_bytes)


def _root_version(root: Root) -> RoleVersion:
    return RoleVersion(name=ROOT, version=root.version, keys=frozenset())


def _next_root(trusted: Root, data: bytes) -> Root:
    metadata = _parse(data, Root)
    trusted.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
    metadata.signed.verify_delegate(Root.type, metadata.signed_bytes, metadata.signatures)
    if metadata.signed.version != trusted.version + 1:
        raise tuf.BadVersionNumberError(
            f"expected root {trusted.version + 1}, got {metadata.signed.version}"
        )
    return metadata.signed


def _listed(data: bytes, listed: MetaFile) -> Targets:
    listed.verify_length_and_hashes(data)
    targets = _parse(data, Targets).signed
    if targets.version != listed.version:
        raise tuf.BadVersionNumberError(f"expected {listed.version}, got {targets.version}")
    return targets


def _parse(data: bytes, kind: type[T]) -> Metadata[T]:
    metadata = parse_metadata(data, kind)
    highest = max(versions_of(metadata.signed).values())
    if highest > MAX_VERSION:
        raise FastForwardError(kind.type, expected=f"versions <= {MAX_VERSION}", got=str(highest))
    check_keys(kind.type, metadata.signed)
    return metadata


def _check_expiry(now: datetime, **roles: Signed) -> None:
    for name, role in roles.items():
        if role.is_expired(now):
            raise FreezeError(
                f"stick {name}",
                expected=f"metadata valid at {now:%Y-%m-%d %H:%M} UTC",
                got=f"expired {role.expires:%Y-%m-%d %H:%M} UTC",
            )


def _for(ecu: Ecu, file: TargetFile) -> Assignment | None:
    """Return the word of the stick for ``ecu``; None if ``file`` is for other hardware or app."""
    name, _ = parse_target_name(file.path)
    custom = parse_offline_custom(file.custom)
    if name != ecu.name or ecu.hardware_id not in custom.hardware_ids:
        return None
    return Assignment(ecu=ecu, file=file, release_counter=custom.release_counter, campaign=None)
