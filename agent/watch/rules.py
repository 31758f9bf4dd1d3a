"""The battery watch's rules as a configuration wants them."""

from collections.abc import Mapping

from agent.config import BatteryConfig, ConfigError
from agent.vehicle.battery.rules import Code, Rule, with_thresholds


def battery_rules(config: BatteryConfig) -> Mapping[Code, Rule]:
    """Return the rules with the thresholds of ``config``.

    Raises:
        ConfigError: A name that is no alert.
    """
    for name in config.raise_at:
        if name not in list(Code):
            raise ConfigError(
                f"battery.raise_at: expected one of {', '.join(Code)}, got {name!r}"
                " - at `$.battery.raise_at`"
            )
    return with_thresholds(config.raise_at)
