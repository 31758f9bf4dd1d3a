"""Cases of the verifier of sticks: a stick of the real publisher, changed by whoever holds it.

Each case changes a stick and returns the code by which a vehicle refuses it, None if it does not.
Which keys the attacker has is said by which of them sign anew.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile

from ota.client.early import digests_of
from ota.client.floor import ROOT, Floor, RepositoryState, RoleVersion
from ota.client.offer import Ecu
from ota.client.offline import OfflineVerifier
from ota.client.timekeeper import BatteryTime, TimeKeeper
from ota.errors import OtaError
from ota.metadata.custom import Kind
from ota.metadata.models import MAX_VERSION
from ota.metadata.offline import SNAPSHOT, TARGETS
from ota.publisher.bundle import write_bundle
from ota.publisher.inventory import Inventory
from ota.publisher.keys import load_signer
from ota.publisher.layout import Repositories
from ota.publisher.publish import NOBODY, Offer, publish_image
from tests.support.clock import FakeClock
from tests.support.publisher import APP, ECU, HARDWARE, new_package, new_repositories, release

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
StickCase = Callable[[Path], str | None]
Change = Callable[[Any], None]


@dataclass
class Workshop:
    """A publisher, its stick, and a vehicle that is shown it."""

    folder: Path
    hardware: str = HARDWARE
    clock: FakeClock = field(default_factory=lambda: FakeClock(START))

    def __post_init__(self) -> None:
        self.repositories: Repositories = new_repositories(self.folder / "ota", self.clock)
        self.roots = [
            (self.repositories.layout.director_root / "1.root.json").read_bytes(),
            (self.repositories.layout.image_metadata / "1.root.json").read_bytes(),
        ]
        self.publish("1.0.0", 1)
        self.stick = self.write("stick")

    def publish(self, version: str, counter: int) -> None:
        package = new_package(self.folder / f"spec-{counter}", version=version)
        facts = release(version, counter)
        with Inventory(self.repositories.layout.inventory) as inventory:
            publish_image(self.repositories, inventory, package, facts, offer=Offer(to=NOBODY))

    def write(self, name: str) -> Path:
        write_bundle(self.repositories, self.folder / name)
        return self.folder / name

    def key(self, repository: str, name: str) -> CryptoSigner:
        layout = self.repositories.layout
        places = (layout.offline_keys / repository, layout.online_keys / repository)
        return load_signer(next(each for place in places if (each := place / name).exists()))

    def change(self, name: str, change: Change, *keys: CryptoSigner) -> bytes:
        """Change the role ``name`` of the stick; without ``keys`` its signatures are the old ones.

        Returns its new bytes.
        """
        path = self.stick / name
        metadata: Metadata[Any] = Metadata.from_file(str(path))
        change(metadata.signed)
        for number, key in enumerate(keys):
            metadata.sign(key, append=number > 0)
        path.write_bytes(metadata.to_bytes())
        return path.read_bytes()

    def relist(self, change: Change, *, is_signed: bool = True) -> None:
        """Change the stick's list, and let the stolen Snapshot key lead to it."""
        keys = [self.key("director", f"{TARGETS}-1.pem")] if is_signed else []
        data = self.change(f"director/{TARGETS}.json", change, *keys)
        version = Metadata.from_bytes(data).signed.version
        listed = MetaFile.from_data(version, data, ["sha256"])
        self.lead(lambda snapshot: snapshot.meta.update({f"{TARGETS}.json": listed}))

    def lead(self, change: Change) -> None:
        """Change the stick's Snapshot as whoever has its key can."""
        self.change(f"director/{SNAPSHOT}.json", change, self.key("director", f"{SNAPSHOT}-1.pem"))

    def vehicle(self, stick: Path | None = None) -> str | None:
        """Return the code by which the vehicle refuses the stick; None if it takes it."""
        floor = Floor(self.folder / "floor.sqlite")
        verifier = OfflineVerifier(
            ecus=(Ecu(ecu_id=ECU, hardware_id=self.hardware, kind=Kind.APP, name=APP),),
            director_root=self.roots[0],
            image_root=self.roots[1],
            folder=self.folder / "metadata",
            floor=floor,
            time=TimeKeeper(self.clock, [BatteryTime(self.clock)], floor),
        )
        try:
            verifier.check(stick or self.stick)
        except OtaError as error:
            return error.code
        return None


