"""One repository: python-tuf's Updater behind our Fetcher, and the checks it does not do."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tuf.api import exceptions as tuf
from tuf.api.metadata import Root, Signed, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from ota.client.delegated import DelegatedRoles
from ota.client.delegations import Search
from ota.client.durable import make_folder, sync_tree
from ota.client.early import digests_of, read_any, refuse_early, versions_of
from ota.client.floor import ROOT, Floor, RepositoryState, RoleVersion
from ota.client.offline import offline_state, verify_offline_snapshot
from ota.client.ports import Fetcher
from ota.client.translate import read_bounded, translated
from ota.client.uptane import check_vehicle
from ota.errors import (
    FreezeError,
    MalformedError,
    MixAndMatchError,
    RollbackError,
    ServerRefusedError,
)
from ota.metadata.models import (
    MAX_DIRECTOR_TARGETS_BYTES,
    MAX_ROOT_BYTES,
    MAX_SNAPSHOT_BYTES,
    MAX_TARGETS_BYTES,
    MAX_TIMESTAMP_BYTES,
    issued_of,
    parse_metadata,
)
from ota.metadata.offline import SNAPSHOT as OFFLINE_SNAPSHOT
from ota.metadata.offline import offline_roles


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryAddress:
    """Where one repository is and what it is trusted by.

    ``metadata_url`` ends with a slash. ``root`` are the bytes of the root shipped with the vehicle.
    """

    metadata_url: str
    root: bytes


class Refreshed:
    """One repository after its refresh: what was verified, and where to ask further."""

    def __init__(self, repository: "Repository", roles: "_Roles", state: RepositoryState) -> None:
        self._repository = repository
        self._roles = roles
        self.state = state

    @property
    def targets(self) -> Targets:
        """Return the top-level Targets."""
        return self._roles.targets

    def check_expiry(self, now: datetime) -> None:
        """Return if nothing has expired ``now``; raise FreezeError else."""
        _check_expiry(self.state.repository, self._roles, now)

    def offline(self) -> RepositoryState | None:
        """Return the newest versions of the Director's roles for sticks; None if it has none.

        Whoever was online once believes no older stick. Blocks.

        Raises:
            RepositoryError: A leaf that names the attack.
            DownloadError: The network is wrong.
        """
        root = self._roles.root
        if not offline_roles(root):
            return None
        try:
            data = self._repository.read(f"{OFFLINE_SNAPSHOT}.json", max_bytes=MAX_SNAPSHOT_BYTES)
        except ServerRefusedError:
            return None  # no stick was ever written
        with translated(self.state.repository):
            return offline_state(root, verify_offline_snapshot(root, data))

    def find(self, target: str, *, hardware_id: str | None, now: datetime) -> TargetFile | None:
        """Return what the repository says about ``target``, through delegations; None: nothing.

        Only delegations for ``hardware_id`` are followed (None: all). Blocks.

        Raises:
            RepositoryError: A leaf that names the attack.
            DownloadError: The network is wrong.
            StorageError: The metadata folder cannot be used.
        """
        roles = self._repository.delegated_roles(self._roles, now)
        with translated(self.state.repository):
            return Search(target, hardware_id=hardware_id, load=roles.load).run(self.targets)


class Repository:
    """One of the two repositories, kept in ``folder``.

    ``vehicle``: the one the Director's roles must be bound to; None for the Image repository.
    ``is_plain``: a TUF repository that knows no vehicles, and whose Timestamp may not say when it
    was issued.
    """

    def __init__(  # noqa: PLR0913 (the doors of one decision, all by name)
        self,
        name: str,
        address: RepositoryAddress,
        *,
        folder: Path,
        fetcher: Fetcher,
        vehicle: str | None = None,
        is_plain: bool = False,
    ) -> None:
        self._name = name
        self._address = address
        self._folder = folder
        self._vehicle = vehicle
        self._is_plain = is_plain
        self._fetcher = _TufFetcher(fetcher, vehicle, is_plain)

    def refresh(self, floor: Floor) -> Refreshed:
        """Fetch and verify all top-level roles. Blocks.

        The floor is compared, not raised, and expiry is compared with the system's clock only: the
        rest is for the caller, when both repositories hold.

        Raises:
            RepositoryError: A leaf that names the attack.
            DownloadError: The network is wrong.
            InstallError: The floor or the metadata folder cannot be used.
        """
        self._update()
        roles = _Roles.read(self._folder)
        if self._vehicle is not None:
            check_vehicle((roles.timestamp, roles.snapshot, roles.targets), self._vehicle)
        state = roles.state(self._name, is_plain=self._is_plain)
        floor.compare(state)
        return Refreshed(self, roles, state)

    def read(self, name: str, *, max_bytes: int) -> bytes:
        """Return the metadata file ``name``, which is not verified; raise OtaError without it."""
        url = f"{self._address.metadata_url}{name}"
        return read_bounded(self._fetcher.fetcher, url, max_bytes=max_bytes)

    def delegated_roles(self, roles: "_Roles", now: datetime) -> DelegatedRoles:
        """Return where the Targets are that ``roles`` delegate to."""
        return DelegatedRoles(
            folder=self._folder,
            metadata_url=self._address.metadata_url,
            has_versioned_names=roles.root.consistent_snapshot is not False,
            fetcher=self._fetcher.fetcher,
            snapshot=roles.snapshot,
            now=now,
        )

    def _update(self) -> None:
        try:
            with translated(self._name):
                make_folder(self._folder)
                updater = Updater(
                    str(self._folder),
                    self._address.metadata_url,
                    fetcher=self._fetcher,
                    config=_CONFIG,
                    bootstrap=self._address.root,
                )
                updater.refresh()
                sync_tree(self._folder)  # python-tuf renames but never syncs
        except (MixAndMatchError, MalformedError) as error:
            raise self._find_rollback() or error from error.__cause__

    def _find_rollback(self) -> RollbackError | None:
        """Return what the last body has less of than what is kept; None if that is not the fault.

        The Updater says the same of a version that went back and of one that nobody promised.
        """
        try:
            offered = read_any(self._fetcher.last)
            held = read_any((self._folder / f"{offered.type}.json").read_bytes())
        except (OSError, tuf.RepositoryError):
            return None  # nothing to compare; the floor is compared as well
        found = versions_of(offered)
        for name, floor in versions_of(held).items():
            version = found.get(name, 0)
            if version < floor or (name == ROOT and version == floor):
                return RollbackError(f"{self._name} {name}", floor=floor, offered=version)
        return None


_LIMITS = {
    Root.type: MAX_ROOT_BYTES,
    Timestamp.type: MAX_TIMESTAMP_BYTES,
    Snapshot.type: MAX_SNAPSHOT_BYTES,
    Targets.type: MAX_TARGETS_BYTES,
}
_CONFIG = UpdaterConfig(
    root_max_length=MAX_ROOT_BYTES,
    timestamp_max_length=MAX_TIMESTAMP_BYTES,
    snapshot_max_length=MAX_SNAPSHOT_BYTES,
    targets_max_length=MAX_TARGETS_BYTES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Roles:
    """The verified top-level roles, read back from where the Updater has persisted them."""

    root: Root
    timestamp: Timestamp
    snapshot: Snapshot
    targets: Targets

    @classmethod
    def read(cls, folder: Path) -> "_Roles":
        return cls(
            root=parse_metadata((folder / "root.json").read_bytes(), Root).signed,
            timestamp=parse_metadata((folder / "timestamp.json").read_bytes(), Timestamp).signed,
            snapshot=parse_metadata((folder / "snapshot.json").read_bytes(), Snapshot).signed,
            targets=parse_metadata((folder / "targets.json").read_bytes(), Targets).signed,
        )

    def state(self, repository: str, *, is_plain: bool) -> RepositoryState:
        """Return the versions, each with the keys its floor belongs to."""
        listed = digests_of(self.root.roles[Snapshot.type].keyids)
        dated = digests_of(self.root.roles[Timestamp.type].keyids)
        return RepositoryState(
            repository=repository,
            root_version=self.root.version,
            root_expires=self.root.expires,
            issued=None if is_plain else issued_of(self.timestamp),
            roles=(
                RoleVersion(name=ROOT, version=self.root.version, keys=frozenset()),
                RoleVersion(name=Timestamp.type, version=self.timestamp.version, keys=dated),
                RoleVersion(name=Snapshot.type, version=self.snapshot.version, keys=listed),
                *(
                    RoleVersion(name=name, version=meta.version, keys=listed)
                    for name, meta in sorted(self.snapshot.meta.items())
                ),
            ),
        )


def _check_expiry(repository: str, roles: _Roles, now: datetime) -> None:
    checked: tuple[Signed, ...] = (roles.root, roles.timestamp, roles.snapshot, roles.targets)
    for role in checked:
        if role.is_expired(now):
            raise FreezeError(
                f"{repository} {role.type}",
                expected=f"metadata valid at {now:%Y-%m-%d %H:%M} UTC",
                got=f"expired {role.expires:%Y-%m-%d %H:%M} UTC",
            )


@dataclass
class _TufFetcher(FetcherInterface):
    """Our Fetcher, as the Updater wants it: whole bodies, bounded, our own errors.

    With a ``vehicle``, another vehicle's Director metadata is refused before the Updater sees it:
    it would persist a foreign set, whose higher versions lock this vehicle out. So is a version
    that nobody could follow. This door only rejects; signatures are checked afterwards. ``last`` is
    the latest body handed over, empty if it was refused here.
    """

    fetcher: Fetcher
    vehicle: str | None
    is_plain: bool
    last: bytes = field(default=b"", init=False)

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self.fetcher.fetch(url)

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return the body of ``url``.

        Raises:
            DownloadHTTPError: The server answered with a status; the Updater must see this one.
            OtaError: Anything else.
        """
        self.last = b""
        try:
            body = read_bounded(self.fetcher, url, max_bytes=min(max_length, self._limit(url)))
        except ServerRefusedError as error:
            raise tuf.DownloadHTTPError(str(error), error.status) from error
        name = url.rpartition("/")[2]
        refuse_early(name, body, vehicle=self.vehicle, is_plain=self.is_plain)
        self.last = body
        return body

    def _limit(self, url: str) -> int:
        """Return what a role may be at most: signed lengths may lower this, but never raise it."""
        role = url.rpartition("/")[2].removesuffix(".json").rpartition(".")[2]
        if role == Targets.type and self.vehicle is not None:
            return MAX_DIRECTOR_TARGETS_BYTES
        return _LIMITS.get(role, MAX_TARGETS_BYTES)
