"""The trip to share, what became of it, and what exactly would be sent; pure."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.hmi.pages.words import Button, cut, sentence
from agent.hmi.texts import Texts
from agent.hmi.views import (
    BatchPreview,
    CardKind,
    FieldPreview,
    ScreenState,
    TripCard,
    TripStatus,
    waiting_trips,
)

EXACT_LINES = 40  # lines of exact data on one page


@dataclass(frozen=True, slots=True, kw_only=True)
class TripView:
    """The question after a trip."""

    title: str
    facts: str
    goes_out_title: str
    goes_out: tuple[str, ...]
    stays_title: str
    stays: str
    more: str
    unanswered: str
    look: str
    look_url: str
    buttons: tuple[Button, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedView:
    """What became of the last answer."""

    title: str
    icon: str
    facts: str
    text: str
    buttons: tuple[Button, ...]
    link: str = ""
    link_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewView:
    """The fields of one batch as a table."""

    title: str
    summary: str
    recipient_title: str
    recipient: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    not_sent_title: str
    not_sent: str
    exact: str
    exact_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactView:
    """One page of the exact data."""

    title: str
    batch_id: str
    page: str
    lines: tuple[str, ...]
    previous: str
    previous_url: str
    next: str
    next_url: str


def trip_view(state: ScreenState, trip: TripCard, texts: Texts) -> TripView:
    """Return the question about ``trip``."""
    url = f"/api/trips/{trip.trip_id}/answer"
    ids = tuple(("batch_ids", batch.batch_id) for batch in trip.batches)
    return TripView(
        title=texts.say(_TITLES[trip.kind]),
        facts=trip_facts(trip, texts),
        goes_out=_goes_out(trip.batches, texts),
        goes_out_title=texts.say("trip.goes_out"),
        stays_title=texts.say("trip.stays"),
        stays=sentence(_not_sent(trip.batches, texts)),
        more=_more(len(waiting_trips(state)) - 1, texts),
        unanswered=texts.say("trip.unanswered", days=trip.expires_days),
        look=texts.say("trip.look"),
        look_url=f"/preview/{trip.batches[0].batch_id}",
        buttons=(
            Button(
                label=texts.say("trip.ok"),
                url=url,
                action="trip-share",
                icon="check",
                fields=(("share", "true"), *ids),
            ),
            Button(
                label=texts.say("trip.no"),
                url=url,
                action="trip-decline",
                icon="cross",
                fields=(("share", "false"), *ids),
            ),
        ),
    )


_TITLES = {
    CardKind.TRIP: "trip.title",
    CardKind.DAY: "day.title",
    CardKind.WORKSHOP: "workshop.card",
}


def _more(waiting: int, texts: Texts) -> str:
    return texts.say("trip.more", n=waiting + 1) if waiting > 0 else ""


def trip_facts(trip: TripCard, texts: Texts) -> str:
    """Return what a question is about, in one line."""
    if trip.kind is not CardKind.TRIP:
        return texts.say(f"{trip.kind}.facts")
    figures = {"km": texts.number(trip.distance_km, 1), "min": texts.number(trip.duration_min)}
    key = "trip.facts" if trip.ended_text else "trip.facts_no_end"
    facts = texts.say(key, **figures, end=trip.ended_text)
    if trip.energy_kwh is None:
        return facts
    return f"{facts} · {texts.say('trip.energy', kwh=texts.number(trip.energy_kwh, 1))}"


def _goes_out(batches: Iterable[BatchPreview], texts: Texts) -> tuple[str, ...]:
    every = tuple(batches)
    fields = [field for batch in every for field in batch.fields if field.count]
    names = dict.fromkeys(texts.find(f"field.{field.name}", field.name) for field in fields)
    recipients = dict.fromkeys(_recipient(batch, texts) for batch in every)
    values = texts.number(sum(field.count for field in fields))
    size = texts.size(sum(batch.size_bytes for batch in every))
    return (
        sentence(names),
        texts.say("trip.values", n=values, size=size),
        texts.say("trip.to", recipient=cut(", ".join(recipients))),
    )


def _recipient(batch: BatchPreview, texts: Texts) -> str:
    return texts.find(f"recipient.{batch.recipient}", batch.recipient)


def _not_sent(batches: Iterable[BatchPreview], texts: Texts) -> Iterable[str]:
    every = tuple(batches)
    keys = [key for key in every[0].not_sent if all(key in batch.not_sent for batch in every)]
    return [texts.find(f"not_sent.{key}", key) for key in keys]


def shared_view(trip: TripCard, texts: Texts) -> SharedView:
    """Return where the data of an answered ``trip`` stands."""
    receipt = trip.batches[0].batch_id[:8] if trip.batches else texts.say("status.unknown")
    time = texts.duration(trip.hold_left_s or 0)
    size = texts.size(sum(batch.size_bytes for batch in trip.batches))
    key = f"shared.{trip.status}" if trip.batches else f"shared.{trip.status}.plain"
    key = key if texts.find(key, "") else f"shared.{trip.status}"
    take_back = Button(
        label=texts.say("shared.take_back"),
        url=f"/api/trips/{trip.trip_id}/take-back",
        action="trip-take-back",
        icon="undo",
    )
    return SharedView(
        title=texts.say("standing.title" if _stands(trip) else f"shared.title.{trip.status}"),
        icon=_STATUS_ICONS[trip.status],
        facts=trip_facts(trip, texts),
        text=texts.say(key, size=size, time=time, receipt=receipt),
        buttons=(take_back,) if trip.status is TripStatus.HELD else (),
        link=texts.say("shared.receipt"),
        link_url=f"/receipts/{trip.trip_id}",
    )


def _stands(trip: TripCard) -> bool:
    """Tell whether the driver has not been told yet that a standing OK released it."""
    return trip.is_standing and trip.status in {TripStatus.HELD, TripStatus.QUEUED}


_STATUS_ICONS = {
    TripStatus.WAITING: "clock",
    TripStatus.HELD: "clock",
    TripStatus.QUEUED: "up",
    TripStatus.DELIVERED: "check",
    TripStatus.REFUSED: "warning",
    TripStatus.NOT_SHARED: "shield",
    TripStatus.TAKEN_BACK: "shield",
}


def preview_view(batch: BatchPreview, texts: Texts) -> PreviewView:
    """Return the table of what ``batch`` holds."""
    values = texts.number(sum(field.count for field in batch.fields))
    keys = ("field", "precision", "count", "range")
    return PreviewView(
        title=texts.say("preview.title"),
        summary=texts.say(
            "preview.summary",
            n=values,
            size=texts.size(batch.size_bytes),
            travels=texts.size(batch.travels_bytes),
        ),
        recipient_title=texts.say("preview.recipient"),
        recipient=cut(_recipient(batch, texts)),
        columns=tuple(texts.say(f"preview.{key}") for key in keys),
        rows=tuple(_field_row(field, texts) for field in batch.fields),
        not_sent_title=texts.say("preview.not_sent"),
        not_sent=sentence(_not_sent([batch], texts)),
        exact=texts.say("preview.exact"),
        exact_url=f"/exact/{batch.batch_id}",
    )


def _field_row(field: FieldPreview, texts: Texts) -> tuple[str, ...]:
    name = texts.find(f"field.{field.name}", field.name)
    decimals = _decimals(field.precision)
    word = texts.find(f"word.{field.text.replace(' ', '_')}", field.text)
    span = cut(word) or texts.say("preview.none")
    if field.lowest is not None and field.lowest == field.highest:
        span = texts.number(field.lowest, decimals)
    elif field.lowest is not None and field.highest is not None:
        low, high = texts.number(field.lowest, decimals), texts.number(field.highest, decimals)
        span = texts.say("preview.span", low=low, high=high)
    precision = f"{texts.number(field.precision, decimals)} {field.unit}".strip()
    precision = precision if field.precision > 0 else field.unit
    return (sentence([name]), precision, texts.number(field.count), span)


def _decimals(step: float) -> int:
    plain = f"{step:.6f}".rstrip("0")
    return len(plain.partition(".")[2])


def exact_view(rows: object, batch_id: str, page: int, texts: Texts) -> ExactView:
    """Return page ``page`` (from 1) of the exact data, one record per line."""
    lines = json_lines(rows)
    pages = max(-(-len(lines) // EXACT_LINES), 1)
    page = min(max(page, 1), pages)
    url = f"/exact/{batch_id}?page="
    return ExactView(
        title=texts.say("exact.title"),
        batch_id=texts.say("preview.id", id=batch_id[:16]),
        page=texts.say("exact.page", page=page, pages=pages),
        lines=lines[(page - 1) * EXACT_LINES : page * EXACT_LINES],
        previous=texts.say("exact.previous"),
        previous_url=f"{url}{page - 1}" if page > 1 else f"/preview/{batch_id}",
        next=texts.say("exact.next"),
        next_url=f"{url}{page + 1}" if page < pages else "",
    )


def text_view(title: str, lines: Sequence[str], back_url: str, texts: Texts) -> ExactView:
    """Return a whole text on one page."""
    return ExactView(
        title=title,
        batch_id="",
        page="",
        lines=tuple(lines),
        previous=texts.say("back"),
        previous_url=back_url,
        next="",
        next_url="",
    )


def json_lines(rows: object) -> tuple[str, ...]:
    """Return ``rows`` as JSON in lines: a member per line, and lists with an item per line."""
    if isinstance(rows, list):
        return ("[", *_items(rows), "]") if rows else ("[]",)
    if not isinstance(rows, dict):
        return (_json(rows),)
    lines = ["{"]
    for position, (key, value) in enumerate(rows.items()):
        end = "," if position < len(rows) - 1 else ""
        if isinstance(value, list | tuple) and value and isinstance(value[0], dict | list):
            lines += [f"{_json(key)}: [", *_items(value), f"]{end}"]
        else:
            lines.append(f"{_json(key)}: {_json(value)}{end}")
    return (*lines, "}")


def _items(rows: Sequence[object]) -> list[str]:
    return [*(f"  {_json(item)}," for item in rows[:-1]), f"  {_json(rows[-1])}"]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
