"""What connections cost: bytes per day and class of network, durable, and when it is enough."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from agent.network.model import NetworkClass
from agent.store.uplink_notes import UplinkNotes
from telemetry.link import LinkError


class Clock(Protocol):
    """Days are counted as the wall says; a jump costs or gives at most a day's budget."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""


class Meter(Protocol):
    """What is measured."""

    @property
    def traffic_bytes(self) -> int:
        """Return what this connection has cost so far, both ways."""


class Spending:
    """The account of one connection after the other."""

    def __init__(
        self,
        notes: UplinkNotes,
        *,
        clock: Clock,
        network: Callable[[], NetworkClass],
        bytes_per_day: Mapping[NetworkClass, int],
    ) -> None:
        self._notes = notes
        self._clock = clock
        self._network = network
        self._bytes_per_day = bytes_per_day
        self._charged_bytes = 0
        self._before_bytes = 0

    def today(self) -> int:
        """Return what today has cost so far on the network of now. Blocks."""
        return self._notes.spent(self._clock.utc_now().date(), self._network())

    def begin(self, before_bytes: int) -> None:
        """Start the account of a connection; ``before_bytes`` is what today had cost already."""
        self._before_bytes, self._charged_bytes = before_bytes, 0

    def charge(self, meter: Meter) -> None:
        """Write down what was spent since the last call, so that a power cut forgives nothing.

        Blocks.
        """
        new_bytes = meter.traffic_bytes - self._charged_bytes
        if new_bytes > 0:
            self._charged_bytes += new_bytes
            self._notes.spend(self._clock.utc_now().date(), self._network(), new_bytes)

    def expect_affordable(self, meter: Meter, size_bytes: int) -> None:
        """Return if ``size_bytes`` more may be sent on this connection; does not block.

        The network may have become another one since the connection was made.

        Raises:
            LinkError: uplink.budget; what was sent so far is not lost.
        """
        network = self._network()
        limit = self._bytes_per_day.get(network)
        if limit is None:
            return
        spent = self._before_bytes + meter.traffic_bytes
        # a batch larger than a whole day's budget may use the whole day once
        if limit == 0 or (self._before_bytes and spent + size_bytes > limit):
            raise LinkError(
                f"the {network} network's budget of {limit:,} bytes a day is used; the rest waits",
                code="uplink.budget",
            )
