"""What a vehicle is doing right now, for the screen, the gates and `status`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.signals import catalog
from agent.signals.model import Signal
from agent.signals.table import States
from agent.vehicle.predicates import evaluate
from agent.vehicle.trip import STANDING_KM_H, Trip, TripState


class Motion(StrEnum):
    """How much the driver is driving."""

    PARKED = "parked"  # gear P and standing
    IDLING = "idling"  # another gear, standing
    MOVING = "moving"
    UNKNOWN = "unknown"  # gear or speed not known: nobody may take it for standing


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveView:
    """The present. Every value is None when it is not known or older than its allowed age.

    ``silence_s`` is the time since the last frame of any kind; ``is_fresh`` is false when it is
    too long. ``is_asleep`` says that the last thing known was parked and switched off: the
    vehicle's buses sleep, which is not a fault. ``states`` are the definition's predicates.
    """

    silence_s: float
    is_fresh: bool
    is_asleep: bool
    motion: Motion
    speed_km_h: float | None
    gear: float | None
    is_ignition_on: bool | None
    is_charging: bool | None
    soc_percent: float | None
    low_voltage_v: float | None
    ambient_c: float | None
    states: Mapping[str, bool | None]
    trip_state: TripState
    trip: Trip | None  # the one under way


def view(  # noqa: PLR0913 (one keyword per thing it shows)
    latest: Mapping[str, Signal],
    states: States,
    *,
    silence_s: float,
    fresh_s: float,
    is_asleep: bool,
    trip_state: TripState,
    trip: Trip | None,
) -> LiveView:
    """Return the view of ``latest``; past ``fresh_s`` of silence nothing in it is believed."""
    is_fresh = silence_s <= fresh_s
    believed = latest if is_fresh else {}
    answers = evaluate(states, believed)
    speed_km_h, gear = _value(believed, catalog.SPEED), _value(believed, catalog.GEAR)
    return LiveView(
        silence_s=silence_s,
        is_fresh=is_fresh,
        is_asleep=is_asleep,
        motion=motion(speed_km_h, gear),
        speed_km_h=speed_km_h,
        gear=gear,
        is_ignition_on=answers.get("ignition_on"),
        is_charging=answers.get("charging"),
        soc_percent=_value(believed, catalog.SOC),
        low_voltage_v=_value(believed, catalog.LOW_VOLTAGE),
        ambient_c=_value(believed, catalog.AMBIENT),
        states=answers,
        trip_state=trip_state,
        trip=trip,
    )


def motion(speed_km_h: float | None, gear: float | None) -> Motion:
    """Return what speed and gear say together; moving needs no gear, standing needs both."""
    if speed_km_h is not None and abs(speed_km_h) > STANDING_KM_H:
        return Motion.MOVING
    if speed_km_h is None or gear is None:
        return Motion.UNKNOWN
    return Motion.PARKED if gear == catalog.GEAR_PARK else Motion.IDLING


def is_switched_off_in_park(latest: Mapping[str, Signal]) -> bool:
    """Return whether ``latest`` proves gear P and off: what a vehicle says before it sleeps."""
    return (
        _value(latest, catalog.GEAR) == catalog.GEAR_PARK
        and _value(latest, catalog.IGNITION) == catalog.IGNITION_OFF
    )


def _value(latest: Mapping[str, Signal], path: str) -> float | None:
    signal = latest.get(path)
    return signal.value if signal else None
