"""The Uptane rules above TUF: verified roles in, verdict out; pure.

Source: Uptane standard 2.1.0, sections 5.4.4.2 step 10, 5.4.4.6 and 5.4.3.4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuf.api.metadata import Snapshot, TargetFile, Targets, Timestamp

from ota.client.offer import Ecu, Offer
from ota.errors import (
    ConflictingError,
    DependencyError,
    DirectorDelegationError,
    ForeignVehicleError,
    ImageMismatchError,
    MissingTargetError,
    ReleaseCounterError,
    RepeatedEcuError,
    UnknownEcuError,
    WrongHardwareError,
)
from ota.metadata.custom import EcuAssignment, parse_director_custom, parse_image_custom
from ota.metadata.models import parse_target_name, sha256_of, target_name, vehicle_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The Director's word: this file for this ECU."""

    ecu: Ecu
    file: TargetFile
    release_counter: int
    campaign: str | None
    deadline: str | None = None


def check_vehicle(roles: Sequence[Timestamp | Snapshot | Targets], vehicle: str) -> None:
    """Return if every Director role is bound to ``vehicle``.

    Raises:
        ForeignVehicleError: A role names another vehicle or none.
    """
    for role in roles:
        named = vehicle_of(role)
        if named != vehicle:
            raise ForeignVehicleError(
                f"Director {role.type}", expected=f"vehicle {vehicle}", got=named or "none"
            )


def check_no_delegations(director: Targets) -> None:
    """Return if the Director keeps its word to itself; raise DirectorDelegationError else."""
    if director.delegations is not None:
        raise DirectorDelegationError(
            "Director targets", expected="no delegations", got="delegations"
        )


def read_assignments(director: Targets, ecus: Sequence[Ecu]) -> tuple[Assignment, ...]:
    """Return what the Director wants installed, in the order of the vehicle's own inventory.

    Raises:
        DirectorDelegationError: The Director delegates.
        UnknownEcuError: An ECU id is not this vehicle's.
        RepeatedEcuError: An ECU is named twice.
        WrongHardwareError: An ECU is given another hardware id than it has.
        CustomFieldError: A custom field or a target name is not of the agreed shape.
    """
    check_no_delegations(director)
    inventory = {ecu.ecu_id: ecu for ecu in ecus}
    assigned: dict[str, Assignment] = {}
    for file in director.targets.values():
        for assignment in _read_target(file, inventory):
            ecu_id = assignment.ecu.ecu_id
            if ecu_id in assigned:
                raise RepeatedEcuError(f"ECU {ecu_id}", expected="one image", got="two")
            assigned[ecu_id] = assignment
    return tuple(assigned[ecu_id] for ecu_id in inventory if ecu_id in assigned)


def match(assignment: Assignment, image: TargetFile | None, *, counter_floor: int) -> Offer:
    """Return the offer if the Image repository released exactly what the Director assigned.

    Args:
        assignment: From ``read_assignments``.
        image: What the Image repository says about the same target name; None: nothing.
        counter_floor: The lowest release counter the ECU still accepts.

    Raises:
        MissingTargetError: The Image repository does not list the file.
        ImageMismatchError: Length, a hash, or the release counter differ.
        WrongHardwareError: The image is for other hardware, or for another kind or name of ECU.
        ReleaseCounterError: The release is older than what was committed.
        CustomFieldError: A custom field is not of the agreed shape.
    """
    if image is None:
        raise MissingTargetError(
            assignment.file.path, expected="an entry in the Image repository", got="none"
        )
    _check_same_bytes(assignment.file, image)
    offer = Offer(
        content_hash=sha256_of(image.hashes),
        ecu_id=assignment.ecu.ecu_id,
        target=image.path,
        length=image.length,
        hashes=dict(image.hashes),
        custom=parse_image_custom(image.custom),
        campaign=assignment.campaign,
        deadline=assignment.deadline,
    )
    _check_fits(offer, assignment)
    if offer.release_counter < counter_floor:
        raise ReleaseCounterError(offer.ecu_id, floor=counter_floor, offered=offer.release_counter)
    return offer


def check_together(
    offers: Sequence[Offer], ecus: Sequence[Ecu], committed: Mapping[str, int]
) -> None:
    """Return if what is offered can be in the vehicle beside the rest.

    Args:
        offers: All of one check.
        ecus: Of this vehicle.
        committed: Release counter by ECU id; an ECU with 0 or none runs nothing.

    Raises:
        DependencyError: An image needs another release than would be there.
        ConflictingError: Two images must not be there together.
    """
    counters = {ecu.name: committed.get(ecu.ecu_id, 0) for ecu in ecus}
    counters |= {offer.name: offer.release_counter for offer in offers}
    for offer in offers:
        for name, least in offer.custom.requires.items():
            if counters.get(name, 0) < least:
                raise DependencyError(
                    offer.target,
                    expected=f"{name} of release counter >= {least}",
                    got=str(counters.get(name, 0)),
                )
        for name in offer.custom.conflicts:
            if counters.get(name, 0) > 0:
                raise ConflictingError(offer.target, expected=f"no {name} beside it", got=name)


def _read_target(file: TargetFile, inventory: Mapping[str, Ecu]) -> list[Assignment]:
    parse_target_name(file.path)
    custom = parse_director_custom(file.custom)
    return [
        Assignment(
            ecu=_known(ecu_id, word, inventory),
            file=file,
            release_counter=word.release_counter,
            campaign=custom.campaign,
            deadline=custom.deadline,
        )
        for ecu_id, word in custom.ecus.items()
    ]


def _known(ecu_id: str, word: EcuAssignment, inventory: Mapping[str, Ecu]) -> Ecu:
    ecu = inventory.get(ecu_id)
    if ecu is None:
        raise UnknownEcuError("Director targets", expected="ECUs of this vehicle", got=ecu_id)
    if word.hardware_id != ecu.hardware_id:
        raise WrongHardwareError(
            f"ECU {ecu_id}", expected=f"hardware {ecu.hardware_id}", got=word.hardware_id
        )
    return ecu


def _check_same_bytes(director: TargetFile, image: TargetFile) -> None:
    if director.length != image.length:
        raise ImageMismatchError(
            director.path, expected=f"{image.length} bytes (Image)", got=f"{director.length}"
        )
    if director.hashes != image.hashes:
        raise ImageMismatchError(
            director.path, expected=f"hashes {image.hashes} (Image)", got=f"{director.hashes}"
        )


def _check_fits(offer: Offer, assignment: Assignment) -> None:
    ecu, custom = assignment.ecu, offer.custom
    if ecu.hardware_id not in custom.hardware_ids:
        raise WrongHardwareError(
            offer.target, expected=f"hardware {ecu.hardware_id}", got=", ".join(custom.hardware_ids)
        )
    wanted = target_name(ecu.name, custom.version, ecu.kind)
    if (offer.target, custom.kind, custom.name) != (wanted, ecu.kind, ecu.name):
        raise WrongHardwareError(
            offer.target, expected=f"{ecu.kind} {ecu.name}", got=f"{custom.kind} {custom.name}"
        )
    if custom.release_counter != assignment.release_counter:
        raise ImageMismatchError(
            offer.target,
            expected=f"release counter {custom.release_counter} (Image)",
            got=str(assignment.release_counter),
        )
