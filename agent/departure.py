"""Why a confirmed batch has not left yet: one reason at a time, one sentence each. Pure.

The uplink asks here before it connects, and the queue command prints the answer, so that what a
person reads is what the program acts on. docs/how-to/why-has-a-batch-not-left.md lists the codes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agent.network.model import NetworkClass

MAX_HOLD_S = 3_600.0  # the longest hold that can be configured; more is a random delay
CONNECTION_BYTES = 8_192  # measured: a mutual TLS 1.3 handshake, CONNECT, SUBSCRIBE, goodbye


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the vehicle knows of itself and its network; None is not known, and stops nothing."""

    network: NetworkClass = NetworkClass.UNMETERED
    parked_for_s: float | None = None  # None while driving or not known
    is_charging: bool | None = None
    low_voltage_v: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DepartureLimits:
    """What the uplink may cost."""

    parked_send_s: float = 900.0  # afterwards the 12 V battery is worth more than the batch
    min_low_voltage_v: float = 11.8  # a lead battery below that may not start the vehicle again
    bytes_per_day: Mapping[NetworkClass, int] = field(  # a class that is missing has no limit
        default_factory=lambda: {NetworkClass.METERED: 20_000_000, NetworkClass.ROAMING: 0}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything that decides whether a connection is worth making now."""

    surroundings: Surroundings
    limits: DepartureLimits
    is_paused: bool = False
    is_refused: bool = False  # the broker said no for good
    failure: str | None = None  # the last attempt, in words; None after a good one
    retry_in_s: float = 0.0  # back-off, or the pause between two pseudonyms
    queued: int = 0  # confirmed batches that were not stopped
    withheld: str | None = None  # why the policy lets none of them leave, in words
    held_s: float = 0.0  # until the first of them may leave; 0 when one may
    next_bytes: int = 0  # size of the batch that leaves first
    spent_bytes: int = 0  # today, on this class of network


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindrance:
    """What stands in the way; ``wait_s`` is None if time alone does not heal it."""

    code: str
    sentence: str
    wait_s: float | None = None


def hindrance(now: Situation) -> Hindrance | None:
    """Return the first reason why nothing leaves; None if it may. The order is the table's."""
    return next((found for rule in RULES if (found := rule(now))), None)


def reason(now: Situation) -> str:
    """Return in one sentence why nothing has left yet, or what is happening."""
    found = hindrance(now)
    if found:
        return found.sentence
    if now.failure:
        return _after_failure(now)
    return "1 batch is being sent." if now.queued == 1 else f"{now.queued} batches are being sent."


def affords(now: Situation, size_bytes: int) -> bool:
    """Tell whether ``size_bytes`` more are within the day's budget.

    A batch larger than a whole day's budget may use the whole day once, or it could never leave.
    """
    limit = now.limits.bytes_per_day.get(now.surroundings.network)
    if limit is None:
        return True
    return limit > 0 and (now.spent_bytes == 0 or now.spent_bytes + size_bytes <= limit)


def _empty(now: Situation) -> Hindrance | None:
    if now.queued:
        return None
    return Hindrance(code="queue.empty", sentence="Nothing is waiting.")


def _paused(now: Situation) -> Hindrance | None:
    if not now.is_paused:
        return None
    return Hindrance(
        code="uplink.paused",
        sentence="Sending was switched off by hand. Next: okdrive-agent queue resume.",
    )


def _refused(now: Situation) -> Hindrance | None:
    if not now.is_refused:
        return None
    return Hindrance(
        code="uplink.refused", sentence=f"Stopped: {now.failure}. Waiting does not heal this."
    )


def _held(now: Situation) -> Hindrance | None:
    if now.held_s <= 0:
        return None
    if now.held_s > MAX_HOLD_S:
        return Hindrance(
            code="uplink.delayed",
            sentence=f"It waits for a moment drawn at random, so that the time of sending tells"
            f" nothing: {now.held_s / 3_600:.0f} h more. The driver can still take it back.",
            wait_s=now.held_s,
        )
    return Hindrance(
        code="uplink.held",
        sentence=f"The driver can still take it back for {now.held_s:.0f} s.",
        wait_s=now.held_s,
    )


def _withheld(now: Situation) -> Hindrance | None:
    if now.withheld is None:
        return None
    return Hindrance(code="uplink.withheld", sentence=now.withheld)


def _no_network(now: Situation) -> Hindrance | None:
    if now.surroundings.network is not NetworkClass.NONE:
        return None
    return Hindrance(code="uplink.no_network", sentence="There is no network.")


def _budget(now: Situation) -> Hindrance | None:
    if affords(now, now.next_bytes + CONNECTION_BYTES):
        return None
    network = now.surroundings.network
    limit = now.limits.bytes_per_day[network]
    if limit == 0:
        return Hindrance(
            code="uplink.budget", sentence=f"Nothing is sent while the network is {network}."
        )
    return Hindrance(
        code="uplink.budget",
        sentence=f"Today's budget on a {network} network is used: {now.spent_bytes:,} of"
        f" {limit:,} bytes; the next batch has {now.next_bytes:,}.",
    )


def _parked(now: Situation) -> Hindrance | None:
    parked_s, charging = now.surroundings.parked_for_s, now.surroundings.is_charging
    if charging or parked_s is None or parked_s < now.limits.parked_send_s:
        return None
    return Hindrance(
        code="uplink.parked",
        sentence="Parked and idle: it leaves on the next drive, to spare the 12 V battery.",
    )


def _low_battery(now: Situation) -> Hindrance | None:
    volts = now.surroundings.low_voltage_v
    if now.surroundings.is_charging or volts is None or volts >= now.limits.min_low_voltage_v:
        return None
    return Hindrance(
        code="uplink.low_voltage",
        sentence=f"The 12 V battery is at {volts:.1f} V; it leaves above"
        f" {now.limits.min_low_voltage_v:.1f} V.",
    )


def _waiting(now: Situation) -> Hindrance | None:
    if now.retry_in_s <= 0:
        return None
    if now.failure is None:
        return Hindrance(
            code="uplink.pause",
            sentence=f"A random pause between two connections: {now.retry_in_s:.0f} s more.",
            wait_s=now.retry_in_s,
        )
    return Hindrance(code="uplink.back_off", sentence=_after_failure(now), wait_s=now.retry_in_s)


def _after_failure(now: Situation) -> str:
    return f"The last attempt failed: {now.failure}. Next attempt in {now.retry_in_s:.0f} s."


Rule = Callable[[Situation], Hindrance | None]
RULES: tuple[Rule, ...] = (
    _paused,
    _empty,
    _refused,
    _held,
    _withheld,
    _no_network,
    _parked,
    _low_battery,
    _budget,
    _waiting,
)
