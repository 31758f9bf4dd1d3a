import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ota.errors import ManifestForeignError, ManifestReplayError
from ota.metadata.manifest import sign_manifest
from ota.publisher.errors import BrokenRepositoryError, ConflictError, UnknownVehicleError
from ota.publisher.inventory import Inventory
from ota.publisher.layout import Repositories
from ota.publisher.orders import Orders
from tests.support.clock import FakeClock
from tests.support.publisher import (
    VEHICLE,
    ecu_signer,
    manifest,
    new_repositories,
    signed_manifest,
    vehicle_record,
)

NOW = FakeClock().utc_now()


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return new_repositories(tmp_path / "ota", FakeClock())


@pytest.fixture
def inventory(repositories: Repositories) -> Iterator[Inventory]:
    with Inventory(repositories.layout.inventory) as opened:
        yield opened


def test_a_vehicle_is_registered_once_and_an_ecu_is_in_one_vehicle(inventory: Inventory) -> None:
    assert inventory.vehicle(VEHICLE) == vehicle_record()
    with pytest.raises(ConflictError, match="not registered yet"):
        inventory.add_vehicle(vehicle_record(), NOW)
    with pytest.raises(ConflictError, match="car-2: expected a vehicle and ECUs not registered"):
        inventory.add_vehicle(vehicle_record("car-2"), NOW)
    assert inventory.vehicles() == [VEHICLE]


@pytest.mark.parametrize("vehicle", ["../car", "", "a/b", "x" * 65])
def test_an_id_that_could_be_a_path_is_refused(inventory: Inventory, vehicle: str) -> None:
    with pytest.raises(UnknownVehicleError, match="nothing was registered"):
        inventory.add_vehicle(replace(vehicle_record(ecu="e"), vehicle=vehicle), NOW)


def test_a_manifest_counts_once(repositories: Repositories, inventory: Inventory) -> None:
    orders = Orders(repositories, inventory)
    orders.accept(VEHICLE, signed_manifest(5))
    for counter in (5, 4):
        with pytest.raises(ManifestReplayError, match=f"a counter above 5, got {counter}"):
            orders.accept(VEHICLE, signed_manifest(counter))
    stored = inventory.last_manifest(VEHICLE)
    assert stored is not None
    assert (stored.counter, stored.body) == (5, signed_manifest(5))


def test_a_manifest_about_another_vehicle_or_ecu_is_foreign(
    repositories: Repositories, inventory: Inventory
) -> None:
    orders = Orders(repositories, inventory)
    for foreign in (manifest(vehicle="car-2"), manifest(ecu="ecu-9")):
        with pytest.raises(ManifestForeignError, match="manifest: expected"):
            orders.accept(VEHICLE, sign_manifest(foreign, ecu_signer()))
    assert inventory.last_manifest(VEHICLE) is None


def test_an_inventory_of_a_later_schema_or_of_rubbish_is_left_alone(tmp_path: Path) -> None:
    later = tmp_path / "later.sqlite"
    connection = sqlite3.connect(later)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    before = later.read_bytes()
    with pytest.raises(BrokenRepositoryError, match="schema 99"):
        Inventory(later)
    assert later.read_bytes() == before
    rubbish = tmp_path / "rubbish.sqlite"
    rubbish.write_bytes(b"not a database" * 100)
    with pytest.raises(BrokenRepositoryError, match="an inventory"):
        Inventory(rubbish)
