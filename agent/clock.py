"""The one clock of the daemon: wall time, monotonic time, and which boot they belong to."""

import time
from datetime import UTC, datetime
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # source: proc(5), new at every boot


class SystemClock:
    """Two hands: wall time may jump, monotonic time never goes back."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""
        return datetime.now(UTC)  # noqa: TID251 (this is the clock everybody is told to ask)

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back within one boot."""
        return time.monotonic()

    def boot_id(self) -> str:
        """Return the kernel's id of this boot; monotonic times of two boots do not compare."""
        return _BOOT_ID.read_text().strip()
