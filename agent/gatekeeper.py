"""Asks the gates for this vehicle: what it is doing, what time it is, who said what, the countdown.

Every installation begins with a countdown that can be cancelled, and the countdown begins when all
gates are open: an OK given on the road must not start anything at the moment of parking.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Protocol

from ota.client.gates import (
    COUNTDOWN,
    GateLimits,
    Refusal,
    Situation,
    VehicleState,
    broken_gate,
    closed_gates,
)
from ota.client.journal import JournalEntry
from ota.metadata.custom import Criticality
from ota.metadata.models import format_utc, parse_utc

_LIMITS = GateLimits()


class Clock(Protocol):
    """Wall time for deadlines and the time of day, monotonic time for what lasts."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePolicy:
    """When to look for updates and when to install them; seconds where nothing else is said.

    ``countdown_s``: how long an installation that could begin can still be cancelled.
    ``put_off_s``: how long an overdue recall that was cancelled leaves the driver alone.
    ``window``: the local time of day in which installations begin, "02:00-05:00"; None: any.
    """

    check_every_s: float = 86_400.0
    countdown_s: float = 120.0
    put_off_s: float = 28_800.0
    window: str | None = None
    limits: GateLimits = _LIMITS


class Gatekeeper:
    """Meets ``workflow.Gates``; all methods belong to the event loop's thread and do not block."""

    def __init__(
        self, vehicle_state: Callable[[], VehicleState], policy: UpdatePolicy, clock: Clock
    ) -> None:
        self._vehicle_state = vehicle_state
        self._policy = policy
        self._clock = clock
        self._open_since_s: float | None = None
        self._put_off: tuple[str | None, float] = (None, float("-inf"))

    def closed(self, entry: JournalEntry) -> list[Refusal]:
        """Return why the update of ``entry`` may not be installed now; empty: it may."""
        refusals = list(closed_gates(self._situation(entry)))
        if refusals:
            self._open_since_s = None
            return refusals
        if self._open_since_s is None:
            self._open_since_s = self._clock.monotonic_s()
        left_s = self.countdown_s(entry) or 0.0
        if left_s <= 0:
            return []
        return [Refusal(COUNTDOWN, f"Starting in {left_s:.0f} s; it can still be cancelled.")]

    def broken(self, entry: JournalEntry) -> Refusal | None:
        """Return which watched gate has closed over the installation of ``entry``, if one has."""
        return broken_gate(self._situation(entry))

    def countdown_s(self, entry: JournalEntry) -> float | None:
        """Return how long ``entry`` can still be cancelled; None while no countdown is near."""
        if entry.is_technician:
            return 0.0
        if self._open_since_s is None:
            return self._policy.countdown_s if entry.approved else None
        end_s = self._open_since_s + self._policy.countdown_s
        return max(0.0, end_s - self._clock.monotonic_s())

    def is_overdue(self, entry: JournalEntry) -> bool:
        """Return whether ``entry`` holds a recall whose deadline has passed."""
        return any(
            offer.deadline is not None
            and offer.custom.release.criticality is Criticality.RECALL
            and self._clock.utc_now() >= parse_utc(offer.deadline, subject="deadline")
            for offer in entry.offers
        )

    def answered(self) -> None:
        """Let the countdown begin anew: somebody has said something."""
        self._open_since_s = None

    def put_off_until(self) -> str:
        """Return until when an overdue recall that is cancelled now leaves the driver alone."""
        return format_utc(self._clock.utc_now() + timedelta(seconds=self._policy.put_off_s))

    def _put_off_s(self, entry: JournalEntry) -> float:
        """Return how long ``entry`` is put off from now, by the monotonic clock since it was seen.

        The wall clock is asked once, after a restart; it never makes it longer than the policy.
        """
        now_s = self._clock.monotonic_s()
        if entry.put_off_until is None:
            return 0.0
        if self._put_off[0] != entry.put_off_until:
            until = parse_utc(entry.put_off_until, subject="put_off_until")
            left_s = (until - self._clock.utc_now()).total_seconds()
            self._put_off = (entry.put_off_until, now_s + min(left_s, self._policy.put_off_s))
        return max(0.0, self._put_off[1] - now_s)

    def _situation(self, entry: JournalEntry) -> Situation:
        now = self._clock.utc_now().astimezone()
        return Situation(
            vehicle=self._vehicle_state(),
            limits=self._policy.limits,
            offered=entry.content_hash or "",
            approved=entry.approved,
            is_technician=entry.is_technician,
            needs_technician=any(offer.custom.needs_technician for offer in entry.offers),
            is_overdue=self.is_overdue(entry),
            window=self._policy.window,
            is_in_window=is_in_window(self._policy.window, now.time()),
            put_off_s=self._put_off_s(entry),
        )


def is_in_window(window: str | None, now: time) -> bool:
    """Return whether ``now`` is in ``window`` ("HH:MM-HH:MM"); one may go past midnight."""
    if window is None:
        return True
    begin, end = (time.fromisoformat(each) for each in window.split("-"))
    return begin <= now < end if begin <= end else now >= begin or now < end
