"""The processes of the download benchmark: a server of large files, and who downloads one.

``python -m benchmarks.download_child serve|ours|slow|tuf|tuf-slow FOLDER`` reads its
``setting.json`` there.
"""

import hashlib
import json
import os
import socket
import ssl
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface, Updater

from agent.clock import SystemClock
from ota.client.download import Downloader
from ota.client.fetch import HttpsFetcher, HttpsSettings
from ota.client.offer import Offer
from ota.errors import OtaError
from ota.metadata.chunks import CHUNK_BYTES, describe
from ota.metadata.custom import Criticality, Facts, ImageCustom, Kind, Release

TARGET = "app/big/1.0.0/big-1.0.0.okp"
_PAGE = 65_536


def block(index: int) -> bytes:
    """Return chunk ``index`` of the file: cheap to make, and like no other chunk."""
    return index.to_bytes(8, "big") * (CHUNK_BYTES // 8)


def describe_file(length: int) -> tuple[str, bytes]:
    """Return SHA-256 (hex) and chunk list of the file of ``length`` bytes (a multiple)."""
    whole, digests = hashlib.sha256(), bytearray()
    for index in range(length // CHUNK_BYTES):
        whole.update(block(index))
        digests += hashlib.sha256(block(index)).digest()
    return whole.hexdigest(), bytes(digests)


class _Handler(BaseHTTPRequestHandler):
    length = 0
    sent = 0
    chunks = b""
    chunks_name = ""
    counted: TextIO

    def do_GET(self) -> None:
        """Answer with a part of the file, its list, the bytes sent, or two bytes a second."""
        if self.path == "/sent":
            said = str(type(self).sent).encode()
            self._answer(200, [said], length=len(said))
        elif self.path.startswith("/slow/"):
            self._answer(200, self._drip(), length=self.length)
        elif self.chunks_name in self.path:
            self._answer(200, [self.chunks], length=len(self.chunks))
        else:
            first = int((self.headers["Range"] or "bytes=0-").partition("=")[2].split("-")[0])
            self._answer(206 if "Range" in self.headers else 200, self._file(first), first=first)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""

    def _answer(
        self,
        status: int,
        body: Iterable[bytes],
        *,
        first: int | None = None,
        length: int = 0,
    ) -> None:
        self.send_response(status)
        if first is not None:
            length = self.length - first
            self.send_header("Content-Range", f"bytes {first}-{self.length - 1}/{self.length}")
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(length))
        self.end_headers()
        try:
            for piece in body:
                self.wfile.write(piece)
        except OSError:
            self.close_connection = True  # whoever asked has gone

    def _file(self, first: int) -> Iterator[bytes]:
        for index in range(first // CHUNK_BYTES, self.length // CHUNK_BYTES):
            content = block(index)
            start = max(0, first - index * CHUNK_BYTES)
            for at in range(start, CHUNK_BYTES, _PAGE):
                piece = content[at : at + _PAGE]
                type(self).sent += len(piece)
                self.counted.seek(0)
                self.counted.write(str(type(self).sent))
                self.counted.flush()
                yield piece

    def _drip(self) -> Iterator[bytes]:
        for _ in count():
            time.sleep(1)
            yield b"ab"


class _TufFetcher(FetcherInterface):
    def __init__(self, inner: HttpsFetcher) -> None:
        self._inner = inner

    def _fetch(self, url: str) -> Iterator[bytes]:
        return self._inner.fetch(url)


def main(what: str, folder: Path) -> None:
    """Be the process ``what``; one that downloads prints one JSON object."""
    setting = json.loads((folder / "setting.json").read_text())
    if what == "serve":
        _serve(folder, setting)
    else:
        _download(what, folder, setting)


def _serve(folder: Path, setting: dict[str, Any]) -> None:
    _Handler.counted = (folder / "sent").open("w")
    _Handler.length = setting["length"]
    _Handler.chunks = bytes.fromhex(setting["chunks"])
    _Handler.chunks_name = hashlib.sha256(_Handler.chunks).hexdigest()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=setting["ca"])
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(setting["server_cert"], setting["server_key"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    # Else what waits in the server's own buffers counts as sent.
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PAGE)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    beside = folder / "port.new"
    beside.write_text(str(server.server_address[1]))
    beside.replace(folder / "port")
    server.serve_forever()


def _download(what: str, folder: Path, setting: dict[str, Any]) -> None:
    url = f"https://127.0.0.1:{(folder / 'port').read_text()}"
    tls = HttpsSettings(
        ca_file=Path(setting["ca"]), cert_file=Path(setting["cert"]), key_file=Path(setting["key"])
    )
    if what.startswith("tuf"):  # python-tuf knows a silence, and no least speed
        tls = replace(tls, min_bytes_per_s=0)
    fetcher = HttpsFetcher(tls, SystemClock())
    b"".join(fetcher.fetch(f"{url}/sent"))  # TLS is set up before anything is measured
    offer = offer_of(setting)
    _reset_peak()
    written, resident, began_s = _written(), _peak_kib(), time.monotonic()
    code = None
    try:
        if what.startswith("tuf"):
            site = f"{url}/slow" if what == "tuf-slow" else url
            _with_tuf(_TufFetcher(fetcher), site, folder, setting)
        else:
            _with_ours(fetcher, f"{url}/slow" if what == "slow" else url, folder, offer)
    except OtaError as error:
        code = error.code
    found = {
        "written": _written() - written,
        "grown_bytes": (_peak_kib() - resident) * 1024,
        "seconds": time.monotonic() - began_s,
        "code": code,
        "sent": int(b"".join(fetcher.fetch(f"{url}/sent"))),
    }
    print(json.dumps(found))


def offer_of(setting: dict[str, Any]) -> Offer:
    """Return the offer of the file that ``setting`` describes."""
    facts = Facts(
        purpose="A file.", changes=("It.",), duration_s=1, unavailable="No.", instructions="No."
    )
    custom = ImageCustom(
        hardware_ids=("board-1",),
        release_counter=1,
        version="1.0.0",
        kind=Kind.APP,
        name="big",
        release=Release(criticality=Criticality.FEATURE, facts={"en": facts}),
        chunks=describe(bytes.fromhex(setting["chunks"])),
    )
    return Offer(
        content_hash=setting["sha256"],
        ecu_id="ecu-1",
        target=TARGET,
        length=setting["length"],
        hashes={"sha256": setting["sha256"]},
        custom=custom,
    )


def _with_ours(fetcher: HttpsFetcher, url: str, folder: Path, offer: Offer) -> None:
    Downloader(
        fetcher,
        targets_url=f"{url}/",
        folder=folder / "images",
        on_progress=lambda _progress: None,
        clock=SystemClock(),
    ).download(offer)


def _with_tuf(fetcher: _TufFetcher, url: str, folder: Path, setting: dict[str, Any]) -> None:
    updater = Updater(
        str(folder / "metadata"),
        f"{url}/",
        target_dir=str(folder),
        target_base_url=f"{url}/",
        fetcher=fetcher,
        bootstrap=(folder / "root.json").read_bytes(),
    )
    file = TargetFile(setting["length"], {"sha256": setting["sha256"]}, TARGET)
    updater.download_target(file, str(folder / "by-tuf"))


def _written() -> int:
    os.sync()  # pages that wait are ours too
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes")).split()[1])


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