def stranger() -> CryptoSigner:
    signer: CryptoSigner = CryptoSigner.generate_ed25519()
    return signer


def shown(change: Callable[[Workshop], None]) -> StickCase:
    def case(folder: Path) -> str | None:
        workshop = Workshop(folder)
        change(workshop)
        return workshop.vehicle()

    return case


def later(days: int) -> Callable[[Workshop], None]:
    return lambda workshop: workshop.clock.advance_s(days * 86_400)


def _raise_version(signed: Any) -> None:
    signed.version += 1


def _unsigned_snapshot(workshop: Workshop) -> None:
    workshop.change(f"director/{SNAPSHOT}.json", _raise_version)


def _unsigned_list(workshop: Workshop) -> None:
    workshop.relist(_raise_version, is_signed=False)


def _other_list(workshop: Workshop) -> None:
    later_s = timedelta(seconds=1)

    def change(targets: Any) -> None:
        targets.expires += later_s

    workshop.change(
        f"director/{TARGETS}.json", change, workshop.key("director", f"{TARGETS}-1.pem")
    )


def _other_version(workshop: Workshop) -> None:
    def change(snapshot: Any) -> None:
        snapshot.meta[f"{TARGETS}.json"].version = 7

    workshop.lead(change)


def _more_roles(workshop: Workshop) -> None:
    def change(snapshot: Any) -> None:
        snapshot.meta["offline-more.json"] = MetaFile(1)

    workshop.lead(change)


def _delegating(workshop: Workshop) -> None:
    key = stranger().public_key

    def change(targets: Any) -> None:
        role = DelegatedRole("more", [key.keyid], 1, terminating=False, paths=["*"])
        targets.delegations = Delegations({key.keyid: key}, {"more": role})

    workshop.relist(change)


def _two_images(workshop: Workshop) -> None:
    workshop.publish("1.1.0", 2)
    newer = Metadata.from_file(str(workshop.write("newer") / "director" / f"{TARGETS}.json"))
    for name in ("image/metadata", "image/targets"):
        source = workshop.folder / "newer" / name
        shutil.copytree(source, workshop.stick / name, dirs_exist_ok=True)
    workshop.relist(lambda targets: targets.targets.update(newer.signed.targets))


def _far_ahead(workshop: Workshop) -> None:
    def change(snapshot: Any) -> None:
        snapshot.version = MAX_VERSION + 1

    workshop.lead(change)


def _image_role(name: str, *, is_signed: bool) -> Callable[[Workshop], None]:
    def change(workshop: Workshop) -> None:
        (path,) = (workshop.stick / "image" / "metadata").glob(name)
        keys = [] if is_signed else [stranger()]
        workshop.change(str(path.relative_to(workshop.stick)), lambda _: None, *keys)

    return change


def _unsigned_image_targets(workshop: Workshop) -> None:
    _lead_to_image_targets(workshop, lambda _: None, stranger())


def _lead_to_image_targets(workshop: Workshop, change: Change, key: CryptoSigner) -> None:
    """Change the Targets, to which the stolen Image Snapshot key leads."""
    (path,) = (workshop.stick / "image" / "metadata").glob("*.targets.json")
    data = workshop.change(str(path.relative_to(workshop.stick)), change, key)
    listed = MetaFile.from_data(Metadata.from_bytes(data).signed.version, data, ["sha256"])
    workshop.change(
        "image/metadata/snapshot.json",
        lambda snapshot: snapshot.meta.update({"targets.json": listed}),
        workshop.key("image", "snapshot-1.pem"),
    )


def _expired_list(workshop: Workshop) -> None:
    def change(targets: Any) -> None:
        targets.expires = START - timedelta(days=1)

    workshop.relist(change)


def _expired_image_targets(workshop: Workshop) -> None:
    def change(targets: Any) -> None:
        targets.expires = START - timedelta(days=1)

    _lead_to_image_targets(workshop, change, workshop.key("image", "targets-1.pem"))


def _expired_root(workshop: Workshop) -> None:
    def change(root: Any) -> None:
        root.version = 2
        root.expires = START - timedelta(days=1)

    folder = workshop.stick / "director"
    shutil.copy(folder / "1.root.json", folder / "2.root.json")
    workshop.change("director/2.root.json", change, workshop.key("director", "root-1.pem"))


