"""What stands where: roles and their expiry, releases, vehicles and what they run; read only."""

import hashlib
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct
from tuf.api.metadata import Metadata, Root, Signed, TargetFile

from ota.errors import (
    FreezeError,
    HashMismatchError,
    ImageMismatchError,
    LengthMismatchError,
    MissingTargetError,
)
from ota.metadata.custom import parse_director_custom, parse_image_custom
from ota.metadata.manifest import EcuReport, VehicleManifest
from ota.metadata.models import format_utc, sha256_of
from ota.publisher.errors import NotFoundError
from ota.publisher.inventory import Inventory
from ota.publisher.layout import Repositories
from ota.publisher.repository import Published, Repository


class RoleStatus(Struct, frozen=True, kw_only=True):
    """One role of one repository; ``left_s`` is negative once it has expired."""

    repository: str
    role: str
    version: int
    expires: str
    left_s: int
    threshold: int
    keys: int


class ReleaseStatus(Struct, frozen=True, kw_only=True):
    """One released image."""

    target: str
    name: str
    version: str
    release_counter: int
    criticality: str
    length: int
    sha256: str


class EcuStatus(Struct, frozen=True, kw_only=True):
    """What one ECU is to run and what it said it runs; None: nothing, or never reported."""

    ecu_id: str
    hardware_id: str
    kind: str
    name: str
    assigned: str | None
    withdrawn: str | None
    running: str | None
    result: str | None


class VehicleStatus(Struct, frozen=True, kw_only=True):
    """One vehicle; ``reported`` is when its last manifest came, None if none ever did."""

    vehicle: str
    reported: str | None
    counter: int
    ecus: tuple[EcuStatus, ...]


class Status(Struct, frozen=True, kw_only=True):
    """Everything `okdrive-ota status` shows."""

    roles: tuple[RoleStatus, ...]
    releases: tuple[ReleaseStatus, ...]
    vehicles: tuple[VehicleStatus, ...]


def read_status(repositories: Repositories, inventory: Inventory) -> Status:
    """Return the state of everything; raise NotFoundError before `init`."""
    now = repositories.clock.utc_now()
    image = repositories.image()
    roles = _roles("image", image, now)
    director = repositories.director_base().root()
    roles.append(_role("director", director, director.signed, now))
    releases = [_release(target) for target in image.images().values()]
    vehicles = [vehicle_status(inventory, vehicle) for vehicle in inventory.vehicles()]
    return Status(roles=tuple(roles), releases=tuple(releases), vehicles=tuple(vehicles))


def vehicle_status(inventory: Inventory, vehicle: str) -> VehicleStatus:
    """Return what ``vehicle`` is to run and runs; raise UnknownVehicleError."""
    record = inventory.vehicle(vehicle)
    manifest = inventory.last_manifest(vehicle)
    said = {} if manifest is None else _reports(manifest.body)
    assigned = {each.ecu_id: each for each in inventory.assignments(vehicle, withdrawn=True)}
    ecus = []
    for ecu in record.ecus:
        order, report = assigned.get(ecu.ecu_id), said.get(ecu.ecu_id)
        ecus.append(
            EcuStatus(
                ecu_id=ecu.ecu_id,
                hardware_id=ecu.hardware_id,
                kind=ecu.kind,
                name=ecu.name,
                assigned=None if order is None else order.target,
                withdrawn=None if order is None else order.withdrawn_code,
                running=report.installed.version if report and report.installed else None,
                result=report.result.outcome if report and report.result else None,
            )
        )
    return VehicleStatus(
        vehicle=vehicle,
        reported=None if manifest is None else manifest.received_utc,
        counter=0 if manifest is None else manifest.counter,
        ecus=tuple(ecus),
    )


def verify_all(repositories: Repositories, vehicle: str | None = None) -> int:
    """Check both repositories on disk as a client would; return how many images were hashed.

    Raises:
        BrokenRepositoryError: A file is missing or not signed by the root's keys.
        FreezeError: A role has expired.
        HashMismatchError, LengthMismatchError: An image is not what was signed.
        MissingTargetError, ImageMismatchError: ``vehicle`` is told of an image that was not
            released, or not so.
    """
    now = repositories.clock.utc_now()
    image = _checked(repositories.image(), now)
    for target in image.values():
        _check_image(repositories.layout.target_path(target.path, sha256_of(target.hashes)), target)
    if vehicle is not None:
        for name, target in _checked(repositories.director(vehicle), now).items():
            _check_agreed(name, target, image.get(name))
    return len(image)


def _checked(repository: Repository, now: datetime) -> dict[str, TargetFile]:
    published = repository.published()
    if published is None:
        raise NotFoundError(str(repository.folder), expected="published metadata", got="none")
    signed: list[Signed] = [repository.root().signed, *_signed(published)]
    for role in signed:
        if role.is_expired(now):
            raise FreezeError(
                f"{repository.folder}: {role.type}",
                expected=f"an expiry after {format_utc(now)}",
                got=format_utc(role.expires),
            )
    return dict(published.targets.signed.targets)


def _check_image(path: Path, target: TargetFile) -> None:
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            length = stream.tell()
    except OSError as error:
        raise MissingTargetError(target.path, expected=str(path), got=str(error)) from error
    if length != target.length:
        raise LengthMismatchError(target.path, expected=f"{target.length} bytes", got=str(length))
    if digest != sha256_of(target.hashes):
        raise HashMismatchError(target.path, expected=sha256_of(target.hashes), got=digest)


def _check_agreed(name: str, director: TargetFile, image: TargetFile | None) -> None:
    if image is None:
        raise MissingTargetError(name, expected="a released image", got="none")
    custom = parse_image_custom(image.custom)
    orders = parse_director_custom(director.custom).ecus.values()
    said = {(order.hardware_id in custom.hardware_ids, order.release_counter) for order in orders}
    is_same_file = (director.length, director.hashes) == (image.length, image.hashes)
    if not is_same_file or said != {(True, custom.release_counter)}:
        raise ImageMismatchError(name, expected="what the Image repository says", got="other words")


def _roles(name: str, repository: Repository, now: datetime) -> list[RoleStatus]:
    root = repository.root()
    published = repository.published()
    signed = [root.signed, *([] if published is None else _signed(published))]
    return [_role(name, root, role, now) for role in signed]


def _signed(published: Published) -> list[Signed]:
    return [published.targets.signed, published.snapshot.signed, published.timestamp.signed]


def _role(name: str, root: Metadata[Root], signed: Signed, now: datetime) -> RoleStatus:
    role = root.signed.roles[signed.type]
    return RoleStatus(
        repository=name,
        role=signed.type,
        version=signed.version,
        expires=format_utc(signed.expires),
        left_s=int((signed.expires - now).total_seconds()),
        threshold=role.threshold,
        keys=len(role.keyids),
    )


def _release(target: TargetFile) -> ReleaseStatus:
    custom = parse_image_custom(target.custom)
    return ReleaseStatus(
        target=target.path,
        name=custom.name,
        version=custom.version,
        release_counter=custom.release_counter,
        criticality=custom.release.criticality,
        length=target.length,
        sha256=sha256_of(target.hashes),
    )


class _Stored(Struct):
    signed: VehicleManifest


def _reports(body: bytes) -> dict[str, EcuReport]:
    manifest = msgspec.json.decode(body, type=_Stored).signed  # was verified when it came in
    return {ecu.ecu_id: ecu for ecu in manifest.ecus}
