"""A release engineer cannot publish something dangerous by accident."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ota.errors import (
    FreezeError,
    HashMismatchError,
    ImageMismatchError,
    LengthMismatchError,
    MissingTargetError,
    UnsafePackageError,
)
from ota.metadata.custom import parse_director_custom, parse_image_custom
from ota.publisher.errors import (
    KeyMissingError,
    MissingFactError,
    NoMatchError,
    NotFoundError,
    NotNewerError,
    UnknownVehicleError,
)
from ota.publisher.inventory import Inventory
from ota.publisher.layout import Repositories
from ota.publisher.orders import Orders
from ota.publisher.ports import DurableFiles
from ota.publisher.publish import Offer, publish_image
from ota.publisher.release import load_release, sidecar
from ota.publisher.status import read_status, verify_all
from tests.support.clock import FakeClock
from tests.support.publisher import (
    ECU,
    HARDWARE,
    VEHICLE,
    new_package,
    new_repositories,
    release,
    signed_manifest,
    vehicle_record,
)


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return new_repositories(tmp_path / "ota", FakeClock())


@pytest.fixture
def inventory(repositories: Repositories) -> Iterator[Inventory]:
    with Inventory(repositories.layout.inventory) as opened:
        yield opened


def told(repositories: Repositories, inventory: Inventory) -> list[str]:
    Orders(repositories, inventory).prepare(VEHICLE)
    return list(repositories.director(VEHICLE).targets())


def test_a_release_reaches_image_record_and_vehicle(
    repositories: Repositories, inventory: Inventory, tmp_path: Path
) -> None:
    package = new_package(tmp_path)
    plan = publish_image(repositories, inventory, package, release())
    image = repositories.image().targets()[plan.target]
    assert parse_image_custom(image.custom) == plan.custom
    stored = repositories.layout.target_path(plan.target, plan.package.sha256)
    assert stored.read_bytes() == package.read_bytes()
    record = json.loads((repositories.layout.releases / "trip-light-1.0.0.json").read_text())
    assert (record["sha256"], record["release"]["by"]) == (plan.package.sha256, "release desk")
    assert told(repositories, inventory) == [plan.target]
    director = repositories.director(VEHICLE).targets()[plan.target]
    assert (director.length, director.hashes) == (image.length, image.hashes)
    order = parse_director_custom(director.custom).ecus[ECU]
    assert (order.hardware_id, order.release_counter) == (HARDWARE, 1)
    assert verify_all(repositories, VEHICLE) == 1


def contents(root: Path) -> dict[Path, bytes]:
    """Return every file but the index that readers of the inventory share in memory."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files if path.suffix != ".sqlite-shm"}


def test_a_dry_run_changes_no_byte(
    repositories: Repositories, inventory: Inventory, tmp_path: Path
) -> None:
    package, root = new_package(tmp_path), repositories.layout.root
    before = contents(root)
    plan = publish_image(repositories, inventory, package, release(), dry_run=True)
    assert plan.is_new
    assert contents(root) == before


NOT_NEWER = {
    ("1.1.0", 5): r"version: expected above 1\.2\.0",
    ("1.3.0", 4): "release counter: expected above 4",
    ("1.2.0", 4): "version: expected a version not yet released",
}


@pytest.mark.parametrize("offered", NOT_NEWER)
def test_what_is_not_newer_is_refused(
    repositories: Repositories, inventory: Inventory, tmp_path: Path, offered: tuple[str, int]
) -> None:
    package = new_package(tmp_path, version="1.2.0")
    publish_image(repositories, inventory, package, release("1.2.0", 4))
    before = repositories.image().targets()
    other = new_package(tmp_path / "other", version=offered[0], script="exit 1\n")
    with pytest.raises(NotNewerError, match=NOT_NEWER[offered]):
        publish_image(repositories, inventory, other, release(*offered))
    assert repositories.image().targets() == before


def test_the_same_release_may_reach_more_vehicles_but_not_with_other_facts(
    repositories: Repositories, inventory: Inventory, tmp_path: Path
) -> None:
    package = new_package(tmp_path)
    publish_image(repositories, inventory, package, release())
    inventory.add_vehicle(vehicle_record("car-2", "ecu-2", "ecu-20"), FakeClock().utc_now())
    plan = publish_image(repositories, inventory, package, release(), offer=Offer(to="car-2"))
    assert [each.ecu_id for each in plan.assignments] == ["ecu-2"]
    assert not plan.is_new
    with pytest.raises(NotNewerError, match="other facts"):
        publish_image(repositories, inventory, package, release(counter=2))


def test_an_older_release_is_not_offered_where_a_newer_one_stands(
    repositories: Repositories, inventory: Inventory, tmp_path: Path
) -> None:
    old = new_package(tmp_path)
    publish_image(repositories, inventory, old, release())
    new = new_package(tmp_path, version="1.1.0")
    publish_image(repositories, inventory, new, release("1.1.0", 2))
    with pytest.raises(NotNewerError, match=f"counter for {VEHICLE}: expected at least 2"):
        publish_image(repositories, inventory, old, release())


