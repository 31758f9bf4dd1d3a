"""The one clock of the daemon: wall time, monotonic time, and which boot they belong to."""

import ctypes
import time
from datetime import UTC, datetime
from pathlib import Path

_TIME_ERROR = 5  # source: adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512  # struct timex has 208 bytes on 64-bit Linux; all zero = only ask
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # source: proc(5), new at every boot

_libc = ctypes.CDLL(None)


class SystemClock:
    """Two hands: wall time may jump, monotonic time never goes back."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""
        return datetime.now(UTC)  # noqa: TID251 (this is the clock everybody is told to ask)

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back within one boot."""
        return time.monotonic()

    def is_proven(self) -> bool:
        """Return whether the kernel holds wall time for synchronised (NTP, NTS, GNSS)."""
        state = int(_libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
        return 0 <= state != _TIME_ERROR

    def boot_id(self) -> str:
        """Return the kernel's id of this boot; monotonic times of two boots do not compare."""
        return _BOOT_ID.read_text().strip()
