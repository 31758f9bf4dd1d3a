"""The pure rules, where a whole repository would hide which one spoke."""

import msgspec
import pytest
from tuf.api.metadata import Targets

from ota.client.offer import Ecu, Offer
from ota.client.uptane import check_together, match, read_assignments
from ota.errors import ConflictingError, DependencyError
from ota.metadata.custom import DirectorCustom, EcuAssignment, Kind, to_custom
from tests.support.repository_simulator import ECU, RepositorySimulator

SECOND = Ecu(ecu_id="ecu-2", hardware_id="board-1", kind=Kind.APP, name="trip-light")


def test_one_image_may_go_to_two_ecus_in_the_order_of_the_inventory() -> None:
    simulator = RepositorySimulator()
    simulator.release(b"image", "1.0.0", counter=1, ecus={"ecu-2": "board-1", "ecu-1": "board-1"})
    targets = Targets(targets=simulator.director.targets)
    found = read_assignments(targets, (ECU, SECOND))
    assert [assignment.ecu.ecu_id for assignment in found] == ["ecu-1", "ecu-2"]


def test_no_targets_are_no_assignments() -> None:
    assert read_assignments(Targets(), (ECU,)) == ()


@pytest.mark.parametrize("campaign", [None, "spring"])
def test_the_campaign_is_carried_along(campaign: str | None) -> None:
    simulator = RepositorySimulator()
    simulator.release(b"image", "1.0.0", counter=1)
    (file,) = simulator.director.targets.values()
    word = EcuAssignment(hardware_id="board-1", release_counter=1)
    file.unrecognized_fields["custom"] = to_custom(
        DirectorCustom(ecus={"ecu-1": word}, campaign=campaign)
    )
    (found,) = read_assignments(Targets(targets={file.path: file}), (ECU,))
    assert found.campaign == campaign


# --- what may be together ------------------------------------------------------------------------

HORN = Ecu(ecu_id="ecu-3", hardware_id="board-1", kind=Kind.APP, name="horn")


def offer_with(**fields: object) -> Offer:
    simulator = RepositorySimulator()
    simulator.release(b"image", "1.0.0", counter=1)
    (assignment,) = read_assignments(Targets(targets=simulator.director.targets), (ECU,))
    (image,) = simulator.image.targets.values()
    image.custom.update(fields)
    return match(assignment, image, counter_floor=0)


def test_an_image_needs_another_app_in_a_release_at_least_as_new() -> None:
    offer = offer_with(requires={"horn": 2})
    check_together([offer], (ECU, HORN), {"ecu-3": 2})
    with pytest.raises(DependencyError, match="expected horn of release counter >= 2, got 1"):
        check_together([offer], (ECU, HORN), {"ecu-3": 1})


def test_what_is_offered_in_the_same_check_counts() -> None:
    offer = offer_with(requires={"horn": 1})
    horn = msgspec.structs.replace(
        offer,
        ecu_id="ecu-3",
        custom=msgspec.structs.replace(offer.custom, name="horn", requires={}),
    )
    check_together([offer, horn], (ECU, HORN), {})
    with pytest.raises(DependencyError, match="expected horn of release counter >= 1, got 0"):
        check_together([offer], (ECU, HORN), {})


def test_an_image_is_refused_beside_what_it_is_in_conflict_with() -> None:
    offer = offer_with(conflicts=["horn"])
    check_together([offer], (ECU, HORN), {"ecu-3": 0})
    with pytest.raises(ConflictingError, match="expected no horn beside it, got horn"):
        check_together([offer], (ECU, HORN), {"ecu-3": 1})
