"""What each vehicle is told, and what is believed of what it says.

The Director's Targets of a vehicle are made from the inventory whenever they differ from what is
published; its roles are signed again before they expire. A manifest is checked against the
vehicle's registered ECU key; a failure it reports withdraws the assignment of that content.
"""

from collections.abc import Iterable
from dataclasses import replace

from tuf.api.metadata import TargetFile

from ota.errors import ManifestForeignError, QuarantinedError, RepositoryError, UnhealthyError
from ota.metadata.custom import (
    DirectorCustom,
    EcuAssignment,
    ImageCustom,
    Kind,
    parse_image_custom,
    to_custom,
)
from ota.metadata.manifest import (
    Outcome,
    VehicleManifest,
    ecu_key,
    read_manifest,
    verify_manifest,
)
from ota.metadata.models import format_utc
from ota.publisher.inventory import (
    Assignment,
    EcuRecord,
    Inventory,
    StoredManifest,
    VehicleRecord,
)
from ota.publisher.layout import Repositories
from ota.publisher.needs import NO_NEEDS, Needs, agreeing

# The release is to blame, in every vehicle or in this one.
_WITHDRAWING = (RepositoryError.code, UnhealthyError.code, QuarantinedError.code)


class Orders:
    """The Director without its HTTP: blocking, for threads; one inventory, many vehicles."""

    def __init__(self, repositories: Repositories, inventory: Inventory) -> None:
        self._repositories = repositories
        self._inventory = inventory
        self._ring = repositories.director_ring()

    def prepare(self, vehicle: str) -> None:
        """Make the published Director set of ``vehicle`` say what the inventory says.

        Raises:
            UnknownVehicleError: ``vehicle`` is not registered.
            KeyMissingError: An online key is missing; what was published stands.
            OSError: The disk refused; what was published stands.
        """
        self._inventory.vehicle(vehicle)
        repository = self._repositories.director(vehicle, self._ring)
        wanted = wanted_targets(self._agreeing(vehicle))
        published = repository.published()
        if published is None or published.targets.signed.targets != wanted:
            repository.publish(wanted)
        else:
            repository.renew(only_if_due=True)

    def _agreeing(self, vehicle: str) -> list[Assignment]:
        """Return what stands for ``vehicle``, but for what cannot be beside the rest of it."""
        assignments = self._inventory.assignments(vehicle)
        if all(each.needs == NO_NEEDS for each in assignments):
            return assignments
        return agreeing(assignments, installed_counters(self._inventory, vehicle))

    def accept(self, vehicle: str, body: bytes) -> VehicleManifest:
        """Believe and store the manifest in ``body``, if it deserves it.

        Raises:
            UnknownVehicleError: ``vehicle`` is not registered.
            ManifestError: Malformed, not signed by the registered key, about another vehicle or
                unknown ECUs, or with a counter that does not grow; nothing was stored.
        """
        record, manifest = self.check(vehicle, body)
        now = format_utc(self._repositories.clock.utc_now())
        stored = StoredManifest(counter=manifest.counter, received_utc=now, body=body)
        self._inventory.accept_manifest(vehicle, stored, failures_in(manifest))
        self._note_wishes(manifest, record)
        return manifest

    def check(self, vehicle: str, body: bytes) -> tuple[VehicleRecord, VehicleManifest]:
        """Return who ``vehicle`` is and what it says in ``body``; nothing is stored.

        Raises:
            UnknownVehicleError: ``vehicle`` is not registered.
            ManifestError: As in ``accept``, but for the counter.
        """
        record = self._inventory.vehicle(vehicle)
        manifest = verify_manifest(body, ecu_key(record.public_key))
        _check_belongs(manifest, record)
        return record, manifest

    def _note_wishes(self, manifest: VehicleManifest, record: VehicleRecord) -> None:
        """Assign the newest release of each app that is wanted since now; withdraw the others."""
        ecus = {ecu.ecu_id: ecu for ecu in record.ecus if ecu.kind is Kind.APP}
        for report in manifest.ecus:
            ecu = ecus.get(report.ecu_id)
            if ecu is None or report.wanted is None or report.wanted == ecu.wanted:
                continue
            self._inventory.note_wish(record.vehicle, ecu.ecu_id, is_wanted=report.wanted)
            newest = newest_release(self._repositories, ecu) if report.wanted else None
            if newest is not None:
                assignment = replace(newest, vehicle=record.vehicle)
                self._inventory.assign([assignment], self._repositories.clock.utc_now())


