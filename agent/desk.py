"""The driver's desk: what the flows know, gathered for the screen; what the driver says, passed on.

``state`` never blocks: the desk gathers in the background and numbers every change, so that pages
can wait for the next one.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from agent.cards import (
    Planned,
    battery_alerts,
    fetching_of,
    health_of,
    result_card,
    tonight,
    trip_card,
    update_card,
)
from agent.consent.preview import rows_as_json
from agent.hmi.door import Door, DoorRefusedError
from agent.hmi.views import (
    BatteryHealth,
    Decision,
    DrivingState,
    Level,
    Notice,
    PurposeToggle,
    ResultCard,
    ScreenState,
    TripCard,
)
from agent.people import People
from agent.scribe import Seen
from agent.sharing import Sharing, SharingError
from agent.store.database import StoreError
from agent.updates import GONE, UpdateService, UpdateView
from agent.uplink import Uplink
from agent.vehicle.battery.rules import Code
from agent.vehicle.live import LiveView, Motion
from agent.waiting import QueueItem, queue_items
from agent.watch.keeper import Keeper
from agent.zonedesk import ZoneDesk
from ota.client.durable import replace_file
from ota.client.gates import Refusal
from telemetry.purposes import Purpose

log = logging.getLogger(__name__)
T = TypeVar("T")

_TICK_S = 0.5  # how late the screen may be
_QUEUE_TICK_S = 1.0  # while something is held or on its way
_REST_TICK_S = 60.0  # expiry is noticed this late at worst
_SHOWN_TRIPS = 5


class Clock(Protocol):
    """Wall time for the card, monotonic time for everything that lasts."""

    def utc_now(self) -> datetime:
        """Return wall time, timezone-aware UTC. It may jump."""

    def monotonic_s(self) -> float:
        """Return seconds since an arbitrary start. It never goes back."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What the desk must not forget at a restart; one small file, replaced as a whole."""

    planned_hash: str | None = None
    planned_at: datetime | None = None
    acknowledged: str | None = None  # the result the driver has put away

    @property
    def planned(self) -> Planned | None:
        """Return the update that is planned, if any."""
        if self.planned_hash is None or self.planned_at is None:
            return None
        return Planned(content_hash=self.planned_hash, at_utc=self.planned_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gathered:
    trips: tuple[TripCard, ...] = ()
    queue: tuple[QueueItem, ...] = ()
    toggles: tuple[PurposeToggle, ...] = ()
    notices: tuple[Notice, ...] = ()
    health: BatteryHealth = field(default_factory=BatteryHealth)


class Desk:
    """One driver's desk over the three flows."""

    def __init__(  # noqa: PLR0913 (the doors of the desk, each named)
        self,
        *,
        sharing: Sharing,
        uplink: Uplink,
        updates: UpdateService,
        live: Callable[[], LiveView],
        keeper: Keeper,
        clock: Clock,
        people: People,
        zones: ZoneDesk,
        memory_file: Path,
        unanswered_days: int,
        is_night: Callable[[], bool] = lambda: False,
    ) -> None:
        """Read what was remembered; blocks."""
        self._sharing = sharing
        self._uplink = uplink
        self._updates = updates
        self._live = live
        self._keeper = keeper
        self._clock = clock
        self._people = people
        self._zones = zones
        self._memory_file = memory_file
        self._memory = _read_memory(memory_file)
        self._unanswered_days = unanswered_days
        self._is_night = is_night
        self._gathered = _Gathered()
        self._gathered_at_s = float("-inf")
        self._dismissed: str | None = None
        self._state = self._compose()
        self._number = 1
        self._changed = asyncio.Condition()
        self._wake = asyncio.Event()

    def door(self) -> Door:
        """Return what the screen may call."""
        return Door(
            state=lambda: self._state,
            wait_change=self._wait_change,
            answer_trip=self._answer_trip,
            take_back=self._take_back,
            set_purpose=self._set_purpose,
            answer_update=self._answer_update,
            cancel_update=self._cancel_update,
            acknowledge=self._acknowledge,
            acknowledge_alert=self._acknowledge_alert,
            preview_rows=self._preview_rows,
            people=self._people.door(),
            places=self._zones.door(),
        )

    def touch(self) -> None:
        """Gather anew at once: a flow has changed what is stored."""
        self._gathered_at_s = float("-inf")
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the screen's state fresh until ``stop``."""
        while not stop.is_set():
            await self._refresh()
            try:
                async with asyncio.timeout(_TICK_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def _refresh(self) -> None:
        now_s = self._clock.monotonic_s()
        patience_s = _QUEUE_TICK_S if self._gathered.queue else _REST_TICK_S
        if now_s - self._gathered_at_s >= patience_s:
            self._gathered_at_s = now_s
            self._gathered = await asyncio.to_thread(self._gather)
        await self._start_planned()
        state = self._compose()
        if state == self._state:
            return
        async with self._changed:
            self._state = state
            self._number += 1
            self._changed.notify_all()

    async def _wait_change(self, after: int) -> int:
        async with self._changed:
            await self._changed.wait_for(lambda: self._number > after)
            return self._number

    # -- gather --------------------------------------------------------------------------------

    def _gather(self) -> _Gathered:
        try:
            return self._read_store()
        except StoreError as error:
            log.warning("desk_cannot_read", extra={"code": error.code})
            return _Gathered(notices=(Notice(code=error.code, text=str(error)),))

    def _read_store(self) -> _Gathered:
        queue, whose = queue_items(self._sharing), self._sharing.mine()
        mine = [row for row in self._sharing.state.trips() if row.trip_id in whose]
        standing = self._sharing.state.standing_trips()
        offered = {card.trip.trip_id: card.previews for card in self._sharing.cards()}
        trips = tuple(
            trip_card(
                trip,
                offered.get(trip.trip_id, ()),
                [item for item in queue if item.trip_id == trip.trip_id],
                zone=None,
                unanswered_days=self._unanswered_days,
                is_standing=trip.trip_id in standing,
            )
            for trip in mine[:_SHOWN_TRIPS]
        )
        return _Gathered(
            trips=trips,
            queue=tuple(queue),
            toggles=self._people.toggles(),
            notices=self._ledger_notice(),
            health=health_of(self._keeper.figures(), self._clock.utc_now().date()),
        )

    def _ledger_notice(self) -> tuple[Notice, ...]:
        if self._sharing.is_intact():
            return ()
        code = "signing_key" if self._sharing.key_problem() else "ledger_broken"
        return (Notice(code=code, level=Level.WARNING),)

    def _compose(self) -> ScreenState:
        live, view, gathered = self._live(), self._updates.view(), self._gathered
        return ScreenState(
            driving=_driving(live),
            vehicle_fresh=live.is_asleep or (live.is_fresh and live.motion is not Motion.UNKNOWN),
            recording=live.trip is not None and self._sharing.may_record(),
            soc_percent=live.soc_percent,
            speed_km_h=None if live.speed_km_h is None else float(round(live.speed_km_h)),
            trip_km=None if live.trip is None else round(live.trip.distance_m / 1_000, 1),
            purposes=gathered.toggles,
            drivers=self._people.drivers(),
            is_guest=self._people.is_guest(),
            pause=self._people.pause(),
            trips=gathered.trips,
            update=update_card(view, self._memory.planned, zone=None),
            fetching=fetching_of(view),
            dismissed_update=self._dismissed,
            result=self._result(view),
            queue_count=len(gathered.queue),
            notices=gathered.notices,
            alerts=battery_alerts(self._keeper.alerts()),
            health=gathered.health,
            night=self._is_night(),
        )

    def _result(self, view: UpdateView) -> ResultCard | None:
        if view.last is None or _key(view) == self._memory.acknowledged:
            return None
        return result_card(view.last, self._updates.version(view.last.ecu_id))

    # -- answers -------------------------------------------------------------------------------

    async def _answer_trip(
        self, trip_id: str, batch_ids: Sequence[str], *, share: bool, language: str
    ) -> None:
        wanted, seen = [_batch(text) for text in batch_ids], Seen(language=language)
        answer = await self._blocking(
            lambda: self._sharing.answer(trip_id, wanted, share=share, seen=seen)
        )
        self._uplink.wake()
        if not answer.answered:
            raise DoorRefusedError("trip.gone", "This was answered already, or it has expired.")

    async def _take_back(self, trip_id: str) -> None:
        queued = [_batch(item.batch_id) for item in self._gathered.queue if item.trip_id == trip_id]
        if not await self._blocking(lambda: self._sharing.take_back(queued)):
            raise DoorRefusedError("trip.left", "It is too late to take this back: it has left.")

    async def _set_purpose(
        self, purpose: Purpose, *, granted: bool, notice_hash: str, language: str
    ) -> None:
        await self._blocking(
            lambda: self._sharing.set_consent(
                purpose, is_granted=granted, shown_sha256=notice_hash, language=language
            )
        )
        self._uplink.wake()

    async def _answer_update(self, content_hash: str, decision: Decision) -> None:
        offer = self._updates.view().offer
        if offer is None or offer.content_hash != content_hash:
            raise DoorRefusedError(GONE.code, GONE.sentence, 404)
        if decision is Decision.LATER:
            _taken(await self._updates.defer(content_hash))
        planned_at = tonight(self._clock.utc_now().astimezone()) if decision == "tonight" else None
        await self._remember(
            planned_hash=content_hash if planned_at else None,
            planned_at=planned_at.astimezone(UTC) if planned_at else None,
        )
        self._dismissed = content_hash if decision is Decision.LATER else None
        if decision is Decision.NOW:
            _taken(await self._updates.approve(content_hash))
        self.touch()

    async def _cancel_update(self, content_hash: str) -> None:
        planned = self._memory.planned
        was_planned = planned is not None and planned.content_hash == content_hash
        await self._remember(planned_hash=None, planned_at=None)
        refusal = await self._updates.postpone()
        self.touch()
        if not was_planned:
            _taken(refusal)

    async def _acknowledge(self) -> None:
        view = self._updates.view()
        await self._remember(acknowledged=None if view.last is None else _key(view))
        self.touch()

    async def _acknowledge_alert(self, code: str) -> None:
        if code not in list(Code) or not self._keeper.acknowledge(Code(code)):
            raise DoorRefusedError("battery.gone", "This alert is gone.", 404)
        self.touch()

    async def _preview_rows(self, batch_id: str) -> object:
        payload = await self._blocking(lambda: self._sharing.payload(_batch(batch_id)))
        if payload is None:
            raise DoorRefusedError("batch.gone", "This batch is not here any more.", 404)
        found: object = msgspec.json.decode(await asyncio.to_thread(rows_as_json, payload))
        return found

    async def _start_planned(self) -> None:
        planned = self._memory.planned
        if planned is None or self._clock.utc_now() < planned.at_utc:
            return
        await self._remember(planned_hash=None, planned_at=None)
        refusal = await self._updates.approve(planned.content_hash)
        log.info("planned_update", extra={"is_started": refusal is None})

    async def _blocking(self, call: Callable[[], T]) -> T:
        try:
            result = await asyncio.to_thread(call)
        except (SharingError, StoreError) as error:
            raise DoorRefusedError(error.code, str(error)) from error
        self.touch()
        return result

    async def _remember(self, **changes: object) -> None:
        memory = msgspec.structs.replace(self._memory, **changes)
        if memory != self._memory:
            await asyncio.to_thread(replace_file, self._memory_file, msgspec.json.encode(memory))
            self._memory = memory


_DRIVING = {Motion.PARKED: DrivingState.PARKED, Motion.IDLING: DrivingState.IDLING}


def _driving(live: LiveView) -> DrivingState:
    """Return how much of a screen the driver may get; what is not known counts as moving."""
    if live.is_asleep:
        return DrivingState.PARKED
    return _DRIVING.get(live.motion, DrivingState.MOVING)


def _taken(refusal: Refusal | None) -> None:
    """Return if an answer was taken; raise DoorRefusedError with its code if it was not."""
    if refusal is not None:
        raise DoorRefusedError(refusal.code, refusal.sentence)


def _key(view: UpdateView) -> str:
    last = view.last
    return "" if last is None else f"{last.result.outcome}:{last.result.update}"


def _batch(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise DoorRefusedError("batch.gone", "This batch is not here any more.", 404) from None


def _read_memory(path: Path) -> Memory:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError):
        log.warning("desk_memory_unreadable", extra={"path": str(path)})
        return Memory()  # at worst a result is shown again and "tonight" has to be said again
