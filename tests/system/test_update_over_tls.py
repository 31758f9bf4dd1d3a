"""One vehicle against the real publisher: two repositories over TLS, an app as another user."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.clock import SystemClock
from ota.client.client import UpdateClient, open_client
from ota.client.fetch import HttpsSettings
from ota.client.states import UpdateState
from ota.metadata.manifest import Outcome
from ota.publisher.config import ServeSettings
from ota.publisher.director import bind, create_app, create_server
from ota.publisher.inventory import Inventory
from ota.publisher.layout import Repositories
from ota.publisher.publish import publish_image
from sim.pki import Authority, Identity
from tests.support.proxy import counting_proxy
from tests.support.publisher import (
    ECU,
    VEHICLE,
    new_package,
    new_repositories,
    release,
    settings_of,
)
from tests.support.update_client import Driver
from tests.support.wait import wait_until_sync

GOOD = 'if [ "$1" = --check ]; then exit 0; fi\nexec sleep 1000\n'
BAD = 'if [ "$1" = --check ]; then echo dark; exit 1; fi\nexec sleep 1000\n'


@dataclass
class Desk:
    """The release engineer's side: publishes, and knows what the vehicle said."""

    repositories: Repositories
    folder: Path
    port: int

    def publish(self, version: str, counter: int, script: str) -> None:
        package = new_package(self.folder / version, version=version, script=script)
        with Inventory(self.repositories.layout.inventory) as inventory:
            publish_image(self.repositories, inventory, package, release(version, counter))

    def withdrawn(self) -> list[str | None]:
        with Inventory(self.repositories.layout.inventory) as inventory:
            found = inventory.assignments(VEHICLE, withdrawn=True)
        return [assignment.withdrawn_code for assignment in found]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "pki", name="okdrive test CA", now=SystemClock().utc_now())


@pytest.fixture
def desk(authority: Authority, tmp_path: Path) -> Iterator[Desk]:
    repositories = new_repositories(tmp_path / "ota")
    now = SystemClock().utc_now()
    identity = authority.issue_server("repositories", hosts=("127.0.0.1",), now=now)
    settings = ServeSettings(
        host="127.0.0.1",
        port=0,
        ca_file=identity.ca_file,
        cert_file=identity.cert_file,
        key_file=identity.key_file,
    )
    with Inventory(repositories.layout.inventory) as inventory, bind(settings) as listener:
        server = create_server(create_app(repositories, inventory), settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        wait_until_sync(lambda: server.started)
        yield Desk(repositories, tmp_path, listener.getsockname()[1])
        server.should_exit = True
        thread.join()


@dataclass
class Garage:
    """Where the vehicle is: its certificate and folders, the same at every start."""

    desk: Desk
    identity: Identity
    folder: Path

    def open(self, port: int) -> tuple[UpdateClient, Callable[[], None]]:
        tls = HttpsSettings(
            ca_file=self.identity.ca_file,
            cert_file=self.identity.cert_file,
            key_file=self.identity.key_file,
        )
        return open_client(
            settings_of(
                self.desk.repositories, self.folder, base=f"https://127.0.0.1:{port}", settle_s=0.2
            ),
            tls,
            app_user="nobody",
            clock=SystemClock(),
            gates=Driver(),
        )


@pytest.fixture
def garage(desk: Desk, authority: Authority, tmp_path: Path) -> Garage:
    identity = authority.issue_client(VEHICLE, now=SystemClock().utc_now())
    return Garage(desk, identity, tmp_path)


@pytest.fixture
def client(garage: Garage) -> Iterator[UpdateClient]:
    made, stop_apps = garage.open(garage.desk.port)
    yield made
    stop_apps()


async def update(client: UpdateClient) -> Outcome | None:
    await client.engine.ask_check()
    entry = await client.advance()
    assert entry.state is UpdateState.IDLE, client.situation
    return None if entry.outcome is None else entry.outcome.result.outcome


@pytest.mark.system
@pytest.mark.timeout(60)
async def test_a_good_update_is_installed_and_a_bad_one_goes_back(
    desk: Desk, client: UpdateClient
) -> None:
    await asyncio.to_thread(desk.publish, "1.0.0", 1, GOOD)
    assert await update(client) is Outcome.INSTALLED
    installed = (await client.installed())[ECU]
    assert installed is not None
    assert installed.version == "1.0.0"

    await asyncio.to_thread(desk.publish, "1.1.0", 2, BAD)
    assert await update(client) is Outcome.ROLLED_BACK
    assert (await client.installed())[ECU] == installed
    assert await asyncio.to_thread(desk.withdrawn) == ["ota.install.unhealthy"]

    await asyncio.to_thread(desk.publish, "1.2.0", 3, GOOD)
    assert await update(client) is Outcome.INSTALLED
    installed = (await client.installed())[ECU]
    assert installed is not None
    assert installed.version == "1.2.0"


@pytest.mark.system
@pytest.mark.timeout(60)
async def test_an_image_changed_by_one_byte_on_the_server_is_refused_and_nothing_is_lost(
    desk: Desk, client: UpdateClient
) -> None:
    await asyncio.to_thread(desk.publish, "1.0.0", 1, GOOD)
    await update(client)
    before = await client.installed()
    await asyncio.to_thread(desk.publish, "1.1.0", 2, GOOD)
    files = desk.repositories.layout.image_targets.rglob("*-1.1.0.okp")
    image = max(files, key=lambda file: file.stat().st_size)  # the other is its list of pieces
    honest = image.read_bytes()
    image.write_bytes(honest[:-1] + bytes([honest[-1] ^ 1]))
    assert await update(client) is Outcome.REFUSED
    assert client.entry.attack == "ota.repository.hash_mismatch"
    assert await client.installed() == before
    assert await asyncio.to_thread(desk.withdrawn) == ["ota.repository.hash_mismatch"]


@pytest.mark.system
@pytest.mark.timeout(60)
async def test_a_check_that_finds_nothing_new_costs_at_most_10_kb_with_tls_and_report(
    desk: Desk, client: UpdateClient, garage: Garage
) -> None:
    await asyncio.to_thread(desk.publish, "1.0.0", 1, GOOD)
    await update(client)
    async with counting_proxy(desk.port) as proxy:
        again, stop_apps = await asyncio.to_thread(garage.open, proxy.port)
        await update(again)
        await asyncio.to_thread(stop_apps)
    assert 2_000 < proxy.bytes_up + proxy.bytes_down <= 10_000
