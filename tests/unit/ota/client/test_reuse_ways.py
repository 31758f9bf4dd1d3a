"""What is on the vehicle already is not fetched again, and is believed as little as what is."""

import asyncio
import hashlib
import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ota.client.pace import DataUse
from ota.client.ports import RangeAnswer
from ota.client.states import UpdateState
from ota.errors import NetworkError
from ota.metadata.chunks import describe, list_chunks
from ota.metadata.custom import Delta, Reuse
from tests.support.bundle_simulator import BundleSimulator
from tests.support.packages import make_package
from tests.support.repository_simulator import ECU
from tests.support.update_client import open_client, update

pytestmark = pytest.mark.slow

PIECE = 4_096
LIBRARY = random.Random(8).randbytes(200_000)
OTHER = random.Random(9).randbytes(200_000)
OLD = make_package(version="1.0.0", extra={"lib/big": LIBRARY})
NEW = make_package(
    version="1.1.0", extra={"lib/big": LIBRARY[:-9], "lib/other": OTHER[:90_000]}, is_stored=True
)
NEWER = make_package(
    version="1.2.0", extra={"lib/big": LIBRARY, "lib/other": OTHER}, is_stored=True
)
OLD_HASH = hashlib.sha256(OLD).hexdigest()
NEEDED = 90_000 + 5 * PIECE  # the new file, the manifest, and pieces that lie on an edge


