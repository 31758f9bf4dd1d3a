import pytest

from agent.signals import catalog
from agent.signals.model import Quality, Signal
from agent.signals.table import load_table
from agent.vehicle.live import LiveView, Motion, is_switched_off_in_park, motion, view
from agent.vehicle.predicates import evaluate
from agent.vehicle.trip import TripState

STATES = load_table("nissan-leaf-ze1").states
RELAY = f"{catalog.OVERLAY}.Charger.IsAcRelayClosed"


def readings(**values: float | None) -> dict[str, Signal]:
    names = {
        "speed": catalog.SPEED,
        "gear": catalog.GEAR,
        "ignition": catalog.IGNITION,
        "status": catalog.CHARGER_STATUS,
        "relay": RELAY,
        "volts": catalog.PACK_VOLTAGE,
        "amperes": catalog.PACK_CURRENT,
        "low": catalog.LOW_VOLTAGE,
    }
    return {
        names[name]: Signal(names[name], value, Quality.STALE if value is None else Quality.OK, 0.0)
        for name, value in values.items()
    }


@pytest.mark.parametrize(
    ("latest", "state", "answer"),
    [
        (readings(gear=126.0, speed=0.0), "parked", True),
        (readings(gear=126.0, speed=None), "parked", None),
        (readings(gear=126.0), "parked", None),
        (readings(gear=127.0), "parked", False),
        (readings(gear=126.0, speed=3.0), "parked", False),
        (readings(ignition=4.0), "ignition_on", True),
        (readings(ignition=2.0), "ignition_on", False),
        (readings(), "ignition_on", None),
        (readings(status=4.0, relay=1.0), "charging", True),
        (readings(status=4.0, relay=0.0, ignition=4.0), "charging", False),
        (readings(status=4.0, relay=0.0), "charging", None),
        (readings(status=1.0, ignition=2.0, volts=390.0, amperes=30.0), "charging", True),
        (readings(status=1.0, ignition=2.0, volts=390.0, amperes=3.0), "charging", False),
    ],
)
def test_a_state_is_proven_disproven_or_unknown(
    latest: dict[str, Signal], state: str, answer: object
) -> None:
    assert evaluate(STATES, latest)[state] is answer


@pytest.mark.parametrize(
    ("speed", "gear", "answer"),
    [
        (0.0, 126.0, Motion.PARKED),
        (0.0, 127.0, Motion.IDLING),
        (30.0, 127.0, Motion.MOVING),
        (30.0, None, Motion.MOVING),
        (0.0, None, Motion.UNKNOWN),
        (None, 126.0, Motion.UNKNOWN),
    ],
)
def test_motion_needs_both_readings_to_be_standing(
    speed: float | None, gear: float | None, answer: Motion
) -> None:
    assert motion(speed, gear) is answer


def look(latest: dict[str, Signal], silence_s: float) -> LiveView:
    return view(
        latest,
        STATES,
        silence_s=silence_s,
        fresh_s=2.0,
        is_asleep=False,
        trip_state=TripState.OFF,
        trip=None,
    )


def test_after_silence_nothing_old_is_shown_as_now() -> None:
    latest = readings(speed=0.0, gear=126.0, low=12.6)
    assert look(latest, 0.1).motion is Motion.PARKED
    assert look(latest, 0.1).low_voltage_v == 12.6
    old = look(latest, 2.1)
    assert (old.is_fresh, old.motion, old.low_voltage_v) == (False, Motion.UNKNOWN, None)
    assert set(old.states.values()) == {None}


def test_only_park_and_off_together_mean_going_to_sleep() -> None:
    assert is_switched_off_in_park(readings(gear=126.0, ignition=2.0))
    assert not is_switched_off_in_park(readings(gear=126.0, ignition=4.0))
    assert not is_switched_off_in_park(readings(gear=126.0))
