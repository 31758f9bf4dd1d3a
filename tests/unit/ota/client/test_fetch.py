"""The door to the repositories, against a real TLS server that asks for certificates."""

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.clock import SystemClock
from ota.client.fetch import HttpsFetcher, HttpsSettings, LoopbackFetcher
from ota.errors import (
    DownloadError,
    EndlessDataError,
    NetworkError,
    ServerRefusedError,
    SlowRetrievalError,
    UntrustedServerError,
    WrongAnswerError,
)
from sim.pki import Authority, Identity
from tests.support.clock import FakeClock


class TickingClock(FakeClock):
    """Each look at it takes a second."""

    def monotonic_s(self) -> float:
        self.advance_s(1)
        return super().monotonic_s()


@dataclass
class Site:
    """A server whose behaviour hangs on the path; ``seen`` holds what was asked."""

    port: int = 0
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"https://127.0.0.1:{self.port}{path}"


class SiteHandler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_args: object) -> None:
        return

    def _answer(self, body: bytes) -> None:
        self.site.seen.append((self.command, self.path, dict(self.headers), body))
        _, kind, *rest = self.path.split("/")
        if kind == "status":
            self._answer_status(int(rest[0]))
        elif kind == "drip":
            self._drip(*DRIPS[rest[0]])
        elif kind == "range":
            self._answer_range("/".join(rest) or "bytes_6-11/12")
        else:
            self._answer_file()

    def _answer_status(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Location", "https://elsewhere.test/ok")
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drip(self, begin: bytes, rest: bytes) -> None:
        self.wfile.write(begin)
        for byte in rest:
            self.wfile.write(bytes([byte]))  # a TLS record of its own
        self.close_connection = True

    def _answer_file(self) -> None:
        self.send_response(200)
        for name, value in SURPRISES.get(self.path, {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "12")
        self.end_headers()
        self.wfile.write(b"hello ")
        self.wfile.flush()
        if self.path == "/cut":
            return
        if self.path == "/stall":
            self.site.release.wait(20)
            return
        self.wfile.write(b"world!")

    def _answer_range(self, said: str) -> None:
        first = int(self.headers["Range"].removeprefix("bytes=").partition("-")[0])
        self.send_response(206)
        self.send_header("Content-Range", said.replace("_", " "))
        self.send_header("ETag", '"v1"')
        self.send_header("Content-Length", str(12 - first))
        self.end_headers()
        self.wfile.write(b"hello world!"[first:])


OK = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "status": (b"", OK),
    "header": (OK, b"X-Padding: " + b"a" * 50),
    "chunk-size": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"5;" + b"a" * 50),
    "trailer": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: " + b"a" * 50),
    "error-page": (b"HTTP/1.1 503 No\r\nContent-Length: 4000\r\n\r\n", b"a" * 50),
    "body": (OK + b"Content-Length: 4000\r\n\r\n", b"a" * 50),
}
SURPRISES = {
    "/gzip": {"Content-Encoding": "gzip"},
    "/portal": {"Content-Type": "text/html; charset=utf-8"},
    "/weak": {"ETag": 'W/"v1"'},
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    now = SystemClock().utc_now()
    return Authority.create(tmp_path_factory.mktemp("pki"), name="okdrive test CA", now=now)


@pytest.fixture(scope="module")
def vehicle(authority: Authority) -> Identity:
    return authority.issue_client("vehicle-a", now=SystemClock().utc_now())


@pytest.fixture(scope="module")
def server_identity(authority: Authority) -> Identity:
    now = SystemClock().utc_now()
    return authority.issue_server("repositories", hosts=("127.0.0.1",), now=now)


@pytest.fixture
def site(server_identity: Identity) -> Iterator[Site]:
    made = Site()
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=str(server_identity.ca_file)
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(server_identity.cert_file, server_identity.key_file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (SiteHandler,), {"site": made}))
    server.handle_error = lambda *_args: None  # type: ignore[method-assign] # refused handshakes
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def fetcher_of(who: Identity, ca_file: Path | None = None, **changes: float) -> HttpsFetcher:
    settings = HttpsSettings(
        ca_file=ca_file or who.ca_file,
        cert_file=who.cert_file,
        key_file=who.key_file,
        gap_timeout_s=changes.get("gap_timeout_s", 5.0),
        slow_window_s=changes.get("slow_window_s", 30.0),
    )
    return HttpsFetcher(settings, TickingClock())


