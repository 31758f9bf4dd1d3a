"""What the flows know, as the cards that the screen shows. Pure: rows in, cards out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from statistics import median

import msgspec

from agent.consent.preview import Preview, PreviewField
from agent.hmi.views import (
    BatchPreview,
    BatteryAlert,
    BatteryHealth,
    CardKind,
    Criticality,
    Fetching,
    FieldPreview,
    GateLine,
    Level,
    Outcome,
    Progress,
    ResultCard,
    TripCard,
    TripStatus,
    UpdateCard,
    UpdateFacts,
    UpdatePhase,
)
from agent.store.battery import DayFigure
from agent.store.figures import figures
from agent.store.queued import OutboxState
from agent.store.rows import TripOutcome, TripRow
from agent.updates import Offer, UpdateView
from agent.vehicle.battery.memory import Kind
from agent.vehicle.battery.rules import Severity
from agent.waiting import QueueItem
from agent.watch.keeper import Shown
from ota.client.gates import Refusal
from ota.client.offer import Outcome as UpdateOutcome
from ota.client.states import UpdateState
from ota.metadata.custom import Facts
from telemetry.purposes import Purpose

NEVER_SENT: Mapping[Purpose, tuple[str, ...]] = {
    Purpose.BATTERY: ("position", "speed", "exact_time", "torque", "vin"),
    Purpose.CHARGING: ("exact_place", "route", "exact_time", "vin"),
    Purpose.JOURNEYS: ("position", "speed", "exact_time", "vin"),
    Purpose.TRAFFIC: ("ends", "route", "exact_time", "vin"),
    Purpose.DIAGNOSTICS: ("trips", "position", "vin"),
    Purpose.WORKSHOP: ("position", "trips", "unseen"),
}
_GATE_LINES = {  # always shown, met or not
    "ota.gate.not_parked": "parked",
    "ota.gate.moving": "standing",
    "ota.gate.battery_low": "soc",
    "ota.gate.aux_battery_low": "battery_12v",
}
_WISH_LINES = {  # shown while they are not met: not every vehicle asks for them
    "ota.gate.ignition_on": "ignition",
    "ota.gate.not_charging": "charging",
    "ota.gate.temperature": "temperature",
    "ota.gate.no_link": "link",
    "ota.gate.outside_window": "window",
    "ota.gate.technician": "technician",
}
_STEPS = {
    UpdateState.PREPARING: 1,
    UpdateState.INSTALLING: 2,
    UpdateState.CHECKING: 3,
    UpdateState.COMMITTING: 4,
    UpdateState.ROLLING_BACK: 4,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An update the driver put off to a time."""

    content_hash: str
    at_utc: datetime


def trip_card(  # noqa: PLR0913 (each by name)
    trip: TripRow,
    previews: Sequence[Preview],
    queued: Sequence[QueueItem],
    *,
    zone: tzinfo | None,
    unanswered_days: int,
    is_standing: bool = False,
) -> TripCard:
    """Return the card of one trip.

    Args:
        trip: The stored trip.
        previews: Its batches that wait for an answer.
        queued: Its batches that were confirmed and are still here.
        zone: In which time its end is told; None is the time zone of the board.
        unanswered_days: After how many days without an answer it is deleted.
        is_standing: Whether a standing OK released it.
    """
    known = figures(trip)
    ended = trip.created_utc.astimezone(zone)
    return TripCard(
        trip_id=trip.trip_id,
        distance_km=known.distance_m / 1_000,
        duration_min=known.duration_s / 60,
        ended_text=f"{ended:%H:%M}",
        energy_kwh=(known.energy_out_wh - known.energy_in_wh) / 1_000,
        batches=tuple(batch_preview(preview) for preview in previews),
        status=_status(trip, queued),
        hold_left_s=max((round(item.held_for_s) for item in queued), default=0) or None,
        expires_days=unanswered_days,
        kind=_kind(trip),
        is_standing=is_standing,
    )


def _kind(trip: TripRow) -> CardKind:
    found = msgspec.json.decode(trip.summary)
    return CardKind(found.get("kind", CardKind.TRIP)) if isinstance(found, dict) else CardKind.TRIP


def _status(trip: TripRow, queued: Sequence[QueueItem]) -> TripStatus:
    if trip.outcome is TripOutcome.UNANSWERED:
        return TripStatus.WAITING
    if trip.outcome is not TripOutcome.SHARED:
        return TripStatus.NOT_SHARED
    if any(item.state is OutboxState.STOPPED for item in queued):
        return TripStatus.REFUSED
    if any(item.held_for_s > 0 for item in queued):
        return TripStatus.HELD
    return TripStatus.QUEUED if queued else TripStatus.DELIVERED


def batch_preview(preview: Preview) -> BatchPreview:
    """Return what the screen shows of a batch that waits for an answer."""
    return BatchPreview(
        batch_id=preview.batch_id,
        purpose=preview.purpose,
        size_bytes=preview.size_bytes,
        travels_bytes=preview.travels_bytes,
        recipient=preview.recipient,
        fields=(*(_field(field) for field in preview.fields), *_once(preview)),
        not_sent=NEVER_SENT[preview.purpose],
    )


def _field(field: PreviewField) -> FieldPreview:
    return FieldPreview(
        name=field.name,
        unit=field.unit,
        precision=field.precision,
        count=field.count,
        lowest=field.lowest,
        highest=field.highest,
        text=field.text,
    )


