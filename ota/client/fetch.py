"""HTTPS with a client certificate: the only module that knows urllib3, and the Fetcher of the car.

No proxy from the environment, no redirect, no compression, no system-wide CA: this vehicle talks to
its own two repositories and to nobody else.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError, SSLError

from ota.client.ports import Clock
from ota.errors import (
    EndlessDataError,
    NetworkError,
    ServerRefusedError,
    SlowRetrievalError,
    UntrustedServerError,
)

_OK = 200
_CHUNK_BYTES = 65_536
_LOOPBACK = frozenset({("http", "127.0.0.1"), ("http", "[::1]"), ("http", "localhost")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long we wait for a server."""

    connect_timeout_s: float = 10.0
    gap_timeout_s: float = 30.0  # longest silence between two pieces
    min_bytes_per_s: int = 512  # over slow_window_s; slower is a kept-back update
    slow_window_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsSettings(Patience):
    """Who we are to the repositories, and how long we wait for them."""

    ca_file: Path
    cert_file: Path
    key_file: Path


class _HttpFetcher:
    """What both fetchers share; ``context`` proves who the server is, if anything does."""

    def __init__(self, settings: Patience, clock: Clock, context: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._clock = clock
        self._pool = urllib3.PoolManager(
            ssl_context=context,
            retries=False,
            timeout=urllib3.Timeout(
                connect=settings.connect_timeout_s, read=settings.gap_timeout_s
            ),
            headers={"Accept-Encoding": "identity", "User-Agent": "okdrive"},
        )

    def _check_address(self, url: str) -> None:
        if not url.startswith("https://"):
            raise UntrustedServerError(url, expected="an https address", got="another")

    def fetch(self, url: str) -> Iterator[bytes]:
        """Yield the body of ``url``; see ``ports.Fetcher``."""
        return self._fetch("GET", url, None)

    def post(self, url: str, body: bytes, *, max_bytes: int) -> bytes:
        """Send ``body`` to ``url`` and return the answer; see ``ports.Fetcher``."""
        answer = bytearray()
        for chunk in self._fetch("POST", url, body):
            answer += chunk
            if len(answer) > max_bytes:
                raise EndlessDataError(url, expected=f"at most {max_bytes} bytes", got="more")
        return bytes(answer)

    def close(self) -> None:
        """Close the connections that are kept for the next file."""
        self._pool.clear()

    def _fetch(self, method: str, url: str, body: bytes | None) -> Iterator[bytes]:
        self._check_address(url)
        with _translated(url):
            response = self._pool.request(
                method,
                url,
                body=body,
                headers=None if body is None else {"Content-Type": "application/json"},
                preload_content=False,
                decode_content=False,
                redirect=False,
            )
            is_whole = False
            try:
                if response.status != _OK:
                    raise ServerRefusedError(url, status=response.status)
                yield from self._watched(url, response)
                is_whole = True
            finally:
                if is_whole:
                    response.release_conn()  # the next file saves a handshake
                else:
                    response.close()

    def _watched(self, url: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        started, received = self._clock.monotonic_s(), 0
        while chunk := response.read1(_CHUNK_BYTES):
            yield chunk
            received += len(chunk)
            elapsed = self._clock.monotonic_s() - started
            if elapsed >= self._settings.slow_window_s:
                if received < self._settings.min_bytes_per_s * elapsed:
                    raise SlowRetrievalError(
                        url,
                        expected=f">= {self._settings.min_bytes_per_s} bytes/s",
                        got=f"{received / elapsed:.0f}",
                    )
                started, received = self._clock.monotonic_s(), 0


class HttpsFetcher(_HttpFetcher):
    """Meets ``ports.Fetcher``; thread-safe."""

    def __init__(self, settings: HttpsSettings, clock: Clock) -> None:
        super().__init__(settings, clock, _tls(settings))


class LoopbackFetcher(_HttpFetcher):
    """Meets ``ports.Fetcher`` by plain HTTP, from this very machine only: a repository on trial.

    Nothing rests on the transport: what comes is verified like anything else.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(Patience(), clock, None)

    def _check_address(self, url: str) -> None:
        address = urllib3.util.parse_url(url)
        if (address.scheme, address.host) not in _LOOPBACK:
            raise UntrustedServerError(url, expected="http on this machine", got="another address")


def _tls(settings: HttpsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_file))
        context.load_cert_chain(settings.cert_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        raise UntrustedServerError(
            f"{settings.ca_file}, {settings.cert_file}, {settings.key_file}",
            expected="readable certificates and a key that belongs to them",
            got=str(error),
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except SSLError as error:
        raise UntrustedServerError(url, expected="a server we trust", got=str(error)) from error
    except ReadTimeoutError as error:
        raise SlowRetrievalError(url, expected="an answer in time", got=str(error)) from error
    except (HTTPError, OSError) as error:
        raise NetworkError(url, expected="an answer", got=str(error)) from error