@pytest.mark.parametrize(
    "changes",
    [{"name": "other-app"}, {"version": "9.9.9"}, {"hardware_ids": ()}, {"facts": {}}],
    ids=lambda changes: next(iter(changes)),
)
def test_facts_that_are_missing_or_about_something_else_stop_a_release(
    repositories: Repositories, inventory: Inventory, tmp_path: Path, changes: dict[str, object]
) -> None:
    spec = release(**changes)  # type: ignore[arg-type]
    with pytest.raises(MissingFactError, match="release: expected"):
        publish_image(repositories, inventory, new_package(tmp_path), spec)
    assert repositories.image().targets() == {}


def test_a_release_for_nobody_is_refused(
    repositories: Repositories, inventory: Inventory, tmp_path: Path
) -> None:
    package = new_package(tmp_path)
    with pytest.raises(NoMatchError, match="app/trip-light with other-hardware"):
        publish_image(repositories, inventory, package, release(hardware_ids=("other-hardware",)))
    with pytest.raises(UnknownVehicleError, match="a registered vehicle, got 'car-2'"):
        publish_image(repositories, inventory, package, release(), offer=Offer(to="car-2"))
    with pytest.raises(NotFoundError, match="a package"):
        publish_image(repositories, inventory, tmp_path / "none.okp", release())
    (tmp_path / "bad.okp").write_bytes(package.read_bytes()[:-1])
    with pytest.raises(UnsafePackageError, match="zstd frame"):
        publish_image(repositories, inventory, tmp_path / "bad.okp", release())
    assert repositories.image().targets() == {}


def test_a_release_without_the_offline_keys_writes_nothing(
    repositories: Repositories, inventory: Inventory, tmp_path: Path
) -> None:
    package = new_package(tmp_path)
    repositories.layout.offline_keys.rename(tmp_path / "safe")
    with pytest.raises(KeyMissingError, match="expected 1 at hand, got 0; nothing was published"):
        publish_image(repositories, inventory, package, release())
    assert list(repositories.layout.image_targets.iterdir()) == []


def test_a_failure_that_a_vehicle_reports_withdraws_that_content_there(
    repositories: Repositories, inventory: Inventory, tmp_path: Path
) -> None:
    plan = publish_image(repositories, inventory, new_package(tmp_path), release())
    assert told(repositories, inventory) == [plan.target]
    orders = Orders(repositories, inventory)
    orders.accept(VEHICLE, signed_manifest(1, failed="0" * 64))
    assert told(repositories, inventory) == [plan.target]  # another content failed, not this one
    orders.accept(VEHICLE, signed_manifest(2, failed=plan.package.sha256))
    assert told(repositories, inventory) == []
    (ecu,) = read_status(repositories, inventory).vehicles[0].ecus
    assert (ecu.withdrawn, ecu.result) == ("ota.install.unhealthy", "rolled_back")


def test_a_check_finds_a_changed_image_a_missing_one_and_expired_roles(
    repositories: Repositories, inventory: Inventory, tmp_path: Path
) -> None:
    plan = publish_image(repositories, inventory, new_package(tmp_path), release())
    stored = repositories.layout.target_path(plan.target, plan.package.sha256)
    data = stored.read_bytes()
    stored.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(HashMismatchError, match=plan.package.sha256):
        verify_all(repositories)
    stored.write_bytes(data + b"x")
    with pytest.raises(LengthMismatchError, match=f"{len(data)} bytes"):
        verify_all(repositories)
    stored.unlink()
    with pytest.raises(MissingTargetError, match=plan.target):
        verify_all(repositories)
    stored.write_bytes(data)
    late = FakeClock(FakeClock().utc_now() + timedelta(days=1))
    with pytest.raises(FreezeError, match="timestamp: expected an expiry after"):
        verify_all(Repositories(layout=repositories.layout, clock=late))


def test_a_check_finds_orders_that_the_image_repository_does_not_back(
    repositories: Repositories, inventory: Inventory, tmp_path: Path
) -> None:
    plan = publish_image(repositories, inventory, new_package(tmp_path), release())
    (order,) = plan.assignments
    for wrong, error in (
        (replace(order, release_counter=9), ImageMismatchError),
        (replace(order, sha256="0" * 64), ImageMismatchError),
        (replace(order, target="app/other/1.0.0/other-1.0.0.okp"), MissingTargetError),
    ):
        inventory.assign([wrong], FakeClock().utc_now())
        told(repositories, inventory)
        with pytest.raises(error, match="expected"):
            verify_all(repositories, VEHICLE)


class FullDisk(DurableFiles):
    """Has no room for images."""

    def copy(self, source: Path, path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))


def test_a_full_disk_leaves_what_was_published(
    repositories: Repositories, inventory: Inventory, tmp_path: Path
) -> None:
    full = Repositories(layout=repositories.layout, clock=repositories.clock, files=FullDisk())
    with pytest.raises(OSError, match="No space left"):
        publish_image(full, inventory, new_package(tmp_path), release())
    assert repositories.image().targets() == {}
    assert inventory.assignments(VEHICLE) == []


def test_facts_are_read_from_toml_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = sidecar(tmp_path / "a-1.0.0.okp")
    assert path.name == "a-1.0.0.release.toml"
    with pytest.raises(NotFoundError, match="the release's facts"):
        load_release(path)
    path.write_text('name = "a"\n')
    with pytest.raises(MissingFactError, match="missing required field `version`"):
        load_release(path)
    path.write_text("= 3")
    with pytest.raises(MissingFactError, match="every fact"):
        load_release(path)
