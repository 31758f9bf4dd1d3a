"""The publisher signs what a vehicle will fetch, for each release that may be installed."""

import hashlib
import random
from pathlib import Path

import pytest

from ota.metadata.custom import parse_image_custom
from ota.publisher.inventory import Inventory
from ota.publisher.layout import Repositories
from ota.publisher.package import build_package
from ota.publisher.publish import NOBODY, Offer, PublishPlan, publish_image
from ota.publisher.reports import publish_report
from tests.support.clock import FakeClock
from tests.support.publisher import APP, new_repositories, release, write_spec

pytestmark = pytest.mark.slow

LIBRARY = random.Random(5).randbytes(400_000)


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return new_repositories(tmp_path / "ota", FakeClock())


def publish(
    repositories: Repositories,
    folder: Path,
    number: int,
    *,
    library: bytes = LIBRARY,
    is_stored: bool = True,
) -> PublishPlan:
    version = f"1.{number}.0"
    spec = write_spec(folder / version, version=version)
    (spec / "files" / "library").write_bytes(library)
    build_package(spec, folder / f"{APP}-{version}.okp", is_stored=is_stored)
    with Inventory(repositories.layout.inventory) as inventory:
        return publish_image(
            repositories,
            inventory,
            folder / f"{APP}-{version}.okp",
            release(version, number),
            offer=Offer(to=NOBODY),
        )


def test_a_release_says_what_it_costs_where_an_earlier_one_is_installed(
    repositories: Repositories, tmp_path: Path
) -> None:
    first = publish(repositories, tmp_path, 1, is_stored=False)
    changed = LIBRARY[:200_000] + b"more" + LIBRARY[200_000:]
    plan = publish(repositories, tmp_path, 2, library=changed)
    listed = repositories.image().images()[plan.target]
    (cost,) = parse_image_custom(listed.custom).reuse
    assert cost.from_sha256 == first.package.sha256
    assert cost.length == 2 * 65_536  # the manifest's piece, and the one that was changed
    lines = publish_report([plan], dry_run=False).lines
    assert any(f"{cost.from_sha256[:12]} is installed: 131072 bytes" in line for line in lines)


def test_a_compressed_release_costs_all_of_it_everywhere(
    repositories: Repositories, tmp_path: Path
) -> None:
    publish(repositories, tmp_path, 1)
    assert publish(repositories, tmp_path, 2, is_stored=False).custom.reuse == ()


def test_only_the_newest_earlier_releases_are_reckoned_with(
    repositories: Repositories, tmp_path: Path
) -> None:
    plans = [publish(repositories, tmp_path, number) for number in range(1, 7)]
    known = [plan.package.sha256 for plan in plans[1:5]]
    assert [each.from_sha256 for each in plans[5].custom.reuse] == known[::-1]


def test_a_release_is_the_same_when_it_is_published_again_without_the_earlier_image(
    repositories: Repositories, tmp_path: Path
) -> None:
    first = publish(repositories, tmp_path, 1)
    plan = publish(repositories, tmp_path, 2)
    repositories.layout.target_path(first.target, first.package.sha256).unlink()
    again = publish(repositories, tmp_path, 2)
    assert not again.is_new
    assert again.custom == plan.custom


def test_the_list_of_pieces_is_that_of_the_signed_size(
    repositories: Repositories, tmp_path: Path
) -> None:
    plan = publish(repositories, tmp_path, 1)
    assert plan.custom.chunks is not None
    assert plan.custom.chunks.size_bytes == plan.package.chunk_bytes == 65_536
    stored = repositories.layout.target_path(plan.target, plan.package.sha256).read_bytes()
    assert plan.package.chunks[:32] == hashlib.sha256(stored[:65_536]).digest()
