"""Where everything of a publisher stands, and how a new one begins.

::

    keys/offline/{image,director}/   root-N.pem, image also targets-N.pem, director also
                                     offline-{snapshot,targets}-1.pem; away between releases
    keys/online/{image,director}/    snapshot-1.pem, timestamp-1.pem, director also targets-1.pem
    image/metadata/  image/targets/  the Image repository, as a web server shows it
    director/root/                   the Director's roots, the same for every vehicle
    director/offline/                the Director's two roles for sticks, the same for every vehicle
    director/vehicles/ID/            one vehicle's Director Targets, Snapshot and Timestamp
    inventory.sqlite                 vehicles, ECUs, assignments, manifests
    releases/                        one record per release: what, by whom, why
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ota.metadata.models import is_identifier
from ota.metadata.offline import SNAPSHOT, TARGETS
from ota.publisher.errors import ConflictError, UnknownVehicleError
from ota.publisher.keys import KeyRing, generate_keys, public_keys
from ota.publisher.ports import Clock, DurableFiles, Files, make_folder
from ota.publisher.repository import Repository, latest_root_version
from ota.publisher.roles import ROLES, Lifetimes, new_root

OFFLINE_ROLES = (SNAPSHOT, TARGETS)  # the Director's, for sticks
OFFLINE = {"image": ("root", "targets"), "director": ("root",)}
MAX_KEYS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Paths below ``root``; ``offline_keys`` may be elsewhere, for example on a stick."""

    root: Path
    offline_keys: Path

    @classmethod
    def at(cls, root: Path, offline_keys: Path | None = None) -> "Layout":
        """Return the layout below ``root``."""
        return cls(root=root, offline_keys=offline_keys or root / "keys" / "offline")

    @property
    def online_keys(self) -> Path:
        """The folder of the keys that the service signs with."""
        return self.root / "keys" / "online"

    @property
    def image_metadata(self) -> Path:
        """The Image repository's metadata."""
        return self.root / "image" / "metadata"

    @property
    def image_targets(self) -> Path:
        """The Image repository's images, under names with a hash prefix."""
        return self.root / "image" / "targets"

    @property
    def director_root(self) -> Path:
        """The Director's roots."""
        return self.root / "director" / "root"

    @property
    def director_offline(self) -> Path:
        """The Director's two roles for sticks."""
        return self.root / "director" / "offline"

    @property
    def inventory(self) -> Path:
        """The SQLite file of vehicles, ECUs, assignments and manifests."""
        return self.root / "inventory.sqlite"

    @property
    def releases(self) -> Path:
        """One JSON file per release."""
        return self.root / "releases"

    def director_vehicle(self, vehicle: str) -> Path:
        """Return the folder of one vehicle's Director metadata.

        Raises:
            UnknownVehicleError: ``vehicle`` is no id, so it is never turned into a path.
        """
        if not is_identifier(vehicle):
            raise UnknownVehicleError("vehicle", expected="a vehicle id", got=repr(vehicle[:80]))
        return self.root / "director" / "vehicles" / vehicle

    def target_path(self, target: str, sha256: str) -> Path:
        """Return where the image ``target`` stands: its name with the hash as a prefix."""
        folder, _, name = target.rpartition("/")
        return self.image_targets / folder / f"{sha256}.{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repositories:
    """Opens the repositories of a layout with the keys at hand."""

    layout: Layout
    clock: Clock
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    files: Files = field(default_factory=DurableFiles)

    def image(self) -> Repository:
        """Return the Image repository."""
        folders = (self.layout.online_keys / "image", self.layout.offline_keys / "image")
        return self._repository(self.layout.image_metadata, KeyRing.load(*folders))

    def director_base(self) -> Repository:
        """Return the Director's root folder as a repository that publishes no targets."""
        return self._repository(self.layout.director_root, self.director_ring())

    def director_ring(self) -> KeyRing:
        """Return the Director's keys at hand."""
        layout = self.layout
        return KeyRing.load(layout.online_keys / "director", layout.offline_keys / "director")

    def director(self, vehicle: str, ring: KeyRing | None = None) -> Repository:
        """Return the Director repository of ``vehicle``; ``ring`` saves reading the keys again."""
        return Repository(
            self.layout.director_vehicle(vehicle),
            ring=ring or self.director_ring(),
            clock=self.clock,
            files=self.files,
            lifetimes=self.lifetimes,
            vehicle=vehicle,
            root_folder=self.layout.director_root,
        )

    def _repository(self, folder: Path, ring: KeyRing) -> Repository:
        return Repository(
            folder, ring=ring, clock=self.clock, files=self.files, lifetimes=self.lifetimes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """``needed`` of ``keys`` signatures make a role valid."""

    needed: int = 1
    keys: int = 1


def init_repositories(
    repositories: Repositories, thresholds: Mapping[str, Threshold] | None = None
) -> None:
    """Make keys, roots and an empty Image repository below the layout's root.

    ``thresholds`` maps a role to its keys and threshold: ``root`` holds for both repositories,
    ``targets`` for the Image repository, whose keys are offline.

    Raises:
        ConflictError: There is a repository already, or a threshold cannot be reached; nothing
            was made.
    """
    layout = repositories.layout
    thresholds = thresholds or {}
    check_thresholds(thresholds)
    if latest_root_version(layout.image_metadata) or latest_root_version(layout.director_root):
        raise ConflictError(str(layout.root), expected="no repository yet", got="one")
    for name in ("image", "director"):
        _begin(repositories, name, thresholds)
    repositories.image().publish({})
    make_folder(layout.image_targets)
    make_folder(layout.root / "director" / "vehicles")
    make_folder(layout.releases)


def check_thresholds(thresholds: Mapping[str, Threshold]) -> None:
    """Raise ConflictError if a threshold is for a role that is online, or cannot be reached."""
    for role, wanted in thresholds.items():
        if role not in OFFLINE["image"]:
            raise ConflictError("threshold", expected="role root or targets", got=role)
        if not 1 <= wanted.needed <= wanted.keys <= MAX_KEYS:
            raise ConflictError(
                f"threshold of {role}",
                expected=f"1 <= needed <= keys <= {MAX_KEYS}",
                got=f"{wanted.needed} of {wanted.keys}",
            )


def _begin(repositories: Repositories, name: str, thresholds: Mapping[str, Threshold]) -> None:
    layout = repositories.layout
    keys, needed = {}, {}
    for role in ROLES:
        offline = role in OFFLINE[name]
        wanted = thresholds.get(role, Threshold()) if offline else Threshold()
        folder = (layout.offline_keys if offline else layout.online_keys) / name
        keys[role] = public_keys(generate_keys(folder, role, wanted.keys))
        needed[role] = wanted.needed
    expires = repositories.lifetimes.expires("root", repositories.clock.utc_now())
    for_sticks = {
        role: public_keys(generate_keys(layout.offline_keys / name, role, 1))
        for role in (OFFLINE_ROLES if name == "director" else ())
    }
    root = new_root(keys, thresholds=needed, expires=expires, offline=for_sticks)
    repository = repositories.image() if name == "image" else repositories.director_base()
    repository.create_root(root)
