"""A door that plays the agent, for pictures, tests and people at a desk: no vehicle is needed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date

from agent.consent.keepsake import qr_svg
from agent.hmi.door import (
    Door,
    DoorRefusedError,
    DrawnPlace,
    Erased,
    NewPlace,
    PeopleDoor,
    PlacesDoor,
    Receipt,
    TakenBack,
    WorkshopWish,
)
from agent.hmi.views import (
    Decision,
    PauseState,
    PurposeToggle,
    ScreenState,
    TripCard,
    TripStatus,
    UpdateCard,
    UpdatePhase,
)
from sim.screens import ERASED, PLACES, REPORT
from telemetry.purposes import Purpose


class PlayedAgent:
    """An agent without a vehicle: it does at once what is asked, and says what changed."""

    def __init__(self, state: ScreenState) -> None:
        self.state = state
        self.asked: list[tuple[object, ...]] = []
        self.zones = PLACES
        self.erased = ERASED
        self.languages: list[str] = []  # in which each answer's text was shown
        self._number = 1
        self._changed = asyncio.Condition()

    def door(self) -> Door:
        """Return the door to hand to ``create_app``."""
        return Door(
            state=lambda: self.state,
            wait_change=self.wait_change,
            answer_trip=self.answer_trip,
            take_back=self.take_back,
            set_purpose=self.set_purpose,
            answer_update=self.answer_update,
            cancel_update=self.cancel_update,
            acknowledge=self.acknowledge,
            acknowledge_alert=self.acknowledge_alert,
            preview_rows=self.preview_rows,
            people=self._people(),
            places=self._places(),
        )

    def _people(self) -> PeopleDoor:
        return PeopleDoor(
            set_standing=self.set_standing,
            choose_driver=self.choose_driver,
            add_driver=self.add_driver,
            set_pause=self.set_pause,
            receipt=self.receipt,
            contact=self.contact,
            ask_workshop=self.ask_workshop,
            notice=lambda _purpose, _language: ("The whole text of a notice.",) * 30,
            erasures=self.erasures,
        )

    def _places(self) -> PlacesDoor:
        return PlacesDoor(drawn=self.drawn, add=self.add_place, remove=self.remove_place)

    async def drawn(self) -> tuple[DrawnPlace, ...]:
        """Return the places that were drawn."""
        return self.zones

    async def add_place(self, place: NewPlace) -> TakenBack:
        """Draw a place; this vehicle always stands in the middle of Munich."""
        self.asked.append(("add_place", place))
        latitude, longitude = place.position or (48.1371, 11.5754)
        drawn = DrawnPlace(
            zone_id=f"{len(self.zones):08x}",
            name=place.name,
            latitude=latitude,
            longitude=longitude,
            radius_m=place.radius_m,
            drawn=date(2026, 11, 22),
        )
        self.zones = (*self.zones, drawn)
        return TakenBack(offered=1, queued=0, under_way=0)

    async def remove_place(self, zone_id: str) -> None:
        """Forget a place."""
        self.asked.append(("remove_place", zone_id))
        self.zones = tuple(one for one in self.zones if one.zone_id != zone_id)

    async def set_standing(self, purpose: Purpose, *, is_on: bool, language: str) -> None:
        """Share without asking, or ask again."""
        self.asked.append(("set_standing", purpose, is_on, language))
        until = date(2026, 12, 22) if is_on else None
        toggles = (PurposeToggle(purpose=purpose, granted=True, always_until=until),)
        await self.show(replace(self.state, purposes=toggles))

    async def choose_driver(self, profile: str | None) -> None:
        """Say who drives."""
        self.asked.append(("choose_driver", profile))
        drivers = tuple(
            replace(one, is_here=one.profile_id == profile) for one in self.state.drivers
        )
        await self.show(replace(self.state, drivers=drivers, is_guest=profile is None))

    async def add_driver(self, name: str) -> None:
        """Add a driver who drives from now on."""
        self.asked.append(("add_driver", name))

    async def set_pause(self, kind: str | None) -> None:
        """Begin or end a pause."""
        self.asked.append(("set_pause", kind))
        pause = None if kind is None else PauseState(until_text="19:10" if kind == "hour" else "")
        await self.show(replace(self.state, pause=pause))

    async def receipt(self, trip_id: str) -> Receipt:
        """Return a receipt with a code of the usual size."""
        if all(trip.trip_id != trip_id for trip in self.state.trips):
            raise DoorRefusedError("receipt.gone", "There is no receipt for this.", 404)
        return Receipt(
            number=14,
            event="ok",
            time="2026-11-22 17:12 UTC",
            purpose=Purpose.BATTERY,
            recipient="okdrive ingest",
            delivered=("stored",),
            qr=qr_svg("OKD1:" + "0123456789ABCDEF" * 32),
            document={"proof": {"sequence": 14}},
        )

    async def erasures(self) -> tuple[Erased, ...]:
        """Return what ingest has confirmed, and what waits."""
        return self.erased

    async def contact(self) -> tuple[str, str]:
        """Return what was kept."""
        return "0171 2345678", ""

    async def ask_workshop(self, wish: WorkshopWish) -> None:
        """Make a report, to be looked at."""
        self.asked.append(("ask_workshop", wish))
        await self.show(replace(self.state, trips=(REPORT, *self.state.trips)))

    async def show(self, state: ScreenState) -> None:
        """Be in ``state`` from now on."""
        async with self._changed:
            self.state = state
            self._number += 1
            self._changed.notify_all()

    async def wait_change(self, after: int) -> int:
        """Return the number of the newest change once it is greater than ``after``."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._number > after)
            return self._number

    async def answer_trip(
        self, trip_id: str, batch_ids: tuple[str, ...], *, share: bool, language: str
    ) -> None:
        """Hold a shared trip, or put it away."""
        self.asked.append(("answer_trip", trip_id, batch_ids, share))
        self.languages.append(language)
        status = TripStatus.HELD if share else TripStatus.NOT_SHARED
        await self._set_trip(trip_id, lambda t: replace(t, status=status, hold_left_s=600))

    async def take_back(self, trip_id: str) -> None:
        """Take a held trip back."""
        self.asked.append(("take_back", trip_id))
        await self._set_trip(trip_id, lambda t: replace(t, status=TripStatus.TAKEN_BACK))

    async def set_purpose(
        self, purpose: Purpose, *, granted: bool, notice_hash: str, language: str
    ) -> None:
        """Switch one purpose."""
        self.asked.append(("set_purpose", purpose, granted, notice_hash))
        self.languages.append(language)
        toggles = (PurposeToggle(purpose=purpose, granted=granted),)
        await self.show(replace(self.state, purposes=toggles))

    async def answer_update(self, content_hash: str, decision: Decision) -> None:
        """Begin the countdown, plan for tonight, or put off."""
        self.asked.append(("answer_update", content_hash, decision))
        update = self._update(content_hash)
        if decision is Decision.LATER:
            await self.show(replace(self.state, dismissed_update=content_hash))
        elif decision is Decision.TONIGHT:
            planned = replace(update, phase=UpdatePhase.SCHEDULED, scheduled_text="02:30")
            await self.show(replace(self.state, update=planned))
        else:
            soon = replace(update, phase=UpdatePhase.COUNTDOWN, countdown_s=120)
            await self.show(replace(self.state, update=soon))

    async def cancel_update(self, content_hash: str) -> None:
        """Go back to an update that is ready."""
        self.asked.append(("cancel_update", content_hash))
        ready = replace(self._update(content_hash), phase=UpdatePhase.READY, countdown_s=None)
        await self.show(replace(self.state, update=ready, dismissed_update=content_hash))

    async def acknowledge(self) -> None:
        """Put the result away."""
        self.asked.append(("acknowledge",))
        await self.show(replace(self.state, result=None))

    async def acknowledge_alert(self, code: str) -> None:
        """Put a battery alert away."""
        self.asked.append(("acknowledge_alert", code))
        alerts = tuple(
            replace(alert, is_acknowledged=alert.is_acknowledged or alert.code == code)
            for alert in self.state.alerts
        )
        await self.show(replace(self.state, alerts=alerts))

    async def preview_rows(self, batch_id: str) -> object:
        """Return rows as a decoded batch has them."""
        self.asked.append(("preview_rows", batch_id))
        rows = [
            {
                "since_start_ms": second * 1000,
                "pack_voltage_v": 388.5 - second % 40,
                "pack_current_a": 94.5 - 12.5 * (second % 9),
                "soc_percent": round(78.2 - second / 130, 1),
                "cell_temp_c": None if second % 30 == 0 else 19.0,
            }
            for second in range(861)
        ]
        return {"month": "2026-11", "soh_percent": 91, "samples": rows}

    def _update(self, content_hash: str) -> UpdateCard:
        update = self.state.update
        if update is None or update.content_hash != content_hash:
            raise DoorRefusedError("update.unknown", "This update is not offered any more.", 404)
        return update

    async def _set_trip(self, trip_id: str, change: Callable[[TripCard], TripCard]) -> None:
        if all(trip.trip_id != trip_id for trip in self.state.trips):
            raise DoorRefusedError("trip.unknown", "This trip does not exist any more.", 404)
        trips = tuple(change(t) if t.trip_id == trip_id else t for t in self.state.trips)
        await self.show(replace(self.state, trips=trips))
