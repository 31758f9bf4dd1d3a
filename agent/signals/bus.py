"""How the buses are: silent, off, babbling, or shared with another tester. Pure.

A trouble is a state with a sentence, for vitals and `doctor`; it is never an exception.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import Final

from msgspec import Struct

from agent.signals.batches import in_batches
from agent.signals.model import Frame

BABBLE_FACTOR: Final = 4.0  # times the definition's rate
WINDOW_S: Final = 1.0
MIN_BABBLE_FRAMES: Final = 20  # in a window; fewer can be a burst at wake-up
TESTER_QUIET_S: Final = 600.0  # for this long after its last request another tester is there

_KEY_OF: Final = attrgetter("bus", "can_id")

# kernel's error classes in the id of an error frame (linux/can/error.h)
ERROR_CONTROLLER: Final = 0x004
ERROR_NO_ACK: Final = 0x020
ERROR_BUS_OFF: Final = 0x040
ERROR_RESTARTED: Final = 0x100
# of the controller class, in the second byte of its data
_PASSIVE: Final = 0x30  # receive or transmit error passive
_OVERFLOW: Final = 0x03  # receive or transmit buffer overflow


class Trouble(StrEnum):
    """What can be wrong with a bus."""

    SILENT = "silent"
    BUS_OFF = "bus_off"
    ERROR_PASSIVE = "error_passive"
    OVERFLOW = "overflow"
    NO_ACK = "no_ack"
    DOWN = "down"
    BABBLING = "babbling"
    SECOND_TESTER = "second_tester"


_SAID: Final = {
    Trouble.SILENT: "{bus}: nothing came for {detail}; a vehicle that is off is silent",
    Trouble.BUS_OFF: "{bus}: the controller left the bus after too many errors; check bit rate "
    "and wiring, then restart the interface",
    Trouble.ERROR_PASSIVE: "{bus}: many errors; check bit rate, termination and wiring",
    Trouble.OVERFLOW: "{bus}: frames were lost before they were read",
    Trouble.NO_ACK: "{bus}: nobody acknowledges; the vehicle is off or not connected",
    Trouble.DOWN: "{bus}: the interface cannot be read: {detail}",
    Trouble.BABBLING: "{bus}: {detail}; a sender is broken or the definition is of another vehicle",
    Trouble.SECOND_TESTER: "{bus}: another tester asks {detail}; our own polls keep silent",
}


class BusTrouble(Struct, frozen=True):
    """One trouble that holds now; ``since_s`` is on the clock of the frames."""

    bus: str
    trouble: Trouble
    since_s: float
    text: str


@dataclass(slots=True)
class _Bus:
    heard_s: float | None = None
    window_s: float = 0.0
    counts: dict[int, int] = field(default_factory=dict)
    troubles: dict[Trouble, tuple[float, str]] = field(default_factory=dict)
    tester_s: float | None = None


class BusWatch:
    """Follows every bus of a vehicle; ``troubles`` tells what holds at a moment."""

    def __init__(
        self,
        buses: Collection[str],
        *,
        periods_s: Mapping[tuple[str, int], float],
        requests: Collection[tuple[str, int]] = (),
        silent_s: float = 5.0,
    ) -> None:
        """Prepare.

        Args:
            buses: The interfaces that should be heard.
            periods_s: How often each (bus, id) is expected; others are not judged.
            requests: The (bus, id) of polls: a request that is not ours is another tester's.
            silent_s: Silence that counts.
        """
        self._buses = {name: _Bus() for name in buses}
        self._periods_s = dict(periods_s)
        self._requests = frozenset(requests)
        self._silent_s = silent_s
        self._start_s: float | None = None

    def take(self, frames: Sequence[Frame]) -> None:
        """Note ``frames`` that came from outside; our own requests are not among them."""
        for batch in in_batches(frames):
            self._take(batch)

    def _take(self, batch: Sequence[Frame]) -> None:
        """Note a batch; it is short enough to stand in one window."""
        time_s = batch[-1].time_s
        for (name, can_id), count in Counter(map(_KEY_OF, batch)).items():
            bus = self._buses.get(name)
            if bus is None:
                continue
            if bus.heard_s is None or not 0 <= time_s - bus.window_s < WINDOW_S:
                self._close_window(name, bus, time_s)
            bus.heard_s = time_s
            bus.counts[can_id] = bus.counts.get(can_id, 0) + count
            if (name, can_id) in self._requests:
                bus.tester_s = time_s
                self._set(bus, Trouble.SECOND_TESTER, time_s, f"{can_id:X}")

    def error(self, interface: str, time_s: float, error_class: int, data: bytes = b"") -> None:
        """Note an error frame of the kernel: its class is the id without flags."""
        bus = self._buses.get(interface)
        if bus is None:
            return
        status = data[1] if len(data) > 1 else 0
        is_controller = error_class & ERROR_CONTROLLER
        for holds, trouble in (
            (error_class & ERROR_BUS_OFF, Trouble.BUS_OFF),
            (error_class & ERROR_NO_ACK, Trouble.NO_ACK),
            (is_controller and status & _PASSIVE, Trouble.ERROR_PASSIVE),
            (is_controller and status & _OVERFLOW, Trouble.OVERFLOW),
        ):
            if holds:
                self._set(bus, trouble, time_s, "")
        if error_class & ERROR_RESTARTED or (is_controller and not status):
            bus.troubles.pop(Trouble.BUS_OFF, None)
            bus.troubles.pop(Trouble.ERROR_PASSIVE, None)

    def down(self, interface: str, time_s: float, reason: str) -> None:
        """Note that an interface cannot be read."""
        if bus := self._buses.get(interface):
            self._set(bus, Trouble.DOWN, time_s, reason)

    def is_tester_there(self, now_s: float) -> bool:
        """Tell whether another tester asked something within TESTER_QUIET_S."""
        times = [bus.tester_s for bus in self._buses.values() if bus.tester_s is not None]
        return any(0 <= now_s - tester_s < TESTER_QUIET_S for tester_s in times)

    def troubles(self, now_s: float) -> list[BusTrouble]:
        """Return what is wrong at ``now_s``, on the clock of the frames."""
        found: list[BusTrouble] = []
        self._start_s = now_s if self._start_s is None else self._start_s
        for name, bus in self._buses.items():
            heard_s = self._start_s if bus.heard_s is None else bus.heard_s
            self._forget(bus, now_s)
            known = dict(bus.troubles)
            if now_s - heard_s >= self._silent_s:
                known[Trouble.SILENT] = (heard_s, f"{now_s - heard_s:.0f} s")
            for trouble, (since_s, detail) in known.items():
                text = _SAID[trouble].format(bus=name, detail=detail)
                found.append(BusTrouble(name, trouble, since_s, text))
        return found

    def _forget(self, bus: _Bus, now_s: float) -> None:
        tester_s = bus.tester_s
        if tester_s is not None and not 0 <= now_s - tester_s < TESTER_QUIET_S:
            bus.troubles.pop(Trouble.SECOND_TESTER, None)
        # what good frames disprove: a controller that is off or alone hears nothing
        for trouble in (Trouble.BUS_OFF, Trouble.NO_ACK, Trouble.DOWN, Trouble.OVERFLOW):
            since_s = bus.troubles.get(trouble, (0.0, ""))[0]
            if bus.heard_s is not None and bus.heard_s > since_s:
                bus.troubles.pop(trouble, None)

    def _close_window(self, name: str, bus: _Bus, time_s: float) -> None:
        loudest = ""
        for can_id, count in bus.counts.items():
            period_s = self._periods_s.get((name, can_id))
            most = max(MIN_BABBLE_FRAMES, BABBLE_FACTOR * WINDOW_S / period_s) if period_s else None
            if most is not None and count > most:
                loudest = f"id {can_id:X} came {count} times in {WINDOW_S:g} s"
        if loudest:
            self._set(bus, Trouble.BABBLING, bus.window_s, loudest)
        else:
            bus.troubles.pop(Trouble.BABBLING, None)
        bus.window_s = time_s
        bus.counts.clear()

    def _set(self, bus: _Bus, trouble: Trouble, time_s: float, detail: str) -> None:
        since_s = bus.troubles.get(trouble, (time_s, ""))[0]
        bus.troubles[trouble] = (since_s, detail)
