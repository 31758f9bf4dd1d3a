"""Reports that a stick brought back: believed as those over the network are, or not at all."""

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from ota.errors import ManifestError, ManifestMalformedError, OtaError
from ota.metadata.manifest import MAX_MANIFEST_BYTES, read_manifest
from ota.metadata.offline import REPORTS_FOLDER
from ota.publisher.errors import NotFoundError, UnknownVehicleError
from ota.publisher.inventory import Inventory
from ota.publisher.orders import Orders

MAX_REPORTS = 100_000  # on one stick


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One report: whose, its counter (None: it says none), and why it was refused (None: taken).

    ``is_known``: this or a later one of the vehicle came before.
    """

    file: str
    vehicle: str | None = None
    counter: int | None = None
    is_known: bool = False
    code: str | None = None
    message: str | None = None


def read_reports(orders: Orders, inventory: Inventory, stick: Path) -> list[Carried]:
    """Take every report of ``stick``, the oldest of each vehicle first; a bad one stops no other.

    Running it again changes nothing: what is known is passed over. The stick stays as it is.

    Raises:
        NotFoundError: There are no reports on it.
        OSError: The inventory's disk is full or broken.
    """
    folder = stick / REPORTS_FOLDER
    if not folder.is_dir():
        raise NotFoundError(str(folder), expected="reports of vehicles", got="no such folder")
    found = sorted(folder.glob("*.json"))[:MAX_REPORTS]
    read = sorted(map(_read, found), key=lambda each: (each[0].vehicle or "", each[0].counter or 0))
    return [_take(orders, inventory, *each) for each in read]


def _read(path: Path) -> tuple[Carried, bytes]:
    try:
        data = _bytes_of(path)
        said = read_manifest(data)
    except (OSError, ManifestError) as error:
        code = error.code if isinstance(error, OtaError) else ManifestMalformedError.code
        return Carried(file=path.name, code=code, message=str(error)), b""
    return Carried(file=path.name, vehicle=said.vehicle, counter=said.counter), data


def _take(orders: Orders, inventory: Inventory, found: Carried, data: bytes) -> Carried:
    if found.vehicle is None or found.counter is None:
        return found
    try:
        orders.check(found.vehicle, data)
        last = inventory.last_manifest(found.vehicle)
        if last is not None and last.counter >= found.counter:
            return replace(found, is_known=True)
        orders.accept(found.vehicle, data)
    except (ManifestError, UnknownVehicleError) as error:
        return replace(found, code=error.code, message=str(error))
    return found


def _bytes_of(path: Path) -> bytes:
    """Return what a plain file holds, at most one byte more than a manifest may have."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path}: expected a plain file; it was not read")
        return file.read(MAX_MANIFEST_BYTES + 1)
