"""Full verification: two TUF repositories, the floor below them, the Uptane rules above them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tuf.api import exceptions as tuf
from tuf.api.metadata import Root, Signed, Snapshot, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from ota.client.durable import make_folder, sync_tree
from ota.client.floor import ROOT, Floor, RepositoryState, RoleVersion
from ota.client.offer import Ecu, Offer
from ota.client.ports import Clock, Fetcher
from ota.client.uptane import Assignment, check_vehicle, match, read_assignments
from ota.errors import (
    EndlessDataError,
    ForeignVehicleError,
    FreezeError,
    MalformedError,
    MixAndMatchError,
    NetworkError,
    OtaError,
    RepositoryError,
    RollbackError,
    ServerRefusedError,
    SignatureError,
)
from ota.metadata.models import (
    MAX_ROOT_BYTES,
    MAX_SNAPSHOT_BYTES,
    MAX_TARGETS_BYTES,
    MAX_TIMESTAMP_BYTES,
    issued_of,
    parse_metadata,
    peek_vehicle,
)

_CONFIG = UpdaterConfig(
    max_root_rotations=256,
    max_delegations=32,
    root_max_length=MAX_ROOT_BYTES,
    timestamp_max_length=MAX_TIMESTAMP_BYTES,
    snapshot_max_length=MAX_SNAPSHOT_BYTES,
    targets_max_length=MAX_TARGETS_BYTES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryAddress:
    """Where one repository is and what it is trusted by.

    ``metadata_url`` and ``targets_url`` end with a slash; the Director has no targets of its own.
    ``root`` are the bytes of the root that was shipped with the vehicle.
    """

    metadata_url: str
    root: bytes
    targets_url: str = ""


class Verifier:
    """Asks both repositories what this vehicle should run, and believes only what holds.

    ``folder`` keeps the metadata of both repositories (``director/``, ``image/``). ``vehicle``
    None switches the binding to a vehicle off: for a raw TUF run over the Director's path.
    """

    def __init__(  # noqa: PLR0913 (the doors of one decision, all by name)
        self,
        *,
        vehicle: str | None,
        ecus: Sequence[Ecu],
        director: RepositoryAddress,
        image: RepositoryAddress,
        folder: Path,
        fetcher: Fetcher,
        floor: Floor,
        clock: Clock,
    ) -> None:
        self._ecus = ecus
        self._floor = floor
        self._director = Repository(
            "director", director, folder=folder, fetcher=fetcher, clock=clock, vehicle=vehicle
        )
        self._image = Repository("image", image, folder=folder, fetcher=fetcher, clock=clock)

    def check(self) -> tuple[Offer, ...]:
        """Refresh both repositories; return what the Director wants each ECU to run.

        Blocks for network and disk. Offers that are installed already are among the result.

        Raises:
            RepositoryError: A leaf that names the attack; floor and counters are as they were.
            DownloadError: The network is wrong.
            FloorError: The floor cannot be used.
        """
        director = self._director.refresh(self._floor)
        assignments = read_assignments(director.targets, self._ecus)
        image = self._image.refresh(self._floor)
        self._floor.admit((director.state, image.state))
        return tuple(self._offer(assignment, image) for assignment in assignments)

    def _offer(self, assignment: Assignment, image: "Refreshed") -> Offer:
        floor = self._floor.release_counter(assignment.ecu.ecu_id)
        with _translated("image targets"):
            released = image.updater.get_targetinfo(assignment.file.path)
        return match(assignment, released, counter_floor=floor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """One repository after its refresh: what was verified, and the Updater to ask further."""

    updater: Updater
    targets: Targets
    state: RepositoryState


class Repository:
    """One of the two repositories: an Updater, its folder, and the checks it does not do."""

    def __init__(  # noqa: PLR0913 (the doors of one decision, all by name)
        self,
        name: str,
        address: RepositoryAddress,
        *,
        folder: Path,
        fetcher: Fetcher,
        clock: Clock,
        vehicle: str | None = None,
    ) -> None:
        self._name = name
        self._address = address
        self._folder = folder / name
        self._clock = clock
        self._vehicle = vehicle
        guard = None if vehicle is None else _refuse_foreign(vehicle)
        self._fetcher = _TufFetcher(fetcher, guard)

    def refresh(self, floor: Floor) -> Refreshed:
        """Fetch and verify all top-level roles; raise nothing but OtaErrors.

        The floor is compared, not raised: that is for the caller, when both repositories hold.
        """
        make_folder(self._folder)
        with _translated(self._name):
            updater = Updater(
                str(self._folder),
                self._address.metadata_url,
                fetcher=self._fetcher,
                config=_CONFIG,
                bootstrap=self._address.root,
            )
            updater.refresh()
        sync_tree(self._folder)  # python-tuf renames but never syncs
        roles = _Roles.read(self._folder)
        if self._vehicle is not None:
            check_vehicle((roles.timestamp, roles.snapshot, roles.targets), self._vehicle)
        state = roles.state(self._name)
        floor.compare(state)
        _check_expiry(self._name, roles, _no_earlier(self._clock.utc_now(), floor.lowest_time()))
        return Refreshed(updater=updater, targets=roles.targets, state=state)


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

    def state(self, repository: str) -> RepositoryState:
        """Return the versions, each with the keys its floor belongs to."""
        listed = _digest_of_keys(self.root, Snapshot.type)
        return RepositoryState(
            repository=repository,
            root_version=self.root.version,
            root_expires=self.root.expires,
            issued=issued_of(self.timestamp),
            roles=(
                RoleVersion(name=ROOT, version=self.root.version, keys=""),
                RoleVersion(
                    name=Timestamp.type,
                    version=self.timestamp.version,
                    keys=_digest_of_keys(self.root, Timestamp.type),
                ),
                RoleVersion(name=Snapshot.type, version=self.snapshot.version, keys=listed),
                *(
                    RoleVersion(name=name, version=meta.version, keys=listed)
                    for name, meta in sorted(self.snapshot.meta.items())
                ),
            ),
        )


def _digest_of_keys(root: Root, role: str) -> str:
    return hashlib.sha256("\n".join(sorted(root.roles[role].keyids)).encode()).hexdigest()


def _no_earlier(wall: datetime, lowest: datetime | None) -> datetime:
    return wall if lowest is None else max(wall, lowest)


def _check_expiry(repository: str, roles: _Roles, now: datetime) -> None:
    checked: tuple[Signed, ...] = (roles.root, roles.timestamp, roles.snapshot, roles.targets)
    for role in checked:
        if role.is_expired(now):
            raise FreezeError(
                f"{repository} {role.type}",
                expected=f"metadata valid at {now:%Y-%m-%d %H:%M} UTC",
                got=f"expired {role.expires:%Y-%m-%d %H:%M} UTC",
            )


class _TufFetcher(FetcherInterface):
    """Our Fetcher, as the Updater wants it: whole bodies, bounded, our own errors.

    ``guard`` sees the bytes before the Updater does, because the Updater persists a role before
    any layer above could refuse it. It only rejects; signatures are checked afterwards.
    """

    def __init__(self, fetcher: Fetcher, guard: Callable[[str, bytes], None] | None) -> None:
        self._fetcher = fetcher
        self._guard = guard

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self._fetcher.fetch(url)

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return the body of ``url``; raise OtaErrors, and DownloadHTTPError for a missing file."""
        body = bytearray()
        try:
            for chunk in self._fetcher.fetch(url):
                body += chunk
                if len(body) > max_length:
                    raise EndlessDataError(url, expected=f"at most {max_length} bytes", got="more")
        except ServerRefusedError as error:
            # The Updater asks for one root more than there is: that answer must reach it.
            raise tuf.DownloadHTTPError(str(error), error.status) from error
        if self._guard is not None:
            self._guard(url, bytes(body))
        return bytes(body)


