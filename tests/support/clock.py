"""A clock in the hands of the test."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Both hands move together with ``advance_s``; ``jump_wall_s`` moves only the wall."""

    def __init__(self, utc: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)) -> None:
        self._utc = utc
        self._monotonic_s = 1000.0
        self.boot = "boot-1"
        self.proven = True

    def utc_now(self) -> datetime:
        return self._utc

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def is_proven(self) -> bool:
        return self.proven

    def boot_id(self) -> str:
        return self.boot

    def advance_s(self, seconds: float) -> None:
        self._monotonic_s += seconds
        self._utc += timedelta(seconds=seconds)

    def jump_wall_s(self, seconds: float) -> None:
        self._utc += timedelta(seconds=seconds)
