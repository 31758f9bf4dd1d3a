"""HTTPS with a client certificate: the only module that knows urllib3, and the Fetcher of the car.

No proxy from the environment, no redirect, no compression, no system-wide CA: this vehicle talks to
its own two repositories and to nobody else.
"""

import io
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import urllib3
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError, SSLError

from ota.client.ports import Clock, RangeAnswer
from ota.client.watched import TooSlowError, WatchedReader, WatchedResponse
from ota.errors import (
    EndlessDataError,
    NetworkError,
    ServerRefusedError,
    SlowRetrievalError,
    UntrustedServerError,
    WrongAnswerError,
)

_OK, _PARTIAL = 200, 206
_MAX_PAGE_BYTES = 4_096
_MAX_RETRY_AFTER_S = 86_400.0  # a server may ask for a day, not for ever
_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_SECONDS = re.compile(r"[0-9]{1,9}")
_DIGITS = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"bytes (?P<first>[0-9]{1,18})-[0-9]{1,18}/(?P<total>[0-9]{1,18}|\*)")
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,200}"')  # a weak one says nothing about bytes
_CHUNK_BYTES = 65_536
_LOOPBACK = frozenset({("http", "127.0.0.1"), ("http", "[::1]"), ("http", "localhost")})
# What has come and was not read is fetched again after a restart. The kernel would let it grow to
# 6 MiB; this (it doubles it) still fills 40 Mbit/s at a round trip of 200 ms.
_RECEIVE_BYTES = 524_288


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
            socket_options=[
                *HTTPConnection.default_socket_options,
                (socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES),
            ],
        )
        self._pool.pool_classes_by_scheme = _watched_pools(self._watch)

    def _watch(self, inner: io.RawIOBase) -> io.RawIOBase:
        return WatchedReader(
            inner,
            self._clock,
            window_s=self._settings.slow_window_s,
            least_bytes_per_s=self._settings.min_bytes_per_s,
        )

    def _check_address(self, url: str) -> None:
        if not url.startswith("https://"):
            raise UntrustedServerError(url, expected="an https address", got="another")

    def fetch(self, url: str) -> Iterator[bytes]:
        """Yield the body of ``url``; see ``ports.Fetcher``."""
        with self._asked("GET", url) as response:
            _expect(url, response, {_OK})
            yield from self._body(url, response)

    @contextmanager
    def open_range(
        self, url: str, *, first: int, stop: int | None = None, if_range: str | None = None
    ) -> Iterator[RangeAnswer]:
        """Ask for a part of ``url``; see ``ports.Fetcher``."""
        headers = {}
        if first or stop is not None:
            headers["Range"] = f"bytes={first}-{'' if stop is None else stop - 1}"
            if if_range is not None:
                headers["If-Range"] = if_range
        with self._asked("GET", url, headers=headers) as response:
            _expect(url, response, {_OK, _PARTIAL} if headers else {_OK})
            found = _content_range(url, response, first)
            yield RangeAnswer(
                first=found[0],
                total=found[1],
                etag=_strong_etag(response),
                body=self._body(url, response),
            )

    def post(self, url: str, body: bytes, *, max_bytes: int) -> bytes:
        """Send ``body`` to ``url`` and return the answer; see ``ports.Fetcher``."""
        answer = bytearray()
        headers = {"Content-Type": "application/json"}
        with self._asked("POST", url, body=body, headers=headers) as response:
            _expect(url, response, {_OK})
            for chunk in self._body(url, response):
                answer += chunk
                if len(answer) > max_bytes:
                    raise EndlessDataError(url, expected=f"at most {max_bytes} bytes", got="more")
        return bytes(answer)

    def close(self) -> None:
        """Close the connections that are kept for the next file."""
        for key in self._pool.pools.keys():  # noqa: SIM118 (its own container: not iterable)
            self._pool.pools[key].close()
        self._pool.clear()  # alone it leaves closing to the garbage collector

    @contextmanager
    def _asked(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        self._check_address(url)
        with self._translated(url):
            response = self._pool.request(
                method,
                url,
                body=body,
                headers={**self._pool.headers, **headers},
                preload_content=False,
                decode_content=False,
                redirect=False,
            )
            try:
                yield response
            finally:
                if response.closed:
                    response.release_conn()  # read to its end: the next file saves a handshake
                else:
                    response.close()

    def _translated(self, url: str) -> AbstractContextManager[None]:
        return _translated(url, self._settings.min_bytes_per_s)

    def _body(self, url: str, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        with self._translated(url):
            while chunk := response.read1(_CHUNK_BYTES):
                yield chunk


def _watched_pools(
    watch: Callable[[io.RawIOBase], io.RawIOBase],
) -> dict[str, type[HTTPConnectionPool]]:
    """Return kinds of connections whose answers are watched from the status line on."""
    response = staticmethod(partial(WatchedResponse, watch=watch))
    plain = type("_Plain", (HTTPConnection,), {"response_class": response})
    tls = type("_Tls", (HTTPSConnection,), {"response_class": response})
    return {
        "http": type("_PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("_TlsPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
    }


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


def _expect(url: str, response: urllib3.BaseHTTPResponse, wanted: set[int]) -> None:
    if response.status not in wanted:
        _skip_page(response)
        wish = response.headers.get("Retry-After", "")
        # The other form, a date, is not read: it needs a wall clock that both sides share.
        after_s = min(float(wish), _MAX_RETRY_AFTER_S) if _SECONDS.fullmatch(wish) else None
        raise ServerRefusedError(url, status=response.status, retry_after_s=after_s)
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise WrongAnswerError(url, expected="the file's own bytes", got=f"{encoding[:40]} bytes")
    media = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media in _PAGES:
        raise WrongAnswerError(url, expected="a file", got=f"a page for people ({media})")


def _skip_page(response: urllib3.BaseHTTPResponse) -> None:
    """Read the short page that explains an error, so that the connection serves the next file."""
    length = response.headers.get("Content-Length", "")
    if _DIGITS.fullmatch(length) and int(length) <= _MAX_PAGE_BYTES:
        while response.read1(_MAX_PAGE_BYTES):
            pass


def _content_range(
    url: str, response: urllib3.BaseHTTPResponse, first: int
) -> tuple[int, int | None]:
    """Return the first byte and the whole length that the server says it sends."""
    if response.status == _OK:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if _DIGITS.fullmatch(length) else None
    said = response.headers.get("Content-Range", "")
    found = _RANGE.fullmatch(said)
    if found is None or int(found["first"]) != first:
        raise WrongAnswerError(url, expected=f"bytes from {first}", got=f"{said[:60]!r}")
    total = found["total"]
    return first, None if total == "*" else int(total)


def _strong_etag(response: urllib3.BaseHTTPResponse) -> str | None:
    etag = response.headers.get("ETag", "")
    return etag if _STRONG_ETAG.fullmatch(etag) else None


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
def _translated(url: str, least_bytes_per_s: int) -> Iterator[None]:
    try:
        yield
    except TooSlowError as error:
        wanted = f">= {least_bytes_per_s} bytes/s"
        raise SlowRetrievalError(url, expected=wanted, got=str(error)) from error
    except SSLError as error:
        if isinstance(error.args[0] if error.args else None, ssl.SSLEOFError):  # cut, not refused
            raise NetworkError(url, expected="a handshake", got=str(error)) from error
        raise UntrustedServerError(url, expected="a server we trust", got=str(error)) from error
    except ReadTimeoutError as error:
        raise SlowRetrievalError(url, expected="an answer in time", got=str(error)) from error
    except (HTTPError, OSError) as error:
        raise NetworkError(url, expected="an answer", got=str(error)) from error
