"""Updates from a stick (PURE-2): the real publisher writes it, the real client installs from it."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Targets

from ota.client.client import UpdateClient
from ota.client.floor import Floor
from ota.client.pace import DataUse
from ota.client.ports import RangeAnswer
from ota.client.states import UpdateState
from ota.client.stick import write_report
from ota.errors import NetworkError, ServerRefusedError, StorageError
from ota.metadata.manifest import Outcome, VehicleManifest, read_manifest, verify_manifest
from ota.metadata.offline import ROLES_FIELD, SNAPSHOT, TARGETS, offline_roles
from ota.publisher.bundle import enable_bundles, write_bundle
from ota.publisher.carried import read_reports
from ota.publisher.errors import ConflictError, KeyMissingError, NotFoundError
from ota.publisher.inventory import Inventory
from ota.publisher.keys import load_signer, write_key
from ota.publisher.layout import Layout, Repositories
from ota.publisher.orders import Orders
from ota.publisher.publish import publish_image
from tests.support.clock import FakeClock
from tests.support.publisher import (
    APP,
    ECU,
    HARDWARE,
    VEHICLE,
    ecu_signer,
    new_package,
    new_repositories,
    release,
    settings_of,
)
from tests.support.update_client import Driver, FakeRunner, floors_of, update

pytestmark = pytest.mark.slow

DAY_S = 86_400
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
BASE = "https://updates.test"


@dataclass
class Network:
    """Serves what a publisher has published, while it is up."""

    repositories: Repositories
    is_up: bool = False
    asked: list[str] = field(default_factory=list)
    manifests: list[VehicleManifest] = field(default_factory=list)

    def fetch(self, url: str) -> Iterator[bytes]:
        self.asked.append(url)
        if not self.is_up:
            raise NetworkError(url, expected="an answer", got="nothing")
        layout: Layout = self.repositories.layout
        name = url.rpartition("/")[2]
        folder = layout.image_metadata
        if "/director/" in url:
            folder = layout.director_vehicle(VEHICLE)
            folder = layout.director_root if name.endswith(".root.json") else folder
            folder = layout.director_offline if name.startswith("offline") else folder
        path = folder / name
        if not path.is_file():
            raise ServerRefusedError(url, status=404)
        yield path.read_bytes()

    @contextmanager
    def open_range(
        self, url: str, *, first: int, stop: int | None = None, if_range: str | None = None
    ) -> Iterator[RangeAnswer]:
        yield RangeAnswer(first=0, total=None, etag=None, body=self.fetch(url))

    def post(self, url: str, body: bytes, *, max_bytes: int) -> bytes:
        if not self.is_up:
            raise NetworkError(url, expected="an answer", got="nothing")
        self.manifests.append(verify_manifest(body, ecu_signer().public_key))
        return b"{}"


@dataclass
class Bench:
    """A release desk and a vehicle that share nothing but a stick, and a network if it is up."""

    folder: Path
    clock: FakeClock
    repositories: Repositories
    network: Network
    sticks: int = 0

    def publish(self, version: str, counter: int) -> None:
        package = new_package(self.folder / f"spec-{counter}", version=version)
        with Inventory(self.repositories.layout.inventory) as inventory:
            publish_image(self.repositories, inventory, package, release(version, counter))
            Orders(self.repositories, inventory).prepare(VEHICLE)

    def write(self, *wanted: str) -> Path:
        self.sticks += 1
        stick = self.folder / f"stick-{self.sticks}"
        write_bundle(self.repositories, stick, wanted)
        return stick

    async def client(self, hardware: str = HARDWARE, **doors: object) -> UpdateClient:
        settings = settings_of(self.repositories, self.folder, base=BASE, hardware=hardware)
        return await asyncio.to_thread(
            UpdateClient,
            settings,
            fetcher=self.network,
            runner=FakeRunner(),
            clock=self.clock,
            gates=Driver(),
            **doors,  # type: ignore[arg-type]
        )

    async def update_from(self, stick: Path, client: UpdateClient | None = None) -> UpdateClient:
        client = client or await self.client()
        await asyncio.to_thread(client.stick.write, stick)
        await update(client)
        return client

    def sign_anew(self, stick: Path, change: Callable[[Targets], None]) -> None:
        """Change the stick's list as whoever stole both offline keys could."""
        keys = self.repositories.layout.offline_keys / "director"
        targets = Metadata[Targets].from_file(str(stick / "director" / f"{TARGETS}.json"))
        change(targets.signed)
        targets.sign(load_signer(keys / f"{TARGETS}-1.pem"))
        data = targets.to_bytes()
        (stick / "director" / f"{TARGETS}.json").write_bytes(data)
        snapshot = Metadata[Snapshot].from_file(str(stick / "director" / f"{SNAPSHOT}.json"))
        version = targets.signed.version
        snapshot.signed.meta[f"{TARGETS}.json"] = MetaFile.from_data(version, data, ["sha256"])
        snapshot.sign(load_signer(keys / f"{SNAPSHOT}-1.pem"))
        (stick / "director" / f"{SNAPSHOT}.json").write_bytes(snapshot.to_bytes())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    clock = FakeClock(START)
    repositories = new_repositories(tmp_path / "ota", clock)
    made = Bench(tmp_path, clock, repositories, Network(repositories))
    made.publish("1.0.0", 1)
    return made


