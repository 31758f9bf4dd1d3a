"""The smallest way that can be used is taken; one that does not fit is not paid for twice."""

import asyncio
import hashlib
import random
from pathlib import Path

import pytest

from ota.client.pace import DataUse
from ota.client.states import UpdateState
from ota.metadata.custom import Delta
from ota.publisher.delta import DeltaInfo, make_delta
from tests.support.bundle_simulator import BundleSimulator
from tests.support.packages import make_package
from tests.support.repository_simulator import ECU
from tests.support.update_client import open_client, update

LIBRARY = random.Random(7).randbytes(60_000)
OLD = make_package(version="1.0.0", extra={"lib/big.bin": LIBRARY})
NEW = make_package(
    version="1.1.0",
    extra={"lib/big.bin": LIBRARY + b"more", "data/map": b"do re mi" * 900},
    is_stored=True,
)


class Releases(BundleSimulator):
    """1.0.0 runs; 1.1.0 is offered whole, compressed, and as the difference to 1.0.0."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        (folder / "old.okp").write_bytes(OLD)
        (folder / "new.okp").write_bytes(NEW)
        self.release_all({ECU.name: OLD}, "1.0.0", counter=1)
        self.patch = make_delta(folder / "new.okp", folder / "patch", old=folder / "old.okp")
        self.packed = make_delta(folder / "new.okp", folder / "packed", old=None)
        self.bodies_of = {
            each.sha256: (folder / name).read_bytes()
            for name, each in (("patch", self.patch), ("packed", self.packed))
        }

    def offer(self, *infos: DeltaInfo) -> None:
        self.images |= self.bodies_of
        deltas = tuple(
            Delta(sha256=info.sha256, length=info.length, from_sha256=info.from_sha256)
            for info in infos
        )
        self.release_all({ECU.name: NEW}, "1.1.0", counter=2, delta=deltas)

    def fetches(self) -> list[str]:
        """Return which images and differences were asked for, by their hash."""
        names = [path.rpartition("/")[2].partition(".")[0] for path in self.fetched]
        return [name for name in names if name in self.images]


@pytest.fixture
async def releases(tmp_path: Path) -> Releases:
    made = await asyncio.to_thread(Releases, tmp_path)
    await update(await open_client(made, tmp_path))
    made.fetched.clear()
    return made


WHOLE = hashlib.sha256(NEW).hexdigest()


async def version(releases: Releases) -> str | None:
    installed = releases.manifests[-1].ecus[0].installed
    return installed and installed.version


async def test_the_difference_is_fetched_instead_of_the_whole(
    releases: Releases, tmp_path: Path
) -> None:
    assert releases.patch.length < releases.packed.length < len(NEW)
    releases.offer(releases.packed, releases.patch)
    await update(await open_client(releases, tmp_path))
    assert releases.fetches() == [releases.patch.sha256]
    assert await version(releases) == "1.1.0"
    installed = releases.manifests[-1].ecus[0].installed
    assert installed is not None
    assert installed.hashes["sha256"] == WHOLE
    assert not list((tmp_path / "update" / "images").iterdir())


async def test_a_vehicle_that_runs_something_else_takes_the_compressed_whole(
    releases: Releases, tmp_path: Path
) -> None:
    releases.offer(releases.packed, releases.patch)
    await update(await open_client(releases, tmp_path / "new-vehicle"))
    assert releases.fetches() == [releases.packed.sha256]
    assert await version(releases) == "1.1.0"


async def test_a_difference_larger_than_the_whole_is_not_taken(
    releases: Releases, tmp_path: Path
) -> None:
    releases.images |= releases.bodies_of
    useless = Delta(sha256="e" * 64, length=len(NEW) + 1)
    releases.release_all({ECU.name: NEW}, "1.1.0", counter=2, delta=(useless,))
    await update(await open_client(releases, tmp_path))
    assert releases.fetches() == [WHOLE]


def spoil(folder: Path) -> None:
    """Change an installed file behind everybody's back: the difference no longer fits."""
    (folder / "apps" / ECU.name / "current" / "lib" / "big.bin").write_bytes(LIBRARY[::-1])


async def test_a_difference_that_does_not_fit_leads_to_the_next_way_and_is_not_tried_again(
    releases: Releases, tmp_path: Path
) -> None:
    releases.offer(releases.packed, releases.patch)
    await asyncio.to_thread(spoil, tmp_path)
    await update(await open_client(releases, tmp_path))
    assert releases.fetches() == [releases.patch.sha256, releases.packed.sha256]
    assert await version(releases) == "1.1.0"
    assert releases.manifests[-1].ecus[0].attack is None  # it was this vehicle's disk


async def test_the_whole_is_not_fetched_silently_where_the_budget_is_for_the_difference(
    releases: Releases, tmp_path: Path
) -> None:
    releases.offer(releases.patch)
    await asyncio.to_thread(spoil, tmp_path)
    uses = [DataUse(network="metered", budget_bytes=len(NEW) + releases.patch.length - 1)]
    client = await open_client(releases, tmp_path, data_use=lambda: uses[0])
    entry = await update(client)
    assert entry.state is UpdateState.DOWNLOADING
    assert client.situation.problem is not None
    assert client.situation.problem.code == "ota.not_now.data_budget"
    assert releases.fetches() == [releases.patch.sha256]
    again = await open_client(releases, tmp_path, data_use=lambda: uses[0])  # as after a restart
    await again.advance()
    assert releases.fetched[releases.image_path("1.1.0", releases.patch.sha256)] == 1
    uses[0] = DataUse(network="wlan")
    assert (await again.advance()).state is UpdateState.IDLE
    assert await version(releases) == "1.1.0"


async def test_a_budget_for_the_difference_is_enough_when_it_fits(
    releases: Releases, tmp_path: Path
) -> None:
    releases.offer(releases.packed, releases.patch)
    use = DataUse(network="metered", budget_bytes=releases.patch.length)
    await update(await open_client(releases, tmp_path, data_use=lambda: use))
    assert await version(releases) == "1.1.0"


async def test_a_difference_that_was_altered_on_the_server_is_not_used(
    releases: Releases, tmp_path: Path
) -> None:
    releases.offer(releases.patch)
    body = releases.images[releases.patch.sha256]
    releases.images[releases.patch.sha256] = body[:-1] + bytes([body[-1] ^ 1])
    await update(await open_client(releases, tmp_path))
    assert await version(releases) == "1.1.0"
    assert releases.fetches() == [releases.patch.sha256, WHOLE]
