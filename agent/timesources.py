"""Who may know the time in this vehicle: chrony with NTS, a GNSS receiver, the kernel, a marker.

No library speaks NTS; chrony does, and says by which sources it is served. Its word counts as NTS
only while every source it has is authenticated, because it weighs them together.
"""

import subprocess
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from agent.clock import SystemClock
from agent.config import AgentConfig
from agent.signals.gnss import GnssReader
from ota.client.timekeeper import BatteryTime, TimeSource, Witness

_CHRONYC = ("chronyc", "-c", "-n")
_PATIENCE_S = 1.0
_ASK_AGAIN_S = 30.0  # what chrony said holds this long: its own polls are further apart
# Source: chronyc(1) of chrony 4.3, "tracking" and "authdata" as CSV (-c).
_TRACKING_FIELDS, _OFFSET, _LEAP = 14, 4, 13
_AUTHDATA_FIELDS, _MODE, _KEY_BITS = 10, 1, 4


class Clock(Protocol):
    """Both hands, and whether the kernel holds wall time for synchronised."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""

    def is_proven(self) -> bool:
        """Return whether the kernel holds wall time for synchronised."""


class KernelTime:
    """Meets ``TimeSource``: the wall clock, once anything has synchronised it (plain NTP)."""

    witness = Witness.NTP

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read(self) -> datetime | None:
        """Return wall time; None before the kernel calls it synchronised."""
        return self._clock.utc_now() if self._clock.is_proven() else None


class MarkerTime:
    """Meets ``TimeSource``: the wall clock, once ``marker`` exists.

    systemd-timesyncd makes ``/run/systemd/timesync/synchronized``.
    """

    witness = Witness.NTP

    def __init__(self, marker: Path, clock: Clock) -> None:
        self._marker = marker
        self._clock = clock

    def read(self) -> datetime | None:
        """Return wall time; None before somebody made the marker."""
        return self._clock.utc_now() if self._marker.exists() else None


class GnssTime:
    """Meets ``TimeSource`` by what the receiver said last; ``latest`` is None without a fix."""

    witness = Witness.GNSS

    def __init__(self, latest: Callable[[], datetime | None]) -> None:
        self._latest = latest

    def read(self) -> datetime | None:
        """Return the receiver's time of now; None without a fix."""
        return self._latest()


class ChronyNtsTime:
    """Meets ``TimeSource``: what chrony holds for the time, if NTS authenticates all it asks.

    ``command`` asks chronyd as root does, or as a member of its group.
    """

    witness = Witness.NTS

    def __init__(self, clock: Clock, command: Sequence[str] = _CHRONYC) -> None:
        self._clock = clock
        self._command = tuple(command)
        self._asked_s: float | None = None
        self._offset: timedelta | None = None

    def read(self) -> datetime | None:
        """Return NTS's time of now; None while chrony is not synchronised by NTS alone."""
        now_s = self._clock.monotonic_s()
        if self._asked_s is None or now_s - self._asked_s >= _ASK_AGAIN_S:
            self._offset = nts_offset(self._ask("tracking"), self._ask("authdata"))
            self._asked_s = now_s
        return None if self._offset is None else self._clock.utc_now() + self._offset

    def _ask(self, what: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603 (the configured command, and a word of ours)
                [*self._command, what],
                capture_output=True,
                text=True,
                timeout=_PATIENCE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
            return ""
        return done.stdout if done.returncode == 0 else ""


def nts_offset(tracking: str, authdata: str) -> timedelta | None:
    """Return what to add to the wall clock; None unless NTS alone says what time it is.

    Shape: the CSV that ``chronyc -c -n tracking`` and ``chronyc -c -n authdata`` print.
    """
    fields = tracking.strip().split(",")
    sources = [line.split(",") for line in authdata.strip().splitlines()]
    if len(fields) != _TRACKING_FIELDS or fields[_LEAP] != "Normal" or not sources:
        return None
    if not all(map(_is_authenticated, sources)):
        return None
    try:
        return timedelta(seconds=float(fields[_OFFSET]))
    except (ValueError, OverflowError):
        return None


def _is_authenticated(source: Sequence[str]) -> bool:
    """Return whether the keys of an NTS session are there, not only the wish for one."""
    return len(source) == _AUTHDATA_FIELDS and source[_MODE] == "NTS" and source[_KEY_BITS] != "0"


def time_sources(
    config: AgentConfig, clock: SystemClock, gnss: GnssReader | None
) -> list[TimeSource]:
    """Return who may say what time it is in this vehicle, as configured."""
    updates = config.updates
    marker = updates.clock_set_file
    makers: dict[str, Callable[[], TimeSource]] = {
        "nts": lambda: ChronyNtsTime(clock),
        "gnss": lambda: GnssTime(lambda: None if gnss is None else gnss.utc_now()),
        "ntp": lambda: KernelTime(clock),
        "file": lambda: MarkerTime(marker or Path(), clock),
        "battery": lambda: BatteryTime(clock),
    }
    named = updates.time_sources or (("battery",) if marker is None else ("file",))
    return [makers[name]() for name in named]
