"""Who drives and whether recording is paused: what was said, kept in the state file.

Asked for every row that may be written, so the answer is held in memory; only a change and a start
read or write the disk. Every method that changes something blocks.
"""

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Protocol

from agent.driver import (
    MAX_NAME,
    MAX_PROFILES,
    Chosen,
    Pause,
    PauseKind,
    Profile,
    Seat,
    Seated,
    make_pause,
    who_drives,
)
from agent.store.drivers import Drivers


class Clock(Protocol):
    """Two hands, and the boot that the second one belongs to."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start of this boot. It never goes back."""

    def boot_id(self) -> str:
        """Return the id of this boot. May block."""


class PresenceError(Exception):
    """The wish about drivers cannot be met; nothing changed. ``code`` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Presence:
    """Who drives this vehicle now. ``load`` it before the first question."""

    def __init__(
        self, drivers: Drivers, *, clock: Clock, zone: tzinfo | None, new_id: Callable[[], str]
    ) -> None:
        """Wire; ``zone`` is in which time a day ends, None: the board's; ``new_id`` is random."""
        self.drivers = drivers
        self._clock = clock
        self._zone = zone
        self._new_id = new_id
        self._boot_id = ""
        self._profiles: tuple[Profile, ...] = ()
        self._seated = Seated(seat=Seat.UNKNOWN)
        self._pause: Pause | None = None

    def load(self) -> None:
        """Read what was said; blocks, raises StoreError."""
        self._boot_id = self._clock.boot_id()
        self._profiles = tuple(self.drivers.profiles())
        chosen = self.drivers.chosen()
        self._seated = who_drives(self._profiles, chosen, boot_id=self._boot_id)
        self._pause = self.drivers.pause()

    def profiles(self) -> tuple[Profile, ...]:
        """Return every profile, the oldest first. Does not block."""
        return self._profiles

    def seated(self) -> Seated:
        """Return who drives. Does not block."""
        return self._seated

    def pause(self) -> Pause | None:
        """Return the pause that is on; None if there is none. Does not block."""
        pause = self._pause
        if pause is None or pause.is_over(
            utc=self._clock.utc_now(),
            boot_id=self._boot_id,
            monotonic_s=self._clock.monotonic_s(),
        ):
            return None
        return pause

    def choose(self, profile_id: str | None) -> None:
        """Say who drives; None is a guest. Raise PresenceError for a stranger."""
        if profile_id is not None:
            self._expect_known(profile_id)
        self.drivers.choose(Chosen(profile_id=profile_id, boot_id=self._boot_id))
        self.load()

    def add(self, name: str) -> Profile:
        """Add a driver, who has agreed to nothing; raise PresenceError."""
        self._check_name(name)
        if len(self._profiles) >= MAX_PROFILES:
            raise PresenceError(
                "driver.too_many",
                f"Expected at most {MAX_PROFILES} drivers; nothing was changed. Remove one first.",
            )
        profile = Profile(profile_id=self._new_id(), name=name.strip())
        seated = self._seated
        self.drivers.add(profile)
        if seated.profile_id:  # the only driver is still the one who drives
            self.drivers.choose(Chosen(profile_id=seated.profile_id, boot_id=self._boot_id))
        self.load()
        return profile

    def rename(self, profile_id: str, name: str) -> None:
        """Give a driver another name; it never leaves the vehicle. Raise PresenceError."""
        self._expect_known(profile_id)
        self._check_name(name)
        self.drivers.rename(profile_id, name.strip())
        self.load()

    def remove(self, profile_id: str) -> None:
        """Remove a driver who has nothing switched on any more; raise PresenceError."""
        self._expect_known(profile_id)
        if not self.drivers.remove(profile_id):
            raise PresenceError("driver.last", "The last driver stays; nothing was changed.")
        self.load()

    def set_pause(self, kind: PauseKind | None) -> None:
        """Begin a pause, or end it with None."""
        pause = None if kind is None else self._pause_of(kind)
        self.drivers.set_pause(pause)
        self._pause = pause

    def _pause_of(self, kind: PauseKind) -> Pause:
        return make_pause(
            kind,
            utc=self._clock.utc_now(),
            boot_id=self._boot_id,
            monotonic_s=self._clock.monotonic_s(),
            zone=self._zone,
        )

    def _expect_known(self, profile_id: str) -> None:
        if all(profile.profile_id != profile_id for profile in self._profiles):
            raise PresenceError("driver.unknown", "There is no such driver; nothing was changed.")

    def _check_name(self, name: str) -> None:
        plain = name.strip()
        if not 1 <= len(plain) <= MAX_NAME or not plain.isprintable():
            raise PresenceError(
                "driver.name",
                f"Expected a name of 1 to {MAX_NAME} characters; nothing was changed.",
            )
        if any(profile.name == plain for profile in self._profiles):
            raise PresenceError("driver.name", f"There is a driver {plain} already.")
