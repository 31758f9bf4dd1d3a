"""When an update may be installed: named preconditions as data, each with its code; pure.

All gates must be open for an installation to begin. Those that are *watched* are asked again while
it runs, with limits a little lower, so that a load on the 12 V battery does not end what it was
good enough to begin. A reading that is not known keeps an installation from beginning, and does not
end one: a vehicle that falls asleep in the middle is not a reason to go back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ota.metadata.custom import Criticality

# How often a driver may say Later. A recall, once its deadline has passed, needs no OK any more:
# it begins after a countdown that can be cancelled as often as the driver likes.
MOST_DEFERRALS: Mapping[Criticality, int | None] = {
    Criticality.FEATURE: None,
    Criticality.SECURITY: 5,
    Criticality.RECALL: 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleState:
    """What the gates look at. None: not known, which closes the gate that asks for it."""

    is_parked: bool | None = None  # selector in P or vehicle off, as the trip table sees it
    speed_km_h: float | None = None
    soc_percent: float | None = None  # traction battery, 0 to 100
    aux_battery_v: float | None = None  # the 12 V battery
    is_ignition_on: bool | None = None
    is_charging: bool | None = None
    ambient_c: float | None = None
    has_link: bool | None = None  # the repositories were reached when they were last asked


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLimits:
    """Least values for an installation and, should it fail, the way back. None: not asked."""

    soc_percent: float = 20.0
    aux_battery_v: float = 12.0  # a lead battery at rest below this is about three quarters empty
    max_speed_km_h: float = 0.5  # what wheel sensors show at standstill
    needs_ignition_off: bool = False
    needs_charging: bool = False
    needs_link: bool = False
    min_ambient_c: float | None = None
    max_ambient_c: float | None = None
    sag_percent: float = 5.0  # how far below soc_percent an installation goes on
    sag_v: float = 0.5  # how far below aux_battery_v an installation goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The moment a gate judges: the vehicle, the limits, the update and what was said to it.

    ``is_running``: the installation has begun; only what is known to be wrong counts then.
    """

    vehicle: VehicleState
    limits: GateLimits
    offered: str  # content hash of what waits
    approved: str | None  # content hash that was approved; None: nothing
    is_technician: bool = False  # who approved it stands beside the vehicle and knows it
    needs_technician: bool = False
    is_overdue: bool = False  # a recall whose deadline has passed
    window: str | None = None  # "02:00-05:00", local time; None: at any time
    is_in_window: bool = True
    put_off_s: float = 0.0  # how long an overdue recall was put off for, from now
    is_running: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A closed gate: a stable code and one sentence for the driver."""

    code: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One precondition; ``refuse`` returns why not now, or None if the gate is open.

    ``asks`` says what it is about, for the reference page; ``is_watched`` whether it is asked
    again while an installation runs.
    """

    code: str
    asks: str
    refuse: Callable[[Situation], str | None]
    is_watched: bool = False


def _unknown(now: Situation, what: str) -> str | None:
    return None if now.is_running else f"Waiting: {what} not known."


def _parked(now: Situation) -> str | None:
    if now.vehicle.is_parked is None:
        return _unknown(now, "whether the vehicle is parked is")
    return None if now.vehicle.is_parked else "Waiting until the vehicle is parked."


def _standing(now: Situation) -> str | None:
    speed = now.vehicle.speed_km_h
    if speed is None:
        return _unknown(now, "the speed is")
    if abs(speed) <= now.limits.max_speed_km_h:
        return None
    return f"Waiting until the vehicle stands still; it moves at {speed:.0f} km/h."


def _switched_off(now: Situation) -> str | None:
    if not now.limits.needs_ignition_off or now.vehicle.is_ignition_on is False:
        return None
    if now.vehicle.is_ignition_on is None:
        return _unknown(now, "whether the vehicle is switched off is")
    return "Waiting until the vehicle is switched off."


def _charged(now: Situation) -> str | None:
    soc, least = now.vehicle.soc_percent, now.limits.soc_percent
    if soc is None:
        return _unknown(now, "the charge of the traction battery is")
    if soc >= least:
        return None
    return f"Waiting until the battery holds {least:.0f} %; it holds {soc:.0f} %."


def _aux_charged(now: Situation) -> str | None:
    volts, least = now.vehicle.aux_battery_v, now.limits.aux_battery_v
    if volts is None:
        return _unknown(now, "the voltage of the 12 V battery is")
    if volts >= least:
        return None
    return f"Waiting until the 12 V battery has {least:.1f} V; it has {volts:.1f} V."


