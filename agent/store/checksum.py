"""A checksum for every row that tells a figure: a damaged row is counted and left out, never shown.

For ``trips`` the database keeps it by itself, because several flows change a trip's row: a trigger
renews it with every change, but only where the row matched it before.
"""

import zlib
from typing import Final


def row_sum(*values: object) -> int:
    """Return the CRC-32 over all columns of a row but the checksum itself."""
    return zlib.crc32(repr([str(value) for value in values]).encode())


_COLUMNS: Final = ("trip_id", "summary", "segment", "created_utc", "outcome")
_OLD, _NEW = (", ".join(f"{row}.{name}" for name in _COLUMNS) for row in ("OLD", "NEW"))
_ALL: Final = ", ".join(_COLUMNS)
# one of the steps of agent/store/state.py; row_sum is known to every connection that may write
TRIP_SUM_STEP: Final = (
    "ALTER TABLE trips ADD COLUMN checksum INTEGER",
    f"UPDATE trips SET checksum = row_sum({_ALL})",  # noqa: S608 (names from here)
    f"""CREATE TRIGGER trips_sum_1 AFTER INSERT ON trips BEGIN
        UPDATE trips SET checksum = row_sum({_NEW}) WHERE trip_id = NEW.trip_id;
    END""",  # noqa: S608 (as above)
    f"""CREATE TRIGGER trips_sum_2 AFTER UPDATE OF {_ALL} ON trips
        WHEN OLD.checksum = row_sum({_OLD}) BEGIN
        UPDATE trips SET checksum = row_sum({_NEW}) WHERE trip_id = NEW.trip_id;
    END""",  # noqa: S608 (as above)
)
