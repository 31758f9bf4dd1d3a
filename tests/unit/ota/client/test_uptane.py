"""The pure rules, where a whole repository would hide which one spoke."""

import pytest
from tuf.api.metadata import Targets

from ota.client.offer import Ecu
from ota.client.uptane import read_assignments
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