def wanted_targets(assignments: Iterable[Assignment]) -> dict[str, TargetFile]:
    """Return the Director targets that ``assignments`` amount to, by target name."""
    by_target: dict[str, list[Assignment]] = {}
    for assignment in assignments:
        by_target.setdefault(assignment.target, []).append(assignment)
    return {target: _director_target(target, each) for target, each in by_target.items()}


def failures_in(manifest: VehicleManifest) -> list[tuple[str, str, str]]:
    """Return ``(ecu_id, content hash, code)`` of what must not be offered to the vehicle again.

    That is an image that breaks a rule or is not well; one that only found no room, no time or no
    network stays assigned.
    """
    return [
        (ecu.ecu_id, ecu.result.update, ecu.result.code)
        for ecu in manifest.ecus
        if ecu.result is not None
        and ecu.result.outcome is not Outcome.INSTALLED
        and ecu.result.code is not None
        and ecu.result.code.startswith(_WITHDRAWING)
    ]


def newest_release(repositories: Repositories, ecu: EcuRecord) -> Assignment | None:
    """Return the newest release that ``ecu`` takes, for no vehicle yet; None if there is none."""
    found = [
        Assignment(
            vehicle="",
            ecu_id=ecu.ecu_id,
            hardware_id=ecu.hardware_id,
            target=target,
            sha256=file.hashes["sha256"],
            length=file.length,
            release_counter=custom.release_counter,
            name=custom.name,
            needs=Needs(requires=dict(custom.requires), conflicts=custom.conflicts),
        )
        for target, file in repositories.image().targets().items()
        if takes(ecu, custom := parse_image_custom(file.custom))
    ]
    return max(found, key=lambda each: each.release_counter, default=None)


def takes(ecu: EcuRecord, custom: ImageCustom) -> bool:
    """Return whether the image with ``custom`` is for ``ecu``."""
    is_same_app = (ecu.kind, ecu.name) == (custom.kind, custom.name)
    return is_same_app and ecu.hardware_id in custom.hardware_ids


def installed_counters(inventory: Inventory, vehicle: str) -> dict[str, int]:
    """Return the release counter of each app that ``vehicle`` last said it runs, by name."""
    stored = inventory.last_manifest(vehicle)
    if stored is None:
        return {}
    reports = read_manifest(stored.body).ecus
    names = {ecu.ecu_id: ecu.name for ecu in inventory.vehicle(vehicle).ecus}
    return {
        names[ecu.ecu_id]: ecu.installed.release_counter
        for ecu in reports
        if ecu.installed is not None and ecu.ecu_id in names
    }


def _director_target(target: str, assignments: list[Assignment]) -> TargetFile:
    ecus = {
        each.ecu_id: EcuAssignment(
            hardware_id=each.hardware_id, release_counter=each.release_counter
        )
        for each in assignments
    }
    first = assignments[0]
    custom = to_custom(DirectorCustom(ecus=ecus, campaign=first.campaign, deadline=first.deadline))
    return TargetFile(first.length, {"sha256": first.sha256}, target, {"custom": custom})


def _check_belongs(manifest: VehicleManifest, record: VehicleRecord) -> None:
    expected = (record.vehicle, record.primary_ecu)
    found = (manifest.vehicle, manifest.primary_ecu)
    if found != expected:
        raise ManifestForeignError("manifest", expected=f"{expected}", got=f"{found}")
    known = {ecu.ecu_id: ecu.hardware_id for ecu in record.ecus}
    for ecu in manifest.ecus:
        if ecu.ecu_id != record.primary_ecu and known.get(ecu.ecu_id) != ecu.hardware_id:
            raise ManifestForeignError(
                "manifest",
                expected=f"the ECUs of {record.vehicle}",
                got=f"{ecu.ecu_id} ({ecu.hardware_id})",
            )