def read(fetcher: HttpsFetcher, url: str) -> bytes:
    return b"".join(fetcher.fetch(url))


def test_a_body_arrives_uncompressed_and_whole(site: Site, vehicle: Identity) -> None:
    assert read(fetcher_of(vehicle), site.url("/ok")) == b"hello world!"
    ((_, path, headers, _),) = site.seen
    assert (path, headers["Accept-Encoding"]) == ("/ok", "identity")


def test_a_report_is_posted_as_json_and_its_answer_is_bounded(
    site: Site, vehicle: Identity
) -> None:
    fetcher = fetcher_of(vehicle)
    assert fetcher.post(site.url("/ok"), b"{}", max_bytes=12) == b"hello world!"
    method, _, headers, body = site.seen[0]
    assert (method, headers["Content-Type"], body) == ("POST", "application/json", b"{}")
    with pytest.raises(EndlessDataError, match="at most 11 bytes"):
        fetcher.post(site.url("/ok"), b"{}", max_bytes=11)


@pytest.mark.parametrize("status", [204, 301, 302, 307, 403, 404, 429, 500, 503])
def test_any_status_but_200_is_a_refusal_and_no_redirect_is_followed(
    status: int, site: Site, vehicle: Identity
) -> None:
    with pytest.raises(ServerRefusedError, match=f"HTTP status 200, got {status}") as refusal:
        read(fetcher_of(vehicle), site.url(f"/status/{status}"))
    assert (refusal.value.status, refusal.value.retry_after_s) == (status, 7)
    assert len(site.seen) == 1


def test_a_connection_that_breaks_in_the_middle_is_a_network_error(
    site: Site, vehicle: Identity
) -> None:
    with pytest.raises(NetworkError, match="expected an answer"):
        read(fetcher_of(vehicle), site.url("/cut"))


def test_a_connection_that_falls_silent_is_slow_retrieval(site: Site, vehicle: Identity) -> None:
    with pytest.raises(SlowRetrievalError, match="an answer in time"):
        read(fetcher_of(vehicle, gap_timeout_s=0.1), site.url("/stall"))


def test_a_trickle_is_slow_retrieval(site: Site, vehicle: Identity) -> None:
    with pytest.raises(SlowRetrievalError, match="expected >= 512 bytes/s"):
        for _ in fetcher_of(vehicle, slow_window_s=1.0).fetch(site.url("/ok")):
            pass


@pytest.mark.parametrize("part", DRIPS)
def test_a_trickle_is_noticed_in_every_part_of_an_answer(
    part: str, site: Site, vehicle: Identity
) -> None:
    with pytest.raises(SlowRetrievalError, match=r"expected >= 512 bytes/s, got [0-9]+ bytes/s"):
        read(fetcher_of(vehicle, slow_window_s=10.0), site.url(f"/drip/{part}"))


def test_a_server_of_another_authority_is_not_trusted(
    site: Site, vehicle: Identity, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path / "other", name="another CA", now=SystemClock().utc_now())
    stranger = other.issue_client("vehicle-a", now=SystemClock().utc_now())
    with pytest.raises(UntrustedServerError, match="a server we trust"):
        read(fetcher_of(vehicle, ca_file=stranger.ca_file), site.url("/ok"))
    assert site.seen == []