def _next_root(repository: str, *, version: int = 2, old: bool, new: bool) -> StickCase:
    """A next root with a new root key, signed by those of the old and the new one that are told."""

    def case(folder: Path) -> str | None:
        workshop = Workshop(folder)
        place = {"director": "director", "image": "image/metadata"}[repository]
        fresh, known = stranger(), workshop.key(repository, "root-1.pem")

        def change(root: Any) -> None:
            root.version = version
            root.revoke_key(known.public_key.keyid, "root")
            root.add_key(fresh.public_key, "root")

        before = workshop.stick / place / "1.root.json"
        shutil.copy(before, workshop.stick / place / "2.root.json")
        keys = [key for key, signs in ((known, old), (fresh, new)) if signs]
        workshop.change(f"{place}/2.root.json", change, *keys)
        return workshop.vehicle()

    return case


def _older_stick(folder: Path) -> str | None:
    workshop = Workshop(folder)
    newer = workshop.write("newer")
    return workshop.vehicle(newer) or workshop.vehicle()


def _older_roles(repository: str, **seen: int) -> StickCase:
    """A stick with the roles of before, in a vehicle that has been online since."""

    def case(folder: Path) -> str | None:
        workshop = Workshop(folder)
        trusted = Metadata.from_bytes(workshop.roots[repository == "image"]).signed
        Floor(folder / "floor.sqlite").admit([_state_of(repository, trusted, seen)])
        return workshop.vehicle()

    return case


def _other_hardware(folder: Path) -> str | None:
    return Workshop(folder, hardware="another-board").vehicle()


def _state_of(repository: str, trusted: Any, seen: Mapping[str, int]) -> RepositoryState:
    keys = digests_of(trusted.roles["snapshot"].keyids)
    roles = [
        RoleVersion(name=name, version=version, keys=frozenset() if name == ROOT else keys)
        for name, version in seen.items()
    ]
    return RepositoryState(
        repository=repository,
        root_version=seen.get(ROOT, 1),
        root_expires=trusted.expires,
        issued=None,
        roles=tuple(roles),
    )


SIGNATURE, MIXED = "ota.repository.signature", "ota.repository.mix_and_match"
FREEZE, ROLLBACK = "ota.repository.freeze", "ota.repository.rollback"
STICK_CASES: Mapping[str, tuple[StickCase, str | None]] = {
    "a stick as it was written": (shown(lambda _: None), None),
    "a stick whose snapshot was changed": (shown(_unsigned_snapshot), SIGNATURE),
    "a stick whose list was changed": (shown(_unsigned_list), SIGNATURE),
    "a stick with another list than its snapshot's": (shown(_other_list), MIXED),
    "a stick with another version than its snapshot's": (shown(_other_version), MIXED),
    "a stick whose snapshot lists more": (shown(_more_roles), MIXED),
    "a stick that delegates": (shown(_delegating), "ota.repository.director_delegation"),
    "a stick with two images for one ECU": (shown(_two_images), "ota.repository.repeated_ecu"),
    "a stick that jumps ahead": (shown(_far_ahead), "ota.repository.fast_forward"),
    "a stick whose list has expired": (shown(_expired_list), FREEZE),
    "a stick of a quarter of a year ago": (shown(later(100)), FREEZE),
    "a stick whose image targets have expired": (shown(_expired_image_targets), FREEZE),
    "a stick whose root has expired": (shown(_expired_root), FREEZE),
    "a stick whose image snapshot a stranger signed": (
        shown(_image_role("snapshot.json", is_signed=False)),
        SIGNATURE,
    ),
    "a stick whose image targets a stranger signed": (shown(_unsigned_image_targets), SIGNATURE),
    "a stick's next root without the old keys": (
        _next_root("director", old=False, new=True),
        SIGNATURE,
    ),
    "a stick's next root without its own keys": (
        _next_root("image", old=True, new=False),
        SIGNATURE,
    ),
    "a stick's next root that skips a version": (
        _next_root("director", version=3, old=True, new=True),
        MIXED,
    ),
    "a stick's next root": (_next_root("director", old=True, new=True), None),
    "an older stick after a newer one": (_older_stick, ROLLBACK),
    "a stick under older image roles": (_older_roles("image", snapshot=900), ROLLBACK),
    "a stick under an older root of the Director": (_older_roles("director", root=9), ROLLBACK),
    "a stick for other hardware": (_other_hardware, None),
}
