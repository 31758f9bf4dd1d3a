"""The page of secret places on a real desk's side: where here is, and who may see the list."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.hmi.door import DoorRefusedError, NewPlace, TakenBack
from agent.zonedesk import ZoneDesk
from telemetry.purposes import Purpose
from tests.support.life import WORK, Life, day_of


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    lived = Life(tmp_path, Purpose.TRAFFIC, on=day_of(Purpose.TRAFFIC))
    yield lived
    lived.sharing.state.close()


HERE = NewPlace(position=None, radius_m=500.0)


async def test_here_is_the_last_fix_else_the_end_of_the_last_trip(life: Life) -> None:
    touched: list[int] = []
    fix: list[tuple[float, float]] = []
    desk = ZoneDesk(
        life.sharing,
        position=lambda: fix[0] if fix else None,
        touched=lambda: touched.append(1),
    ).door()
    with pytest.raises(DoorRefusedError, match="nobody knows where here is"):
        await desk.add(HERE)
    await asyncio.to_thread(life.drive)
    assert await desk.add(HERE) == TakenBack(offered=0, queued=0, under_way=0)
    fix.append((48.5, 11.5))
    await desk.add(HERE)
    drawn = await desk.drawn()
    assert [(one.latitude, one.longitude) for one in drawn] == [
        pytest.approx(WORK, abs=1e-5),
        (48.5, 11.5),
    ]
    await desk.remove(drawn[0].zone_id)
    assert [one.zone_id for one in await desk.drawn()] == [drawn[1].zone_id]
    assert len(touched) == 3


async def test_a_guest_may_hide_a_place_and_neither_see_nor_remove_one(life: Life) -> None:
    desk = ZoneDesk(life.sharing, position=lambda: (48.5, 11.5), touched=lambda: None).door()
    await asyncio.to_thread(life.sharing.choose_driver, None)
    await desk.add(HERE)
    with pytest.raises(DoorRefusedError, match="where others live"):
        await desk.drawn()
    with pytest.raises(DoorRefusedError, match="where others live"):
        await desk.remove("0")
    assert len(await asyncio.to_thread(life.sharing.offering.zones.drawn)) == 1


async def test_a_place_that_is_gone_is_404(life: Life) -> None:
    desk = ZoneDesk(life.sharing, position=lambda: None, touched=lambda: None).door()
    with pytest.raises(DoorRefusedError, match="exactly one place, found 0") as caught:
        await desk.remove("00000000")
    assert caught.value.status == 404
