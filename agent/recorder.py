"""Flow 1: frames -> signals -> trip -> rows -> segment. Nothing is written without consent.

The recorder owns the decoder and the tracker of one vehicle. What it knows at any moment is
``live()``; what a trip leaves behind goes to ``on_trip_end``.
"""

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from agent.signals import catalog
from agent.signals.catalog import AMBIENT, CATALOG, LOW_VOLTAGE
from agent.signals.decode import Decoder
from agent.signals.errors import SourceError
from agent.signals.explain import SignalsNow, signals_now
from agent.signals.model import ABSENT, Frame, Signal, SignalSource
from agent.signals.table import VehicleTable
from agent.store.segment_records import SegmentColumn, SegmentError, TimeAnchor
from agent.store.segments import SegmentWriter, read_segment
from agent.store.tracks import TrackWriter, delete_segment
from agent.vehicle.live import LiveView, is_switched_off_in_park, view
from agent.vehicle.trip import (
    IN_TRIP,
    TRIP_PATHS,
    Trip,
    TripChange,
    TripConfig,
    TripState,
    TripTracker,
)
from telemetry.codec.cells import INVALID, Cell

log: Final = logging.getLogger(__name__)


class Clock(Protocol):
    """Both hands, and which boot the second belongs to."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""

    def boot_id(self) -> str:
        """Return the id of this boot."""

    def is_proven(self) -> bool:
        """Return whether wall time is synchronised with a source that is trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderConfig:
    """How a trip is kept."""

    sample_period_s: float = 1.0
    min_distance_m: float = 50.0  # a shorter trip is moving the vehicle aside: not offered
    fresh_s: float = 2.0  # silence after which nothing about the present is believed
    tick_s: float = 0.5  # how often ages are looked at while no frame comes
    can_resume: bool = False  # the frames' clock is our monotonic one, so a restart can go on
    trip: TripConfig = field(default_factory=TripConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the vehicle is, and whether that may be kept; both are asked for every row."""

    readings: Callable[[], Mapping[str, Signal]]
    may_keep: Callable[[], bool]


class Permission(Protocol):
    """Whose consent a recording rests on, and for what."""

    def covers(self, other: Any, /) -> bool:  # noqa: ANN401 (another of the same kind)
        """Tell whether what was recorded under ``other`` may stay under this one."""


@dataclass(slots=True)
class RecorderCounters:
    """What was kept and what was lost, for `doctor`."""

    rows: int = 0
    rows_withheld: int = 0  # in a trip, but no purpose is granted
    rows_lost: int = 0  # the disk took nothing
    trips: int = 0
    short_trips: int = 0
    last_error: str | None = None


class Observer(Protocol):
    """Somebody else who follows every change of a signal; neither call may block."""

    def take(self, changes: Sequence[Signal], now_s: float) -> None:
        """Take what changed up to ``now_s``, on the clock of the frames."""

    def finish(self, now_s: float) -> None:
        """The source ended: no more changes will come."""


TripEnd = Callable[[Trip, Path | None], Awaitable[None]]


def wanted_paths(table: VehicleTable) -> set[str]:
    """Return the paths of ``table`` that the recorder needs: to record, to track, to show."""
    needed = {*table.record, *TRIP_PATHS, LOW_VOLTAGE, AMBIENT}
    for alternatives in table.states.values():
        needed.update(condition.path for row in alternatives for condition in row)
    return needed.intersection(table.paths())


class Recorder:
    """One vehicle's recorder; ``run`` it in a TaskGroup.

    ``counters`` and ``decoder.counters`` tell every loss; ``tracker.state`` the trip's state.
    """

    def __init__(  # noqa: PLR0913 (doors and callbacks, each by name)
        self,
        source: SignalSource,
        decoder: Decoder,
        *,
        clock: Clock,
        segments: Path,
        may_record: Callable[[], bool],
        on_trip_end: TripEnd,
        new_trip_id: Callable[[], str],
        config: RecorderConfig | None = None,
        observer: Observer | None = None,
        places: Places | None = None,
        permit: Callable[[], Permission | None] | None = None,
    ) -> None:
        """Wire one recorder; nothing is opened.

        Args:
            source: Where frames come from.
            decoder: For ``wanted_paths`` of its table, or more.
            clock: Both hands; row times are on the clock of the frames.
            segments: Folder of the segments; made when the first one is written.
            may_record: Whether a purpose is granted now; asked for every row, must not block.
            on_trip_end: Told each trip and its segment; None if nothing of it was recorded.
            new_trip_id: Makes a random id, which also names the segment.
            config: Periods and limits.
            observer: Told every change too: the battery watch needs no consent.
            places: Positions, kept beside the rows; None: this vehicle has no receiver.
            permit: Whose consent a trip rests on now, asked for every row; None: it never changes.
                When it does, what it does not cover is deleted, and the trip is not whole.
        """
        self.decoder = decoder
        self.counters = RecorderCounters()
        self.config = config or RecorderConfig()
        self.tracker = TripTracker(self.config.trip, self._new_id)
        self._make_id = new_trip_id
        self._source = source
        self._clock = clock
        self._boot_id = clock.boot_id()
        self._segments = segments
        self._may_record = may_record
        self._on_trip_end = on_trip_end
        self._observer = observer
        self._columns = _columns(decoder)
        self._writer: SegmentWriter | None = None
        self._places = places
        self._track: TrackWriter | None = None
        self._permit = permit
        self._held: Permission | None = None  # the permission of the last row
        self._is_whole = True
        self._trip_id = ""
        self._started_s = 0.0  # on the monotonic clock
        self._next_row_s: float | None = None
        self._frame_s = 0.0  # the latest instant on the clock of the frames ...
        self._heard_s = clock.monotonic_s()  # ... and when it was heard
        self._has_heard = False
        self._is_asleep = False
        self._turn = asyncio.Lock()  # a tick never comes between a batch and its rows

    def resume(self, trip: Trip, segment: Path) -> bool:
        """Go on with a trip that an earlier run of this boot left in ``segment``; blocks.

        Returns:
            False if it cannot be that trip any more: another boot, too long ago, no consent, other
            columns, or one that goes on already. The trip ended where its rows end.
        """
        now_s = self._clock.monotonic_s()
        is_ours = self.config.can_resume and trip.boot_id == self._boot_id and not self._writer
        is_recent = 0 <= now_s - trip.ended_s <= self.config.trip.silent_s
        if not (is_ours and is_recent and self._may_record()):
            return False
        try:
            if read_segment(segment).columns != self._columns:
                return False
            self._writer = SegmentWriter.reopen(segment)
        except SegmentError as error:
            self._note(error)
            return False
        self._track = TrackWriter(
            segment, boot_id=self._boot_id, anchor=self._anchor(round(now_s * 1_000))
        )
        self._trip_id, self._started_s = trip.trip_id, trip.started_s
        self._frame_s, self._heard_s, self._has_heard = now_s, now_s, True
        self.tracker.resume(trip, now_s)
        log.info("trip_resumed", extra={"trip": trip.trip_id})
        return True

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Record until the source ends or ``stop``; a trip under way ends with it.

        Raises:
            SourceError: The source cannot be read; what was recorded before is kept.
        """
        failure: SourceError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                pump = group.create_task(self._pump(), name="recorder-pump")
                others = [group.create_task(self._tick_for_ever(), name="recorder-tick")]
                if stop:
                    others.append(group.create_task(_wait(stop), name="recorder-stop"))
                    await asyncio.wait((pump, others[-1]), return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.wait((pump,))
                failure = pump.result() if pump.done() and not pump.cancelled() else None
                for task in (pump, *others):
                    task.cancel()
            await self.finish()
        finally:
            await self._close()
        if failure:
            raise failure

    async def take(self, frames: Sequence[Frame]) -> None:
        """Decode a batch, follow the trip, write the row that is due."""
        if not frames:
            return
        async with self._turn:
            changes = list(self.decoder.feed_all(frames))
            self._frame_s = frames[-1].time_s
            self._heard_s, self._has_heard = self._clock.monotonic_s(), True
            await self._follow(changes)
            self._is_asleep = is_switched_off_in_park(self.decoder.latest)

    async def tick(self) -> None:
        """Let time pass while no frames come: values age, a silent trip ends."""
        if self._has_heard and self.silence_s() >= self.config.tick_s:
            async with self._turn:
                await self._follow([], silence_s=self.silence_s())

    async def finish(self) -> None:
        """End the trip under way: no more frames will come."""
        async with self._turn:
            await self._handle(self.tracker.finish(self._frame_s))

    def silence_s(self) -> float:
        """Return the time since the last frame, in seconds."""
        return self._clock.monotonic_s() - self._heard_s

    def live(self) -> LiveView:
        """Return the present as far as it is known."""
        silence_s = self.silence_s() if self._has_heard else float("inf")
        return view(
            self.decoder.latest,
            self.decoder.table.states,
            silence_s=silence_s,
            fresh_s=self.config.fresh_s,
            is_asleep=self._is_asleep,
            trip_state=self.tracker.state,
            trip=self.tracker.trip(),
        )

    def signals(self) -> SignalsNow:
        """Return every signal of the present, on the clock of the frames."""
        return signals_now(self.decoder, self.now_s())

    def now_s(self) -> float:
        """Return the present on the clock of the frames; before the first one, our own clock's."""
        if self._has_heard:
            return self._frame_s + self.silence_s()
        return self._clock.monotonic_s()

    @property
    def open_segment(self) -> str | None:
        """Return the name of the segment that is being written; None if there is none."""
        return None if self._writer is None else self._writer.path.name

    async def _pump(self) -> SourceError | None:
        try:
            async for frames in self._source.batches():
                await self.take(frames)
        except SourceError as error:  # handed over, so that it leaves run() without a group around
            return error
        if self._observer:
            self._observer.finish(self._frame_s)
        return None

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self.config.tick_s)
            await self.tick()

    async def _follow(self, changes: list[Signal], *, silence_s: float = 0.0) -> None:
        now_s = self._frame_s + silence_s
        changes += self.decoder.age(now_s)
        if self._observer:
            self._observer.take(changes, now_s)
        await self._handle(self.tracker.step(changes, now_s))
        if self.tracker.state in IN_TRIP:
            await self._write_due_row(now_s)

    def _new_id(self) -> str:
        self._trip_id = self._make_id()
        self._started_s = self._clock.monotonic_s()
        self._next_row_s = None
        self._held, self._is_whole = self._permit() if self._permit else None, True
        return self._trip_id

    async def _handle(self, changes: Sequence[TripChange]) -> None:
        for change in changes:
            log.info("trip_state", extra={"state": change.state, "trip_event": change.event})
            if change.state is TripState.ENDED and change.trip:
                await self._end(change.trip)

    async def _end(self, trip: Trip) -> None:
        path = await self._close()
        if trip.distance_m < self.config.min_distance_m:
            self.counters.short_trips += 1
            await self._delete(path)
            return
        self.counters.trips += 1
        await self._on_trip_end(self._dated(trip), path)

    def _dated(self, trip: Trip) -> Trip:
        """Return ``trip`` with its start in wall time: the clock may have been proven since."""
        driven_s = self._clock.monotonic_s() - self._started_s
        started_utc = self._clock.utc_now() - timedelta(seconds=driven_s)
        is_proven = self._clock.is_proven()
        return dataclasses.replace(
            trip,
            started_utc=started_utc,
            is_time_proven=is_proven,
            boot_id=self._boot_id,
            is_whole=self._is_whole,
        )

    def _anchor(self, time_ms: int) -> TimeAnchor:
        clock = self._clock
        return TimeAnchor(time_ms=time_ms, utc=clock.utc_now(), is_proven=clock.is_proven())

    async def _write_due_row(self, now_s: float) -> None:
        period_s = self.config.sample_period_s
        due_s = self._next_row_s
        if due_s is not None and due_s - period_s <= now_s < due_s:
            return
        # on the grid where it can be; anew from here after a gap or when the clock went back
        is_next = due_s is not None and due_s <= now_s < due_s + period_s
        self._next_row_s = (due_s if due_s is not None and is_next else now_s) + period_s
        await self._mind_permission()
        if not self._may_record():
            self.counters.rows_withheld += 1
            await self._delete(await self._close())
            return
        await self._append(round(now_s * 1000), self._row())

    async def _mind_permission(self) -> None:
        """Delete what another driver, or a wider consent, left of the trip under way."""
        if self._permit is None:
            return
        before, self._held = self._held, self._permit()
        self._is_whole = self._is_whole and self._held is not None and self._held == before
        if before is not None and (self._held is None or not self._held.covers(before)):
            await self._delete(await self._close())

    def _row(self) -> list[Cell]:
        latest = self.decoder.latest
        return [_cell(column, latest[column.path]) for column in self._columns]

    async def _append(self, time_ms: int, row: list[Cell]) -> None:
        try:
            await asyncio.to_thread(self._append_now, time_ms, row)
        except SegmentError as error:
            self._note(error)
            self.counters.rows_lost += self._writer is None  # a writer keeps its rows and retries
        else:
            self.counters.rows += 1

    def _append_now(self, time_ms: int, row: list[Cell]) -> None:
        if self._writer is None:
            self._writer = self._create(time_ms)
        self._writer.append(time_ms, row)
        self._append_place(time_ms)

    def _create(self, time_ms: int) -> SegmentWriter:
        self._segments.mkdir(parents=True, exist_ok=True)
        path, anchor = self._segments / f"{self._trip_id}.seg", self._anchor(time_ms)
        writer = SegmentWriter.create(path, self._columns, boot_id=self._boot_id, anchor=anchor)
        self._track = TrackWriter(path, boot_id=self._boot_id, anchor=anchor)
        return writer

    def _append_place(self, time_ms: int) -> None:
        if self._places is None or self._track is None:
            return
        if not self._places.may_keep():
            self._track.drop()
            return
        readings = dict(self._places.readings())
        if catalog.SPEED in self.decoder.latest:
            readings[catalog.SPEED] = self.decoder.latest[catalog.SPEED]
        self._track.append(time_ms, readings)

    async def _close(self) -> Path | None:
        """Close the segment; return its path, None if there is none."""
        writer, self._writer = self._writer, None
        track, self._track = self._track, None
        if writer is None:
            return None
        for close in (writer.close, *([track.close] if track else [])):
            try:
                await asyncio.to_thread(close)
            except SegmentError as error:
                self._note(error)
        self.counters.rows_lost += writer.dropped_rows
        return writer.path

    async def _delete(self, path: Path | None) -> None:
        if path:
            await asyncio.to_thread(delete_segment, path)

    def _note(self, error: SegmentError) -> None:
        self.counters.last_error = str(error)
        log.error("segment_failed", extra={"code": error.code, "trip": self._trip_id})


def _cell(column: SegmentColumn, signal: Signal) -> Cell:
    if signal.value is not None:
        return column.raw(signal.value)
    return None if signal.quality in ABSENT else INVALID


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


def _columns(decoder: Decoder) -> tuple[SegmentColumn, ...]:
    """Return the columns of the table that the decoder yields."""
    columns = []
    for path in decoder.table.record:
        rule = decoder.table.rule(path)
        if rule is not None and path in decoder.latest:
            unit = CATALOG[path].unit
            columns.append(SegmentColumn(path, unit, rule.step, rule.store_offset))
    return tuple(columns)
