"""State of charge against counted charge: the gauge and what flowed have to agree. Pure."""

from collections import deque
from dataclasses import dataclass
from typing import Final

from agent.vehicle.battery.alerts import Evidence, Reading
from agent.vehicle.battery.rules import Code

WINDOW_S: Final = 60.0
MAX_GAP_S: Final = 2.0  # longer unheard, and charge may have flowed uncounted
_EVERY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Mark:
    time_s: float
    soc_percent: float
    counted_ah: float


class ChargeBalance:
    """Counts charge and compares it with the gauge over the last minute."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque(maxlen=int(WINDOW_S / _EVERY_S) + 2)
        self._counted_ah = 0.0
        self._last_s: float | None = None

    def reset(self) -> None:
        """Forget what was counted: a sensor cannot be trusted, or nobody listened."""
        self._marks.clear()
        self._last_s = None

    def flow(self, time_s: float, amperes: float | None) -> None:
        """Let ``amperes`` flow up to ``time_s``; unknown or unheard for too long starts anew."""
        last_s, self._last_s = self._last_s, time_s
        if amperes is None or (last_s is not None and not 0 <= time_s - last_s <= MAX_GAP_S):
            self._marks.clear()
        elif last_s is not None:
            self._counted_ah += amperes * (time_s - last_s) / 3_600

    def judge(self, time_s: float, soc_percent: float | None, full_ah: float) -> Reading | None:
        """Return how far gauge and counted charge are apart over the last minute, in points."""
        if soc_percent is None:
            return None
        while self._marks and time_s - self._marks[0].time_s > WINDOW_S:
            self._marks.popleft()
        now = _Mark(time_s, soc_percent, self._counted_ah)
        self._marks.append(now)
        return max((_compare(then, now, full_ah) for then in self._marks), key=lambda r: r.value)


def _compare(then: _Mark, now: _Mark, full_ah: float) -> Reading:
    shown = now.soc_percent - then.soc_percent
    counted = (now.counted_ah - then.counted_ah) / full_ah * 100
    return Reading(
        code=Code.SOC_MISMATCH,
        value=abs(shown - counted),
        evidence=(
            Evidence(name="gauge", value=round(shown, 2), unit="percent"),
            Evidence(name="counted", value=round(counted, 2), unit="percent"),
            Evidence(name="within", value=round(now.time_s - then.time_s), unit="s"),
            Evidence(name="capacity", value=round(full_ah, 1), unit="Ah"),
        ),
    )
