"""Can the sensors be trusted? Where they cannot, nothing else is judged. Pure."""

from collections.abc import Mapping
from typing import Final

from agent.signals import catalog
from agent.signals.model import Quality, Signal
from agent.vehicle.battery.alerts import Evidence, Reading
from agent.vehicle.battery.rules import Code

# a value that is wrong, not one that is absent: a sleeping or starting vehicle has many absent ones
WRONG: Final = frozenset({Quality.CRC, Quality.COUNTER, Quality.RANGE, Quality.LENGTH})
WATCHED: Final = (catalog.PACK_VOLTAGE, catalog.PACK_CURRENT, catalog.SOC)
TWIN_A: Final = (
    2.0  # two current sensors of one pack agree within this; equal in all frames measured
)
_STUCK_S: Final = 10.0
_STUCK_W: Final = 10_000.0  # the motor's power changed by this much, and the current did not
_W_PER_NM_RPM: Final = 0.10472  # 2 pi / 60


class SensorCheck:
    """Looks for sensors that send wrong frames, disagree with their twin, or stand still."""

    def __init__(self) -> None:
        self._current: float | None = None
        self._current_since_s = 0.0
        self._motor_w: tuple[float, float] | None = None  # lowest and highest since then
        self._reason = ""

    @property
    def is_trusted(self) -> bool:
        """Whether the last judgement found nothing wrong."""
        return not self._reason

    def judge(self, time_s: float, latest: Mapping[str, Signal]) -> Reading | None:
        """Return 1 with the reason if a sensor cannot be trusted, 0 if all can; None if unheard."""
        if all(path not in latest for path in WATCHED):
            return None
        self._reason = (
            _wrong(latest) or _twins_disagree(latest) or self._is_stuck(time_s, latest) or ""
        )
        evidence = (Evidence(name="reason", value=self._reason),) if self._reason else ()
        return Reading(code=Code.SENSOR_INVALID, value=float(bool(self._reason)), evidence=evidence)

    def _is_stuck(self, time_s: float, latest: Mapping[str, Signal]) -> str | None:
        amperes = _value(latest, catalog.PACK_CURRENT)
        torque, rpm = (_value(latest, path) for path in (catalog.MOTOR_TORQUE, catalog.MOTOR_SPEED))
        is_new = amperes != self._current or time_s < self._current_since_s
        if is_new or amperes is None or torque is None or rpm is None:
            self._current, self._current_since_s, self._motor_w = amperes, time_s, None
            return None
        power_w = torque * rpm * _W_PER_NM_RPM
        low, high = self._motor_w or (power_w, power_w)
        self._motor_w = min(low, power_w), max(high, power_w)
        changed_w = self._motor_w[1] - self._motor_w[0]
        is_stuck = time_s - self._current_since_s >= _STUCK_S and changed_w > _STUCK_W
        return "current_stuck" if is_stuck else None


def _wrong(latest: Mapping[str, Signal]) -> str | None:
    for path in WATCHED:
        signal = latest.get(path)
        if signal is not None and signal.quality in WRONG:
            return f"{signal.quality}:{path.rpartition('.')[2]}"
    return None


def _twins_disagree(latest: Mapping[str, Signal]) -> str | None:
    one, two = (_value(latest, path) for path in (catalog.PACK_CURRENT, catalog.CURRENT_TWIN))
    return (
        "twins_disagree"
        if one is not None and two is not None and abs(one - two) > TWIN_A
        else None
    )


def _value(latest: Mapping[str, Signal], path: str) -> float | None:
    signal = latest.get(path)
    return signal.value if signal else None
