"""The events every vehicle is watched for; a configuration adds its own or leaves some out. Data.

They are moments an engineer asks about later: power that was held back, a supply that broke in, a
charge that ended by itself. None of them is an alert; the battery watch has its own rules.
"""

from typing import Final

from agent.signals import catalog
from agent.signals.catalog import OVERLAY
from agent.vehicle.capture import EventRule

_DRIVING: Final = f"abs({catalog.SPEED}) > 5"

BUILT_IN: Final = (
    EventRule(
        name="power-limited",
        condition=f"{OVERLAY}.Battery.DischargeLimit < 40 and {_DRIVING}",
        lasting_s=2.0,
        cool_down_s=600.0,
    ),
    EventRule(
        name="voltage-sag",
        condition=f"{catalog.PACK_VOLTAGE} < 300 and {_DRIVING}",
        lasting_s=0.5,
        cool_down_s=300.0,
    ),
    EventRule(
        name="full-power",
        condition=f"{catalog.PACK_POWER} < -70000",
        lasting_s=1.0,
        cool_down_s=300.0,
    ),
    EventRule(
        name="strong-regen",
        condition=f"{catalog.PACK_POWER} > 35000 and {_DRIVING}",
        lasting_s=1.0,
        cool_down_s=300.0,
    ),
    EventRule(
        name="charge-stopped",
        condition=f"{catalog.IS_CHARGING} == 0 and {catalog.CABLE_CONNECTED} == 1",
        lasting_s=2.0,
        cool_down_s=60.0,
    ),
    EventRule(
        name="low-voltage-dip",
        condition=f"{catalog.LOW_VOLTAGE} < 11.5",
        lasting_s=1.0,
        cool_down_s=600.0,
    ),
)
