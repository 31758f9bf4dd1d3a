"""Writes that wait for the disk: handed in on the event loop, done in order in a thread."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from agent.store.database import StoreError
from agent.store.vault import KeyLostError

log: Final = logging.getLogger(__name__)
MAX_PENDING: Final = 10_000
Write = Callable[[], None]


class PendingWrites:
    """A bounded queue of writes. ``dropped`` counts those that found no room in it."""

    def __init__(self) -> None:
        self.dropped = 0
        self._pending: list[Write] = []

    def add(self, write: Write) -> None:
        """Queue ``write``; never blocks."""
        if len(self._pending) >= MAX_PENDING:
            self.dropped += 1
            return
        self._pending.append(write)

    async def flush(self) -> None:
        """Do what is queued, in order; what the disk does not take stays queued."""
        todo, self._pending = self._pending, []
        if not todo:
            return
        done = await asyncio.to_thread(_act, todo)
        self._pending = todo[done:] + self._pending


def _act(todo: Sequence[Write]) -> int:
    """Do ``todo`` in order; return how much of it the disk took."""
    for done, act in enumerate(todo):
        try:
            act()
        except StoreError as error:
            log.error("watch_not_stored", extra={"code": error.code})  # noqa: TRY400 (one line)
            if error.code != KeyLostError.code:  # its turn never comes: what follows shall not wait
                return done
    return len(todo)
