"""Both repositories in memory, made with the publisher's code; a Fetcher; and verbs of attack."""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from securesystemslib.signer import CryptoSigner, Key, SSlibKey
from tuf.api.metadata import Signed, Snapshot, TargetFile, Targets, Timestamp

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
from ota.metadata.models import target_name
from ota.publisher.roles import ROLES, new_root, new_snapshot, new_targets, new_timestamp, sign

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


class SimulatedRepository:
    """One repository: its keys, its roots, and the files it serves under their names."""

    def __init__(self, now: datetime, *, vehicle: str | None = None, threshold: int = 1) -> None:
        self.now = now
        self.vehicle = vehicle
        self.threshold = threshold
        self.signers = {
            role: [CryptoSigner.generate_ed25519() for _ in range(threshold)] for role in ROLES
        }
        self.roots: list[bytes] = []
        self.targets: dict[str, TargetFile] = {}
        self.versions = dict.fromkeys(("targets", "snapshot", "timestamp"), 0)
        self.expires = {role: now + timedelta(days=30) for role in ROLES}
        self.edits: dict[str, Edit] = {}
        self.files: dict[str, bytes] = {}
        self.publish_root()
        self.publish()

    def publish_root(self) -> None:
        """Sign the next root with the keys of now and, from the second on, of before."""
        keys: dict[str, list[Key]] = {
            role: [signer.public_key for signer in signers]
            for role, signers in self.signers.items()
        }
        version = len(self.roots) + 1
        root = new_root(
            keys,
            expires=self.expires["root"],
            thresholds=dict.fromkeys(ROLES, self.threshold),
            version=version,
        )
        self.roots.append(sign(root, self.signers["root"]))
        self.files[f"{version}.root.json"] = self.roots[-1]

    def publish(self) -> None:
        """Sign targets, snapshot and timestamp anew, each one version higher."""
        for role in self.versions:
            self.versions[role] += 1
        self.sign_all()

    def sign_all(self) -> None:
        """Sign what stands in ``targets``, ``versions``, ``expires`` and ``edits`` now."""
        targets = self._signed(
            new_targets(
                self.targets,
                version=self.versions["targets"],
                expires=self.expires["targets"],
                vehicle=self.vehicle,
            )
        )
        snapshot = self._signed(
            new_snapshot(
                targets,
                self.versions["targets"],
                version=self.versions["snapshot"],
                expires=self.expires["snapshot"],
                vehicle=self.vehicle,
            )
        )
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
        """Give ``role`` new keys, by a new root."""
        self.signers[role] = [CryptoSigner.generate_ed25519() for _ in range(self.threshold)]
        self.publish_root()

    # --- verbs of attack ------------------------------------------------------------------------

    def go_back(self, role: str) -> None:
        """Sign ``role`` with a version one lower, and what names it likewise."""
        self.versions[role] -= 1
        self.sign_all()

    def expire(self, role: str) -> None:
        """Sign everything anew, with ``role`` past its expiry."""
        self.expires[role] = self.now - timedelta(days=1)
        if role == "root":
            self.publish_root()
        self.publish()

    def tamper(self, name: str) -> None:
        """Change one byte of the served file ``name``, inside a word."""
        content = self.files[name]
        at = content.index(b'"version":') + len(b'"version":')
        self.files[name] = content[:at] + b"7" + content[at + 1 :]

    def drop_signature(self, role: str) -> None:
        """Sign ``role`` with one key fewer than its threshold."""
        self.signers[role] = self.signers[role][1:]
        self.publish()

    def current(self, role: str) -> str:
        """Return the name under which the newest ``role`` is served."""
        if role == "timestamp":
            return "timestamp.json"
        return f"{self.versions[role]}.{role}.json"

    def dump(self, folder: Path) -> None:
        """Write what is served to ``folder``, for a person to look at."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)

    def _signed(self, role: R) -> bytes:
        edit = self.edits.get(role.type)
        if edit is not None:
            edit(role)
        return sign(role, self.signers[role.type])


class RepositorySimulator:
    """Image repository, Director of one vehicle, and the door to both (a Fetcher).

    ``fetched`` counts requests by path; ``manifests`` holds what the vehicle reported, verified.
    ``is_down`` makes every request fail; ``bodies`` overrides what a path serves.
    """

    def __init__(self, vehicle: str = VEHICLE, *, threshold: int = 1) -> None:
        self.now = SystemClock().utc_now().replace(microsecond=0)
        self.image = SimulatedRepository(self.now, threshold=threshold)
        self.director = SimulatedRepository(self.now, vehicle=vehicle, threshold=threshold)
        self.vehicle = vehicle
        self.ecu_signer = _ecu_signer()
        self.images: dict[str, bytes] = {}
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

    # --- what a vehicle needs -------------------------------------------------------------------

    def address(self, name: str) -> RepositoryAddress:
        """Return where the repository ``name`` is, with its first root."""
        repository = self.director if name == "director" else self.image
        path = f"director/{self.vehicle}" if name == "director" else name
        return RepositoryAddress(metadata_url=f"{BASE}/{path}/metadata/", root=repository.roots[0])

    def settings(self, folder: Path, *, settle_s: float = 0.05) -> UpdateSettings:
        """Write roots and ECU key below ``folder``; return settings of a vehicle that uses them."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "director.json").write_bytes(self.director.roots[0])
        (folder / "image.json").write_bytes(self.image.roots[0])
        (folder / "ecu.pem").write_bytes(self.ecu_signer.private_bytes)
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