def outcome_of(client: UpdateClient) -> tuple[str, Outcome] | None:
    found = client.entry.outcome
    return None if found is None else (found.version, found.result.outcome)


async def test_a_vehicle_installs_from_a_stick_without_any_network(bench: Bench) -> None:
    client = await bench.update_from(await asyncio.to_thread(bench.write))
    assert outcome_of(client) == ("1.0.0", Outcome.INSTALLED)
    assert client.entry.state is UpdateState.IDLE
    assert not any("targets" in url or "timestamp" in url for url in bench.network.asked)
    await update(client)  # nothing new on it: the network is asked again
    assert await asyncio.to_thread(client.stick.read) is None


async def test_what_a_stick_brought_is_reported_once_there_is_a_network(bench: Bench) -> None:
    client = await bench.update_from(await asyncio.to_thread(bench.write))
    assert bench.network.manifests == []
    bench.network.is_up = True
    await update(client)
    await update(client)
    reported = bench.network.manifests[-1].ecus[0]
    assert reported.installed is not None
    results = [manifest.ecus[0].result for manifest in bench.network.manifests]
    assert [result.outcome for result in results if result] == [Outcome.INSTALLED]


async def test_what_a_stick_holds_costs_no_data(bench: Bench) -> None:
    def no_data() -> DataUse:
        return DataUse(network="metered", budget_bytes=0)

    client = await bench.client(data_use=no_data)
    await bench.update_from(await asyncio.to_thread(bench.write), client)
    assert outcome_of(client) == ("1.0.0", Outcome.INSTALLED)


async def test_a_stick_for_other_hardware_offers_nothing(bench: Bench) -> None:
    client = await bench.client(hardware="board-9")
    await bench.update_from(await asyncio.to_thread(bench.write), client)
    assert (client.entry.offer, client.entry.attack) == (None, None)


async def test_a_newer_stick_revokes_an_older_one(bench: Bench) -> None:
    old = await asyncio.to_thread(bench.write)
    await asyncio.to_thread(bench.publish, "1.1.0", 2)
    client = await bench.update_from(await asyncio.to_thread(bench.write))
    assert outcome_of(client) == ("1.1.0", Outcome.INSTALLED)
    await bench.update_from(old, client)
    assert client.entry.attack == "ota.repository.rollback"
    assert await asyncio.to_thread(client.stick.read) is None


async def test_whoever_was_online_since_believes_no_older_stick(bench: Bench) -> None:
    old = await asyncio.to_thread(bench.write)
    await asyncio.to_thread(bench.write)
    bench.network.is_up = True
    client = await bench.client()
    bench.clock.advance_s(60)
    await asyncio.to_thread(client._steps._verifier.check)
    await bench.update_from(old, client)
    assert client.entry.attack == "ota.repository.rollback"


async def test_a_stick_outlives_the_image_snapshot_and_not_its_own_list(bench: Bench) -> None:
    stick = await asyncio.to_thread(bench.write)
    bench.clock.advance_s(30 * DAY_S)  # the Image Snapshot has expired after seven
    client = await bench.client(hardware="board-9")
    await bench.update_from(stick, client)
    assert client.entry.attack is None
    bench.clock.advance_s(61 * DAY_S)
    await bench.update_from(stick, client)
    assert client.entry.attack == "ota.repository.freeze"


