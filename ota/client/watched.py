"""How fast a server answers, watched below HTTP: also headers, chunk sizes and trailers count.

``http.client`` asks for whole lines, and a server that sends one byte of a header every 20 seconds
keeps every timeout between two bytes. Here each piece that the socket gives is counted, and only
the time spent waiting for the server.
"""

import http.client
import io
import socket
from collections.abc import Callable
from typing import Protocol

from ota.client.pace import SlidingSpeed


class TooSlowError(Exception):
    """A whole window was slower than the least speed; ``bytes_per_s`` is what came."""

    def __init__(self, bytes_per_s: float) -> None:
        super().__init__(f"{bytes_per_s:.0f} bytes/s")
        self.bytes_per_s = bytes_per_s


class _Clock(Protocol):
    def monotonic_s(self) -> float: ...


class WatchedReader(io.RawIOBase):
    """Reads from ``inner`` and raises TooSlowError once ``window_s`` of waiting was too slow.

    The window begins with the first byte: how long that may take is the socket's timeout.
    """

    def __init__(
        self, inner: io.RawIOBase, clock: _Clock, *, window_s: float, least_bytes_per_s: float
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._least = least_bytes_per_s
        self._speed = SlidingSpeed(window_s)
        self._waited_s = 0.0
        self._has_begun = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:  # type: ignore[override]
        """Read into ``buffer``; return how many bytes came, 0 at the end.

        Raises:
            TooSlowError: Too little came for too long.
        """
        before_s = self._clock.monotonic_s()
        count = self._inner.readinto(buffer)
        self._note(self._clock.monotonic_s() - before_s, count or 0)
        return count

    def close(self) -> None:
        """Close ``inner`` as well."""
        self._inner.close()
        super().close()

    def _note(self, waited_s: float, count: int) -> None:
        if self._has_begun:
            self._waited_s += waited_s
        self._has_begun = True
        self._speed.note(self._waited_s, count)
        if count and self._speed.is_below(self._waited_s, self._least):
            raise TooSlowError(self._speed.bytes_per_s(self._waited_s) or 0.0)


class WatchedResponse(http.client.HTTPResponse):
    """A response whose every byte comes through ``watch``, from the status line on."""

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
        *,
        watch: Callable[[io.RawIOBase], io.RawIOBase],
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self.fp = io.BufferedReader(watch(self.fp.detach()))
