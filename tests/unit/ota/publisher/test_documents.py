"""`okdrive-ota keys publish`: a document is signed once per serial; images stay what they are."""

import json
from pathlib import Path

import pytest

from ota.errors import DocumentError
from ota.publisher.commands import Commands
from ota.publisher.documents import INGEST_KEYS, publish_document
from ota.publisher.errors import KeyMissingError, NotFoundError, NotNewerError
from ota.publisher.inventory import Inventory
from ota.publisher.layout import Repositories
from ota.publisher.publish import publish_image
from ota.publisher.status import read_status, verify_all
from tests.support.clock import FakeClock
from tests.support.publisher import new_package, new_repositories, release


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return new_repositories(tmp_path / "ota", FakeClock())


def document(folder: Path, serial: int, *, extra: str = "") -> Path:
    path = folder / f"keys-{serial}{extra}.json"
    path.write_text(json.dumps({"serial": serial, "extra": extra}))
    return path


def published(repositories: Repositories) -> list[str]:
    return sorted(repositories.image().targets())


def test_a_document_is_a_target_of_the_image_repository(
    repositories: Repositories, tmp_path: Path
) -> None:
    plan = publish_document(repositories, INGEST_KEYS, document(tmp_path, 1))
    assert (plan.is_new, plan.serial) == (True, 1)
    assert published(repositories) == ["document/ingest-keys.json"]
    stored = repositories.layout.target_path(plan.target, plan.sha256)
    assert stored.read_bytes() == plan.content
    assert verify_all(repositories) == 1


def test_the_same_document_again_changes_nothing_and_a_newer_one_replaces_it(
    repositories: Repositories, tmp_path: Path
) -> None:
    publish_document(repositories, INGEST_KEYS, document(tmp_path, 1))
    before = (repositories.layout.image_metadata / "timestamp.json").read_bytes()
    assert not publish_document(repositories, INGEST_KEYS, document(tmp_path, 1)).is_new
    assert (repositories.layout.image_metadata / "timestamp.json").read_bytes() == before
    newer = publish_document(repositories, INGEST_KEYS, document(tmp_path, 2))
    [listed] = repositories.image().targets().values()
    assert listed.hashes == {"sha256": newer.sha256}


@pytest.mark.parametrize("serial", [1, 2])
def test_another_document_needs_a_higher_serial(
    repositories: Repositories, tmp_path: Path, serial: int
) -> None:
    publish_document(repositories, INGEST_KEYS, document(tmp_path, 2))
    with pytest.raises(NotNewerError, match="expected a serial above 2"):
        publish_document(repositories, INGEST_KEYS, document(tmp_path, serial, extra="other"))


def test_a_dry_run_changes_nothing(repositories: Repositories, tmp_path: Path) -> None:
    assert publish_document(repositories, INGEST_KEYS, document(tmp_path, 1), dry_run=True).is_new
    assert published(repositories) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"serial": "1"}', "x" * 70_000])
def test_what_is_no_document_is_refused(
    repositories: Repositories, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(DocumentError, match=r"expected (a JSON object|at most 65536 bytes)"):
        publish_document(repositories, INGEST_KEYS, path)


def test_a_missing_file_is_named(repositories: Repositories, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="expected a document"):
        publish_document(repositories, INGEST_KEYS, tmp_path / "none.json")


def test_without_the_offline_keys_nothing_is_written(
    repositories: Repositories, tmp_path: Path
) -> None:
    for path in (repositories.layout.offline_keys / "image").iterdir():
        path.unlink()
    with pytest.raises(KeyMissingError, match="targets"):
        publish_document(repositories, INGEST_KEYS, document(tmp_path, 1))
    assert not (repositories.layout.image_targets / "document").exists()


def test_a_release_beside_a_document_is_still_a_release(
    repositories: Repositories, tmp_path: Path
) -> None:
    publish_document(repositories, INGEST_KEYS, document(tmp_path, 1))
    with Inventory(repositories.layout.inventory) as inventory:
        for version, counter in (("1.0.0", 1), ("1.1.0", 2)):
            package = new_package(tmp_path / version, version=version)
            publish_image(repositories, inventory, package, release(version, counter))
        releases = read_status(repositories, inventory).releases
    assert [one.version for one in releases] == ["1.0.0", "1.1.0"]


def test_the_command_says_what_it_signed_and_what_comes_next(
    repositories: Repositories, tmp_path: Path
) -> None:
    config = tmp_path / "publisher.toml"
    config.write_text('root_dir = "ota"\n')
    report = Commands(config, tmp_path / "ota").keys_publish(document(tmp_path, 4), dry_run=False)
    assert report.lines[0].startswith("published: document/ingest-keys.json, serial 4")
    assert "next update check" in report.lines[1]