async def test_a_release_below_the_committed_counter_is_refused_from_a_stick_too(
    bench: Bench,
) -> None:
    floor = Floor(bench.folder / "agent" / "update" / "floor.sqlite")
    await asyncio.to_thread(floor.raise_release_counter, ECU, 2)
    client = await bench.update_from(await asyncio.to_thread(bench.write))
    assert client.entry.attack == "ota.repository.release_counter"


def largest(folder: Path) -> Path:
    """Return the image itself, not its list of pieces."""
    return max(folder.rglob("*.okp"), key=lambda path: path.stat().st_size)


def tamper(path: Path) -> None:
    content = path.read_bytes()
    at = content.index(b'"version":') + len(b'"version":')
    at += content[at : at + 1] == b" "
    path.write_bytes(content[:at] + b"7" + content[at + 1 :])


ROLES = {
    f"director/{SNAPSHOT}.json": "ota.repository.signature",
    f"director/{TARGETS}.json": "ota.repository.mix_and_match",
    "image/metadata/snapshot.json": "ota.repository.signature",
    "image/metadata/2.targets.json": "ota.repository.mix_and_match",
}


@pytest.mark.parametrize("name", ROLES)
async def test_a_changed_role_on_a_stick_is_refused(name: str, bench: Bench) -> None:
    stick = await asyncio.to_thread(bench.write)
    tamper(stick / name)
    client = await bench.update_from(stick)
    assert client.entry.attack == ROLES[name]
    assert await asyncio.to_thread(client.stick.read) is None


async def test_a_changed_image_on_a_stick_is_refused_and_reported(bench: Bench) -> None:
    stick = await asyncio.to_thread(bench.write)
    image = await asyncio.to_thread(largest, stick / "image" / "targets")
    content = image.read_bytes()
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    client = await bench.update_from(stick)
    assert client.entry.attack == "ota.repository.hash_mismatch"


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
async def test_what_is_no_plain_file_on_a_stick_is_not_opened(kind: str, bench: Bench) -> None:
    stick = await asyncio.to_thread(bench.write)
    path = stick / "director" / f"{TARGETS}.json"
    elsewhere = path.rename(path.with_name("elsewhere"))
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(elsewhere)
    else:
        path.mkdir()
    client = await bench.update_from(stick)
    assert client.entry.offer is None
    assert client.situation.problem is not None
    assert client.situation.problem.code.startswith("ota.download.")
    assert await asyncio.to_thread(client.stick.read) is None


async def test_a_root_that_nobody_signed_ends_a_stick(bench: Bench) -> None:
    stick = await asyncio.to_thread(bench.write)
    first = stick / "director" / "1.root.json"
    shutil.copy(first, stick / "director" / "2.root.json")
    client = await bench.update_from(stick)
    assert client.entry.attack == "ota.repository.mix_and_match"


async def test_two_images_for_one_ecu_on_a_stick_are_refused(bench: Bench) -> None:
    await asyncio.to_thread(bench.publish, "1.1.0", 2)
    stick = await asyncio.to_thread(bench.write)
    other = await asyncio.to_thread(bench.write, f"app/{APP}/1.0.0/{APP}-1.0.0.okp")
    listed = await asyncio.to_thread(
        Metadata[Targets].from_file, str(other / "director" / f"{TARGETS}.json")
    )
    found = dict(listed.signed.targets)
    await asyncio.to_thread(bench.sign_anew, stick, lambda role: role.targets.update(found))
    client = await bench.update_from(stick)
    assert client.entry.attack == "ota.repository.repeated_ecu"


async def test_a_stick_that_is_pulled_out_is_asked_for_again_over_the_network(
    bench: Bench,
) -> None:
    stick = await asyncio.to_thread(bench.write)
    client = await bench.client()
    await asyncio.to_thread(client.stick.write, stick)
    shutil.rmtree(stick)
    await update(client)
    assert client.situation.problem is not None
    assert client.situation.problem.code == "ota.download.network"


