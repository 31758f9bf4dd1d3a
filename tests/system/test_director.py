"""The real service over TLS on loopback: real sockets, real certificates, python-tuf's client."""

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest
import uvicorn
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from ota.metadata.manifest import MAX_MANIFEST_BYTES, sign_manifest
from ota.publisher.config import ServeSettings
from ota.publisher.director import bind, create_app, create_server, server_context
from ota.publisher.errors import ConflictError, SettingsError
from ota.publisher.inventory import Inventory
from ota.publisher.layout import Repositories
from ota.publisher.ports import WallClock
from ota.publisher.publish import publish_image
from sim.pki import Authority, Identity
from tests.support.publisher import (
    VEHICLE,
    ecu_signer,
    manifest,
    new_package,
    new_repositories,
    release,
    signed_manifest,
    vehicle_record,
)
from tests.support.wait import wait_until_sync

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A running service and the certificates to talk to it."""

    repositories: Repositories
    inventory: Inventory
    authority: Authority
    port: int

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        name: str | None = VEHICLE,
        range_bytes: str | None = None,
    ) -> tuple[int, bytes]:
        """Ask with the certificate called ``name``; None for no certificate."""
        headers = {} if range_bytes is None else {"Range": f"bytes={range_bytes}"}
        identity = None if name is None else client_identity(self.authority, name)
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=client_context(self.authority, identity), timeout=10
        )
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def post(self, body: bytes, *, name: str = VEHICLE) -> tuple[int, dict[str, object]]:
        status, answer = self.request("POST", f"/director/{VEHICLE}/manifest", body, name=name)
        return status, json.loads(answer)


def client_identity(authority: Authority, name: str) -> Identity:
    folder = authority.folder
    found = Identity(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
    return found if found.key_file.exists() else authority.issue_client(name, now=now())


def client_context(authority: Authority, identity: Identity | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.folder / "ca.pem"))
    if identity is not None:
        context.load_cert_chain(identity.cert_file, identity.key_file)
    return context


def now() -> datetime:
    return WallClock().utc_now()


def settings_of(authority: Authority) -> ServeSettings:
    server = authority.issue_server("director", hosts=("127.0.0.1",), now=now())
    return ServeSettings(
        host="127.0.0.1",
        port=0,
        ca_file=server.ca_file,
        cert_file=server.cert_file,
        key_file=server.key_file,
    )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    repositories = new_repositories(tmp_path / "ota")
    repositories.layout.offline_keys.rename(tmp_path / "safe")  # the service never needs them
    authority = Authority.create(tmp_path / "pki", name="test CA", now=now())
    settings = settings_of(authority)
    with Inventory(repositories.layout.inventory) as inventory, bind(settings) as listener:
        server = create_server(create_app(repositories, inventory), settings)
        port: int = listener.getsockname()[1]
        with running(server, listener):
            yield Bench(
                repositories=repositories, inventory=inventory, authority=authority, port=port
            )


class running:  # noqa: N801 (reads as a word)
    """The server in a thread of its own, as it has a loop of its own in real life."""

    def __init__(self, server: uvicorn.Server, listener: socket.socket) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})

    def __enter__(self) -> None:
        self._thread.start()
        wait_until_sync(lambda: self._server.started)

    def __exit__(self, *_exc: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)


class BenchFetcher(FetcherInterface):
    def __init__(self, bench: Bench) -> None:
        super().__init__()
        self._bench = bench

    def _fetch(self, url: str) -> Iterator[bytes]:
        status, body = self._bench.request("GET", url.removeprefix("https://x"))
        if status != 200:
            raise DownloadHTTPError(url, status)
        return iter([body])


def updater(bench: Bench, cache: Path, base: str, root: bytes) -> Updater:
    (cache / "targets").mkdir(parents=True, exist_ok=True)
    made: Updater = Updater(
        str(cache / "metadata"),
        f"https://x{base}/metadata/",
        str(cache / "targets"),
        "https://x/image/targets/",
        fetcher=BenchFetcher(bench),
        bootstrap=root,
    )
    return made


def publish(bench: Bench, tmp_path: Path) -> str:
    offline = replace(bench.repositories.layout, offline_keys=tmp_path / "safe")
    with_keys = Repositories(layout=offline, clock=WallClock())
    return publish_image(with_keys, bench.inventory, new_package(tmp_path), release()).target


def test_a_vehicle_learns_of_a_release_and_downloads_it(bench: Bench, tmp_path: Path) -> None:
    layout = bench.repositories.layout
    director_root = (layout.director_root / "1.root.json").read_bytes()
    before = updater(bench, tmp_path / "director", f"/director/{VEHICLE}", director_root)
    before.refresh()
    target = publish(bench, tmp_path)
    assert before.get_targetinfo(target) is None

    director = updater(bench, tmp_path / "director", f"/director/{VEHICLE}", director_root)
    director.refresh()
    image_root = (layout.image_metadata / "1.root.json").read_bytes()
    image = updater(bench, tmp_path / "image", "/image", image_root)
    image.refresh()
    offered, released = director.get_targetinfo(target), image.get_targetinfo(target)
    assert offered is not None
    assert released is not None
    assert (offered.length, offered.hashes) == (released.length, released.hashes)
    got = Path(image.download_target(released)).read_bytes()
    assert got == (tmp_path / "trip-light-1.0.0.okp").read_bytes()
    path = f"/image/targets/{released.get_prefixed_paths()[0]}"
    assert bench.request("GET", path, range_bytes="10-19") == (206, got[10:20])


def test_a_manifest_is_accepted_once_and_never_an_older_one(bench: Bench) -> None:
    assert bench.post(signed_manifest(3)) == (200, {"accepted": 3})
    for counter in (3, 2):
        status, answer = bench.post(signed_manifest(counter))
        assert (status, answer["code"]) == (409, "ota.manifest.replay")
    stored = bench.inventory.last_manifest(VEHICLE)
    assert stored is not None
    assert stored.counter == 3


def test_a_manifest_by_another_key_is_refused(bench: Bench) -> None:
    status, answer = bench.post(sign_manifest(manifest(), ecu_signer("thief")))
    assert (status, answer["code"]) == (403, "ota.manifest.signature")
    assert bench.inventory.last_manifest(VEHICLE) is None


def test_a_manifest_too_long_or_unreadable_is_refused(bench: Bench) -> None:
    assert bench.post(b" " * (MAX_MANIFEST_BYTES + 1))[0] == 413
    status, answer = bench.post(b"{}")
    assert (status, answer["code"]) == (400, "ota.manifest.malformed")
    assert bench.inventory.last_manifest(VEHICLE) is None


def test_a_failure_withdraws_the_offer(bench: Bench, tmp_path: Path) -> None:
    target = publish(bench, tmp_path)
    root = (bench.repositories.layout.director_root / "1.root.json").read_bytes()
    first = updater(bench, tmp_path / "director", f"/director/{VEHICLE}", root)
    first.refresh()
    offered = first.get_targetinfo(target)
    assert offered is not None
    assert bench.post(signed_manifest(1, failed=offered.hashes["sha256"]))[0] == 200
    second = updater(bench, tmp_path / "director", f"/director/{VEHICLE}", root)
    second.refresh()
    assert second.get_targetinfo(target) is None


def test_a_vehicle_is_told_nothing_about_another(bench: Bench) -> None:
    bench.inventory.add_vehicle(vehicle_record("car-2", "ecu-2", "ecu-20"), now())
    path = "/director/car-2/metadata/timestamp.json"
    assert bench.request("GET", path)[0] == 403
    assert bench.request("GET", path, name="car-2")[0] == 200
    assert bench.post(signed_manifest(), name="car-2")[0] == 403


def test_a_vehicle_that_is_not_registered_is_not_known(bench: Bench) -> None:
    status, body = bench.request("GET", "/director/car-9/metadata/timestamp.json", name="car-9")
    assert (status, json.loads(body)["code"]) == (404, "ota.publish.unknown_vehicle")
    assert not bench.repositories.layout.director_vehicle("car-9").exists()


def test_without_a_certificate_of_our_ca_nothing_is_served(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"(?i)certificate|reset|closed|broken"):
        bench.request("GET", "/image/metadata/timestamp.json", name=None)
    foreign = Authority.create(tmp_path / "foreign", name="foreign CA", now=now())
    stranger = client_context(bench.authority, foreign.issue_client(VEHICLE, now=now()))
    with pytest.raises(OSError, match=r"(?i)unknown ca|reset|closed|broken"):
        ask(bench.port, stranger)


def ask(port: int, context: ssl.SSLContext) -> None:
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        connection.request("GET", "/image/metadata/timestamp.json")
        connection.getresponse()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "path",
    [
        "/image/metadata/.lock",
        "/image/metadata/..%2f..%2fkeys%2fonline%2fimage%2fsnapshot-1.pem",
        "/image/targets/../../inventory.sqlite",
        "/image/targets/..%2f..%2finventory.sqlite",
        f"/director/{VEHICLE}/metadata/2.root.json",
        f"/director/{VEHICLE}/metadata/..%2ftimestamp.json",
        "/",
    ],
)
def test_only_published_files_are_served(bench: Bench, path: str) -> None:
    assert bench.request("GET", path)[0] == 404


def test_a_file_with_a_hash_in_its_name_outside_the_images_is_not_served(bench: Bench) -> None:
    layout = bench.repositories.layout
    (layout.image_targets.parent / f"{'0' * 64}.secret").write_text("secret")
    (layout.image_targets / "app").mkdir()
    (layout.image_targets / f"{'0' * 64}.secret").write_text("secret")
    for folder in ("..", "..%2f", "%2e%2e", "app%2f..%2f.."):
        assert bench.request("GET", f"/image/targets/{folder}/{'0' * 64}.secret")[0] == 404


def test_a_taken_port_and_missing_certificates_are_said_before_anything_starts(
    bench: Bench, tmp_path: Path
) -> None:
    settings = settings_of(bench.authority)
    with pytest.raises(ConflictError, match="a free address to listen on"):
        bind(replace(settings, port=bench.port))
    with pytest.raises(SettingsError, match="TLS files in PEM"):
        server_context(replace(settings, key_file=tmp_path / "none.key"))
