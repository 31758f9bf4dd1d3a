"""Internal resistance: least squares of voltage over current, per temperature and charge. Pure.

Single steps scatter by a third (measured); a window of half a minute with enough change in current
is good to a few percent. The slow drift of the open voltage is fitted too, or it would be taken
for resistance.
"""

import math
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 30.0
MAX_WINDOW_S: Final = 120.0
MIN_SIGMA_A: Final = 15.0  # standard deviation of the current below which nothing can be fitted
MAX_ERROR: Final = 0.05  # relative standard error of a window that counts
CORRELATED: Final = 20  # so many samples in a row count as one: 0.2 s at 100 Hz; ours
MIN_SAMPLES: Final = 200
BASELINE_WINDOWS: Final = 5  # so many windows make a baseline, and it stays
_TEMPERATURE_STEP_C: Final = 5
_CHARGE_STEP_PERCENT: Final = 10
_MIN_RESISTANCE_OHM, _MAX_RESISTANCE_OHM = 0.005, 1.0


@dataclass(frozen=True, slots=True)
class Fit:
    """Voltage = ``open_v`` + ``resistance_ohm`` x current; ``error`` is relative."""

    open_v: float
    resistance_ohm: float
    error: float
    samples: int
    sigma_a: float


@dataclass(slots=True)
class LeastSquares:
    """Sums of one window: voltage over current and time, origin at the first sample."""

    start_s: float = 0.0
    n: int = 0
    _v0: float = 0.0
    _sums: tuple[float, ...] = (0.0,) * 9

    def add(self, time_s: float, volts: float, amperes: float) -> None:
        """Take one sample; all of one instant."""
        if not self.n:
            self.start_s, self._v0 = time_s, volts
        self.n += 1
        t, v, i = time_s - self.start_s, volts - self._v0, amperes
        st, si, sv, stt, sii, svv, sti, stv, siv = self._sums
        self._sums = (
            st + t,
            si + i,
            sv + v,
            stt + t * t,
            sii + i * i,
            svv + v * v,
            sti + t * i,
            stv + t * v,
            siv + i * v,
        )

    def fit(self, *, with_drift: bool = True) -> Fit | None:
        """Return the fit; None if the current does not change enough for one."""
        n = self.n
        if n < MIN_SAMPLES:
            return None
        st, si, sv, stt, sii, svv, sti, stv, siv = self._sums
        tt, ii, vv = stt - st * st / n, sii - si * si / n, svv - sv * sv / n
        ti, tv, iv = sti - st * si / n, stv - st * sv / n, siv - si * sv / n
        if not with_drift:
            ti = tv = 0.0
        left = ii - (ti * ti / tt if tt else 0.0)  # the current's change that is not drift
        sigma_a = math.sqrt(max(left, 0.0) / n)
        if sigma_a < MIN_SIGMA_A:
            return None
        slope = (iv - (ti * tv / tt if tt else 0.0)) / left
        drift = (tv - slope * ti) / tt if tt else 0.0
        rest = max(0.0, vv - slope * iv - drift * tv)
        independent = max(n / CORRELATED - 3, 1.0)
        error = math.sqrt(rest / n / independent) / sigma_a
        open_v = self._v0 + (sv - slope * si - drift * st) / n
        return Fit(open_v, slope, error / slope if slope > 0 else math.inf, n, sigma_a)


@dataclass(frozen=True, slots=True)
class Bin:
    """Where resistances may be compared: within 5 K and 10 points of charge."""

    temperature_c: int  # lower edge
    charge_percent: int  # lower edge

    def __str__(self) -> str:
        warmest_c = self.temperature_c + _TEMPERATURE_STEP_C
        fullest = self.charge_percent + _CHARGE_STEP_PERCENT
        return f"{self.temperature_c}..{warmest_c} C, {self.charge_percent}..{fullest} %"


def bin_of(temperature_c: float, charge_percent: float) -> Bin:
    """Return the bin of a window."""
    return Bin(
        math.floor(temperature_c / _TEMPERATURE_STEP_C) * _TEMPERATURE_STEP_C,
        min(int(charge_percent // _CHARGE_STEP_PERCENT) * _CHARGE_STEP_PERCENT, 90),
    )


@dataclass(frozen=True, slots=True)
class Baseline:
    """This vehicle's own resistance in one bin: mean of its first windows."""

    mean_ohm: float
    windows: int

    @property
    def is_firm(self) -> bool:
        """Whether it rests on enough windows to be compared with."""
        return self.windows >= BASELINE_WINDOWS

    def plus(self, resistance_ohm: float) -> "Baseline":
        """Return the baseline with one more window; a firm one stays as it is."""
        if self.is_firm:
            return self
        windows = self.windows + 1
        return Baseline(self.mean_ohm + (resistance_ohm - self.mean_ohm) / windows, windows)


class ResistanceWindows:
    """Cuts a drive into windows and fits each; feed it pairs of one instant."""

    def __init__(self) -> None:
        self._sums = LeastSquares()

    def add(self, time_s: float, volts: float, amperes: float) -> Fit | None:
        """Take one sample; return the fit of the window it completes, if that is any good."""
        sums = self._sums
        if sums.n and not 0 <= time_s - sums.start_s <= MAX_WINDOW_S:
            self.reset()
            sums = self._sums
        sums.add(time_s, volts, amperes)
        if time_s - sums.start_s < WINDOW_S or sums.n % MIN_SAMPLES:
            return None
        fit = sums.fit()
        if fit is None or fit.error > MAX_ERROR:
            return None
        self.reset()
        is_plausible = _MIN_RESISTANCE_OHM <= fit.resistance_ohm <= _MAX_RESISTANCE_OHM
        return fit if is_plausible else None

    def reset(self) -> None:
        """Forget the window under way: a sensor cannot be trusted, or nobody listened."""
        self._sums = LeastSquares()
