"""What the battery watch looks for: every threshold with its unit and its source. Data only.

``raise_at`` and ``clear_at`` leave a gap between them, so that a value near the limit does not
flicker. Two readings ``apart_s`` apart have to agree before anything is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How urgent an alert is, and when the driver is told."""

    CRITICAL = "critical"  # at once, in every driving state
    WARNING = "warning"  # at the next stop
    ADVISORY = "advisory"  # when the trip is over
    INFO = "info"  # on request


class Code(StrEnum):
    """What can be wrong; the value is stable and goes into history and texts."""

    RELAY_CUT = "relay_cut"
    FAILSAFE = "failsafe"
    EMPTY = "empty"
    LIMIT_MALFUNCTION = "limit_malfunction"
    ISOLATION = "isolation"
    INTERLOCK = "interlock"
    LIMIT_HOT = "limit_hot"
    WEAK_CELL = "weak_cell"
    CELL_BELOW_LIMIT = "cell_below_limit"
    HOT_MODULE = "hot_module"
    SOC_MISMATCH = "soc_mismatch"
    LOW_VOLTAGE = "low_voltage"
    SENSOR_INVALID = "sensor_invalid"
    CHARGE_FAULT = "charge_fault"
    RESISTANCE = "resistance"
    SELF_DISCHARGE = "self_discharge"
    HEALTH = "health"
    HEALTH_DROP = "health_drop"
    HX_FALL = "hx_fall"
    HOT_CHARGES = "hot_charges"
    BALANCING = "balancing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One threshold. A value of at least ``raise_at`` is bad, below ``clear_at`` it is good.

    ``within_s`` is the time within which a lasting fault raises the alert, counted in seconds of
    data that can tell; ``good_readings`` is the unlatch rule: so many good readings in a row, each
    ``apart_s`` after the one before.
    """

    code: Code
    severity: Severity
    raise_at: float
    clear_at: float
    unit: str
    apart_s: float
    within_s: float
    source: str
    bad_readings: int = 2
    good_readings: int = 2


_OURS: Final = "ours, calibrated on the healthy recordings"
C, V = Code, Severity


def _flag(  # noqa: PLR0913 (one keyword per column of the row)
    code: Code,
    severity: Severity,
    source: str,
    *,
    apart_s: float,
    within_s: float,
    good_readings: int = 60,
) -> Rule:
    """Return the rule of something that is either so or not."""
    return Rule(
        code=code,
        severity=severity,
        raise_at=1,
        clear_at=1,
        unit="",
        apart_s=apart_s,
        within_s=within_s,
        good_readings=good_readings,
        source=source,
    )


_FLAGS: Final = (
    _flag(
        C.RELAY_CUT,
        V.CRITICAL,
        "frame 0x1DB: the controller asks for the main relay to open",
        apart_s=0.5,
        within_s=5,
    ),
    _flag(
        C.FAILSAFE,
        V.CRITICAL,
        "frame 0x1DB: stop request or caution lamp, while driving",
        apart_s=0.5,
        within_s=5,
    ),
    _flag(C.EMPTY, V.CRITICAL, "frame 0x55B: capacity empty", apart_s=1.0, within_s=10),
    _flag(
        C.LIMIT_MALFUNCTION,
        V.CRITICAL,
        "frame 0x5BC, reason 2; never judged on a ZE0: it reads 2 in working ZE0",
        apart_s=2.0,
        within_s=10,
    ),
    _flag(
        C.ISOLATION,
        V.WARNING,
        "frame 0x55B; the flag alone: critical only with trouble code P0AA6, which no frame tells",
        apart_s=2.0,
        within_s=10,
        good_readings=600,
    ),
    _flag(
        C.INTERLOCK,
        V.WARNING,
        "frame 0x1DB, while the main relay is closed; opens for 0.13 s at every start (measured)",
        apart_s=2.0,
        within_s=10,
    ),
    _flag(C.LIMIT_HOT, V.WARNING, "frame 0x5BC, reason 3", apart_s=5.0, within_s=20),
    _flag(C.SENSOR_INVALID, V.WARNING, _OURS, apart_s=10.0, within_s=60, good_readings=6),
    _flag(
        C.CHARGE_FAULT,
        V.ADVISORY,
        "frame 0x390: charging, and no power for two minutes; healthy: 6 s (measured)",
        apart_s=60.0,
        within_s=300,
        good_readings=2,
    ),
)
_LEVELS: Final = (
    Rule(
        code=C.WEAK_CELL,
        severity=V.WARNING,
        raise_at=0.100,
        clear_at=0.080,
        unit="V",
        apart_s=50.0,
        within_s=240,
        source=(
            "practice: more than 100 mV is weak, one reading proves nothing; healthy: 6 to "
            "26 mV below 60 A, 49 to 55 mV above 360 A (measured), so only below 20 A"
        ),
    ),
    Rule(
        code=C.CELL_BELOW_LIMIT,
        severity=V.WARNING,
        raise_at=0.0,
        clear_at=-0.020,
        unit="V",
        apart_s=0.0,
        within_s=2 * 86_400,
        source=(
            "maker's manual, 2011: limit by pack voltage and highest cell, 24 and 30 kWh "
            "packs only; on two different days"
        ),
    ),
    Rule(
        code=C.HOT_MODULE,
        severity=V.WARNING,
        raise_at=6.0,
        clear_at=4.5,
        unit="celsius",
        apart_s=200.0,
        within_s=600,
        source=("above the median of the others; healthy: at most 3.5 K (measured); " + _OURS),
    ),
    Rule(
        code=C.SOC_MISMATCH,
        severity=V.WARNING,
        raise_at=3.0,
        clear_at=2.0,
        unit="percent",
        apart_s=2.0,
        within_s=10,
        good_readings=300,
        source=(
            "3 points against counted charge within 60 s; healthy drive: 0.02 points (measured)"
        ),
    ),
    Rule(
        code=C.LOW_VOLTAGE,
        severity=V.WARNING,
        raise_at=1.6,
        clear_at=0.96,
        unit="V",
        apart_s=5.0,
        within_s=30,
        good_readings=10,
        source="OVMS: below max(12.6 V, at rest) by 1.6 V; clear below 60 % of it",
    ),
    Rule(
        code=C.RESISTANCE,
        severity=V.ADVISORY,
        raise_at=1.25,
        clear_at=1.15,
        unit="of own baseline",
        apart_s=30.0,
        within_s=600,
        source=(
            "own baseline at the same temperature and charge; a drive repeats within 4 % (measured)"
        ),
    ),
    Rule(
        code=C.SELF_DISCHARGE,
        severity=V.ADVISORY,
        raise_at=1.0,
        clear_at=0.5,
        unit="percent/day",
        apart_s=0.0,
        within_s=4 * 86_400,
        source=("at rest, at least 3 points; " + _OURS),
    ),
    Rule(
        code=C.HEALTH,
        severity=V.ADVISORY,
        raise_at=1.0,
        clear_at=-1.0,
        unit="percent",
        apart_s=60.0,
        within_s=300,
        source="UN GTR 22: 80 % until 100,000 km, 70 % until 160,000 km",
    ),
    Rule(
        code=C.HEALTH_DROP,
        severity=V.ADVISORY,
        raise_at=3.0,
        clear_at=1.5,
        unit="percent",
        apart_s=0.0,
        within_s=2 * 86_400,
        source=(
            "below the median of the eight weeks before, on two different days; a pack loses "
            "about 2 points a year; " + _OURS
        ),
    ),
    Rule(
        code=C.HX_FALL,
        severity=V.ADVISORY,
        raise_at=10.0,
        clear_at=7.0,
        unit="percent",
        apart_s=0.0,
        within_s=2 * 86_400,
        source="10 points a year, weekly medians; conductance-like, never health",
    ),
    Rule(
        code=C.HOT_CHARGES,
        severity=V.ADVISORY,
        raise_at=5,
        clear_at=3,
        unit="charges",
        apart_s=0.0,
        within_s=0,
        bad_readings=1,
        good_readings=1,
        source=("quick charges above 45 celsius in 30 days; " + _OURS),
    ),
    Rule(
        code=C.BALANCING,
        severity=V.INFO,
        raise_at=0.050,
        clear_at=0.035,
        unit="V",
        apart_s=50.0,
        within_s=240,
        source="below 20 A from 80 % on; healthy: 22 mV at 93 % (measured); " + _OURS,
    ),
)
RULES: Final[Mapping[Code, Rule]] = {rule.code: rule for rule in (*_FLAGS, *_LEVELS)}


def with_thresholds(raise_at: Mapping[str, float]) -> Mapping[Code, Rule]:
    """Return the rules with other thresholds; the gap of the hysteresis moves along.

    Raises:
        ValueError: A name that is no code.
    """
    rules = dict(RULES)
    for name, value in raise_at.items():
        rule = rules[Code(name)]
        rules[rule.code] = replace(
            rule,
            raise_at=value,
            clear_at=value - (rule.raise_at - rule.clear_at),
            source="configuration",
        )
    return rules
