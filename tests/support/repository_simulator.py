"""Both repositories in memory, made with the publisher's code; a Fetcher; and verbs of attack.

A ``RepositorySimulator`` holds an ``image`` and a ``director`` repository. Verbs of a release
engineer: ``release``, ``put_image``, ``assign``; of each repository ``publish``, ``publish_root``,
``replace_keys``, ``raise_threshold``, ``delegate``, ``hand_over``. Verbs of attack: ``go_back``,
``go_back_under_newer``, ``fast_forward``, ``expire``, ``tamper``, ``drop_signature``, ``write_as``;
``bodies`` makes a path endless or slow, ``is_down`` takes the network away. Whole attacks by name,
each with the code that must refuse it, are in ``attacks``, ``legacy_vectors``, ``own_attacks``.

``python -m tests.support.repository_simulator --attack NAME -o DIR`` writes one as files that any
web server can serve, before and after; ``--list`` names them all.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from securesystemslib.signer import CryptoSigner, Key, Signer, SSlibKey
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Signed,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from agent.clock import SystemClock
from ota.client.client import UpdateSettings
from ota.client.offer import Ecu
from ota.client.ports import RangeAnswer
from ota.client.repository import RepositoryAddress
from ota.errors import NetworkError, ServerRefusedError
from ota.metadata.chunks import describe, list_chunks
from ota.metadata.custom import (
    Criticality,
    DirectorCustom,
    EcuAssignment,
    Facts,
    ImageCustom,
    Kind,
    Release,
    to_custom,
)
from ota.metadata.manifest import VehicleManifest, ecu_key, verify_manifest
from ota.metadata.models import MAX_VERSION, document_name, target_name
from ota.publisher.roles import ROLES, new_root, new_snapshot, new_targets, new_timestamp

BASE = "https://updates.test"
CHUNK_BYTES = 4_096
VEHICLE = "vehicle-a"
ECU = Ecu(ecu_id="ecu-1", hardware_id="board-1", kind=Kind.APP, name="trip-light")
FACTS = Facts(
    purpose="A steadier light.",
    changes=("The light no longer flickers.",),
    duration_s=20,
    unavailable="The trip light is off for a moment.",
    instructions="Nothing to do.",
)

R = TypeVar("R", Targets, Snapshot, Timestamp)
Edit = Callable[[Signed], None]
Writer = Callable[[Signed, Sequence[Signer]], bytes]


def write_honestly(role: Signed, signers: Sequence[Signer]) -> bytes:
    """Return ``role`` as it is published when nobody attacks."""
    metadata: Metadata[Any] = Metadata(role)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()


@dataclass
class Delegated:
    """A role that lists targets on behalf of another; ``version`` grows with every publication.

    ``terminating``, ``paths``, ``hardware_ids`` and ``agree_with`` are what its delegator says.
    """

    name: str
    delegator: str
    signers: list[CryptoSigner]
    expires: datetime
    paths: tuple[str, ...] = ("*/*/*/*",)
    is_terminating: bool = False
    threshold: int = 1
    hardware_ids: tuple[str, ...] | None = None
    agree_with: tuple[str, ...] = ()
    targets: dict[str, TargetFile] = field(default_factory=dict)
    version: int = 0
    is_in_snapshot: bool = True

    def entry(self) -> DelegatedRole:
        """Return the delegator's word about this role."""
        fields: dict[str, object] = {}
        if self.hardware_ids is not None:
            fields["hardware_ids"] = list(self.hardware_ids)
        if self.agree_with:
            fields["agree_with"] = list(self.agree_with)
        return DelegatedRole(
            self.name,
            [signer.public_key.keyid for signer in self.signers],
            self.threshold,
            terminating=self.is_terminating,
            paths=list(self.paths),
            unrecognized_fields=fields,
        )


