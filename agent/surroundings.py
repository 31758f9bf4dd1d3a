"""What the uplink asks about vehicle and network before it spends anything."""

import threading
from collections.abc import Callable
from typing import Protocol

from agent.departure import Surroundings
from agent.network.model import NetworkClass
from agent.vehicle.live import LiveView, Motion


class Clock(Protocol):
    """One hand is enough here."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""


class SurroundingsWatch:
    """Knows since when the vehicle has been parked. May be asked from any thread."""

    def __init__(
        self, live: Callable[[], LiveView], *, network: Callable[[], NetworkClass], clock: Clock
    ) -> None:
        self._live = live
        self._network = network
        self._clock = clock
        self._parked_since_s: float | None = None
        self._lock = threading.Lock()

    def look(self) -> Surroundings:
        """Return what is known now; the parked time counts from when it was first noticed."""
        live, now_s = self._live(), self._clock.monotonic_s()
        with self._lock:
            if not _is_parked(live):
                self._parked_since_s = None
            elif self._parked_since_s is None:
                self._parked_since_s = now_s
            since_s = self._parked_since_s
        return Surroundings(
            network=self._network(),
            parked_for_s=None if since_s is None else now_s - since_s,
            is_charging=live.is_charging,
            low_voltage_v=live.low_voltage_v,
        )

    def is_parked(self) -> bool:
        """Tell whether the vehicle is parked now."""
        return _is_parked(self._live())


def _is_parked(live: LiveView) -> bool:
    return live.is_asleep or live.motion is Motion.PARKED
