"""Both repositories over real TLS, with faults: a server that answers wrongly, and a way to it.

``FaultySite`` serves a ``RepositorySimulator`` with ranges and entity tags as a good server does;
each of ``faults`` changes one answer to what ``is_hit`` picks, the first the first. What happens
below HTTP (cuts, silence, a trickle) is ``proxy.counting_proxy``'s matter.
"""

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from agent.clock import SystemClock
from ota.client.fetch import HttpsFetcher, HttpsSettings
from ota.client.ports import RangeAnswer
from sim.pki import Authority, Identity
from tests.support.repository_simulator import BASE, RepositorySimulator


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent, a byte every ``pause_s`` if that is set.

    ``length`` is what is announced, None: what ``body`` has.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    length: int | None = None
    pause_s: float = 0.0


Fault = Callable[[Answer], Answer]


def with_headers(answer: Answer, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return replace(answer, headers=answer.headers | named)


def gzipped(answer: Answer) -> Answer:
    return with_headers(replace(answer, body=gzip.compress(answer.body)), Content_Encoding="gzip")


def gzipped_in_secret(answer: Answer) -> Answer:
    """Compressed, and nothing says so."""
    return replace(answer, body=gzip.compress(answer.body))


def login_page(_: Answer) -> Answer:
    return Answer(200, {"Content-Type": "text/html"}, b"<html>Sign in to use this network</html>")


def login_page_in_secret(_: Answer) -> Answer:
    return Answer(200, {}, b"<html>Sign in to use this network</html>")


def redirected(_: Answer) -> Answer:
    return Answer(302, {"Location": "https://127.0.0.1:1/elsewhere"}, b"")


def refused(status: int, **headers: str) -> Fault:
    return lambda _: with_headers(Answer(status, {}, b""), **headers)


def other_range(answer: Answer) -> Answer:
    return with_headers(answer, Content_Range=f"bytes 0-{len(answer.body)}/{len(answer.body) + 1}")


def another_length(answer: Answer) -> Answer:
    said = answer.headers.get("Content-Range", "").partition("/")[0]
    return with_headers(answer, Content_Range=f"{said}/123")


def other_etag(answer: Answer) -> Answer:
    return with_headers(answer, ETag='"another"')


def broken_off(answer: Answer) -> Answer:
    half = len(answer.body) // 2
    return replace(answer, body=answer.body[:half], length=len(answer.body))


def ends_early(answer: Answer) -> Answer:
    """Half of it, announced as the whole."""
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def with_more(answer: Answer) -> Answer:
    return replace(answer, body=answer.body + b"more")


def trickling(answer: Answer) -> Answer:
    return replace(answer, pause_s=0.05)


def one_byte_changed(answer: Answer) -> Answer:
    half = len(answer.body) // 2
    changed = bytes([answer.body[half] ^ 1])
    return replace(answer, body=answer.body[:half] + changed + answer.body[half + 1 :])


def without_ranges(answer: Answer) -> Answer:
    return answer  # the site leaves the range out, see ``_Handler``


@dataclass
class FaultySite:
    """A server of both repositories; ``asked`` are the paths and ranges, in order."""

    simulator: RepositorySimulator
    is_hit: Callable[[str], bool] = lambda _path: False
    faults: list[Fault] = field(default_factory=list)
    is_stubborn: bool = False  # the first fault happens again and again
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent_bytes: int = 0
    port: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def next_fault(self, path: str) -> Fault | None:
        if not self.is_hit(path) or not self.faults:
            return None
        return self.faults[0] if self.is_stubborn else self.faults.pop(0)


class _Handler(BaseHTTPRequestHandler):
    site: FaultySite
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        site, path = self.site, self.path.lstrip("/")
        site.asked.append((path, self.headers["Range"]))
        fault = site.next_fault(path)
        body = site.simulator._body(path)
        if body is None:
            self._send(Answer(404, {}, b""))
            return
        answer = Answer(200, {"ETag": '"1"'}, body)
        if "Range" in self.headers and fault is not without_ranges:
            answer = _partial(answer, self.headers["Range"])
        self._send(answer if fault is None else fault(answer))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._send(Answer(200, {}, self.site.simulator.post(self.path, body, max_bytes=1)))

    def _send(self, answer: Answer) -> None:
        length = len(answer.body) if answer.length is None else answer.length
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if answer.pause_s:
            self._trickle(answer)
            return
        self.wfile.write(answer.body)
        self.site.sent_bytes += len(answer.body)
        self.close_connection = length != len(answer.body)

    def _trickle(self, answer: Answer) -> None:
        for byte in answer.body:
            self.wfile.write(bytes([byte]))
            if self.site.is_over.wait(answer.pause_s):
                return

    def log_message(self, *_args: object) -> None:
        return


def _partial(answer: Answer, asked: str) -> Answer:
    first, _, last = asked.removeprefix("bytes=").partition("-")
    stop = int(last) + 1 if last else len(answer.body)
    said = f"bytes {first}-{stop - 1}/{len(answer.body)}"
    headers = answer.headers | {"Content-Range": said}
    return Answer(206, headers, answer.body[int(first) : stop])


@contextmanager
def faulty_site(simulator: RepositorySimulator, authority: Authority) -> Iterator[FaultySite]:
    """Serve ``simulator`` on loopback, to vehicles of ``authority`` only."""
    site = FaultySite(simulator)
    identity = authority.issue_server("site", hosts=("127.0.0.1",), now=SystemClock().utc_now())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(identity.ca_file))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(identity.cert_file, identity.key_file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    server.handle_error = lambda *_args: None  # type: ignore[method-assign] # cut connections
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        site.is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class RelocatedFetcher:
    """Meets ``ports.Fetcher``: the simulator's address is that of a port on this machine."""

    def __init__(self, who: Identity, port: int, **patience: float) -> None:
        settings = HttpsSettings(
            ca_file=who.ca_file,
            cert_file=who.cert_file,
            key_file=who.key_file,
            **patience,  # type: ignore[arg-type]
        )
        self._inner = HttpsFetcher(settings, SystemClock())
        self._base = f"https://127.0.0.1:{port}"

    def fetch(self, url: str) -> Iterator[bytes]:
        return self._inner.fetch(self._at(url))

    def open_range(
        self, url: str, *, first: int, stop: int | None = None, if_range: str | None = None
    ) -> AbstractContextManager[RangeAnswer]:
        return self._inner.open_range(self._at(url), first=first, stop=stop, if_range=if_range)

    def post(self, url: str, body: bytes, *, max_bytes: int) -> bytes:
        return self._inner.post(self._at(url), body, max_bytes=max_bytes)

    def close(self) -> None:
        self._inner.close()

    def _at(self, url: str) -> str:
        return url.replace(BASE, self._base, 1)


def new_authority(folder: Path) -> tuple[Authority, Identity]:
    """Return a CA and a vehicle it has issued a certificate to."""
    now = SystemClock().utc_now()
    authority = Authority.create(folder, name="okdrive test CA", now=now)
    return authority, authority.issue_client("vehicle-a", now=now)
