"""What a charge session is, and what it adds up on the way. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from agent.signals import catalog
from agent.vehicle.sums import EnergySum, Extremes, Readings

QUARTER_S: Final = 900.0
MAX_QUARTERS: Final = 4 * 24 * 7  # a week at the cable; later energy counts in the last one


class Supply(StrEnum):
    """Through which plug the energy came."""

    AC = "ac"
    DC = "dc"
    UNKNOWN = "unknown"


class Flow(StrEnum):
    """What happens to energy at the cable."""

    CHARGING = "charging"
    DISCHARGING = "discharging"
    PAUSED = "paused"
    UNHEARD = "unheard"  # nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeSession:
    """One charge session. ``_s`` instants are on the clock of the frames.

    Energy is what the battery took (``in``) and gave (``out``); ``energy_error_wh`` is the most
    that rounding can have hidden, and what flowed while no reading came. ``charger_wh`` is what
    the charger said it delivered, 0 if it says nothing. ``quarters_wh``: net energy into the
    battery in each quarter of an hour since the start. ``charging_s`` and ``paused_s`` are the
    times with and without energy; ``unknown_s`` is the time nobody listened, ``restarts`` how
    often the agent was restarted meanwhile.
    """

    session_id: str
    started_s: float
    ended_s: float
    started_utc: datetime | None = None
    is_time_proven: bool = False  # somebody vouched for the wall clock
    boot_id: str = ""  # whose monotonic clock the instants of a live bus belong to
    supply: Supply = Supply.UNKNOWN
    duration_s: float = 0.0
    charging_s: float = 0.0
    discharging_s: float = 0.0
    paused_s: float = 0.0
    pauses: int = 0
    unknown_s: float = 0.0
    restarts: int = 0
    energy_in_wh: float = 0.0
    energy_out_wh: float = 0.0
    energy_error_wh: float = 0.0
    charger_wh: float = 0.0
    quarters_wh: tuple[float, ...] = ()
    soc_start_percent: float | None = None
    soc_end_percent: float | None = None
    max_power_w: float = 0.0  # into the battery
    cell_temp_min_c: float | None = None
    cell_temp_max_c: float | None = None
    ambient_c: float | None = None

    @property
    def has_energy(self) -> bool:
        """Whether any energy flowed: a cable alone is no charge."""
        return self.charging_s > 0 or self.discharging_s > 0


NOTED: Final = (
    catalog.PACK_POWER,
    catalog.PACK_VOLTAGE,
    catalog.SOC,
    catalog.CHARGER_POWER,
    catalog.CELL_TEMPERATURE_MIN,
    catalog.CELL_TEMPERATURE_MAX,
    catalog.AMBIENT,
    catalog.SPEED,
)
# the paths a decoder has to yield for the tracker, as far as the vehicle tells them
CHARGE_PATHS: Final = tuple(sorted(NOTED))


@dataclass(slots=True)
class SessionSums:
    """What a session adds up; ``before`` is what an earlier run of the agent had added up."""

    start_s: float
    hold_s: float
    readings: Readings
    before: ChargeSession | None = None
    now_s: float = 0.0
    energy: EnergySum = field(default_factory=EnergySum)
    charger_wh: float = 0.0
    quarters: list[float] = field(default_factory=list)
    times: dict[Flow, float] = field(default_factory=dict)
    unknown_s: float = 0.0
    pauses: int = 0
    supplies: dict[Supply, float] = field(default_factory=dict)
    soc_first: float | None = None
    soc_last: float | None = None
    max_power_w: float = 0.0
    cells: Extremes = field(default_factory=Extremes)
    ambient: Extremes = field(default_factory=Extremes)

    def __post_init__(self) -> None:
        self.now_s = self.start_s
        if self.before:
            self._take_over(self.before)
        self.soc_first = self.soc_first if self.before else self.readings.now[catalog.SOC]
        for path, value in self.readings.now.items():
            self.note(path, value)

    def _take_over(self, before: ChargeSession) -> None:
        self.energy.in_wh, self.energy.out_wh = before.energy_in_wh, before.energy_out_wh
        self.energy.error_wh, self.charger_wh = before.energy_error_wh, before.charger_wh
        self.quarters = list(before.quarters_wh)
        self.times = {
            Flow.CHARGING: before.charging_s,
            Flow.DISCHARGING: before.discharging_s,
            Flow.PAUSED: before.paused_s,
        }
        self.unknown_s, self.pauses = before.unknown_s, before.pauses
        self.supplies = {before.supply: 1.0}
        self.soc_first, self.soc_last = before.soc_start_percent, before.soc_end_percent
        self.max_power_w = before.max_power_w
        for value in (before.cell_temp_min_c, before.cell_temp_max_c):
            self.cells.note(value)

    def note(self, path: str, value: float | None) -> None:
        """Take a reading that just came."""
        if value is None:
            return
        if path == catalog.SOC:
            self.soc_first = value if self.soc_first is None else self.soc_first
            self.soc_last = value
        elif path == catalog.PACK_POWER:
            self.max_power_w = max(self.max_power_w, value)
        elif path in (catalog.CELL_TEMPERATURE_MIN, catalog.CELL_TEMPERATURE_MAX):
            self.cells.note(value)
        elif path == catalog.AMBIENT:
            self.ambient.note(value)

    def advance(self, time_s: float, flow: Flow, supply: Supply) -> None:
        """Integrate up to ``time_s``; a clock that goes back starts from there, adding nothing."""
        step_s = time_s - self.now_s
        if -self.hold_s <= step_s <= 0:  # of two buses, and not quite in order
            return
        self.now_s = time_s
        if step_s < 0:
            return
        if step_s > self.hold_s or flow is Flow.UNHEARD:
            self.unknown_s += step_s
            return
        self.times[flow] = self.times.get(flow, 0.0) + step_s
        self.ambient.hold(self.readings.held[catalog.AMBIENT], step_s)
        if flow is not Flow.PAUSED:
            self._add_energy(step_s, supply)

    def _add_energy(self, step_s: float, supply: Supply) -> None:
        held = self.readings.held
        power_w, volts = held[catalog.PACK_POWER], held[catalog.PACK_VOLTAGE]
        is_heard = self.readings.is_heard(catalog.PACK_POWER)
        self.energy.add(power_w, volts, step_s, is_heard=is_heard)
        self.charger_wh += (held[catalog.CHARGER_POWER] or 0.0) * step_s / 3.6
        self.supplies[supply] = self.supplies.get(supply, 0.0) + step_s
        elapsed_s = sum(self.times.values()) + self.unknown_s
        quarter = min(int(elapsed_s / QUARTER_S), MAX_QUARTERS - 1)
        self.quarters += [0.0] * (quarter + 1 - len(self.quarters))
        self.quarters[quarter] += (power_w or 0.0) * step_s / 3600

    def session(self, session_id: str, *, started_utc: datetime | None) -> ChargeSession:
        """Return the sums as a session that ends now."""
        before = self.before
        return ChargeSession(
            session_id=session_id,
            started_s=self.start_s,
            ended_s=self.now_s,
            started_utc=started_utc,
            supply=self._supply(),
            duration_s=sum(self.times.values()) + self.unknown_s,
            charging_s=self.times.get(Flow.CHARGING, 0.0),
            discharging_s=self.times.get(Flow.DISCHARGING, 0.0),
            paused_s=self.times.get(Flow.PAUSED, 0.0),
            pauses=self.pauses,
            unknown_s=self.unknown_s,
            restarts=before.restarts + 1 if before else 0,
            energy_in_wh=self.energy.in_wh,
            energy_out_wh=self.energy.out_wh,
            energy_error_wh=self.energy.error_wh,
            charger_wh=self.charger_wh,
            quarters_wh=tuple(self.quarters),
            soc_start_percent=self.soc_first,
            soc_end_percent=self.soc_last,
            max_power_w=self.max_power_w,
            cell_temp_min_c=self.cells.low,
            cell_temp_max_c=self.cells.high,
            ambient_c=self.ambient.mean,
        )

    def _supply(self) -> Supply:
        known = {supply: time for supply, time in self.supplies.items() if supply is not _UNKNOWN}
        return max(known, key=lambda supply: known[supply]) if known else _UNKNOWN


_UNKNOWN: Final = Supply.UNKNOWN
