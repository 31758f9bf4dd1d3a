"""What trips and charge sessions add up: energy, temperatures, and how sure that is. Pure.

Every reading counts from its own instant on, so a sum does not depend on how many frames came in
one go. A few lost frames are bridged: what was last heard goes on, and the doubt is added up too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from agent.signals.model import Quality, Signal

# half a step of the bus's current (0.5 A) is the most that rounding alone can hide;
# source: reference table of frame 0x1DB
CURRENT_ERROR_A: Final = 0.25
# two independent speed signals of one vehicle agree within 0.5 %; measured over a drive 0-123 km/h
SPEED_ERROR: Final = 0.005


class EnergySum:
    """Energy through the battery. Power is positive into the battery, in W."""

    def __init__(self) -> None:
        self.out_wh = self.in_wh = 0.0
        # the most that rounding of the current can have hidden, and what flowed unheard
        self.error_wh = 0.0
        self._last_w = 0.0

    def add(
        self, power_w: float | None, volts: float | None, step_s: float, *, is_heard: bool
    ) -> None:
        """Add ``step_s`` seconds at ``power_w``; None is not known, and ``is_heard`` is "now"."""
        hours = step_s / 3600
        if power_w is not None:
            self._last_w = abs(power_w)
        if (power_w or 0.0) < 0:
            self.out_wh += self._last_w * hours
        elif power_w is not None:
            self.in_wh += self._last_w * hours
        doubt_w = CURRENT_ERROR_A * (volts or 0.0) + (0.0 if is_heard else self._last_w)
        self.error_wh += doubt_w * hours


class Readings:
    """The last reading of each path: ``now`` as it was told, ``held`` as it is integrated.

    They differ for ``hold_s`` after a reading went stale: some frames were lost, and what they
    would have told is most likely what was told before.
    """

    def __init__(self, paths: Iterable[str], hold_s: float) -> None:
        self.now: dict[str, float | None] = dict.fromkeys(paths)
        self.held: dict[str, float | None] = dict(self.now)
        self._hold_s = hold_s
        self._until_s: dict[str, float] = {}

    def take(self, signal: Signal) -> None:
        """Take what ``signal`` tells of a path from its instant on."""
        path = signal.path
        self.now[path] = signal.value
        if signal.quality is Quality.STALE and self.held[path] is not None:
            self._until_s.setdefault(path, signal.time_s + self._hold_s)
        else:
            self.held[path] = signal.value
            self._until_s.pop(path, None)

    def is_heard(self, path: str) -> bool:
        """Return whether ``path`` is valid now, not only held."""
        return self.now[path] is not None

    def instants(self, time_s: float) -> Iterable[float]:
        """Return each instant up to ``time_s`` to integrate to, ``time_s`` last.

        After each the readings held until then are forgotten. A clock that went back to
        ``time_s`` holds nothing longer for it.
        """
        return self._instants(time_s) if self._until_s else (time_s,)

    def _instants(self, time_s: float) -> Iterator[float]:
        for path, until_s in sorted(self._until_s.items(), key=lambda item: item[1]):
            if until_s > time_s:
                self._until_s[path] = min(until_s, time_s + self._hold_s)
                continue
            yield until_s
            self.held[path] = None
            del self._until_s[path]
        yield time_s


@dataclass(slots=True)
class Extremes:
    """Lowest, highest and mean over time of one reading; all None until it was known once."""

    low: float | None = None
    high: float | None = None
    _area: float = 0.0
    _time_s: float = 0.0

    def note(self, value: float | None) -> None:
        """Take a reading that just came."""
        if value is not None:
            self.low = value if self.low is None else min(self.low, value)
            self.high = value if self.high is None else max(self.high, value)

    def hold(self, value: float | None, step_s: float) -> None:
        """Let ``value`` last for ``step_s`` seconds."""
        if value is not None:
            self._area += value * step_s
            self._time_s += step_s

    @property
    def mean(self) -> float | None:
        """Return the mean over time; the last extreme if no time passed."""
        return self._area / self._time_s if self._time_s else self.low