class SimulatedRepository:
    """One repository: its keys, its roots, and the files it serves under their names.

    Before the next publication a test may change ``targets``, ``versions``, ``expires``, ``edits``
    (of a role before it is signed) and ``writers`` (how a role becomes bytes), each by role name.
    """

    def __init__(self, now: datetime, *, vehicle: str | None = None, threshold: int = 1) -> None:
        self.now = now
        self.vehicle = vehicle
        self.thresholds = dict.fromkeys(ROLES, threshold)
        self.signers = {role: new_signers(threshold) for role in ROLES}
        self.roots: list[bytes] = []
        self.targets: dict[str, TargetFile] = {}
        self.delegated: dict[str, Delegated] = {}
        self.versions = dict.fromkeys(("targets", "snapshot", "timestamp"), 0)
        self.expires = {role: now + timedelta(days=30) for role in ROLES}
        self.edits: dict[str, Edit] = {}
        self.writers: dict[str, Writer] = {}
        self.files: dict[str, bytes] = {}
        self.publish_root()
        self.publish()

    # --- what a release engineer does -----------------------------------------------------------

    def publish_root(self, *more: Signer) -> None:
        """Sign the next root with the root keys of now, and ``more``: those of before, usually."""
        keys: dict[str, list[Key]] = {
            role: [signer.public_key for signer in signers]
            for role, signers in self.signers.items()
        }
        version = len(self.roots) + 1
        root = new_root(
            keys, expires=self.expires["root"], thresholds=self.thresholds, version=version
        )
        if "root" in self.edits:
            self.edits["root"](root)
        write = self.writers.get("root", write_honestly)
        self.roots.append(write(root, (*self.signers["root"], *more)))
        self.files[f"{version}.root.json"] = self.roots[-1]

    def publish(self) -> None:
        """Sign targets, snapshot and timestamp anew, each one version higher."""
        for role in self.versions:
            self.versions[role] += 1
        for delegated in self.delegated.values():
            delegated.version += 1
        self.sign_all()

    def sign_all(self) -> None:
        """Sign what stands in ``targets``, ``versions``, ``expires`` and ``edits`` now."""
        listed = {name: self._write_delegated(role) for name, role in self.delegated.items()}
        made = new_targets(
            self.targets,
            version=self.versions["targets"],
            expires=self.expires["targets"],
            vehicle=self.vehicle,
        )
        made.delegations = self._delegations("targets")
        targets = self._signed(made)
        snapshot_role = new_snapshot(
            targets,
            self.versions["targets"],
            version=self.versions["snapshot"],
            expires=self.expires["snapshot"],
            vehicle=self.vehicle,
        )
        for name, data in listed.items():
            if self.delegated[name].is_in_snapshot:
                meta = MetaFile.from_data(self.delegated[name].version, data, ["sha256"])
                snapshot_role.meta[f"{name}.json"] = meta
        snapshot = self._signed(snapshot_role)
        timestamp = self._signed(
            new_timestamp(
                snapshot,
                self.versions["snapshot"],
                version=self.versions["timestamp"],
                expires=self.expires["timestamp"],
                issued=self.now,
                vehicle=self.vehicle,
            )
        )
        self.files[f"{self.versions['targets']}.targets.json"] = targets
        self.files[f"{self.versions['snapshot']}.snapshot.json"] = snapshot
        self.files["timestamp.json"] = timestamp

    def replace_keys(self, role: str) -> None:
        """Give ``role`` new keys, by a new root that old and new root keys have signed."""
        before = self.signers["root"]
        self.signers[role] = new_signers(self.thresholds[role])
        self.publish_root(*(before if role == "root" else ()))

    def raise_threshold(self, role: str) -> None:
        """Ask for one more signature on ``role``, by a new root."""
        self.signers[role] += new_signers(1)
        self.thresholds[role] += 1
        self.publish_root()

    def delegate(self, name: str, *, delegator: str = "targets", **fields: Any) -> Delegated:
        """Let ``delegator`` pass on to ``name``; see ``Delegated`` for ``fields``.

        It counts from the next publication on. The default path is every app's.
        """
        signers = new_signers(fields.get("threshold", 1))
        made = Delegated(name, delegator, signers, self.expires["targets"], **fields)
        self.delegated[name] = made
        return made

    def hand_over(self, name: str) -> None:
        """Let the delegated role ``name`` list what targets has listed, and publish that."""
        self.delegated[name].targets = self.targets
        self.targets = {}
        self.publish()

    # --- verbs of attack ------------------------------------------------------------------------

    def go_back(self, role: str) -> None:
        """Sign ``role`` with a version one lower, and what names it likewise."""
        self.versions[role] -= 1
        self.sign_all()

    def go_back_under_newer(self, role: str) -> None:
        """Sign ``role`` with a version one lower, under honest newer roles that lead to it."""
        self.versions[role] -= 1
        for above in {"targets": ("snapshot", "timestamp"), "snapshot": ("timestamp",)}.get(
            role, ()
        ):
            self.versions[above] += 1
        self.sign_all()

    def expire(self, role: str) -> None:
        """Sign everything anew, with ``role`` past its expiry."""
        self.expires[role] = self.now - timedelta(days=1)
        self.publish_role(role)

    def tamper(self, name: str) -> None:
        """Change one byte of the served file ``name``, inside a word."""
        content = self.files[name]
        at = content.index(b'"version":') + len(b'"version":')
        self.files[name] = content[:at] + b"7" + content[at + 1 :]

    def drop_signature(self, role: str) -> None:
        """Sign ``role`` with one key fewer than its threshold."""
        self.signers[role] = self.signers[role][1:]
        self.publish()

    def write_as(self, role: str, writer: Writer) -> None:
        """Publish ``role`` (any, also a delegated one) by ``writer`` from now on."""
        self.writers[role] = writer
        self.publish_role(role)

    def publish_role(self, role: str) -> None:
        """Publish, with a new root if ``role`` is that."""
        if role == "root":
            self.publish_root()
        self.publish()

    def fast_forward(self, role: str) -> None:
        """Sign ``role`` with the highest version there is."""
        self.versions[role] = MAX_VERSION - 1
        for other in self.versions:
            self.versions[other] += 1
        self.sign_all()

    def current(self, role: str) -> str:
        """Return the name under which the newest ``role`` is served."""
        if role == "timestamp":
            return "timestamp.json"
        if role in self.delegated:
            return f"{self.delegated[role].version}.{quote(role, '')}.json"
        return f"{self.versions[role]}.{role}.json"

    def dump(self, folder: Path) -> None:
        """Write the metadata that is served to ``folder``, under its names."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            if len(name) <= 255:  # a longer one can only be asked for
                (folder / name).write_bytes(content)

    def _delegations(self, delegator: str) -> Delegations | None:
        roles = [role for role in self.delegated.values() if role.delegator == delegator]
        if not roles:
            return None
        keys: dict[str, Key] = {
            signer.public_key.keyid: signer.public_key for role in roles for signer in role.signers
        }
        return Delegations(keys, {role.name: role.entry() for role in roles})

    def _write_delegated(self, role: Delegated) -> bytes:
        made = new_targets(role.targets, version=role.version, expires=role.expires, vehicle=None)
        made.delegations = self._delegations(role.name)
        data = self._written(role.name, made, role.signers)
        self.files[self.current(role.name)] = data
        return data

    def _signed(self, role: R) -> bytes:
        return self._written(role.type, role, self.signers[role.type])

    def _written(self, name: str, role: Signed, signers: Sequence[Signer]) -> bytes:
        if name in self.edits:
            self.edits[name](role)
        return self.writers.get(name, write_honestly)(role, signers)


class RepositorySimulator:
    """Image repository, Director of one vehicle, and the door to both (a Fetcher).

    ``fetched`` counts requests by path; ``manifests`` holds what the vehicle reported, verified.
    ``is_down`` makes every request fail; ``bodies`` overrides what a path serves.
    """

    def __init__(
        self, vehicle: str = VEHICLE, *, threshold: int = 1, age: timedelta = timedelta(0)
    ) -> None:
        self.now = SystemClock().utc_now().replace(microsecond=0) - age
        self.image = SimulatedRepository(self.now, threshold=threshold)
        self.director = SimulatedRepository(self.now, vehicle=vehicle, threshold=threshold)
        self.vehicle = vehicle
        self.ecu_signer = _ecu_signer()
        self.images: dict[str, bytes] = {}
        self.released: dict[str, TargetFile] = {}  # whatever became of the word about it
        self.bodies: dict[str, Callable[[], Iterator[bytes]]] = {}
        self.fetched: Counter[str] = Counter()
        self.manifests: list[VehicleManifest] = []
        self.is_down = False
        self.post_status = 200

    # --- what a release engineer does -----------------------------------------------------------

    def release(
        self,
        package: bytes,
        version: str,
        *,
        counter: int,
        ecus: Mapping[str, str] | None = None,
        hardware_ids: tuple[str, ...] = (ECU.hardware_id,),
    ) -> str:
        """Release ``package`` and assign it to ``ecus`` (id to hardware id); return its SHA-256."""
        digest = self.put_image(package, version, counter=counter, hardware_ids=hardware_ids)
        self.assign(version, counter=counter, ecus=ecus)
        return digest

    def put_image(
        self,
        package: bytes,
        version: str,
        *,
        counter: int,
        hardware_ids: tuple[str, ...] = (ECU.hardware_id,),
        kind_name: str = ECU.name,
    ) -> str:
        """Publish ``package`` in the Image repository only; return its SHA-256."""
        path = target_name(ECU.name, version)
        custom = ImageCustom(
            hardware_ids=hardware_ids,
            release_counter=counter,
            version=version,
            kind=Kind.APP,
            name=kind_name,
            release=Release(criticality=Criticality.SECURITY, facts={"en": FACTS}),
            unpacked_bytes=4 * len(package),
            chunks=describe(
                list_chunks(io.BytesIO(package), size_bytes=CHUNK_BYTES), size_bytes=CHUNK_BYTES
            ),
        )
        digest = hashlib.sha256(package).hexdigest()
        digests = list_chunks(io.BytesIO(package), size_bytes=CHUNK_BYTES)
        self.image.targets[path] = _target(path, package, to_custom(custom))
        self.released[path] = _target(path, package, to_custom(custom))
        self.images[digest] = package
        self.images[hashlib.sha256(digests).hexdigest()] = digests
        self.image.publish()
        return digest

    def assign(self, version: str, *, counter: int, ecus: Mapping[str, str] | None = None) -> None:
        """Tell the vehicle, through the Director, to run ``version``, and nothing else."""
        path = target_name(ECU.name, version)
        listed = self.image.targets[path]
        chosen = ecus or {ECU.ecu_id: ECU.hardware_id}
        custom = DirectorCustom(
            ecus={
                ecu_id: EcuAssignment(hardware_id=hardware_id, release_counter=counter)
                for ecu_id, hardware_id in chosen.items()
            }
        )
        file = TargetFile(listed.length, dict(listed.hashes), path, {"custom": to_custom(custom)})
        self.director.targets = {path: file}
        self.director.publish()

    def put_document(self, name: str, content: bytes) -> None:
        """Publish ``content`` as the signed document ``name``."""
        path = document_name(name)
        self.image.targets[path] = _target(path, content, {"document": {"serial": 1}})
        self.images[hashlib.sha256(content).hexdigest()] = content
        self.image.publish()

    def dump(self, folder: Path) -> None:
        """Write all that is served to ``folder``, as a web server would serve it.

        ``image/metadata/``, ``image/targets/``, ``director/<vehicle>/metadata/``, and, for who has
        to trust something first, ``roots/image.json`` and ``roots/director.json``.
        """
        self.image.dump(folder / "image" / "metadata")
        self.director.dump(folder / "director" / self.vehicle / "metadata")
        (folder / "roots").mkdir(exist_ok=True)
        for name, repository in (("image", self.image), ("director", self.director)):
            (folder / "roots" / f"{name}.json").write_bytes(repository.roots[0])
        for target in self.released.values():
            place = folder / "image" / "targets" / Path(target.path).parent
            place.mkdir(parents=True, exist_ok=True)
            for digest in (target.hashes["sha256"], target.custom["chunks"]["sha256"]):
                if digest in self.images:
                    (place / f"{digest}.{Path(target.path).name}").write_bytes(self.images[digest])

    # --- what a vehicle needs -------------------------------------------------------------------

    def address(self, name: str) -> RepositoryAddress:
        """Return where the repository ``name`` is, with its first root."""
        repository = self.director if name == "director" else self.image
        path = f"director/{self.vehicle}" if name == "director" else name
        return RepositoryAddress(metadata_url=f"{BASE}/{path}/metadata/", root=repository.roots[0])

    def settings(self, folder: Path, *, settle_s: float = 0.05) -> UpdateSettings:
        """Write roots and ECU key below ``folder``; return settings of a vehicle that uses them."""
        folder.mkdir(parents=True, exist_ok=True)
        _keep(folder / "director.json", self.director.roots[0])
        _keep(folder / "image.json", self.image.roots[0])
        _keep(folder / "ecu.pem", self.ecu_signer.private_bytes)
        return UpdateSettings(
            vehicle=self.vehicle,
            primary_ecu="primary",
            ecus=(ECU,),
            director_url=f"{BASE}/director",
            image_url=f"{BASE}/image",
            director_root=folder / "director.json",
            image_root=folder / "image.json",
            ecu_key=folder / "ecu.pem",
            folder=folder / "update",
            apps=folder / "apps",
            settle_s=settle_s,
        )

    def fetch(self, url: str) -> Iterator[bytes]:
        """Serve ``url``; see ``ports.Fetcher``."""
        path = url.removeprefix(f"{BASE}/")
        self.fetched[path] += 1
        if self.is_down:
            raise NetworkError(url, expected="an answer", got="nothing")
        if path in self.bodies:
            yield from self.bodies[path]()
            return
        body = self._body(path)
        if body is None:
            raise ServerRefusedError(url, status=404)
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    @contextmanager
    def open_range(
        self, url: str, *, first: int, stop: int | None = None, if_range: str | None = None
    ) -> Iterator[RangeAnswer]:
        """Serve a part of ``url``, all of it if its body is overridden; see ``ports.Fetcher``."""
        path = url.removeprefix(f"{BASE}/")
        body = None if path in self.bodies else self._body(path)
        if body is None or self.is_down:
            yield RangeAnswer(first=0, total=None, etag=None, body=self.fetch(url))
            return
        self.fetched[path] += 1
        pieces = (body[at : at + 1000] for at in range(first, stop or len(body), 1000))
        yield RangeAnswer(first=first, total=len(body), etag='"1"', body=pieces)

    def post(self, url: str, body: bytes, *, max_bytes: int) -> bytes:
        """Take a manifest; see ``ports.Fetcher``."""
        if self.is_down:
            raise NetworkError(url, expected="an answer", got="nothing")
        if self.post_status != 200:
            raise ServerRefusedError(url, status=self.post_status)
        key = self.ecu_signer.public_key
        assert isinstance(key, SSlibKey)
        self.manifests.append(verify_manifest(body, key))
        return b"{}"

    def image_path(self, version: str, content_hash: str) -> str:
        """Return the path under which an image is served."""
        folder, _, name = target_name(ECU.name, version).rpartition("/")
        return f"image/targets/{folder}/{content_hash}.{name}"

    def _body(self, path: str) -> bytes | None:
        name = path.rpartition("/")[2]
        if path == f"image/metadata/{name}":
            return self.image.files.get(name)
        if path == f"director/{self.vehicle}/metadata/{name}":
            return self.director.files.get(name)
        return self.images.get(name.partition(".")[0])


def _keep(path: Path, content: bytes) -> None:
    """Write what the factory gave the vehicle, once: its disk may be read-only by now."""
    if not path.is_file() or path.read_bytes() != content:
        path.write_bytes(content)


def new_signers(count: int) -> list[CryptoSigner]:
    """Return ``count`` new Ed25519 keys."""
    return [CryptoSigner.generate_ed25519() for _ in range(count)]


def endless() -> Iterator[bytes]:
    """Yield for ever."""
    while True:
        yield bytes(10_000)


def set_field(name: str, value: object) -> Edit:
    """Return an edit that sets a signed top-level field."""

    def edit(role: Signed) -> None:
        role.unrecognized_fields[name] = value

    return edit


def _target(path: str, content: bytes, custom: Mapping[str, object]) -> TargetFile:
    hashes = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "sha512": hashlib.sha512(content).hexdigest(),
    }
    return TargetFile(len(content), hashes, path, {"custom": dict(custom)})


def _ecu_signer() -> CryptoSigner:
    made = CryptoSigner.generate_ed25519()
    raw = bytes.fromhex(made.public_key.keyval["public"])
    return CryptoSigner(made._private_key, ecu_key(raw))


if __name__ == "__main__":
    from tests.support.attack_dump import main

    main()
