"""Follows what the network costs for as long as the daemon runs."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

from agent.network.model import NetworkBusError, NetworkClass, NetworkFacts, network_class

if TYPE_CHECKING:
    from agent.network.bus import NetworkBus

log = logging.getLogger(__name__)

SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
_UNIX = "unix:path="


class NetworkWatch:
    """Knows the class of the network now; without a bus that answers, ``model.UNKNOWN``.

    ``now`` may be asked from any thread. ``on_change`` is called in the loop's thread.
    """

    def __init__(
        self,
        *,
        said: NetworkClass | None = None,  # by the configuration: nobody is asked then
        bus: str = SYSTEM_BUS,
        on_change: Callable[[], None] = lambda: None,
        retry_s: float = 60.0,
    ) -> None:
        self._said = said
        self._address = bus
        self._on_change = on_change
        self._retry_s = retry_s
        self._facts: NetworkFacts | None = None
        self._turn = asyncio.Event()

    def now(self) -> NetworkClass:
        """Return what a byte costs now."""
        return self._said or network_class(self._facts)

    def sentence(self) -> str:
        """Say which network this is, and who says so."""
        if self._said:
            return f"{self._said}, says the configuration"
        if self._facts is None:
            return f"{self.now()}, because nobody on this board says what it costs"
        kind = self._facts.kind or "no connection"
        return f"{self.now()}, says NetworkManager ({kind})"

    async def run(self, stop: asyncio.Event) -> None:
        """Follow NetworkManager until ``stop``; a bus that goes away is tried again."""
        if self._said:
            await stop.wait()
        while not stop.is_set():
            if await asyncio.to_thread(self._is_there):
                await self._follow_once(stop)
                self._learn(None)
            await _pause(stop, self._retry_s)

    def _is_there(self) -> bool:
        path = self._address.removeprefix(_UNIX).partition(",")[0]
        return not self._address.startswith(_UNIX) or Path(path).exists()

    async def _follow_once(self, stop: asyncio.Event) -> None:
        bus_type = await asyncio.to_thread(_load)
        try:
            bus = await bus_type.open(self._address, self._turn.set)
            try:
                await self._follow(bus, stop)
            finally:
                bus.close()
        except NetworkBusError as error:
            log.info("network_unknown", extra={"reason": str(error)})

    async def _follow(self, bus: "NetworkBus", stop: asyncio.Event) -> None:
        failure = None
        async with asyncio.TaskGroup() as group:
            ends = [
                group.create_task(self._turn_when(stop.wait()), name="network_stop"),
                group.create_task(self._turn_when(bus.wait_lost()), name="network_lost"),
            ]
            try:
                while not any(end.done() for end in ends):
                    self._turn.clear()
                    self._learn(await bus.facts())
                    await self._turn.wait()
            except NetworkBusError as error:  # leaves the group by itself, not in a group of errors
                failure = error
            for end in ends:
                end.cancel()
        if failure:
            raise failure

    async def _turn_when(self, over: Coroutine[object, object, object]) -> None:
        await over
        self._turn.set()

    def _learn(self, facts: NetworkFacts | None) -> None:
        before, self._facts = self.now(), facts
        if self.now() is not before:
            log.info("network_changed", extra={"network": self.now().value})
            self._on_change()


def _load() -> "type[NetworkBus]":
    """Import dbus-fast, 3 MB of memory that a board without a bus does not pay. Blocks."""
    from agent.network.bus import NetworkBus  # noqa: PLC0415

    return NetworkBus


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
