"""When an update may be installed: named preconditions as data, each with its code; pure."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleState:
    """What the gates look at. None: not known, which closes the gate that asks for it."""

    is_parked: bool | None = None  # selector in P or vehicle off, as the trip table sees it
    speed_km_h: float | None = None
    soc_percent: float | None = None  # traction battery, 0 to 100
    aux_battery_v: float | None = None  # the 12 V battery


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """Least values for an installation and, should it fail, the way back."""

    soc_percent: float = 20.0
    aux_battery_v: float = 12.0  # a lead battery at rest below this is about three quarters empty
    max_speed_km_h: float = 0.5  # what wheel sensors show at standstill


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The moment a gate judges: the vehicle, the limits, and what the driver said OK to."""

    vehicle: VehicleState
    limits: GateLimits
    offered: str  # content hash of the image that waits
    approved: str | None  # content hash the driver approved; None: nothing


@dataclass(frozen=True, slots=True)
class Refusal:
    """A closed gate: a stable code and one sentence for the driver."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Gate:
    """One precondition; ``refuse`` returns why not now, or None if the gate is open."""

    code: str
    refuse: Callable[[Situation], str | None]


def _parked(now: Situation) -> str | None:
    if now.vehicle.is_parked is None:
        return "Waiting: it is not known whether the vehicle is parked."
    return None if now.vehicle.is_parked else "Waiting until the vehicle is parked."


def _standing(now: Situation) -> str | None:
    speed = now.vehicle.speed_km_h
    if speed is None:
        return "Waiting: the speed is not known."
    if abs(speed) <= now.limits.max_speed_km_h:
        return None
    return f"Waiting until the vehicle stands still; it moves at {speed:.0f} km/h."


def _charged(now: Situation) -> str | None:
    soc, least = now.vehicle.soc_percent, now.limits.soc_percent
    if soc is None:
        return "Waiting: the charge of the traction battery is not known."
    if soc >= least:
        return None
    return f"Waiting until the battery holds {least:.0f} %; it holds {soc:.0f} %."


def _aux_charged(now: Situation) -> str | None:
    volts, least = now.vehicle.aux_battery_v, now.limits.aux_battery_v
    if volts is None:
        return "Waiting: the voltage of the 12 V battery is not known."
    if volts >= least:
        return None
    return f"Waiting until the 12 V battery has {least:.1f} V; it has {volts:.1f} V."


def _approved(now: Situation) -> str | None:
    if now.approved is None:
        return "Waiting for the driver's OK."
    if now.approved == now.offered:
        return None
    return "Waiting for the driver's OK: the earlier one was for another update."


# NaN compares false with everything, so every reading that is no number closes its gate.
GATES: tuple[Gate, ...] = (
    Gate("ota.gate.not_parked", _parked),
    Gate("ota.gate.moving", _standing),
    Gate("ota.gate.battery_low", _charged),
    Gate("ota.gate.aux_battery_low", _aux_charged),
    Gate("ota.gate.not_approved", _approved),
)


def closed_gates(now: Situation) -> tuple[Refusal, ...]:
    """Return every gate that is closed, in the order of the table; empty: install now."""
    return tuple(
        Refusal(gate.code, sentence) for gate in GATES if (sentence := gate.refuse(now)) is not None
    )
