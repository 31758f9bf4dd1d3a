"""What the uplink must not forget: switched off by hand, the last failure, bytes per day.

It stands in the state file, so that a command beside the daemon sees why nothing leaves.
"""

from datetime import date

import msgspec

from agent.store.database import Database

_PAUSED, _FAILURE = "uplink.paused", "uplink.failure"
_KEPT_DAYS = 62  # of traffic figures


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """How the last attempt failed and when the next one is; monotonic seconds of that boot."""

    code: str
    text: str
    is_permanent: bool
    boot_id: str
    retry_at_s: float

    def retry_in_s(self, *, boot_id: str, monotonic_s: float) -> float:
        """Return the seconds until the next attempt; a new start tries at once."""
        return max(0.0, self.retry_at_s - monotonic_s) if boot_id == self.boot_id else 0.0


class UplinkNotes:
    """Notes and figures of the uplink. Every method blocks; raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_paused(self) -> bool:
        """Tell whether somebody switched sending off."""
        return self._read(_PAUSED) is not None

    def set_paused(self, *, is_paused: bool) -> None:
        """Switch sending off or on; it survives a restart."""
        self._write(_PAUSED, "yes" if is_paused else None)

    def failure(self) -> Failure | None:
        """Return how the last attempt failed; None if it did not."""
        text = self._read(_FAILURE)
        return None if text is None else msgspec.json.decode(text, type=Failure)

    def set_failure(self, failure: Failure | None) -> None:
        """Remember how an attempt failed, or that all is well again."""
        if failure is None and self._read(_FAILURE) is None:
            return  # no write for every batch that goes well
        self._write(_FAILURE, None if failure is None else msgspec.json.encode(failure).decode())

    def spend(self, day: date, network: str, size_bytes: int) -> None:
        """Add to what a day cost on a kind of network; figures of old days go."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO traffic VALUES (?, ?, ?)"
                " ON CONFLICT (day, network) DO UPDATE SET bytes = bytes + excluded.bytes",
                (day.isoformat(), network, size_bytes),
            )
            connection.execute(
                "DELETE FROM traffic WHERE day NOT IN"
                " (SELECT DISTINCT day FROM traffic ORDER BY day DESC LIMIT ?)",
                (_KEPT_DAYS,),
            )

    def spent(self, day: date, network: str) -> int:
        """Return what a day cost so far on a kind of network, in bytes."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT bytes FROM traffic WHERE day=? AND network=?", (day.isoformat(), network)
            ).fetchone()
        return row[0] if row else 0

    def _read(self, name: str) -> str | None:
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM notes WHERE name=?", (name,)).fetchone()
        return row[0] if row else None

    def _write(self, name: str, value: str | None) -> None:
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM notes WHERE name=?", (name,))
            if value is not None:
                connection.execute("INSERT INTO notes VALUES (?, ?)", (name, value))
