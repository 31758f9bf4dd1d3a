"""What lies in an app's folder, read: links, records, manifests, and the programs they name."""

from pathlib import Path

import msgspec

from ota.client.offer import Offer
from ota.client.ports import Program
from ota.errors import InstallError, StorageError, UnhealthyError
from ota.metadata.manifest import Installed
from ota.metadata.package import (
    MANIFEST_NAME,
    Command,
    PackageManifest,
    Permission,
    parse_package_manifest,
)

INTACT = "the version before is kept"


def program(home: Path, version: str, manifest: PackageManifest, command: Command) -> Program:
    """Return ``command`` of a version as it is run: where, with which data and permissions."""
    return Program(
        folder=home / version,
        command=command,
        data=None if manifest.data is None else data_of(home, version),
        has_network=Permission.NETWORK in manifest.permissions,
    )


def data_of(home: Path, version: str) -> Path:
    """Return where the data of a version is, if it keeps any."""
    return home / f"{version}.data"


def version_of(path: Path) -> str:
    """Return which version a folder of an app belongs to; half-made ones to none."""
    return path.name if path.suffix == ".tmp" else path.name.removesuffix(".data")


def down(offer: Offer) -> UnhealthyError:
    """Return the error of a version that did not stay up."""
    return UnhealthyError(
        f"{offer.name} {offer.version}", expected="to stay up", got="it ended", intact=INTACT
    )


def read_link(link: Path) -> str | None:
    """Return which version ``link`` names; None if it is not there."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return None


def read_record(home: Path, version: str) -> Installed:
    """Return what is reported of a version; raise StorageError if that cannot be read."""
    record = home / f"{version}.json"
    try:
        return msgspec.json.decode(record.read_bytes(), type=Installed)
    except (OSError, msgspec.MsgspecError) as error:
        raise StorageError(
            str(record), expected="a record of the installed version", got=str(error)
        ) from error


def counter_of(home: Path, version: str | None) -> int:
    """Return the release counter of a version; 0 of one without a record."""
    try:
        return 0 if version is None else read_record(home, version).release_counter
    except StorageError:
        return 0


def manifest_of(folder: Path) -> PackageManifest:
    """Return the manifest of an unpacked version; raise StorageError or UnsafePackageError."""
    try:
        content = (folder / MANIFEST_NAME).read_bytes()
    except OSError as error:
        raise StorageError(str(folder), expected="an unpacked version", got=str(error)) from error
    return parse_package_manifest(content)


def check_same(manifest: PackageManifest, offer: Offer) -> None:
    """Return if the package is the one that was offered; raise InstallError else."""
    found = (manifest.kind, manifest.name, manifest.version)
    wanted = (offer.custom.kind, offer.name, offer.version)
    if found != wanted:
        raise InstallError(offer.target, expected=f"a package of {wanted}", got=str(found))