def _refuse_foreign(vehicle: str) -> Callable[[str, bytes], None]:
    def guard(url: str, body: bytes) -> None:
        if url.endswith(".root.json"):
            return  # one root serves all vehicles
        named = peek_vehicle(body)
        if named != vehicle:
            raise ForeignVehicleError(url, expected=f"vehicle {vehicle}", got=named or "none")

    return guard


# Which of our leaves each of python-tuf's exceptions is; the first that fits. BadVersionNumberError
# also stands for a snapshot or targets version that another role did not promise.
_LEAVES: tuple[tuple[type[Exception], type[RepositoryError]], ...] = (
    (tuf.UnsignedMetadataError, SignatureError),
    (tuf.ExpiredMetadataError, FreezeError),
    (tuf.LengthOrHashMismatchError, MixAndMatchError),
    (tuf.RepositoryError, MalformedError),
)


@contextmanager
def _translated(subject: str) -> Iterator[None]:
    try:
        yield
    except OtaError:
        raise
    except tuf.DownloadHTTPError as error:
        cause = error.__cause__
        raise cause if isinstance(cause, ServerRefusedError) else _network(subject, error) from error
    except tuf.DownloadLengthMismatchError as error:
        raise EndlessDataError(subject, expected="bounded metadata", got=str(error)) from error
    except tuf.DownloadError as error:
        raise _network(subject, error) from error
    except tuf.BadVersionNumberError as error:
        raise _bad_version(subject, error) from error
    except tuf.RepositoryError as error:
        raise _leaf(subject, error) from error
