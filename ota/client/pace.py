"""How fast bytes come: too slow, too fast for the driver's contract, and when they end; pure."""

from collections import deque
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUse:
    """What a download may cost on the network of now.

    ``network`` is the class that is charged (a word of the configuration), ``budget_bytes`` what
    one image may cost on it, ``month_bytes`` what all images together may cost in a calendar month,
    ``bytes_per_s`` how much of it a download may take; None: no limit.
    """

    network: str
    budget_bytes: int | None = None
    month_bytes: int | None = None
    bytes_per_s: int | None = None

    @property
    def is_counted(self) -> bool:
        """Return whether bytes on this network are charged to anything."""
        return self.budget_bytes is not None or self.month_bytes is not None


def unlimited() -> DataUse:
    """Return a network on which data costs nothing and nobody else is in a hurry."""
    return DataUse(network="unmetered")


@dataclass(slots=True)
class SlidingSpeed:
    """The bytes of the last ``window_s`` seconds, in slots of a tenth of it."""

    window_s: float
    _slots: deque[tuple[float, int]] = field(default_factory=deque)
    _started_s: float | None = None
    _received: int = 0

    def note(self, now_s: float, received: int) -> None:
        """Count ``received`` bytes at ``now_s`` (monotonic seconds, never going back)."""
        if self._started_s is None:
            self._started_s = now_s
        slot_s = self.window_s / 10
        if self._slots and now_s - self._slots[-1][0] < slot_s:
            at_s, before = self._slots.pop()
            self._slots.append((at_s, before + received))
        else:
            self._slots.append((now_s, received))
        self._received += received
        while self._slots[0][0] < now_s - self.window_s:
            self._received -= self._slots.popleft()[1]

    def bytes_per_s(self, now_s: float) -> float | None:
        """Return the speed over the window; None before a tenth of it has passed."""
        if self._started_s is None or now_s - self._started_s < self.window_s / 10:
            return None
        return self._received / min(self.window_s, now_s - self._started_s)

    def is_below(self, now_s: float, least_bytes_per_s: float) -> bool:
        """Return whether a whole window was slower than ``least_bytes_per_s``."""
        if self._started_s is None or now_s - self._started_s < self.window_s:
            return False
        return self._received < least_bytes_per_s * self.window_s


@dataclass(slots=True)
class TokenBucket:
    """Lets ``bytes_per_s`` through on average, ``burst_bytes`` at once; None: no limit."""

    bytes_per_s: int | None
    burst_bytes: int = 262_144
    _tokens: float = 0.0
    _at_s: float | None = None

    def wait_s(self, now_s: float, received: int) -> float:
        """Take ``received`` bytes out; return how long to pause before the next."""
        if self.bytes_per_s is None:
            return 0.0
        passed_s = 0.0 if self._at_s is None else now_s - self._at_s
        full = float(self.burst_bytes)
        filled = full if self._at_s is None else self._tokens + passed_s * self.bytes_per_s
        self._tokens, self._at_s = min(full, filled) - received, now_s
        return max(0.0, -self._tokens / self.bytes_per_s)
