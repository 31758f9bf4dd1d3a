"""The shared vocabulary of telemetry: frozen records with units in their names.

An impossible record cannot exist: every type checks its ranges when it is made, so agent, codec
and ingest need no second look.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_SINCE_START_MS = 7 * 24 * 3600 * 1000  # no trip and no charge session lasts a week
MAX_VOLTAGE_V = 1000.0  # source: highest pack class sold for cars (800 V systems, IEC 61851-23)
MAX_CURRENT_A = 2000.0  # source: four times the 500 A of a CCS2 plug; driving stays far below
MIN_TEMP_C, MAX_TEMP_C = -60.0, 150.0  # beyond the sensor ranges of reference packs
BATCH_ID_BYTES = 32  # SHA-256
MAX_CODE_LENGTH = 64

# Resolution floors: nothing finer can be constructed. Reasons: docs/explanation/privacy.md
HOURS_OF_WEEK = 168
CHARGING_RESOLUTION, TRAFFIC_RESOLUTION = 7, 9  # H3
SOC_STEP_PERCENT = 10
ENERGY_STEP_WH, MAX_QUARTER_WH, MAX_QUARTER_HOURS = 500, 100_000, 96  # 400 kW, one day
DISTANCE_BUCKETS_KM = (0, 5, 10, 20, 50, 100, 200)
DURATION_BUCKETS_MIN = (0, 10, 20, 40, 80, 160)
CONSUMPTION_STEP_WH_KM, AMBIENT_STEP_C = 50, 10
SPEED_BINS_KM_H = (0, 10, 20, 30, 40, 50, 70, 90, 110)  # lower ends
TENTHS = 10
LOSSES = frozenset({"dropped", "malformed", "skipped", "other_frames", "backwards", "jumps"})
MAX_LOSS_DIGITS = 9
MAX_NAME_CHARS, MAX_CONTACT_CHARS, MAX_MESSAGE_CHARS = 80, 200, 1_000  # of a workshop report
MAX_FIGURE_CHARS, MAX_FIGURES = 40, 64

BATTERY_FIELDS = ("pack_voltage_v", "pack_current_a", "soc_percent", "cell_temp_c")

_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")
_DAY = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
_CODE = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatterySample:
    """One reading of the traction battery; None stands for missing or invalid.

    ``invalid`` names the fields of which a reading came and could not be believed; every other None
    is missing: no reading came.

    Raises:
        ValueError: A value outside its range, NaN and infinities included, or an invalid field
            that has a value.
    """

    since_start_ms: int  # sampling instant, milliseconds since the trip began
    pack_voltage_v: float | None
    pack_current_a: float | None  # positive flows into the battery, as in VSS
    soc_percent: float | None  # 0 empty to 100 full
    cell_temp_c: float | None  # hottest cell
    invalid: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _check_whole("since_start_ms", self.since_start_ms, 0, MAX_SINCE_START_MS)
        _check_range("pack_voltage_v", self.pack_voltage_v, 0.0, MAX_VOLTAGE_V)
        _check_range("pack_current_a", self.pack_current_a, -MAX_CURRENT_A, MAX_CURRENT_A)
        _check_range("soc_percent", self.soc_percent, 0.0, 100.0)
        _check_range("cell_temp_c", self.cell_temp_c, MIN_TEMP_C, MAX_TEMP_C)
        if self.invalid:
            _check_invalid(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryBatch:
    """Everything the purpose ``battery`` may hold; a field outside it cannot be constructed.

    Raises:
        ValueError: No sample, samples out of time order, or a value outside its range.
    """

    month: str  # calendar month "YYYY-MM": the finest date that may leave
    soh_percent: int | None  # state of health, whole percent; None if the battery does not say
    samples: tuple[BatterySample, ...]  # oldest first, times strictly rising

    def __post_init__(self) -> None:
        if not _MONTH.fullmatch(self.month):
            raise ValueError(f"month: expected 'YYYY-MM' from 2000 to 2099, got {self.month!r}")
        if self.soh_percent is not None:
            _check_whole("soh_percent", self.soh_percent, 0, 100)
        _check_order(self.samples)


class DwellClass(StrEnum):
    """How long a vehicle stood."""

    SHORT = "short"  # below half an hour
    HOUR = "hour"  # up to two hours
    HALF_DAY = "half_day"  # up to six
    LONG = "long"  # above


class CurrentKind(StrEnum):
    """What a charging point delivered."""

    AC = "ac"
    DC = "dc"


class JourneyClass(StrEnum):
    """What a trip was like, told apart in the vehicle."""

    COMMUTE = "commute"
    SCHOOL_RUN = "school_run"
    ERRAND = "errand"
    LONG = "long"
    LEISURE = "leisure"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargingBatch:
    """Everything the purpose ``charging`` may hold: one charge session, or one arrival without.

    Raises:
        ValueError: A cell of another resolution than 7, a value off its grid or outside its range.
    """

    cell: int | None  # H3, resolution 7; None where the vehicle is at home or keeps coming
    hour_of_week: int  # local; 0 = Monday 00:00 to 00:59
    soc_in_percent: int  # on arrival, 10 % steps
    current: CurrentKind | None = None  # None: arrived and did not charge, so for all below
    quarter_hours_wh: tuple[int, ...] = ()  # into the battery per quarter hour, 500 Wh steps
    soc_out_percent: int | None = None  # 10 % steps
    dwell: DwellClass | None = None

    def __post_init__(self) -> None:
        if self.cell is not None:
            _check_cell(self.cell, CHARGING_RESOLUTION)
        _check_whole("hour_of_week", self.hour_of_week, 0, HOURS_OF_WEEK - 1)
        _check_step("soc_in_percent", self.soc_in_percent, 0, 100, SOC_STEP_PERCENT)
        if len(self.quarter_hours_wh) > MAX_QUARTER_HOURS:
            raise ValueError(
                f"quarter_hours_wh: expected at most {MAX_QUARTER_HOURS},"
                f" got {len(self.quarter_hours_wh)}"
            )
        for energy in self.quarter_hours_wh:
            _check_step("quarter_hours_wh", energy, 0, MAX_QUARTER_WH, ENERGY_STEP_WH)
        if self.soc_out_percent is not None:
            _check_step("soc_out_percent", self.soc_out_percent, 0, 100, SOC_STEP_PERCENT)
        told = (self.current, self.soc_out_percent, self.dwell, self.quarter_hours_wh or None)
        if any(one is None for one in told) != all(one is None for one in told):
            raise ValueError("current: expected all of a charge session, or nothing of one")


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneysBatch:
    """Everything the purpose ``journeys`` may hold: one trip as classes. No place, no time.

    Raises:
        ValueError: A value that is no lower end of its bucket.
    """

    kind: JourneyClass
    distance_from_km: int  # lower end of its bucket in DISTANCE_BUCKETS_KM
    duration_from_min: int  # lower end of its bucket in DURATION_BUCKETS_MIN
    consumption_wh_km: int | None  # 50 Wh/km steps; None if it is not known
    ambient_c: int | None  # 10 degree steps

    def __post_init__(self) -> None:
        _check_member("distance_from_km", self.distance_from_km, DISTANCE_BUCKETS_KM)
        _check_member("duration_from_min", self.duration_from_min, DURATION_BUCKETS_MIN)
        if self.consumption_wh_km is not None:
            _check_step("consumption_wh_km", self.consumption_wh_km, 0, 500, CONSUMPTION_STEP_WH_KM)
        if self.ambient_c is not None:
            _check_step("ambient_c", self.ambient_c, -40, 60, AMBIENT_STEP_C)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficBatch:
    """Everything the purpose ``traffic`` may hold: one cell in one hour, joined to no other.

    Raises:
        ValueError: A cell of another resolution than 9, shares that are not ten tenths.
    """

    cell: int  # H3, resolution 9
    hour_of_week: int  # local; 0 = Monday 00:00 to 00:59
    speed_tenths: tuple[int, ...]  # share of the time per bin of SPEED_BINS_KM_H; together 10

    def __post_init__(self) -> None:
        _check_cell(self.cell, TRAFFIC_RESOLUTION)
        _check_whole("hour_of_week", self.hour_of_week, 0, HOURS_OF_WEEK - 1)
        for share in self.speed_tenths:
            _check_whole("speed_tenths", share, 0, TENTHS)
        if len(self.speed_tenths) != len(SPEED_BINS_KM_H) or sum(self.speed_tenths) != TENTHS:
            raise ValueError(
                f"speed_tenths: expected {len(SPEED_BINS_KM_H)} shares that are 10 together,"
                f" got {self.speed_tenths!r:.80}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticsBatch:
    """Everything the purpose ``diagnostics`` may hold: how the agent fares. Nothing of a trip.

    Raises:
        ValueError: A version that is none, or a loss outside the list.
    """

    version: str  # of okdrive, "1.2.3"
    uptime_class: int  # 0 below an hour, 1 below a day, 2 below a week, 3 above
    losses: tuple[tuple[str, int], ...]  # name in LOSSES -> decimal digits of its count, by name

    def __post_init__(self) -> None:
        if not _VERSION.fullmatch(self.version):
            raise ValueError(f"version: expected 'N.N.N', got {self.version[:80]!r}")
        _check_whole("uptime_class", self.uptime_class, 0, 3)
        names = [name for name, _ in self.losses]
        if names != sorted(set(names)) or not set(names) <= LOSSES:
            raise ValueError(f"losses: expected known names in order, got {names!r:.80}")
        for _, digits in self.losses:
            _check_whole("losses", digits, 1, MAX_LOSS_DIGITS)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkshopFigure:
    """One figure as the driver saw it before pressing send: a name, a value, a unit.

    Raises:
        ValueError: A name that is no code, no value, or text that cannot be printed.
    """

    name: str  # such as "soh" or "cell_spread"
    value: str  # as shown, such as "87.5"
    unit: str = ""

    def __post_init__(self) -> None:
        if not _is_code(self.name):
            raise ValueError(f"name: expected words joined by dots, got {self.name[:80]!r}")
        _check_text("value", self.value, 1, MAX_FIGURE_CHARS)
        _check_text("unit", self.unit, 0, MAX_FIGURE_CHARS)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkshopAlert:
    """An alert of the battery watch, and what it rests on.

    Raises:
        ValueError: A code or a severity that is none, or more than 64 figures.
    """

    code: str  # stable, such as "cell_imbalance"
    severity: str
    evidence: tuple[WorkshopFigure, ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("code", self.code), ("severity", self.severity)):
            if not _is_code(value):
                raise ValueError(f"{name}: expected words joined by dots, got {value[:80]!r}")
        _check_figures("evidence", self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkshopReport:
    """Everything the purpose ``workshop`` may hold: what the driver chose to show, and a contact.

    Identified on purpose, sealed to the workshop, a consent of its own each time.

    Raises:
        ValueError: No contact, nothing to show, a text that is too long or cannot be printed.
    """

    day: str  # "YYYY-MM-DD": when it was made
    contact: str  # telephone number or address, as the driver typed it
    name: str = ""  # whom to ask for
    message: str = ""  # the driver's own words; the only text that may have lines
    figures: tuple[WorkshopFigure, ...] = ()  # the battery report
    alert: WorkshopAlert | None = None

    def __post_init__(self) -> None:
        if not _DAY.fullmatch(self.day):
            raise ValueError(f"day: expected 'YYYY-MM-DD' from 2000 to 2099, got {self.day!r:.40}")
        _check_text("contact", self.contact, 1, MAX_CONTACT_CHARS)
        _check_text("name", self.name, 0, MAX_NAME_CHARS)
        _check_text("message", self.message, 0, MAX_MESSAGE_CHARS, breaks="\n")
        _check_figures("figures", self.figures)
        if not (self.figures or self.alert or self.message):
            raise ValueError("figures: expected figures, an alert or a message, got nothing")


Body = BatteryBatch | ChargingBatch | JourneysBatch | TrafficBatch | DiagnosticsBatch


class ReceiptStatus(StrEnum):
    """What ingest did with a batch. The value is what receipts on the wire hold."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The far end's answer to one part of one batch.

    Raises:
        ValueError: A batch id of the wrong size, a negative part, a refusal without its code,
            or a code on an answer that is no refusal.
    """

    batch_id: bytes  # SHA-256 of the batch, 32 bytes
    part: int  # 0 for a batch that travels whole
    status: ReceiptStatus
    code: str | None  # why it was refused, e.g. "codec.version"; None otherwise

    def __post_init__(self) -> None:
        if len(self.batch_id) != BATCH_ID_BYTES:
            raise ValueError(f"batch_id: expected 32 bytes, got {len(self.batch_id)}")
        _check_whole("part", self.part, 0, 0xFFFF)
        if (self.code is not None) != (self.status is ReceiptStatus.REFUSED):
            raise ValueError(f"code: expected one exactly when refused, got {self.code!r}")
        if self.code is not None and not _is_code(self.code):
            raise ValueError(f"code: expected words joined by dots, got {self.code[:80]!r}")


def _is_code(code: str) -> bool:
    return len(code) <= MAX_CODE_LENGTH and _CODE.fullmatch(code) is not None


def _check_invalid(sample: BatterySample) -> None:
    for name in sorted(sample.invalid):
        if name not in BATTERY_FIELDS or getattr(sample, name) is not None:
            raise ValueError(f"invalid: expected fields without a value, got {name}")


def _check_text(name: str, value: str, low: int, high: int, *, breaks: str = "") -> None:
    if not low <= len(value) <= high:
        raise ValueError(f"{name}: expected {low} to {high} characters, got {len(value)}")
    if not all(character.isprintable() or character in breaks for character in value):
        raise ValueError(f"{name}: expected text that can be printed, got {value[:80]!r}")


def _check_figures(name: str, figures: Sequence[WorkshopFigure]) -> None:
    if len(figures) > MAX_FIGURES:
        raise ValueError(f"{name}: expected at most {MAX_FIGURES}, got {len(figures)}")


def _check_range(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:  # NaN fails every comparison
        raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value}")


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:  # True is no number
        raise ValueError(f"{name}: expected a whole number {low} to {high}, got {value!r}")


def _check_step(name: str, value: int, low: int, high: int, step: int) -> None:
    _check_whole(name, value, low, high)
    if value % step:
        raise ValueError(f"{name}: expected steps of {step}, got {value}")


def _check_member(name: str, value: int, allowed: Sequence[int]) -> None:
    if type(value) is not int or value not in allowed:
        raise ValueError(f"{name}: expected one of {allowed}, got {value!r}")


def _check_cell(cell: int, resolution: int) -> None:
    """Source of the bits: H3, index layout (mode 1 is a cell; four bits of resolution)."""
    if type(cell) is not int or cell >> 59 != 1:
        raise ValueError(f"cell: expected an H3 cell, got {cell!r}")
    if cell >> 52 & 0xF != resolution:
        raise ValueError(f"cell: expected resolution {resolution}, got {cell >> 52 & 0xF}")


def _check_order(samples: Sequence[BatterySample]) -> None:
    if not samples:
        raise ValueError("samples: expected at least one, got none")
    last_ms = -1
    for sample in samples:
        if sample.since_start_ms <= last_ms:
            raise ValueError(
                f"samples: expected rising times, got {sample.since_start_ms} ms after {last_ms} ms"
            )
        last_ms = sample.since_start_ms
