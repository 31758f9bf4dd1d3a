"""What the Director tells a vehicle: what it wants, what can be together, what did not fail."""

from pathlib import Path

import msgspec
import pytest

from ota.metadata.custom import parse_director_custom
from ota.metadata.manifest import Outcome, UpdateResult, VehicleManifest, sign_manifest
from ota.publisher.errors import NoMatchError, UnmetNeedError
from ota.publisher.inventory import Inventory
from ota.publisher.layout import Repositories
from ota.publisher.needs import Needs, agreeing, why_not
from ota.publisher.orders import Orders, failures_in
from ota.publisher.publish import NOBODY, Offer, publish_image, publish_images
from tests.support.publisher import (
    APP,
    ECU,
    VEHICLE,
    ecu_signer,
    manifest,
    new_package,
    new_repositories,
    release,
)

WITHDRAWN = ["ota.repository.unsafe_package", "ota.install.unhealthy", "ota.install.quarantined"]
KEPT = [
    "ota.install.no_room",
    "ota.install.storage",
    "ota.install.bundle",
    "ota.install.taken_back",
    "ota.download.network",
    None,
]


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return new_repositories(tmp_path / "ota")


def said(counter: int, **fields: object) -> VehicleManifest:
    made = manifest(counter)
    report = msgspec.structs.replace(made.ecus[0], **fields)
    return msgspec.structs.replace(made, ecus=(report,))


def tell(orders: Orders, made: VehicleManifest) -> None:
    orders.accept(VEHICLE, sign_manifest(made, ecu_signer()))


@pytest.mark.parametrize(
    ("code", "is_withdrawn"),
    [*((code, True) for code in WITHDRAWN), *((code, False) for code in KEPT)],
)
def test_a_release_is_withdrawn_only_when_the_release_is_to_blame(
    code: str | None, *, is_withdrawn: bool
) -> None:
    result = UpdateResult(update="a" * 64, outcome=Outcome.REFUSED, code=code)
    found = failures_in(said(1, result=result))
    assert found == ([(ECU, "a" * 64, code)] if is_withdrawn else [])


def test_a_wish_assigns_the_newest_release_and_no_wish_withdraws_it(
    repositories: Repositories, tmp_path: Path
) -> None:
    with Inventory(repositories.layout.inventory) as inventory:
        orders = Orders(repositories, inventory)
        tell(orders, said(1, wanted=False))
        for number in (1, 2):
            package, spec = new_package(tmp_path, version=f"1.{number}.0"), f"1.{number}.0"
            with pytest.raises(NoMatchError, match="expected an ECU"):
                publish_image(repositories, inventory, package, release(spec, number))
            nobody = Offer(to=NOBODY)
            publish_image(repositories, inventory, package, release(spec, number), offer=nobody)
        assert inventory.assignments(VEHICLE) == []
        tell(orders, said(2, wanted=True))
        (assigned,) = inventory.assignments(VEHICLE)
        assert (assigned.release_counter, assigned.name) == (2, APP)
        tell(orders, said(3, wanted=True))  # the same wish again changes nothing
        assert inventory.assignments(VEHICLE) == [assigned]
        tell(orders, said(4, wanted=False))
        assert inventory.assignments(VEHICLE) == []


def test_campaign_and_deadline_stand_in_what_the_vehicle_is_told(
    repositories: Repositories, tmp_path: Path
) -> None:
    with Inventory(repositories.layout.inventory) as inventory:
        offer = Offer(campaign="c-7", deadline="2027-01-31T12:00:00Z")
        publish_image(repositories, inventory, new_package(tmp_path), release(), offer=offer)
        Orders(repositories, inventory).prepare(VEHICLE)
        published = repositories.director(VEHICLE).published()
        assert published is not None
        (target,) = published.targets.signed.targets.values()
    told = parse_director_custom(target.custom)
    assert (told.campaign, told.deadline) == ("c-7", "2027-01-31T12:00:00Z")


def test_what_needs_something_that_is_not_there_is_not_published(
    repositories: Repositories, tmp_path: Path
) -> None:
    with Inventory(repositories.layout.inventory) as inventory:
        spec = release(requires={"door-chime": 3})
        with pytest.raises(UnmetNeedError, match="needs door-chime of release counter >= 3, got 0"):
            publish_images(repositories, inventory, [(new_package(tmp_path), spec)])
        assert inventory.assignments(VEHICLE) == []


class App(msgspec.Struct):
    name: str
    release_counter: int = 1
    needs: Needs = Needs()


def test_images_that_cannot_be_together_are_not_told_and_neither_is_what_needs_them() -> None:
    light = App("light", needs=Needs(requires={"chime": 2}))
    chime = App("chime", 2, needs=Needs(requires={"lock": 1}))
    horn = App("horn")
    assert agreeing([light, chime, horn], {}) == [horn]
    assert agreeing([light, chime, horn], {"lock": 1}) == [light, chime, horn]
    assert why_not(App("a", needs=Needs(conflicts=("b",))), {"b": 1}) == "must not be beside b"
