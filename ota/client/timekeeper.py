"""What time it is, who says so, and whether that is enough to install by.

=========  =====================================  ==================  ==============
who says   what it rests on                       ends "unknown"      raises floor
=========  =====================================  ==================  ==============
nts        servers that prove who they are        if not below floor  yes, capped
gnss       satellites, which anybody can imitate  if not below floor  never
ntp        servers, which anybody can imitate     if not below floor  never
battery    a battery behind the vehicle's clock   if not below floor  never
=========  =====================================  ==================  ==============

The floor is what both repositories have signed and what NTS has said (``floor.Floor``). A reading
that is a little below it is a clock that is a little slow, not a lie.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from ota.client.floor import Floor
from ota.client.ports import Clock
from ota.errors import FutureError

# Two clocks that nobody doubts differ by less; source: the skew Kerberos allows, RFC 4120 8.2.
TOLERANCE = timedelta(minutes=5)


class Witness(StrEnum):
    """Who says what time it is, the most trusted first."""

    NTS = "nts"
    GNSS = "gnss"
    NTP = "ntp"
    BATTERY = "battery"


class TimeSource(Protocol):
    """One who may know the time. ``read`` blocks, for a second at most."""

    @property
    def witness(self) -> Witness:
        """Return what its word rests on."""

    def read(self) -> datetime | None:
        """Return the time of now, aware UTC; None if it does not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one witness says."""

    witness: Witness
    utc: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is held for the time, and by whose word; ``reading`` None: nobody's, time unknown.

    ``refused`` are the readings below the floor.
    """

    reading: Reading | None
    refused: tuple[Reading, ...] = ()


def judge(readings: Sequence[Reading], lowest: datetime | None) -> Verdict:
    """Return whose word counts: of those not below ``lowest`` the most trusted; pure."""
    good = [one for one in readings if lowest is None or one.utc >= lowest - TOLERANCE]
    ranks = {witness: rank for rank, witness in enumerate(Witness)}
    best = min(good, key=lambda one: ranks[one.witness], default=None)
    return Verdict(reading=best, refused=tuple(one for one in readings if one not in good))


class BatteryTime:
    """A wall clock with a battery behind it: it always knows, as well as it can."""

    witness = Witness.BATTERY

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def read(self) -> datetime:
        """Return the wall clock's time."""
        return self._clock.utc_now()


class TimeKeeper:
    """Meets ``ports.Clock`` with the time that is known, or the wall clock's while none is.

    ``utc_now`` is never below the floor, so that a report carries the latest verifiable time. Every
    method but ``monotonic_s`` blocks.
    """

    def __init__(self, wall: Clock, sources: Sequence[TimeSource], floor: Floor) -> None:
        self._wall = wall
        self._sources = sources
        self._floor = floor

    def look(self) -> Verdict:
        """Ask all; what NTS says raises the floor.

        Raises:
            InstallError: The floor cannot be used.
        """
        verdict = judge(list(self._read()), self._floor.lowest_time())
        reading = verdict.reading
        if reading is not None and reading.witness is Witness.NTS:
            self._floor.raise_time(reading.utc)
        return verdict

    def is_known(self) -> bool:
        """Return whether somebody knows the time, which is not below the floor."""
        return self.look().reading is not None

    def witnessed(self) -> datetime:
        """Return the time that is known, else the wall clock's, also where the floor is above it.

        For whoever knows a floor of now: a new root may just have lowered it.
        """
        reading = self.look().reading
        return self._wall.utc_now() if reading is None else reading.utc

    def utc_now(self) -> datetime:
        """Return the time that is known, else the wall clock's; the floor's if it is above."""
        return no_earlier(self.witnessed(), self._floor.lowest_time())

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""
        return self._wall.monotonic_s()

    def check_issued(self, repository: str, issued: datetime | None) -> None:
        """Return unless a Timestamp is from a future that NTS says has not come.

        Only NTS may say so: whoever imitates a satellite must not make honest roles look forged.

        Raises:
            FutureError: It was signed to move this vehicle's time.
            InstallError: The floor cannot be used.
        """
        reading = self.look().reading
        if issued is None or reading is None or reading.witness is not Witness.NTS:
            return
        if issued > reading.utc + TOLERANCE:
            raise FutureError(
                f"{repository} timestamp",
                expected=f"issued by {reading.utc:%Y-%m-%d %H:%M} UTC",
                got=f"{issued:%Y-%m-%d %H:%M} UTC",
            )

    def _read(self) -> Sequence[Reading]:
        said = [(source.witness, source.read()) for source in self._sources]
        return [Reading(witness=witness, utc=utc) for witness, utc in said if utc is not None]


def no_earlier(wall: datetime, lowest: datetime | None) -> datetime:
    """Return ``wall``, or the ``lowest`` time it can be when the clock is behind that."""
    return wall if lowest is None else max(wall, lowest)
