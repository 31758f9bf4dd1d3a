"""A workshop's address on loopback: it takes reports, or refuses them as it is told.

Use the fixture by importing it::

    from tests.support.workshop import workshop  # noqa: F401 (fixture)
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class FakeWorkshop:
    """An address that answers as it is told, and remembers what it was sent."""

    answers: list[int] = field(default_factory=list)  # statuses; then 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        workshop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                workshop.got.append((headers, body))
                self.send_response(workshop.answers.pop(0) if workshop.answers else 204)
                self.send_header("location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler


@pytest.fixture
def workshop() -> Iterator[FakeWorkshop]:
    fake = FakeWorkshop()
    server = ThreadingHTTPServer(("127.0.0.1", 0), fake.handler())
    fake.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()
