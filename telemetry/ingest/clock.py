"""The clock of ingest: wall time for records, monotonic time for waiting."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two hands: never measure a duration with the first one."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""


class SystemClock:
    """The clock of this machine."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""
        return datetime.now(UTC)  # noqa: TID251 (this is the clock everybody is told to ask)

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""
        return time.monotonic()
