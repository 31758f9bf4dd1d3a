"""Server-sent events: one number per change; the page then fetches what it shows anew.

Format (HTML Living Standard, 9.2): ``retry:`` once, then ``id:`` and ``data:`` with the number.
A browser that comes back sends Last-Event-ID and gets at once what it has missed.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

RETRY_MS = 1000
HEARTBEAT_S = 15.0  # a comment line, so that a browser that is gone is noticed
MAX_STREAMS = 8


class Events:
    """The open event streams; there are at most ``MAX_STREAMS``, and ``close`` ends all."""

    def __init__(
        self, wait_change: Callable[[int], Awaitable[int]], *, heartbeat_s: float = HEARTBEAT_S
    ) -> None:
        self._wait_change, self._heartbeat_s = wait_change, heartbeat_s
        self._open: set[object] = set()
        self._waiting: set[asyncio.Timeout] = set()
        self._is_closed = False

    @property
    def is_full(self) -> bool:
        """Whether one more stream would be too many."""
        return len(self._open) >= MAX_STREAMS

    async def stream(self, after: int) -> AsyncIterator[bytes]:
        """Yield the events after number ``after`` until ``close`` or until nobody listens."""
        ticket = object()
        self._open.add(ticket)
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            known, seen = after, 0  # after a restart numbers begin anew: never wait for an old one
            while not self._is_closed:
                number = await self._next(seen)
                if number is None:
                    yield b": still here\n\n"
                    continue
                seen, is_known = number, number == known and seen == 0
                if not is_known:
                    yield f"id: {number}\ndata: {number}\n\n".encode()
        finally:
            self._open.discard(ticket)

    def close(self) -> None:
        """End every stream at once: a server that waits for them would never stop."""
        self._is_closed = True
        for timeout in self._waiting:
            timeout.reschedule(asyncio.get_running_loop().time())

    async def _next(self, after: int) -> int | None:
        waiting = asyncio.timeout(self._heartbeat_s)
        self._waiting.add(waiting)
        try:
            async with waiting:
                return await self._wait_change(after)
        except TimeoutError:
            return None
        finally:
            self._waiting.discard(waiting)
