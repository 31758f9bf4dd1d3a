"""What became of every wish to erase: asked, waiting, confirmed by ingest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.store.erasures import ErasureRow


@dataclass(frozen=True, slots=True, kw_only=True)
class WishState:
    """One wish with everything that was asked of ingest for it; ``left`` rows are still there.

    ``batches``, ``rows`` and ``left`` add up what ingest has signed so far.
    """

    wish: str
    asked_utc: datetime
    requests: tuple[ErasureRow, ...]

    @property
    def confirmed(self) -> int:
        """Return how many requests ingest has confirmed."""
        return sum(row.erasure is not None for row in self.requests)

    @property
    def waiting(self) -> int:
        """Return how many requests wait for an answer."""
        return len(self.requests) - self.confirmed

    @property
    def batches(self) -> int:
        """Return how many batches ingest has erased."""
        return sum(row.erasure.batches for row in self.requests if row.erasure)

    @property
    def rows(self) -> int:
        """Return how many rows ingest has erased."""
        return sum(row.erasure.rows for row in self.requests if row.erasure)

    @property
    def left(self) -> int:
        """Return how many rows ingest still holds, by its own count."""
        return sum(row.erasure.left for row in self.requests if row.erasure)


def wishes_of(rows: Sequence[ErasureRow]) -> Iterator[WishState]:
    """Yield each wish once, in the order in which they were first made."""
    for asked_utc, wish in dict.fromkeys((row.asked_utc, row.wish) for row in rows):
        mine = [row for row in rows if (row.asked_utc, row.wish) == (asked_utc, wish)]
        yield WishState(wish=wish, asked_utc=asked_utc, requests=tuple(mine))