def test_a_vehicle_of_another_authority_gets_nothing(
    site: Site, vehicle: Identity, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path / "other", name="another CA", now=SystemClock().utc_now())
    stranger = other.issue_client("vehicle-a", now=SystemClock().utc_now())
    with pytest.raises(DownloadError, match="expected"):
        read(fetcher_of(stranger, ca_file=vehicle.ca_file), site.url("/ok"))
    assert site.seen == []


def test_nobody_listening_is_a_network_error(vehicle: Identity) -> None:
    with pytest.raises(NetworkError, match="expected an answer"):
        read(fetcher_of(vehicle), "https://127.0.0.1:1/ok")


def test_plain_http_is_never_spoken(site: Site, vehicle: Identity) -> None:
    with pytest.raises(UntrustedServerError, match="expected an https address"):
        read(fetcher_of(vehicle), f"http://127.0.0.1:{site.port}/ok")


def test_a_proxy_in_the_environment_is_ignored(
    site: Site, vehicle: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert read(fetcher_of(vehicle), site.url("/ok")) == b"hello world!"


def test_a_certificate_that_is_missing_is_named(vehicle: Identity, tmp_path: Path) -> None:
    settings = HttpsSettings(
        ca_file=vehicle.ca_file, cert_file=tmp_path / "none.pem", key_file=vehicle.key_file
    )
    with pytest.raises(UntrustedServerError, match=r"none\.pem"):
        HttpsFetcher(settings, FakeClock())


def test_a_range_is_asked_for_with_the_tag_it_depends_on(site: Site, vehicle: Identity) -> None:
    fetcher = fetcher_of(vehicle)
    with fetcher.open_range(site.url("/range/"), first=6, stop=9, if_range='"v1"') as answer:
        assert (answer.first, answer.total, answer.etag) == (6, 12, '"v1"')
        assert b"".join(answer.body) == b"world!"
    headers = site.seen[0][2]
    assert (headers["Range"], headers["If-Range"]) == ("bytes=6-8", '"v1"')


def test_a_server_without_ranges_sends_the_whole_file(site: Site, vehicle: Identity) -> None:
    with fetcher_of(vehicle).open_range(site.url("/weak"), first=6) as answer:
        assert (answer.first, answer.total, answer.etag) == (0, 12, None)
        assert b"".join(answer.body) == b"hello world!"
    assert "If-Range" not in site.seen[0][2]


@pytest.mark.parametrize("said", ["bytes_0-11/12", "bytes_7-11/12", "bytes_6-/12", "lines_6-8/12"])
def test_another_range_than_the_one_asked_for_is_no_answer(
    said: str, site: Site, vehicle: Identity
) -> None:
    with (
        pytest.raises(WrongAnswerError, match="expected bytes from 6"),
        fetcher_of(vehicle).open_range(site.url(f"/range/{said}"), first=6),
    ):
        pass


@pytest.mark.parametrize(("path", "got"), [("/gzip", "gzip bytes"), ("/portal", "text/html")])
def test_compressed_bytes_and_login_pages_are_no_answer(
    path: str, got: str, site: Site, vehicle: Identity
) -> None:
    with pytest.raises(WrongAnswerError, match=got):
        read(fetcher_of(vehicle), site.url(path))


def test_a_file_that_was_read_to_its_end_leaves_its_connection_to_the_next(
    site: Site, vehicle: Identity
) -> None:
    fetcher = fetcher_of(vehicle)
    read(fetcher, site.url("/ok"))
    with fetcher.open_range(site.url("/ok"), first=0) as answer:
        next(answer.body)
    assert read(fetcher, site.url("/ok")) == b"hello world!"


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1/file", "http://127.0.0.1.example/file", "https://127.0.0.1/file"]
)
def test_plain_http_is_for_this_very_machine_only(url: str) -> None:
    fetcher = LoopbackFetcher(FakeClock())
    with pytest.raises(UntrustedServerError, match="expected http on this machine"):
        next(fetcher.fetch(url))
