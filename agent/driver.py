"""Who drives, as far as anybody said, and whether recording is paused. Pure: facts in, answer out.

Consents belong to a profile, never to a vehicle: another driver starts with everything off. While
a guest drives, nobody said who drives, or a pause is on, nothing of a trip is recorded.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from msgspec import Struct

MAX_PROFILES = 6  # one screen of buttons
MAX_NAME = 24  # characters


class Seat(StrEnum):
    """Who sits there."""

    DRIVER = "driver"  # one of the profiles
    GUEST = "guest"  # somebody who is asked nothing and of whom nothing is kept
    UNKNOWN = "unknown"  # there are several profiles, and nobody said which since the start


class PauseKind(StrEnum):
    """For how long nothing is recorded."""

    HOUR = "hour"
    TODAY = "today"
    ALWAYS = "always"  # until somebody ends it


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One driver of this vehicle. The id is random and stands in the ledger; the name stays here.

    ``name`` is empty for the first driver until there is a second one to tell apart.
    """

    profile_id: str
    name: str


class Chosen(Struct, frozen=True, kw_only=True):
    """What was last said about who drives; ``profile_id`` is None for a guest."""

    profile_id: str | None
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seated:
    """Who drives: ``profile_id`` is set exactly for a driver."""

    seat: Seat
    profile_id: str | None = None


def who_drives(profiles: Collection[Profile], chosen: Chosen | None, *, boot_id: str) -> Seated:
    """Return who drives.

    The only driver need not say so. With several, a choice holds until the vehicle's computer
    starts again: the next drive may be somebody else's.
    """
    if chosen and chosen.boot_id == boot_id:
        if chosen.profile_id is None:
            return Seated(seat=Seat.GUEST)
        if any(profile.profile_id == chosen.profile_id for profile in profiles):
            return Seated(seat=Seat.DRIVER, profile_id=chosen.profile_id)
    if len(profiles) == 1:
        only = next(iter(profiles))
        return Seated(seat=Seat.DRIVER, profile_id=only.profile_id)
    return Seated(seat=Seat.UNKNOWN)


class Pause(Struct, frozen=True, kw_only=True):
    """A pause as it is kept. Within its boot the monotonic clock ends it: the wall clock jumps."""

    kind: PauseKind
    until_utc: datetime | None  # None: until somebody ends it
    boot_id: str
    until_s: float  # monotonic seconds of that boot

    def is_over(self, *, utc: datetime, boot_id: str, monotonic_s: float) -> bool:
        """Tell whether it has ended by itself."""
        if self.until_utc is None:
            return False
        if boot_id == self.boot_id:
            return monotonic_s >= self.until_s
        return utc >= self.until_utc


def make_pause(
    kind: PauseKind, *, utc: datetime, boot_id: str, monotonic_s: float, zone: tzinfo | None
) -> Pause:
    """Return a pause that begins now; ``today`` ends at the next midnight in ``zone``."""
    left = _length(kind, utc.astimezone(zone))
    return Pause(
        kind=kind,
        until_utc=None if left is None else utc + left,
        boot_id=boot_id,
        until_s=monotonic_s + (left.total_seconds() if left else 0.0),
    )


def _length(kind: PauseKind, local: datetime) -> timedelta | None:
    if kind is PauseKind.ALWAYS:
        return None
    if kind is PauseKind.HOUR:
        return timedelta(hours=1)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return midnight - local
