"""What a vehicle's states say about the cable, and when a session began."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.signals import catalog
from agent.signals.model import Quality, Signal
from agent.signals.table import known_vehicles, load_table
from agent.store.sessions import Sessions
from agent.store.state import State
from agent.vehicle.charge import ChargeConfig
from agent.vehicle.charge_session import ChargeSession
from agent.watch.charges import ChargeKeeper, plug_of
from agent.watch.pending import PendingWrites
from tests.support.clock import FakeClock

ZE0 = load_table("nissan-leaf-ze0")


def heard(time_s: float = 1.0, **values: float) -> dict[str, Signal]:
    names = {
        "relay": catalog.CHARGER_QUICK_RELAY,
        "amperes": catalog.PACK_CURRENT,
        "state": f"{catalog.OVERLAY}.Charger.State",
        "power": catalog.PACK_POWER,
        "cable": catalog.CABLE_CONNECTED,
    }
    return {
        names[name]: Signal(names[name], value, Quality.OK, time_s)
        for name, value in values.items()
    }


def test_every_vehicle_can_tell_that_energy_flows_to_the_house() -> None:
    assert all("v2x" in load_table(name).states for name in known_vehicles())


@pytest.mark.parametrize(
    ("relay", "amperes", "expected"), [(1, -30.0, True), (1, 60.0, False), (0, -30.0, False)]
)
def test_a_ze0_supplies_a_house_when_energy_leaves_through_the_quick_charger(
    relay: float, amperes: float, *, expected: bool
) -> None:
    plug = plug_of(ZE0, heard(relay=relay, amperes=amperes, state=176))
    assert plug.is_discharging is expected


class Stand:
    """A ZE0 at its cable; one step a second."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.state = State.open(folder / "state.sqlite")
        self.sessions = Sessions(self.state.database)
        self.clock = clock
        self.latest: dict[str, Signal] = {}
        self.writes = PendingWrites()
        self.keeper = ChargeKeeper(
            ZE0,
            self.latest,
            sessions=self.sessions,
            clock=clock,
            may_record=lambda: True,
            new_session_id=lambda: "charge-1",
            writes=self.writes,
            config=ChargeConfig(),
        )

    def stand(self, seconds: int, **values: float) -> list[ChargeSession]:
        ended = []
        for _ in range(seconds):
            self.clock.advance_s(1.0)
            self.latest |= heard(self.clock.monotonic_s(), **values)
            now_s = self.clock.monotonic_s()
            ended += self.keeper.follow(list(self.latest.values()), now_s)
        return ended


def test_a_session_that_only_supplied_the_house_is_a_session(tmp_path: Path) -> None:
    stand = Stand(tmp_path, FakeClock())
    stand.stand(60, relay=1, amperes=-30, power=-10_800, state=176, cable=1)
    (session,) = stand.stand(10, relay=0, amperes=0, power=0, state=40, cable=0)
    assert session.energy_out_wh == pytest.approx(180, rel=0.05)
    assert session.energy_in_wh == 0
    assert session.discharging_s == pytest.approx(60, abs=3)
    stand.state.close()


@pytest.mark.parametrize("is_proven", [True, False])
def test_a_session_began_when_it_began_and_says_how_sure_that_is(
    tmp_path: Path, *, is_proven: bool
) -> None:
    clock = FakeClock()
    clock.proven = is_proven
    began = clock.utc_now()
    stand = Stand(tmp_path, clock)
    stand.stand(100, relay=1, amperes=60, power=20_000, state=176, cable=1)
    clock.jump_wall_s(3_600)  # the clock is set in mid-session: the start moves along
    (session,) = stand.stand(10, relay=0, amperes=0, power=0, state=40, cable=0)
    assert session.started_utc is not None
    shift = timedelta(hours=1)
    assert abs(session.started_utc - began - shift) < timedelta(seconds=5)
    assert (session.is_time_proven, session.boot_id) == (is_proven, "boot-1")
    assert msgspec.json.decode(msgspec.json.encode(session), type=ChargeSession) == session
    stand.state.close()
