"""What the running agent counts, written to its run folder for `doctor`, `status` and tests."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from agent.recorder import Recorder
from agent.signals.bus import BusTrouble

_EVERY_S = 2.0


class Clock(Protocol):
    """Wall time of the snapshot."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""


class Vitals:
    """Writes one small file every two seconds; it lives in memory on a real vehicle (/run)."""

    def __init__(  # noqa: PLR0913 (what it asks, each by name)
        self,
        path: Path,
        recorder: Recorder,
        *,
        losses: Callable[[], dict[str, int]],
        troubles: Callable[[float], Sequence[BusTrouble]],
        events: Callable[[], dict[str, int]] = dict,
        clock: Clock,
    ) -> None:
        self._path = path
        self._recorder = recorder
        self._losses = losses
        self._troubles = troubles
        self._events = events
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Write until ``stop``, and once more at the end."""
        while not stop.is_set():
            await asyncio.to_thread(self._write)
            try:
                async with asyncio.timeout(_EVERY_S):
                    await stop.wait()
            except TimeoutError:
                continue
        await asyncio.to_thread(self._write)

    def _write(self) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(self.snapshot()))
        beside.replace(self._path)  # not synced: it tells about this start only

    def snapshot(self) -> dict[str, Any]:
        """Return every counter; rejections by ``bus id reason``."""
        decoder, counters = self._recorder.decoder, self._recorder.counters
        return {
            "at_utc": self._clock.utc_now(),
            "frames": decoder.frames,
            "rejected": {
                f"{key.bus} {key.can_id:03X} {key.reason}": count
                for key, count in sorted(decoder.counters.items())
            },
            "missed": {
                f"{key.bus} {key.can_id:03X}": count
                for key, count in sorted(decoder.missed.items())
            },
            "rows": counters.rows,
            "rows_withheld": counters.rows_withheld,
            "rows_lost": counters.rows_lost,
            "trips": counters.trips,
            "short_trips": counters.short_trips,
            "source": self._losses(),
            "events": self._events(),
            "troubles": self._troubles(self._recorder.now_s()),
        }
