"""What proves that a batch was this vehicle's, and when it may leave; part of the state file.

A claim holds what the token of a batch is made from. It is written with the offer and stays after
delivery, or nobody could ask for the batch to be erased.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from agent.privacy.delay import MAX_DELAY_S
from agent.store.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Whose batch it is, and what its token is made from: secret of the purpose, day and part."""

    batch_id: bytes
    trip_id: str
    profile_id: str
    purpose: str
    day: date
    part: str | None
    is_withdrawn: bool = False  # it may have left before it was withdrawn: to be erased there


class Claims:
    """The claims of a state file. Every method blocks and may raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, claims: Iterable[Claim]) -> None:
        """Store claims; join it to the transaction of their offers."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO claims VALUES (?, ?, ?, ?, ?, ?, 0)",
                [
                    (
                        one.batch_id,
                        one.trip_id,
                        one.profile_id,
                        one.purpose,
                        one.day.isoformat(),
                        one.part,
                    )
                    for one in claims
                ],
            )

    def of(self, batch_id: bytes) -> Claim | None:
        """Return the claim of one batch; None if there is none."""
        return next(iter(self._read("batch_id=?", batch_id)), None)

    def of_trip(self, trip_id: str) -> list[Claim]:
        """Return the claims of a trip's batches, by batch id."""
        return self._read("trip_id=?", trip_id)

    def withdrawn(self) -> list[Claim]:
        """Return the claims of batches that were withdrawn after they had begun to leave."""
        return self._read("is_withdrawn=?", 1)

    def sent(self) -> list[Claim]:
        """Return the claims of batches that have left, or may have."""
        return self._read(
            "is_withdrawn OR batch_id IN (SELECT batch_id FROM receipts)"
            " OR batch_id IN (SELECT batch_id FROM outbox WHERE attempts > 0)"
            " OR batch_id IN (SELECT batch_id FROM drops WHERE attempts > 0)"
        )

    def forget(self, batch_ids: Iterable[bytes]) -> None:
        """Delete claims: join it to the transaction that asks ingest to erase the batches."""
        with self._database.transaction() as connection:
            connection.executemany(
                "DELETE FROM claims WHERE batch_id=?", [(one,) for one in batch_ids]
            )

    def forget_unsent(self) -> int:
        """Delete claims of batches that never left and never will; return how many."""
        with self._database.transaction() as connection:
            return connection.execute(
                "DELETE FROM claims WHERE is_withdrawn=0"
                " AND batch_id NOT IN (SELECT batch_id FROM offers)"
                " AND batch_id NOT IN (SELECT batch_id FROM outbox)"
                " AND batch_id NOT IN (SELECT batch_id FROM drops)"
                " AND batch_id NOT IN (SELECT batch_id FROM receipts)"
            ).rowcount

    def delay(self, not_before: Mapping[bytes, datetime]) -> None:
        """Let batches that were just released wait; join it to their transaction."""
        with self._database.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO delays VALUES (?, ?)",
                [(batch_id, when.isoformat()) for batch_id, when in not_before.items()],
            )

    def _read(self, where: str, *values: object) -> list[Claim]:
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT * FROM claims WHERE {where} ORDER BY batch_id",  # noqa: S608 (our own)
                values,
            ).fetchall()
        return [
            Claim(
                batch_id=row[0],
                trip_id=row[1],
                profile_id=row[2],
                purpose=row[3],
                day=date.fromisoformat(row[4]),
                part=row[5],
                is_withdrawn=bool(row[6]),
            )
            for row in rows
        ]


def left_s(not_before: str | None, now: datetime) -> float:
    """Return for how long a batch has to wait; 0 if it may leave.

    A wait longer than any that is ever drawn means that the clock went back: it is over.
    """
    if not_before is None:
        return 0.0
    left = datetime.fromisoformat(not_before) - now
    return left.total_seconds() if timedelta(0) < left <= timedelta(seconds=MAX_DELAY_S) else 0.0
