"""An app's data goes with it to the next version, and is found as it was on the way back."""

from pathlib import Path

import pytest

from ota.client.installers.app import AppInstaller
from ota.client.offer import Offer
from ota.client.watch import Watch
from ota.errors import MigrationError, OtaError
from ota.metadata.package import Data
from tests.support.packages import IS_ILL, IS_WELL, make_package
from tests.support.repository_simulator import ECU
from tests.support.update_client import FakeRunner
from tests.unit.ota.client.installers.test_app import put

MIGRATE = {"bin/migrate": IS_WELL}
FIRST = make_package(version="1.0.0", data=Data(schema=1))


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def installer(runner: FakeRunner, tmp_path: Path) -> AppInstaller:
    """An installer whose app runs in its first version, and has written a note."""
    made = AppInstaller(tmp_path / "apps", runner, settle_s=0)
    offer = on_trial(made, FIRST, "1.0.0", tmp_path)
    made.commit(offer)
    (data_of(tmp_path, offer) / "note").write_text("do re mi")
    return made


def on_trial(installer: AppInstaller, package: bytes, version: str, folder: Path) -> Offer:
    image, offer = put(folder / "images", package, version)
    installer.prepare(image, offer, Watch())
    installer.switch(offer)
    return offer


def data_of(folder: Path, offer: Offer) -> Path:
    return folder / "apps" / ECU.name / f"{offer.content_hash}.data"


def newer(schema: int, *, exec_: tuple[str, ...] | None = ("bin/migrate",), **bad: bytes) -> bytes:
    extra = {f"bin/{name}": content for name, content in (bad or {"migrate": IS_WELL}).items()}
    return make_package(version="1.1.0", extra=extra, data=Data(schema=schema, exec=exec_))


def test_data_is_migrated_on_a_copy_from_one_schema_to_the_other(
    installer: AppInstaller, runner: FakeRunner, tmp_path: Path
) -> None:
    offer = on_trial(installer, newer(3), "1.1.0", tmp_path)
    assert runner.migrated == [("1", "3")]
    assert (data_of(tmp_path, offer) / "note").read_text() == "do re mi"
    assert (data_of(tmp_path, offer) / "schema").read_text() == "3"
    before = next(each for each in homes(tmp_path) if each != data_of(tmp_path, offer))
    assert [path.name for path in before.iterdir()] == ["note"]


def homes(folder: Path) -> list[Path]:
    return sorted((folder / "apps" / ECU.name).glob("*.data"))


def test_going_back_finds_the_data_as_it_was_and_leaves_no_copy(
    installer: AppInstaller, tmp_path: Path
) -> None:
    offer = on_trial(installer, newer(3), "1.1.0", tmp_path)
    installer.roll_back(offer, has_failed=True)
    (home,) = homes(tmp_path)
    assert [path.name for path in home.iterdir()] == ["note"]


def test_a_migration_that_fails_switches_nothing_and_the_old_version_runs_again(
    installer: AppInstaller, runner: FakeRunner, tmp_path: Path
) -> None:
    before = runner.running.copy()
    image, offer = put(tmp_path / "images", newer(2, migrate=IS_ILL), "1.1.0")
    installer.prepare(image, offer, Watch())
    with pytest.raises(MigrationError, match="from schema 1 to end with 0, got exit code 1"):
        installer.switch(offer)
    installer.roll_back(offer, has_failed=True)
    installed = installer.installed(ECU.name)
    assert installed is not None
    assert installed.version == "1.0.0"
    assert runner.running.keys() == before.keys() | {ECU.name}
    assert len(homes(tmp_path)) == 1


@pytest.mark.parametrize(
    ("package", "words"),
    [
        (newer(2, exec_=None), "expected data of schema 2 and no program to get there, got 1"),
        (
            make_package(version="1.1.0", data=Data(schema=1, max_bytes=3)),
            "at most 3 bytes of data",
        ),
    ],
    ids=["no migration", "too large"],
)
def test_data_that_cannot_go_along_is_said(
    package: bytes, words: str, installer: AppInstaller, tmp_path: Path
) -> None:
    image, offer = put(tmp_path / "images", package, "1.1.0")
    installer.prepare(image, offer, Watch())
    with pytest.raises(MigrationError, match=words):
        installer.switch(offer)


def test_data_of_a_newer_schema_is_not_given_to_an_older_program(tmp_path: Path) -> None:
    installer = AppInstaller(tmp_path / "apps", FakeRunner(), settle_s=0)
    newest = make_package(version="1.0.0", data=Data(schema=7))
    installer.commit(on_trial(installer, newest, "1.0.0", tmp_path))
    image, offer = put(tmp_path / "images", newer(3), "1.1.0")
    installer.prepare(image, offer, Watch())
    with pytest.raises(MigrationError, match=r"expected data of schema 3 and no .* got 7"):
        installer.switch(offer)


def test_the_same_schema_is_copied_and_nothing_is_run(
    installer: AppInstaller, runner: FakeRunner, tmp_path: Path
) -> None:
    on_trial(installer, newer(1), "1.1.0", tmp_path)
    assert runner.migrated == []
    assert len(homes(tmp_path)) == 2


def test_a_removed_app_leaves_neither_version_nor_data(
    installer: AppInstaller, tmp_path: Path
) -> None:
    installer.remove(ECU.name)
    installer.remove(ECU.name)  # as after a power cut
    assert not (tmp_path / "apps" / ECU.name).exists()
    assert installer.installed(ECU.name) is None


def test_a_program_that_migrates_must_be_in_the_package(tmp_path: Path) -> None:
    with pytest.raises(OtaError, match="expected an executable file of this package"):
        make_package(data=Data(schema=2, exec=("bin/other",)))