def test_a_dry_run_signs_and_writes_nothing(bench: Bench) -> None:
    plan = write_bundle(bench.repositories, bench.folder / "stick", dry_run=True)
    assert (plan.targets, plan.version) == ((f"app/{APP}/1.0.0/{APP}-1.0.0.okp",), 1)
    assert not (bench.folder / "stick").exists()
    assert not bench.repositories.layout.director_offline.exists()


def test_a_folder_with_files_is_no_stick_to_write(bench: Bench) -> None:
    with pytest.raises(ConflictError, match="expected an empty folder"):
        write_bundle(bench.repositories, bench.folder)


def test_what_was_never_released_is_not_written(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match="expected a released target"):
        write_bundle(bench.repositories, bench.folder / "stick", ["app/none"])


def test_two_releases_of_one_app_do_not_go_on_one_stick(bench: Bench) -> None:
    bench.publish("1.1.0", 2)
    both = [f"app/{APP}/{version}/{APP}-{version}.okp" for version in ("1.0.0", "1.1.0")]
    with pytest.raises(ConflictError, match="expected one release of an app"):
        write_bundle(bench.repositories, bench.folder / "stick", both)


def test_without_the_offline_keys_no_stick_is_written(bench: Bench) -> None:
    shutil.rmtree(bench.repositories.layout.offline_keys / "director")
    with pytest.raises(KeyMissingError, match="expected 1 at hand"):
        write_bundle(bench.repositories, bench.folder / "stick")


# --- reports on their way back --------------------------------------------------------------------


@dataclass
class Desk:
    """The release desk, reading a stick that came back."""

    bench: Bench

    async def read(self, stick: Path) -> list[tuple[str | None, int | None, bool, str | None]]:
        return await asyncio.to_thread(self.take, stick)

    def take(self, stick: Path) -> list[tuple[str | None, int | None, bool, str | None]]:
        layout = self.bench.repositories.layout
        with Inventory(layout.inventory) as inventory:
            found = read_reports(Orders(self.bench.repositories, inventory), inventory, stick)
        return [(each.vehicle, each.counter, each.is_known, each.code) for each in found]

    async def installed(self) -> str | None:
        return await asyncio.to_thread(self._installed)

    def _installed(self) -> str | None:
        with Inventory(self.bench.repositories.layout.inventory) as inventory:
            last = inventory.last_manifest(VEHICLE)
        assert last is not None
        found = read_manifest(last.body).ecus[0].installed
        return None if found is None else found.version


async def report_to(stick: Path, client: UpdateClient) -> Path:
    return await asyncio.to_thread(write_report, stick, await client.signed_manifest())


async def test_a_report_travels_back_on_the_stick_and_counts_once(bench: Bench) -> None:
    stick, desk = await asyncio.to_thread(bench.write), Desk(bench)
    client = await bench.update_from(stick)
    path = await report_to(stick, client)
    said = read_manifest(await asyncio.to_thread(path.read_bytes))
    assert said.ecus[0].result is not None
    assert said.ecus[0].result.outcome is Outcome.INSTALLED
    assert await desk.read(stick) == [(VEHICLE, said.counter, False, None)]
    assert await desk.installed() == "1.0.0"
    assert await desk.read(stick) == [(VEHICLE, said.counter, True, None)]


async def test_what_a_stick_carries_back_is_told_over_the_network_too(bench: Bench) -> None:
    stick = await asyncio.to_thread(bench.write)
    client = await bench.update_from(stick)
    await report_to(stick, client)
    bench.network.is_up = True
    await update(client)
    assert bench.network.manifests[0].ecus[0].result is not None


async def test_an_older_report_never_replaces_a_newer_one(bench: Bench) -> None:
    stick, desk = await asyncio.to_thread(bench.write), Desk(bench)
    client = await bench.client()
    older = await report_to(stick, client)
    await bench.update_from(stick, client)
    newer = await report_to(stick, client)
    kept = bench.folder / "kept.json"
    await asyncio.to_thread(shutil.move, older, kept)
    assert [known for _, _, known, _ in await desk.read(stick)] == [False]
    await asyncio.to_thread(shutil.move, kept, older)
    assert [known for _, _, known, _ in await desk.read(stick)] == [True, True]
    assert await desk.installed() == "1.0.0"
    assert await asyncio.to_thread(newer.exists)