def _charging(now: Situation) -> str | None:
    if not now.limits.needs_charging or now.vehicle.is_charging:
        return None
    return "Waiting until the vehicle is charging."


def _temperate(now: Situation) -> str | None:
    least, most, found = now.limits.min_ambient_c, now.limits.max_ambient_c, now.vehicle.ambient_c
    if least is None and most is None:
        return None
    if found is None:
        return _unknown(now, "the outside temperature is")
    if (least is None or found >= least) and (most is None or found <= most):
        return None
    return f"Waiting for another outside temperature; it has {found:.0f} °C."


def _linked(now: Situation) -> str | None:
    if not now.limits.needs_link or now.vehicle.has_link:
        return None
    return "Waiting until the update server can be reached."


def _in_window(now: Situation) -> str | None:
    if now.is_in_window or now.is_technician:
        return None
    return f"Waiting for the time from {(now.window or '').replace('-', ' to ')}."


def _technician(now: Situation) -> str | None:
    if now.is_technician or not now.needs_technician:
        return None
    return "Waiting for a technician, who has to be there."


def _not_put_off(now: Situation) -> str | None:
    if now.put_off_s <= 0 or now.approved == now.offered:
        return None
    return f"Put off by the driver; asked again in {now.put_off_s / 60:.0f} min."


def _approved(now: Situation) -> str | None:
    if now.approved == now.offered or now.is_overdue:
        return None
    if now.approved is None:
        return "Waiting for the driver's OK."
    return "Waiting for the driver's OK: the earlier one was for another update."


# NaN compares false with everything, so every reading that is no number closes its gate.
GATES: tuple[Gate, ...] = (
    Gate(
        code="ota.gate.not_parked",
        asks="the selector is in P, or the vehicle is off",
        refuse=_parked,
        is_watched=True,
    ),
    Gate(
        code="ota.gate.moving",
        asks="the wheels stand still",
        refuse=_standing,
        is_watched=True,
    ),
    Gate(
        code="ota.gate.ignition_on",
        asks="the vehicle is switched off, where that is wanted",
        refuse=_switched_off,
        is_watched=True,
    ),
    Gate(
        code="ota.gate.battery_low",
        asks="the traction battery holds enough for the installation and the way back",
        refuse=_charged,
        is_watched=True,
    ),
    Gate(
        code="ota.gate.aux_battery_low",
        asks="the 12 V battery holds enough for the installation and the way back",
        refuse=_aux_charged,
        is_watched=True,
    ),
    Gate(
        code="ota.gate.not_charging",
        asks="the vehicle is charging, where that is wanted",
        refuse=_charging,
    ),
    Gate(
        code="ota.gate.temperature",
        asks="the outside temperature is within limits, where there are any",
        refuse=_temperate,
    ),
    Gate(
        code="ota.gate.no_link",
        asks="the update server was reached when last asked, where that is wanted",
        refuse=_linked,
    ),
    Gate(
        code="ota.gate.outside_window",
        asks="it is the time of day for updates, where there is one",
        refuse=_in_window,
    ),
    Gate(
        code="ota.gate.technician",
        asks="a technician has approved it, where the release asks for one",
        refuse=_technician,
    ),
    Gate(
        code="ota.gate.put_off",
        asks="the driver has not just put an overdue recall off",
        refuse=_not_put_off,
    ),
    Gate(
        code="ota.gate.not_approved",
        asks="exactly this content was approved, or is a recall past its deadline",
        refuse=_approved,
    ),
)
COUNTDOWN = "ota.gate.countdown"  # not in the table: it begins when all of them are open


def closed_gates(now: Situation) -> tuple[Refusal, ...]:
    """Return every gate that is closed, in the order of the table; empty: install now."""
    return tuple(
        Refusal(gate.code, sentence) for gate in GATES if (sentence := gate.refuse(now)) is not None
    )


def broken_gate(now: Situation) -> Refusal | None:
    """Return the first watched gate that is known to have closed since it was open, if any."""
    limits = replace(
        now.limits,
        soc_percent=now.limits.soc_percent - now.limits.sag_percent,
        aux_battery_v=now.limits.aux_battery_v - now.limits.sag_v,
    )
    running = replace(now, limits=limits, is_running=True)
    for gate in GATES:
        sentence = gate.refuse(running) if gate.is_watched else None
        if sentence is not None:
            return Refusal(gate.code, sentence)
    return None
