"""Signed documents: fetched when their signed hash is new, used only if verified and understood."""

from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile

from ota.client.verifier import Verifier
from ota.errors import DocumentError
from ota.metadata.models import document_name, is_document
from tests.support.packages import make_package
from tests.support.repository_simulator import RepositorySimulator, endless
from tests.support.update_client import make_verifier

FIRST, SECOND = b'{"serial": 1}', b'{"serial": 2}'


class Vehicle:
    def __init__(self, simulator: RepositorySimulator, folder: Path) -> None:
        self.simulator, self.folder = simulator, folder
        self.taken: list[bytes] = []
        self.refuses = False

    def take(self, content: bytes) -> None:
        if self.refuses:
            raise DocumentError("keys", expected="a set of keys", got="another thing")
        self.taken.append(content)

    def verifier(self) -> Verifier:
        return make_verifier(self.simulator, self.folder, takers={"keys": self.take})

    def check(self) -> list[str]:
        """Check as the agent does; return which targets were fetched."""
        self.simulator.fetched.clear()
        assert len(self.verifier().check()) == 1
        return [path for path in self.simulator.fetched if "/targets/" in path]

    def kept(self) -> bytes | None:
        path = self.folder / "documents" / "keys.json"
        return path.read_bytes() if path.exists() else None


@pytest.fixture
def vehicle(tmp_path: Path) -> Vehicle:
    simulator = RepositorySimulator()
    simulator.release(make_package(), "1.0.0", counter=1)
    return Vehicle(simulator, tmp_path)


def test_a_document_is_fetched_once_used_and_kept(vehicle: Vehicle) -> None:
    vehicle.simulator.put_document("keys", FIRST)
    assert len(vehicle.check()) == 1
    assert vehicle.check() == []
    assert (vehicle.taken, vehicle.kept()) == ([FIRST], FIRST)


def test_a_newer_one_replaces_it(vehicle: Vehicle) -> None:
    for content in (FIRST, SECOND):
        vehicle.simulator.put_document("keys", content)
        vehicle.check()
    assert (vehicle.taken, vehicle.kept()) == ([FIRST, SECOND], SECOND)


def test_without_one_nothing_is_fetched(vehicle: Vehicle) -> None:
    assert vehicle.check() == []
    vehicle.simulator.put_document("another", FIRST)
    assert vehicle.check() == []
    assert (vehicle.taken, vehicle.kept()) == ([], None)


def test_what_its_reader_refuses_is_not_kept_and_tried_again(vehicle: Vehicle) -> None:
    vehicle.refuses = True
    vehicle.simulator.put_document("keys", FIRST)
    assert len(vehicle.check()) == len(vehicle.check()) == 1
    assert vehicle.kept() is None
    vehicle.refuses = False
    vehicle.check()
    assert vehicle.kept() == FIRST


def path_of(simulator: RepositorySimulator) -> str:
    listed = simulator.image.targets[document_name("keys")]
    return f"image/targets/document/{listed.hashes['sha256']}.keys.json"


@pytest.mark.parametrize("fault", ["gone", "other", "shorter", "endless"])
def test_other_bytes_than_the_signed_ones_are_never_used_and_the_update_goes_on(
    vehicle: Vehicle, fault: str
) -> None:
    vehicle.simulator.put_document("keys", FIRST)
    path = path_of(vehicle.simulator)
    bodies = {
        "gone": None,
        "other": lambda: iter([SECOND]),
        "shorter": lambda: iter([FIRST[:-1]]),
        "endless": endless,
    }
    if fault == "gone":
        vehicle.simulator.images.pop(
            vehicle.simulator.image.targets[document_name("keys")].hashes["sha256"]
        )
    else:
        vehicle.simulator.bodies[path] = bodies[fault]  # type: ignore[assignment]
    assert vehicle.check() == [path]
    assert (vehicle.taken, vehicle.kept()) == ([], None)


def test_a_document_that_says_it_is_huge_is_not_fetched(vehicle: Vehicle) -> None:
    path = document_name("keys")
    vehicle.simulator.image.targets[path] = TargetFile(1 << 20, {"sha256": "0" * 64}, path)
    vehicle.simulator.image.publish()
    assert vehicle.check() == []


def test_a_delegate_cannot_publish_documents(vehicle: Vehicle) -> None:
    simulator = vehicle.simulator
    simulator.image.delegate("supplier", paths=("*/*",))
    simulator.put_document("keys", FIRST)
    target = simulator.image.targets.pop(document_name("keys"))
    simulator.image.delegated["supplier"].targets[target.path] = target
    simulator.image.publish()
    assert vehicle.check() == []
    assert vehicle.taken == []


@pytest.mark.parametrize(
    "target",
    ["document/../x.json", "document/Keys.json", "document/a/b.json", "app/x/1.0.0/x-1.0.0.okp"],
)
def test_other_names_are_no_documents(target: str) -> None:
    assert not is_document(target)
    assert is_document(document_name("ingest-keys"))


def test_a_name_with_a_path_in_it_is_no_document_name() -> None:
    with pytest.raises(ValueError, match="expected a document name"):
        document_name("../keys")