def _once(preview: Preview) -> Iterator[FieldPreview]:
    """Yield what a batch holds once, not per row."""
    if (soh := preview.soh_percent) is not None:
        yield FieldPreview(
            name="soh_percent", unit="%", precision=1, count=1, lowest=soh, highest=soh
        )
    if preview.purpose is not Purpose.WORKSHOP:  # a report names its day
        yield FieldPreview(name="month", unit="", precision=0, count=1, text=preview.month)


_LEVELS = {
    Severity.CRITICAL: Level.DANGER,
    Severity.WARNING: Level.WARNING,
    Severity.ADVISORY: Level.INFO,
}


def battery_alerts(shown: Sequence[Shown]) -> tuple[BatteryAlert, ...]:
    """Return the alerts that a screen tells; what is only of interest on request is left out."""
    return tuple(
        BatteryAlert(
            code=one.alert.code,
            level=_LEVELS[one.alert.severity],
            is_acknowledged=one.is_acknowledged,
        )
        for one in shown
        if one.alert.severity in _LEVELS
    )


def health_of(figures: Sequence[DayFigure], today: date) -> BatteryHealth:
    """Return the battery's health: the latest figures, and the median of each month of a year."""
    since = today - timedelta(days=365)
    months: dict[str, list[float]] = {}
    latest: dict[str, float] = {}
    for figure in figures:
        latest[figure.kind] = figure.mean
        if figure.kind == Kind.HEALTH and figure.day >= since:
            months.setdefault(f"{figure.day:%Y-%m}", []).append(figure.mean)
    return BatteryHealth(
        percent=latest.get(Kind.HEALTH),
        capacity_ah=latest.get(Kind.CAPACITY),
        months=tuple((month, median(found)) for month, found in sorted(months.items())),
    )


def update_card(
    view: UpdateView, planned: Planned | None, *, zone: tzinfo | None
) -> UpdateCard | None:
    """Return the card of an update that is verified and downloaded; None while there is none."""
    offer = view.offer
    if offer is None or view.state not in {UpdateState.AWAITING_OK, *_STEPS}:
        return None
    is_planned = planned is not None and planned.content_hash == offer.content_hash
    return UpdateCard(
        content_hash=offer.content_hash,
        name=offer.name,
        from_version=offer.from_version,
        to_version=offer.to_version,
        criticality=Criticality(offer.criticality),
        recall_number=offer.recall_number,
        facts=_facts(offer),
        size_bytes=offer.size_bytes,
        gates=gate_lines(view.refusals),
        can_defer=offer.can_defer,
        phase=_phase(view, is_planned=is_planned),
        progress=_progress(view.state),
        countdown_s=None if view.countdown_s is None else round(view.countdown_s),
        scheduled_text=f"{planned.at_utc.astimezone(zone):%H:%M}" if planned and is_planned else "",
    )


def fetching_of(view: UpdateView) -> Fetching | None:
    """Return how far the download is, no finer than a person looks; None while there is none."""
    offer, progress = view.offer, view.progress
    if offer is None or view.state is not UpdateState.DOWNLOADING:
        return None
    fetching = Fetching(name=offer.name, to_version=offer.to_version, total_bytes=offer.size_bytes)
    if progress is None:
        why = view.problem
        return fetching if why is None else replace(fetching, why_not=why.sentence, code=why.code)
    rate, left_s = progress.bytes_per_s, progress.left_s
    percent = max(1, progress.total_bytes // 100)
    return replace(
        fetching,
        total_bytes=progress.total_bytes,
        done_bytes=progress.done_bytes // percent * percent,
        bytes_per_s=None if rate is None else float(f"{rate:.1e}"),
        left_s=None if left_s is None else -(-round(left_s) // 5) * 5,
    )


def gate_lines(refusals: Sequence[Refusal]) -> tuple[GateLine, ...]:
    """Return the checklist of preconditions, the driver's own answer left out."""
    closed = {refusal.code: refusal.sentence for refusal in refusals}
    wishes = {code: line for code, line in _WISH_LINES.items() if code in closed}
    return tuple(
        GateLine(code=line, ok=code not in closed, text=closed.get(code, ""))
        for code, line in (_GATE_LINES | wishes).items()
    )


def _facts(offer: Offer) -> Mapping[str, UpdateFacts]:
    return {language: _fact(facts) for language, facts in offer.facts.items()}


def _fact(facts: Facts) -> UpdateFacts:
    return UpdateFacts(
        purpose=facts.purpose,
        changes=facts.changes,
        duration_s=facts.duration_s,
        unavailable=facts.unavailable,
        instructions=facts.instructions,
    )


def _phase(view: UpdateView, *, is_planned: bool) -> UpdatePhase:
    if view.state is UpdateState.CHECKING:
        return UpdatePhase.CHECKING
    if view.state in _STEPS:
        return UpdatePhase.INSTALLING
    if view.countdown_s is not None:
        return UpdatePhase.COUNTDOWN
    return UpdatePhase.SCHEDULED if is_planned else UpdatePhase.READY


def _progress(state: UpdateState) -> Progress | None:
    step = _STEPS.get(state)
    if step is None:
        return None
    steps = max(_STEPS.values())
    return Progress(step=step, steps=steps, percent=100 * (step - 1) // steps)


def result_card(last: UpdateOutcome, running_version: str | None) -> ResultCard:
    """Return how the last update ended."""
    outcome = Outcome(last.result.outcome)
    return ResultCard(
        outcome=outcome,
        name=last.name,
        version=last.version,
        running_version=running_version,
        reason="" if outcome is Outcome.INSTALLED else last.sentence,
        code=last.result.code,
    )


def tonight(now: datetime, *, hour: int = 2, minute: int = 30) -> datetime:
    """Return the next 02:30 on the clock that ``now`` (with its zone) is told in."""
    at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return at if at > now else at + timedelta(days=1)