class Releases(BundleSimulator):
    """Serves images by ranges, and counts their bytes; ``breaks_at``: of the next ones."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self.breaks_at: int | None = None

    def publish(self, package: bytes, version: str, counter: int, **fields: object) -> str:
        digests = list_chunks(io.BytesIO(package), size_bytes=PIECE)
        chunks = describe(digests, size_bytes=PIECE)
        self.images[chunks.sha256] = digests
        (found,) = self.release_all(
            {ECU.name: package}, version, counter=counter, chunks=chunks, **fields
        )
        return found

    @contextmanager
    def open_range(
        self, url: str, *, first: int, stop: int | None = None, if_range: str | None = None
    ) -> Iterator[RangeAnswer]:
        with super().open_range(url, first=first, stop=stop, if_range=if_range) as answer:
            yield replace(answer, body=self._counted(answer.body, url))

    def _counted(self, body: Iterator[bytes], url: str) -> Iterator[bytes]:
        for piece in body:
            if self.breaks_at is not None and self.sent + len(piece) > self.breaks_at:
                raise NetworkError(url, expected="more", got="nothing")
            self.sent += len(piece)
            yield piece


@pytest.fixture
async def releases(tmp_path: Path) -> Releases:
    """1.0.0 runs."""
    made = Releases()
    made.publish(OLD, "1.0.0", 1)
    await update(await open_client(made, tmp_path))
    made.sent = 0
    made.fetched.clear()
    return made


def runs(releases: Releases) -> str | None:
    installed = releases.manifests[-1].ecus[0].installed
    return installed and installed.hashes["sha256"]


def image_of(package: bytes, folder: Path, suffix: str = "") -> Path:
    return folder / "update" / "images" / (hashlib.sha256(package).hexdigest() + suffix)


async def test_files_that_are_installed_are_not_fetched_again(
    releases: Releases, tmp_path: Path
) -> None:
    wanted = releases.publish(NEW, "1.1.0", 2)
    await update(await open_client(releases, tmp_path))
    assert runs(releases) == wanted
    assert 90_000 < releases.sent <= NEEDED


async def test_a_file_that_was_changed_behind_its_back_is_fetched(
    releases: Releases, tmp_path: Path
) -> None:
    installed = tmp_path / "apps" / ECU.name / "current" / "lib" / "big"
    await asyncio.to_thread(installed.write_bytes, LIBRARY[:100_000] + bytes(100_000))
    wanted = releases.publish(NEW, "1.1.0", 2)
    await update(await open_client(releases, tmp_path))
    assert runs(releases) == wanted
    assert 190_000 - PIECE < releases.sent <= NEEDED + 100_000 + PIECE
    assert releases.manifests[-1].ecus[0].attack is None  # it was this vehicle's disk


async def test_what_came_of_a_release_that_was_replaced_is_not_fetched_again(
    releases: Releases, tmp_path: Path
) -> None:
    releases.publish(NEW, "1.1.0", 2)
    releases.breaks_at = 60_000
    client = await open_client(releases, tmp_path)
    assert (await update(client)).state is UpdateState.DOWNLOADING
    came = releases.sent
    assert 50_000 < came <= 60_000
    while (await client.advance()).state is not UpdateState.IDLE:
        continue  # until it has been tried often enough
    wanted = releases.publish(NEWER, "1.2.0", 3)
    releases.breaks_at, releases.sent = None, 0
    again = await open_client(releases, tmp_path)  # as after a SIGKILL
    await update(again)
    assert runs(releases) == wanted
    assert releases.sent <= 200_000 - came + 8 * PIECE
    assert not image_of(NEW, tmp_path, ".part").exists()
    assert not list((tmp_path / "update" / "images").iterdir())


async def test_a_download_goes_on_where_it_was_killed_and_makes_nothing_twice(
    releases: Releases, tmp_path: Path
) -> None:
    wanted = releases.publish(NEW, "1.1.0", 2)
    releases.breaks_at = 60_000
    assert (await update(await open_client(releases, tmp_path))).state is UpdateState.DOWNLOADING
    releases.breaks_at = None
    await (await open_client(releases, tmp_path)).advance()
    assert runs(releases) == wanted
    assert releases.sent <= NEEDED + PIECE


async def test_a_signed_cost_that_is_less_than_the_difference_is_chosen(
    releases: Releases, tmp_path: Path
) -> None:
    patch = Delta(sha256="e" * 64, length=len(NEW) - 1, from_sha256=OLD_HASH)
    cost = Reuse(from_sha256=OLD_HASH, length=NEEDED)
    wanted = releases.publish(NEW, "1.1.0", 2, delta=(patch,), reuse=(cost,))
    await update(await open_client(releases, tmp_path))
    assert runs(releases) == wanted
    assert releases.image_path("1.1.0", patch.sha256) not in releases.fetched


async def test_a_difference_that_is_less_than_the_signed_cost_is_chosen(
    releases: Releases, tmp_path: Path
) -> None:
    patch = Delta(sha256="e" * 64, length=NEEDED - 1, from_sha256=OLD_HASH)
    cost = Reuse(from_sha256=OLD_HASH, length=NEEDED)
    wanted = releases.publish(NEW, "1.1.0", 2, delta=(patch,), reuse=(cost,))
    releases.images[patch.sha256] = b"?" * patch.length  # altered on its way: it does not fit
    await update(await open_client(releases, tmp_path))
    assert runs(releases) == wanted
    assert releases.fetched[releases.image_path("1.1.0", patch.sha256)] == 1


async def test_the_budget_is_asked_for_what_is_missing_and_not_for_the_whole(
    releases: Releases, tmp_path: Path
) -> None:
    wanted = releases.publish(NEW, "1.1.0", 2)
    use = DataUse(network="metered", budget_bytes=NEEDED)
    await update(await open_client(releases, tmp_path, data_use=lambda: use))
    assert runs(releases) == wanted


async def test_more_than_the_budget_is_not_begun(releases: Releases, tmp_path: Path) -> None:
    files = {"a": OTHER[:60_000], "lib/big": LIBRARY, "z": OTHER[60_000:120_000]}
    releases.publish(make_package(version="1.1.0", extra=files, is_stored=True), "1.1.0", 2)
    use = DataUse(network="metered", budget_bytes=90_000)
    client = await open_client(releases, tmp_path, data_use=lambda: use)
    assert (await update(client)).state is UpdateState.DOWNLOADING
    assert client.situation.problem is not None
    assert client.situation.problem.code == "ota.not_now.data_budget"
    assert releases.sent <= 2 * PIECE  # its beginning, which says what the rest is


async def test_a_compressed_image_is_fetched_whole(releases: Releases, tmp_path: Path) -> None:
    package = make_package(version="1.1.0", extra={"lib/big": LIBRARY, "lib/other": OTHER})
    wanted = releases.publish(package, "1.1.0", 2)
    await update(await open_client(releases, tmp_path))
    assert runs(releases) == wanted
    assert releases.sent >= len(package)
