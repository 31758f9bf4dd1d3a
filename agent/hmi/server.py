"""Serve the screen on loopback, inside the daemon's own event loop."""

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import uvicorn

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 32  # the kiosk, a phone and a shell; more is not a driver
MAX_HEADER_BYTES = 16 * 1024
DRAIN_S = 2  # for answers under way when the daemon stops


class ScreenError(Exception):
    """The screen cannot be served; ``code`` is stable and nothing else is affected."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class ScreenApp(Protocol):
    """What ``create_app`` returns: an ASGI application with its open event streams."""

    state: Any  # starlette's bag; ``state.events`` is the Events of this app

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:  # noqa: ANN401 (ASGI)
        """Answer one request."""


def bind_loopback(host: str, port: int) -> socket.socket:
    """Return a socket bound to ``host``; port 0 takes a free one.

    Raises:
        ScreenError: ``host`` is not of this machine only, or the port is taken.
    """
    address = "127.0.0.1" if host == "localhost" else host
    if not _is_loopback(address):
        raise ScreenError(
            "screen.not_loopback",
            f"screen: expected a loopback address such as 127.0.0.1, found {host!r}; the screen is "
            "not served and everything else runs; correct the address in the configuration",
        )
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
        listener.listen()
    except (OSError, OverflowError) as error:  # OverflowError: no such port number
        listener.close()
        raise _bind_error(host, port, error) from error
    return listener


async def serve(
    app: ScreenApp,
    *,
    host: str,
    port: int,
    stop: asyncio.Event,
    on_bound: Callable[[int], None] | None = None,
) -> None:
    """Serve ``app`` until ``stop`` is set; installs no signal handlers and no log settings.

    Args:
        app: From ``create_app``.
        host: A loopback address.
        port: 0 takes a free port.
        stop: Set it to end; open event streams are ended first.
        on_bound: Called once with the real port when requests are answered.

    Raises:
        ScreenError: See ``bind_loopback``.
    """
    await _serve(app, bind_loopback(host, port), stop, on_bound)


async def serve_unix(app: ScreenApp, path: Path, *, stop: asyncio.Event) -> None:
    """Serve ``app`` on a UNIX socket until ``stop``; user and group of the agent may open it.

    Where no socket can be (a path of more than 107 bytes, a disk without sockets) it says so in
    the log and waits: the loopback address answers the same.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await asyncio.to_thread(_bind_unix, listener, path)
    except OSError as error:
        listener.close()
        log.warning("owner_socket_unavailable", extra={"reason": str(error)})
        await stop.wait()
        return
    await _serve(app, listener, stop, None)


def _bind_unix(listener: socket.socket, path: Path) -> None:
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    path.chmod(0o660)
    listener.listen()


async def _serve(
    app: ScreenApp,
    listener: socket.socket,
    stop: asyncio.Event,
    on_bound: Callable[[int], None] | None,
) -> None:
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_graceful_shutdown=DRAIN_S,
    )
    server = _Server(config, stop, on_bound=on_bound, on_stop=app.state.events.close)
    try:
        await server.serve(sockets=[listener])
    finally:
        listener.close()


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        stop: asyncio.Event,
        *,
        on_bound: Callable[[int], None] | None,
        on_stop: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._stop, self._on_bound, self._on_stop = stop, on_bound, on_stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the daemon."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_bound is not None and sockets:
            self._on_bound(sockets[0].getsockname()[1])

    async def main_loop(self) -> None:
        """Sleep until the end, instead of looking ten times a second."""
        try:
            await self._stop.wait()
        finally:
            self._on_stop()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _bind_error(host: str, port: int, error: OSError | OverflowError) -> ScreenError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return ScreenError(
            "screen.port_taken",
            f"screen: expected port {port} on {host} to be free, found another program on it; "
            "nothing is lost and recording goes on; end that program or set another port",
        )
    return ScreenError(
        "screen.no_address",
        f"screen: expected to open {host} port {port}, found: {error}; nothing is lost "
        "and recording goes on; correct the address in the configuration",
    )
