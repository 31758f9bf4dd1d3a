"""From readings to alerts: two readings that agree raise one, a row of good ones ends it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from agent.vehicle.battery.rules import Code, Rule, Severity
from agent.vehicle.moves import follow

DAY_S: Final = 86_400.0


class Stage(StrEnum):
    """Where one rule stands."""

    CLEAR = "clear"
    SUSPECT = "suspect"  # bad, but not often enough to be said
    RAISED = "raised"
    EASING = "easing"  # raised; good, but not often enough to be taken back


class Finding(StrEnum):
    """What the readings say."""

    BAD = "bad"
    GOOD = "good"
    CONFIRMED = "confirmed"  # bad as often as the rule asks
    EASED = "eased"  # good as often as the rule asks


S, F = Stage, Finding

# fmt: off
TRANSITIONS: dict[Stage, dict[Finding, Stage]] = {
    S.CLEAR:   {F.BAD: S.SUSPECT,   F.CONFIRMED: S.RAISED},
    S.SUSPECT: {F.GOOD: S.CLEAR,    F.BAD: S.SUSPECT,  F.CONFIRMED: S.RAISED},
    S.RAISED:  {F.GOOD: S.EASING,   F.BAD: S.RAISED,   F.CONFIRMED: S.RAISED, F.EASED: S.CLEAR},
    S.EASING:  {F.BAD: S.RAISED,    F.CONFIRMED: S.RAISED, F.GOOD: S.EASING,  F.EASED: S.CLEAR},
}
# fmt: on


def next_stage(stage: Stage, finding: Finding) -> Stage:
    """Return the stage after ``finding``; raise ValueError if the table has no such move."""
    return follow(TRANSITIONS, stage, finding)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One figure an alert rests on."""

    name: str
    value: float | int | str
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One judgement: ``value`` in the rule's unit, and what it rests on."""

    code: Code
    value: float
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something is wrong. ``since_s`` is the first bad reading, on the clock of the frames.

    ``readings`` counts the bad readings that agree; ``value`` is the latest of them.
    """

    code: Code
    severity: Severity
    since_s: float
    value: float
    limit: float
    unit: str
    readings: int
    evidence: tuple[Evidence, ...] = ()


class Step(StrEnum):
    """What happened to an alert."""

    RAISED = "raised"
    REPEATED = "repeated"  # it is still there a day later
    CLEARED = "cleared"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChange:
    """One step of an alert. ``is_told`` is false if the driver heard of it within a day."""

    step: Step
    alert: Alert
    time_s: float
    is_told: bool


@dataclass(slots=True)
class Latch:
    """One rule and how often readings of late agreed. ``alert`` is set while it is raised."""

    rule: Rule
    stage: Stage = Stage.CLEAR
    alert: Alert | None = None
    _count: int = 0
    _since_s: float = 0.0
    _counted_s: float | None = None
    _told_s: float | None = None
    told_day: int | None = None  # days since 1970; from an earlier run, or of this one

    def take(self, reading: Reading, time_s: float, *, day: int) -> AlertChange | None:
        """Take one reading; return what it changed for the driver.

        A reading between the two thresholds says nothing. One that comes sooner than the rule's
        ``apart_s`` after the last that counted is the same reading again.
        """
        is_bad = reading.value >= self.rule.raise_at
        if not is_bad and reading.value >= self.rule.clear_at:
            return None
        is_turn = is_bad is (self.stage in (S.CLEAR, S.EASING))
        if not is_turn and self._is_same(time_s):
            return self._refreshed(reading, time_s, day) if is_bad else None
        if not is_bad and self.stage is S.CLEAR:
            return None
        return self._count_in(reading, time_s, day, is_bad=is_bad)

    @property
    def good(self) -> int:
        """Return how many good readings in a row were taken since the alert was raised."""
        return self._count if self.stage is S.EASING else 0

    def restore(self, alert: Alert, time_s: float, *, good: int = 0) -> None:
        """Go on with an alert of an earlier run, which saw ``good`` good readings in a row."""
        self.stage, self.alert, self._counted_s = S.RAISED, alert, time_s
        self._count = alert.readings
        if good:
            self.stage, self._count = S.EASING, good

    def suspect(self) -> None:
        """Go on with the one bad reading of an earlier run."""
        self.stage, self._count = S.SUSPECT, 1

    def _is_same(self, time_s: float) -> bool:
        if self._counted_s is None or time_s < self._counted_s:  # never, or the clock went back
            return False
        return time_s - self._counted_s < self.rule.apart_s

    def _count_in(
        self, reading: Reading, time_s: float, day: int, *, is_bad: bool
    ) -> AlertChange | None:
        before = self.stage
        is_first = is_bad is (before in (S.CLEAR, S.EASING)) or (not is_bad and before is S.RAISED)
        self._count = 1 if is_first else self._count + 1
        self._counted_s = time_s
        if is_bad and before is S.CLEAR:
            self._since_s = time_s
        self.stage = next_stage(before, self._finding(is_bad=is_bad))
        if self.stage is S.RAISED:
            return self._refreshed(reading, time_s, day)
        if self.stage is S.CLEAR and self.alert:
            alert, self.alert = self.alert, None
            return AlertChange(step=Step.CLEARED, alert=alert, time_s=time_s, is_told=True)
        return None

    def _finding(self, *, is_bad: bool) -> Finding:
        if is_bad:
            return F.CONFIRMED if self._count >= self.rule.bad_readings else F.BAD
        is_eased = self._count >= self.rule.good_readings and self.alert is not None
        return F.EASED if is_eased else F.GOOD

    def _refreshed(self, reading: Reading, time_s: float, day: int) -> AlertChange | None:
        if self.stage is not S.RAISED:
            return None
        was = self.alert
        self.alert = Alert(
            code=self.rule.code,
            severity=self.rule.severity,
            since_s=was.since_s if was else self._since_s,
            value=reading.value,
            limit=self.rule.raise_at,
            unit=self.rule.unit,
            readings=max(self._count, was.readings if was else 0),
            evidence=reading.evidence,
        )
        is_due = self._is_due(time_s, day)
        if was is not None and not is_due:
            return None
        if is_due:
            self._told_s, self.told_day = time_s, day
        step = Step.REPEATED if was else Step.RAISED
        return AlertChange(step=step, alert=self.alert, time_s=time_s, is_told=is_due)

    def _is_due(self, time_s: float, day: int) -> bool:
        """Return whether a day has passed since the driver was told; the wall clock may jump."""
        if self._told_s is not None:
            return time_s < self._told_s or time_s - self._told_s >= DAY_S
        return self.told_day is None or day > self.told_day


@dataclass(slots=True)
class AlertBook:
    """One latch for each rule."""

    rules: Mapping[Code, Rule]
    latches: dict[Code, Latch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.latches = {code: Latch(rule) for code, rule in self.rules.items()}

    def take(self, reading: Reading, time_s: float, *, day: int) -> AlertChange | None:
        """Take one reading; return what it changed for the driver."""
        return self.latches[reading.code].take(reading, time_s, day=day)

    def active(self) -> tuple[Alert, ...]:
        """Return the alerts that are raised, most severe first."""
        order = list(Severity)
        found = [latch.alert for latch in self.latches.values() if latch.alert]
        return tuple(sorted(found, key=lambda alert: order.index(alert.severity)))
