"""What the driver's screen asks about places that nobody may see: one part of the desk."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from agent.consent.keys import KeyFileError
from agent.hmi.door import DoorRefusedError, DrawnPlace, NewPlace, PlacesDoor, TakenBack
from agent.privacy.zones import ZoneError
from agent.sharing import Sharing, SharingError
from agent.store.database import StoreError

T = TypeVar("T")


class ZoneDesk:
    """The places side of one desk. ``touched`` is called after every change."""

    def __init__(
        self,
        sharing: Sharing,
        *,
        position: Callable[[], tuple[float, float] | None],
        touched: Callable[[], None],
    ) -> None:
        """Wire; ``position`` returns degrees north and east of the last fix, if there is one."""
        self._sharing = sharing
        self._position = position
        self._touched = touched

    def door(self) -> PlacesDoor:
        """Return what the screen may call."""
        return PlacesDoor(
            drawn=lambda: self._do(self._drawn),
            add=self._add,
            remove=self._remove,
        )

    async def _add(self, place: NewPlace) -> TakenBack:
        taken = await self._do(lambda: self._drawn_at(place))
        self._touched()
        return taken

    async def _remove(self, zone_id: str) -> None:
        await self._do(lambda: self._forget(zone_id))
        self._touched()

    def _drawn(self) -> tuple[DrawnPlace, ...]:
        self._expect_driver()
        return tuple(
            DrawnPlace(
                zone_id=one.zone_id,
                name=one.name,
                latitude=one.latitude,
                longitude=one.longitude,
                radius_m=one.radius_m,
                drawn=one.drawn,
            )
            for one in self._sharing.offering.zones.drawn()
        )

    def _drawn_at(self, place: NewPlace) -> TakenBack:
        at = place.position or self._position() or self._sharing.last_stop()
        if at is None:
            raise ZoneError(
                "zones.no_position",
                "There was no position yet, so nobody knows where here is; nothing was changed.",
            )
        recalled = self._sharing.draw_zone(
            latitude=at[0], longitude=at[1], radius_m=place.radius_m, name=place.name
        )
        return TakenBack(
            offered=recalled.offered, queued=recalled.queued, under_way=recalled.under_way
        )

    def _forget(self, zone_id: str) -> None:
        self._expect_driver()
        self._sharing.remove_zone(zone_id)

    def _expect_driver(self) -> None:
        if self._sharing.presence.seated().profile_id is None:
            raise SharingError(
                "consent.driver_unknown",
                "Say who drives first: these places show where others live.",
            )

    async def _do(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(call)
        except (SharingError, ZoneError, KeyFileError, StoreError) as error:
            status = 404 if getattr(error, "code", "") == "zones.not_found" else 409
            raise DoorRefusedError(error.code, str(error), status) from error
