"""A server that speaks as much of S3 as ingest uses, over HTTP on loopback.

It is no S3: it shows what goes over the wire and what comes of failures.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

BUCKET = "okdrive"


class ObjectServer(ThreadingHTTPServer):
    """A bucket; ``failures`` are the statuses of the next answers, ``kept`` will not be deleted."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.authorizations: list[str] = []
        self.failures: list[int] = []
        self.kept: set[str] = set()

    @property
    def options(self) -> dict[str, str | bool]:
        """What ``[store.options]`` would say."""
        return {
            "endpoint": f"http://127.0.0.1:{self.server_port}",
            "allow_http": True,
            "region": "here",
            "access_key_id": "us",
            "secret_access_key": "secret",
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ObjectServer

    def do_PUT(self) -> None:
        key, body = self._asked()
        if not self._fails():
            self.server.objects[key] = body
            self._answer(200)

    def do_GET(self) -> None:
        key, _ = self._asked()
        if self._fails():
            return
        if "list-type=2" in self.path:
            self._answer(200, _listed(self.server.objects))
        elif key in self.server.objects:
            self._answer(200, self.server.objects[key])
        else:
            self._answer(404)

    def do_POST(self) -> None:
        """DeleteObjects: one answer for each key."""
        _, body = self._asked()
        if self._fails():
            return
        keys = [one.text or "" for one in ET.fromstring(body).iter() if one.tag.endswith("Key")]
        answers = "".join(map(self._deleted, keys))
        self._answer(200, f"<DeleteResult>{answers}</DeleteResult>".encode())

    def log_message(self, *_arguments: object) -> None:
        pass

    def _deleted(self, key: str) -> str:
        if key in self.server.kept:
            return f"<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
        self.server.objects.pop(key, None)
        return f"<Deleted><Key>{key}</Key></Deleted>"

    def _asked(self) -> tuple[str, bytes]:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.authorizations.append(self.headers.get("authorization", ""))
        path = unquote(urlsplit(self.path).path)
        return path.removeprefix(f"/{BUCKET}").lstrip("/"), body

    def _fails(self) -> bool:
        if not self.server.failures:
            return False
        self._answer(self.server.failures.pop(0))
        return True

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("etag", '"x"')
        self.send_header("last-modified", "Sun, 22 Nov 2026 12:00:00 GMT")
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def object_server() -> Iterator[ObjectServer]:
    """Serve an empty bucket until the end of the block."""
    with ObjectServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _listed(objects: dict[str, bytes]) -> bytes:
    entries = "".join(
        f"<Contents><Key>{key}</Key><Size>{len(content)}</Size><ETag>x</ETag>"
        "<LastModified>2026-11-22T12:00:00.000Z</LastModified></Contents>"
        for key, content in sorted(objects.items())
    )
    return (
        f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()
    )
