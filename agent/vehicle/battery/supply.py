"""The 12 V battery: OVMS' rule, against its own voltage at rest. Pure."""

from typing import Final

from agent.vehicle.battery.alerts import Evidence, Reading
from agent.vehicle.battery.rules import Code

FULL_V: Final = 12.6  # of a charged lead battery at rest; source: OVMS
_CALM_S: Final = 60.0  # off for so long, and the voltage is one at rest
_MAX_REST_V: Final = 13.2  # above this something charges it


class LowVoltage:
    """Keeps the voltage at rest and judges the present one against it."""

    def __init__(self, rest_v: float | None = None) -> None:
        self.rest_v = rest_v
        self._off_since_s: float | None = None

    def judge(self, time_s: float, volts: float | None, *, is_off: bool) -> Reading | None:
        """Return how far the supply is below its reference; None if it is not told."""
        if not is_off or self._off_since_s is None or time_s < self._off_since_s:
            self._off_since_s = time_s if is_off else None
        if volts is None:
            return None
        calm_s = time_s - self._off_since_s if self._off_since_s is not None else 0.0
        reference_v = max(FULL_V, self.rest_v or 0.0)
        if calm_s >= _CALM_S and FULL_V < volts <= _MAX_REST_V:
            self.rest_v = volts
        return Reading(
            code=Code.LOW_VOLTAGE,
            value=reference_v - volts,
            evidence=(
                Evidence(name="voltage", value=round(volts, 2), unit="V"),
                Evidence(name="reference", value=round(reference_v, 2), unit="V"),
            ),
        )