async def test_one_bad_report_stops_no_other(bench: Bench) -> None:
    stick, desk = await asyncio.to_thread(bench.write), Desk(bench)
    client = await bench.update_from(stick)
    good = await report_to(stick, client)
    body = await asyncio.to_thread(good.read_bytes)
    for name, content in {
        "a-forged.json": body.replace(b'"1.0.0"', b'"6.6.6"'),
        "a-large.json": b" " * 2_000_000,
        "a-stranger.json": body.replace(VEHICLE.encode(), b"car-0000"),
        "no-json.json": b"rubbish",
    }.items():
        await asyncio.to_thread((good.parent / name).write_bytes, content)
    await asyncio.to_thread((good.parent / "z-link.json").symlink_to, "/etc/hostname")
    codes = sorted(code or "" for _, _, _, code in await desk.read(stick))
    assert codes == [
        "",
        "ota.manifest.malformed",
        "ota.manifest.malformed",
        "ota.manifest.malformed",
        "ota.manifest.signature",
        "ota.publish.unknown_vehicle",
    ]
    assert await desk.installed() == "1.0.0"


async def test_a_report_is_not_written_through_a_link(bench: Bench, tmp_path: Path) -> None:
    stick = await asyncio.to_thread(bench.write)
    (tmp_path / "elsewhere").mkdir()
    await asyncio.to_thread((stick / "reports").symlink_to, tmp_path / "elsewhere")
    client = await bench.client()
    with pytest.raises(StorageError, match="expected a folder of the stick"):
        await report_to(stick, client)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_stick_without_reports_is_named(bench: Bench) -> None:
    with pytest.raises(NotFoundError, match="expected reports of vehicles"):
        Desk(bench).take(bench.write())


# --- a Director that is older than sticks ---------------------------------------------------------


@pytest.fixture
def older(tmp_path: Path) -> Bench:
    """A Director whose root knows nothing of sticks, and a vehicle that was made with it."""
    clock = FakeClock(START)
    repositories = new_repositories(tmp_path / "ota", clock)
    layout = repositories.layout
    root = repositories.director_base().root()
    del root.signed.unrecognized_fields[ROLES_FIELD]
    root.sign(load_signer(layout.offline_keys / "director" / "root-1.pem"))
    root.to_file(str(layout.director_root / "1.root.json"))
    for role in (SNAPSHOT, TARGETS):
        (layout.offline_keys / "director" / f"{role}-1.pem").unlink()
    made = Bench(tmp_path, clock, repositories, Network(repositories))
    made.publish("1.0.0", 1)
    return made


async def test_an_older_director_writes_sticks_after_one_command(older: Bench) -> None:
    vehicle = await older.client()  # its trusted root is the old one
    with pytest.raises(ConflictError, match="okdrive-ota bundle enable"):
        await asyncio.to_thread(older.write)
    found = [
        await asyncio.to_thread(enable_bundles, older.repositories, dry_run=is_dry)
        for is_dry in (True, False, False)
    ]
    assert found == [2, 2, None]
    await older.update_from(await asyncio.to_thread(older.write), vehicle)
    assert outcome_of(vehicle) == ("1.0.0", Outcome.INSTALLED)


async def test_an_older_directors_vehicle_follows_the_new_root_over_the_network(
    older: Bench,
) -> None:
    vehicle = await older.client()
    await asyncio.to_thread(enable_bundles, older.repositories)
    older.network.is_up = True
    await update(vehicle)
    assert vehicle.entry.attack is None
    floors = await asyncio.to_thread(floors_of, older.folder / "agent" / "update")
    assert floors["director", "root"] == 2


def test_a_half_made_pair_of_keys_is_used_again(older: Bench) -> None:
    folder = older.repositories.layout.offline_keys / "director"
    written = write_key(folder / f"{SNAPSHOT}-1.pem")  # and then the power went
    assert enable_bundles(older.repositories) == 2
    roles = offline_roles(older.repositories.director_base().root().signed)
    assert roles[SNAPSHOT].keyids == (written.public_key.keyid,)


def test_without_the_root_keys_no_key_is_made(older: Bench) -> None:
    folder = older.repositories.layout.offline_keys / "director"
    (folder / "root-1.pem").unlink()
    with pytest.raises(KeyMissingError, match="expected"):
        enable_bundles(older.repositories)
    assert not list(folder.glob("offline-*"))
