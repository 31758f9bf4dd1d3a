"""A publisher in a folder: both repositories, one vehicle, packages made on request."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from ota.client.client import UpdateSettings
from ota.client.offer import Ecu
from ota.metadata.custom import Criticality, Facts, Kind
from ota.metadata.manifest import (
    EcuReport,
    Installed,
    Outcome,
    UpdateResult,
    VehicleManifest,
    sign_manifest,
)
from ota.publisher.inventory import EcuRecord, Inventory, VehicleRecord
from ota.publisher.layout import Layout, Repositories, init_repositories
from ota.publisher.package import build_package
from ota.publisher.ports import Clock, WallClock
from ota.publisher.release import ReleaseSpec

VEHICLE, PRIMARY, ECU, HARDWARE, APP = "car-7f3a", "ecu-0", "ecu-1", "okdrive-app", "trip-light"
FACTS = Facts(
    purpose="Shows the light of the last trip",
    changes=("The light is brighter",),
    duration_s=20,
    unavailable="The trip light",
    instructions="Nothing to do",
)


def ecu_signer(seed: str = VEHICLE) -> CryptoSigner:
    """Return the signer of a primary ECU; the same seed gives the same key."""
    key = Ed25519PrivateKey.from_private_bytes(seed.encode().ljust(32, b"\0"))
    return CryptoSigner(key, SSlibKey.from_crypto(key.public_key()))


def vehicle_record(vehicle: str = VEHICLE, ecu: str = ECU, primary: str = PRIMARY) -> VehicleRecord:
    public = bytes.fromhex(ecu_signer(vehicle).public_key.keyval["public"])
    ecus = (EcuRecord(ecu_id=ecu, hardware_id=HARDWARE, name=APP),)
    return VehicleRecord(vehicle=vehicle, primary_ecu=primary, public_key=public, ecus=ecus)


def new_repositories(folder: Path, clock: Clock | None = None) -> Repositories:
    """Make both repositories below ``folder`` and register VEHICLE."""
    repositories = Repositories(layout=Layout.at(folder), clock=clock or WallClock())
    init_repositories(repositories)
    with Inventory(repositories.layout.inventory) as inventory:
        inventory.add_vehicle(vehicle_record(), repositories.clock.utc_now())
    return repositories


def write_spec(folder: Path, *, version: str = "1.0.0", script: str = "exit 0\n") -> Path:
    """Write a package spec with one program into ``folder``."""
    program = folder / "files" / "bin" / "light"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)
    (folder / "files" / "read-me.txt").write_text("A light.\n")
    (folder / "package.toml").write_text(
        f'name = "{APP}"\nversion = "{version}"\nkind = "app"\npermissions = ["network"]\n'
        '[run]\nexec = ["bin/light"]\n'
        '[health]\nexec = ["bin/light", "--check"]\ntimeout_s = 5\n'
    )
    return folder


def new_package(folder: Path, *, version: str = "1.0.0", script: str = "exit 0\n") -> Path:
    """Build a package of APP in ``folder`` and return its file."""
    spec = write_spec(folder / f"spec-{version}", version=version, script=script)
    out = folder / f"{APP}-{version}.okp"
    build_package(spec, out)
    return out


def release(version: str = "1.0.0", counter: int = 1, **changes: object) -> ReleaseSpec:
    fields: dict[str, object] = {
        "name": APP,
        "version": version,
        "release_counter": counter,
        "hardware_ids": (HARDWARE,),
        "by": "release desk",
        "why": "the light was too dark",
        "criticality": Criticality.FEATURE,
        "facts": {"en": FACTS},
    }
    return ReleaseSpec(**(fields | changes))  # type: ignore[arg-type]


def manifest(
    counter: int = 1,
    *,
    vehicle: str = VEHICLE,
    ecu: str = ECU,
    installed: Installed | None = None,
    failed: str | None = None,
) -> VehicleManifest:
    """Return what a vehicle says; ``failed`` is the content hash of an update that went back."""
    result = None
    if failed is not None:
        result = UpdateResult(
            update=failed, outcome=Outcome.ROLLED_BACK, code="ota.install.unhealthy"
        )
    report = EcuReport(ecu_id=ecu, hardware_id=HARDWARE, installed=installed, result=result)
    return VehicleManifest(
        vehicle=vehicle,
        primary_ecu=PRIMARY,
        counter=counter,
        time="2026-11-22T12:00:00Z",
        ecus=(report,),
    )


def signed_manifest(counter: int = 1, *, failed: str | None = None) -> bytes:
    return sign_manifest(manifest(counter, failed=failed), ecu_signer())


def settings_of(
    repositories: Repositories,
    folder: Path,
    *,
    base: str,
    settle_s: float = 0.0,
    hardware: str = HARDWARE,
) -> UpdateSettings:
    """Return how the vehicle reaches ``repositories`` at ``base``; writes its key to ``folder``."""
    layout, key = repositories.layout, folder / "ecu.pem"
    key.write_bytes(ecu_signer().private_bytes)
    key.chmod(0o600)
    return UpdateSettings(
        vehicle=VEHICLE,
        primary_ecu=PRIMARY,
        ecus=(Ecu(ecu_id=ECU, hardware_id=hardware, kind=Kind.APP, name=APP),),
        director_url=f"{base}/director",
        image_url=f"{base}/image",
        director_root=layout.director_root / "1.root.json",
        image_root=layout.image_metadata / "1.root.json",
        ecu_key=key,
        folder=folder / "agent" / "update",
        apps=folder / "agent" / "apps",
        settle_s=settle_s,
    )
