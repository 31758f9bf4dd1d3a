"""What the battery watch knows apart from its signals, and what it leaves behind. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from agent.signals.table import VehicleTable
from agent.vehicle.battery.alerts import Alert, AlertChange
from agent.vehicle.battery.resistance import Baseline, Bin
from agent.vehicle.battery.rules import Code

TREND_DAYS: Final = 400  # a year, and what it takes to compare with its beginning


class Kind(StrEnum):
    """What the local history keeps."""

    HEALTH = "health"  # percent
    CAPACITY = "capacity"  # Ah
    HX = "hx"  # percent; conductance-like, never health
    RESISTANCE = "resistance"  # ohm, by bin
    IMBALANCE = "imbalance"  # V, below 20 A
    TEMPERATURE = "temperature"  # celsius, hottest
    LOW_VOLTAGE = "low_voltage"  # V, at rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One figure for the local history; ``where`` is the bin of a resistance, else empty."""

    kind: Kind
    value: float
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """When the vehicle was switched off, and how full it was."""

    since: datetime
    soc_percent: float


@dataclass(slots=True)
class Trend:
    """One figure a day, by days since 1970; the last reading of a day counts."""

    days: dict[int, float] = field(default_factory=dict)

    def note(self, day: int, value: float) -> None:
        """Keep the reading of ``day``; days that are too old, or lie ahead, are forgotten."""
        if self.days.get(day) == value:
            return
        kept = {d: v for d, v in self.days.items() if day - TREND_DAYS <= d <= day}
        self.days = kept | {day: value}

    def between(self, first: int, last: int) -> list[float]:
        """Return the readings of the days from ``first`` to ``last``, both included."""
        return [value for day, value in self.days.items() if first <= day <= last]


@dataclass(slots=True, kw_only=True)
class Memory:
    """What the watch must not forget from one drive to the next; days count from 1970."""

    baselines: dict[Bin, Baseline] = field(default_factory=dict)
    told_days: dict[Code, int] = field(default_factory=dict)
    suspect_days: dict[Code, int] = field(default_factory=dict)
    good_days: dict[Code, int] = field(default_factory=dict)  # in a row, of what counts by days
    hot_charge_days: list[int] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    rest_v: float | None = None
    rest: Rest | None = None
    health: Trend = field(default_factory=Trend)
    hx: Trend = field(default_factory=Trend)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of this vehicle apart from its signals.

    ``checked`` are paths whose frames carry a checksum. On a ZE0 the limit reason is not judged,
    and only first-generation packs have the maker's limit for a cell.
    """

    is_ze0: bool = False
    is_first_generation: bool = False
    checked: frozenset[str] = frozenset()


def facts_of(table: VehicleTable) -> Facts:
    """Return what the definition says about judging this vehicle."""
    checked = frozenset(
        signal.path for frame in table.frames if frame.check for signal in frame.signals
    )
    kind = table.name.rpartition("-")[2]
    return Facts(is_ze0=kind == "ze0", is_first_generation=kind in {"ze0", "aze0"}, checked=checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one step of the watch brought."""

    changes: tuple[AlertChange, ...] = ()
    measurements: tuple[Measurement, ...] = ()
