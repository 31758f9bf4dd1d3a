"""What the battery watch must remember, as it lies on the disk."""

import logging
from typing import Final

import msgspec

from agent.vehicle.battery.alerts import Alert
from agent.vehicle.battery.memory import Memory, Rest, Trend
from agent.vehicle.battery.resistance import Baseline, Bin
from agent.vehicle.battery.rules import Code

log: Final = logging.getLogger(__name__)


class _StoredBaseline(msgspec.Struct, array_like=True, frozen=True):
    temperature_c: int
    charge_percent: int
    mean_ohm: float
    windows: int


class Stored(msgspec.Struct, kw_only=True):
    """The memory of the watch, and which alerts the driver has put away."""

    baselines: list[_StoredBaseline] = []
    told_days: dict[Code, int] = {}
    suspect_days: dict[Code, int] = {}
    good_days: dict[Code, int] = {}
    hot_charge_days: list[int] = []
    alerts: list[Alert] = []
    acknowledged: list[Code] = []
    rest_v: float | None = None
    rest: Rest | None = None
    health_days: dict[int, float] = {}
    hx_days: dict[int, float] = {}


def read_stored(body: str | None) -> Stored:
    """Return what ``encode`` wrote; what cannot be read is forgotten.

    At worst an alert is told again, and baselines are measured anew.
    """
    try:
        return msgspec.json.decode(body, type=Stored) if body else Stored()
    except msgspec.DecodeError:
        log.warning("battery_memory_unreadable")
        return Stored()


def encode(memory: Memory, acknowledged: set[Code]) -> str:
    """Return ``memory`` as JSON."""
    stored = Stored(
        baselines=[
            _StoredBaseline(b.temperature_c, b.charge_percent, line.mean_ohm, line.windows)
            for b, line in memory.baselines.items()
        ],
        told_days=memory.told_days,
        suspect_days=memory.suspect_days,
        good_days=memory.good_days,
        hot_charge_days=memory.hot_charge_days,
        alerts=memory.alerts,
        acknowledged=sorted(acknowledged),
        rest_v=memory.rest_v,
        rest=memory.rest,
        health_days=memory.health.days,
        hx_days=memory.hx.days,
    )
    return msgspec.json.encode(stored).decode()


def memory_of(stored: Stored) -> Memory:
    """Return what the watch goes on with."""
    return Memory(
        baselines={
            Bin(one.temperature_c, one.charge_percent): Baseline(one.mean_ohm, one.windows)
            for one in stored.baselines
        },
        told_days=stored.told_days,
        suspect_days=stored.suspect_days,
        good_days=stored.good_days,
        hot_charge_days=stored.hot_charge_days,
        alerts=stored.alerts,
        rest_v=stored.rest_v,
        rest=stored.rest,
        health=Trend(stored.health_days),
        hx=Trend(stored.hx_days),
    )
