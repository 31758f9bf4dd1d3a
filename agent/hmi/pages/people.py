"""Who drives, pauses, receipts and the workshop as pages; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agent.hmi.door import Erased, Receipt
from agent.hmi.pages.purposes import PurposeView
from agent.hmi.pages.tiles import Tile, TilesView
from agent.hmi.pages.trip import ExactView, text_view, trip_facts
from agent.hmi.pages.words import Button, cut
from agent.hmi.texts import Texts
from agent.hmi.views import DriverChoice, ScreenState, TripStatus

PAUSES = ("hour", "today", "always")
SHOWS = ("battery", "alert", "both")
_MAX_TILES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptView:
    """A receipt to keep: figures, and the code that holds all of it."""

    title: str
    lines: tuple[str, ...]
    what: str
    qr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkshopView:
    """What the driver types before a report is made; ``fields``: name, label, value, longest."""

    title: str
    show: str
    fields: tuple[tuple[str, str, str, int], ...]
    keep: str
    look: str
    back: str


def more_view(state: ScreenState, texts: Texts) -> TilesView:
    """Return the ways to everything about people."""
    return TilesView(
        title=texts.say("more.title"),
        text="",
        tiles=(
            _more("driver", _who(state, texts), "home", texts),
            _more("pause", _paused(state, texts), "clock", texts),
            _more("workshop", texts.say("more.workshop_what"), "hand", texts),
            _more("receipts", texts.say("more.receipts_what"), "shield", texts),
            _more("zones", texts.say("more.zones_what"), "cross", texts),
            Tile(
                label=texts.say("language.other"),
                sub=texts.say("language.what"),
                icon="globe",
                url="/language",
                action="language-open",
            ),
        ),
    )


def language_view(texts: Texts) -> PurposeView:
    """Return the way to the other language; its name is in that language."""
    button = Button(
        label=texts.say("language.other"),
        url="/language",
        action="language",
        icon="globe",
        fields=(("language", texts.say("language.other.code")),),
    )
    return _ask(texts.say("language.title"), "", (), button, "/more", texts)


def _more(name: str, sub: str, icon: str, texts: Texts) -> Tile:
    return Tile(
        label=texts.say(f"more.{name}"), sub=cut(sub), icon=icon, url=f"/{name}", action=name
    )


def _who(state: ScreenState, texts: Texts) -> str:
    if state.is_guest:
        return texts.say("driver.guest")
    here = [driver for driver in state.drivers if driver.is_here]
    return name_of(state, here[0], texts) if here else texts.say("driver.unknown")


def _paused(state: ScreenState, texts: Texts) -> str:
    if state.pause is None:
        return texts.say("more.pause_none")
    until = state.pause.until_text
    return texts.say("pause.until", time=until) if until else texts.say("pause.until_ended")


def name_of(state: ScreenState, driver: DriverChoice, texts: Texts) -> str:
    """Return what a driver is called on the screen."""
    number = 1 + state.drivers.index(driver)
    return driver.name or texts.say("driver.nameless", n=number)


def drivers_view(state: ScreenState, texts: Texts) -> TilesView:
    """Return the drivers to choose from; with six of them a guest is the last tile."""
    drivers = [
        Tile(
            label=name_of(state, one, texts),
            sub=texts.say("driver.here" if one.is_here else "driver.other"),
            icon="check" if one.is_here else "home",
            url=f"/driver/{one.profile_id}",
            action="driver-open",
        )
        for one in state.drivers[: _MAX_TILES - 1]
    ]
    guest = Tile(
        label=texts.say("driver.guest"),
        sub=texts.say("driver.here" if state.is_guest else "driver.guest_what"),
        icon="check" if state.is_guest else "shield",
        url="/driver/guest",
        action="driver-guest",
    )
    new = Tile(
        label=texts.say("driver.add"),
        sub=texts.say("driver.add_what"),
        icon="star",
        url="/driver/new",
        action="driver-new",
    )
    tiles = [*drivers, guest, *([new] if len(drivers) < _MAX_TILES - 1 else [])]
    return TilesView(title=texts.say("driver.title"), text="", tiles=tuple(tiles))


def driver_view(state: ScreenState, profile: str, texts: Texts) -> PurposeView | None:
    """Return the question for one driver, a guest or a new one; None for a stranger."""
    if profile == "guest":
        return _driver_ask(
            texts.say("driver.guest_ask"), (texts.say("driver.guest_line"),), profile, texts
        )
    if profile == "new":
        name = texts.say("driver.nameless", n=len(state.drivers) + 1)
        button = _ok("/api/drivers", "driver-add", ("name", name), texts)
        what = texts.say("driver.new_what")
        return _ask(texts.say("driver.new", name=name), what, (), button, "/driver", texts)
    for one in state.drivers:
        if one.profile_id == profile:
            title = texts.say("driver.choose", name=name_of(state, one, texts))
            lines = (texts.say("driver.choose_what"), texts.say("driver.choose_line"))
            return _driver_ask(title, lines, profile, texts)
    return None


def _driver_ask(title: str, lines: tuple[str, ...], profile: str, texts: Texts) -> PurposeView:
    button = _ok("/api/driver", "driver-choose", ("profile", profile), texts)
    return _ask(title, "", lines, button, "/driver", texts)


def _ok(url: str, action: str, field: tuple[str, str], texts: Texts) -> Button:
    return Button(
        label=texts.say("purpose.ok"), url=url, action=action, icon="check", fields=(field,)
    )


def _ask(  # noqa: PLR0913, PLR0917 (a page has these parts)
    title: str, what: str, lines: tuple[str, ...], button: Button, no_url: str, texts: Texts
) -> PurposeView:
    return PurposeView(
        title=cut(title),
        what=what,
        lines=lines,
        buttons=(button,),
        no=texts.say("purpose.no"),
        no_url=no_url,
    )


def pause_view(state: ScreenState, texts: Texts) -> TilesView | PurposeView:
    """Return how long to pause, or the question whether to go on."""
    if state.pause is not None:
        button = _ok("/api/pause", "pause-end", ("pause", "off"), texts)
        lines = (texts.say("pause.end_what"),)
        what = f"{texts.say('pause.on')}: {_paused(state, texts)}"
        return _ask(texts.say("pause.end"), what, lines, button, "/more", texts)
    return TilesView(
        title=texts.say("pause.title"),
        text=texts.say("pause.what"),
        tiles=tuple(
            Tile(
                label=texts.say(f"pause.{kind}"),
                sub="",
                icon="clock",
                url=f"/pause/{kind}",
                action=f"pause-{kind}",
            )
            for kind in PAUSES
        ),
    )


def pause_ask_view(kind: str, texts: Texts) -> PurposeView:
    """Return the question whether to pause for so long."""
    button = _ok("/api/pause", "pause-begin", ("pause", kind), texts)
    what = texts.say("pause.what")
    return _ask(texts.say(f"pause.ask.{kind}"), what, (), button, "/pause", texts)


def workshop_view(texts: Texts) -> TilesView:
    """Return what can be shown to a workshop."""
    return TilesView(
        title=texts.say("workshop.title"),
        text=texts.say("workshop.what"),
        tiles=tuple(
            Tile(
                label=texts.say(f"workshop.{show}"),
                sub=texts.say(f"workshop.{show}_what"),
                icon="list",
                url=f"/workshop/{show}",
                action=f"workshop-{show}",
            )
            for show in SHOWS
        ),
    )


def workshop_form(show: str, contact: tuple[str, str], texts: Texts) -> WorkshopView:
    """Return the form for one report, with the contact details that were kept."""
    return WorkshopView(
        title=texts.say(f"workshop.{show}"),
        show=show,
        fields=(
            ("contact", texts.say("workshop.contact"), contact[0], 200),
            ("message", texts.say("workshop.message"), "", 1_000),
        ),
        keep=texts.say("workshop.keep"),
        look=texts.say("workshop.look"),
        back=texts.say("workshop.back"),
    )


def receipts_view(state: ScreenState, texts: Texts, erased: Sequence[Erased] = ()) -> TilesView:
    """Return what was answered last, each with its receipt, and the way to what was erased."""
    answered = [trip for trip in state.trips if trip.status is not TripStatus.WAITING]
    tiles = [
        Tile(
            label=texts.say(f"shared.title.{trip.status}"),
            sub=cut(trip_facts(trip, texts)),
            icon="shield",
            url=f"/receipts/{trip.trip_id}",
            action="receipt-open",
        )
        for trip in answered[:4]
    ]
    if erased:
        waiting = sum(one.waiting > 0 for one in erased)
        key = "erased.some_wait" if waiting else "erased.all_done"
        tiles.append(
            Tile(
                label=texts.say("erased.title"),
                sub=texts.say(key, n=waiting),
                icon="undo",
                url="/erasures",
                action="erasures-open",
            )
        )
    return TilesView(
        title=texts.say("receipts.title"),
        text="" if tiles else texts.say("receipts.none"),
        tiles=tuple(tiles),
    )


def erasures_view(erased: Sequence[Erased], texts: Texts) -> ExactView:
    """Return every wish to erase with what ingest has confirmed, the newest first."""
    lines = [line for one in erased for line in (*_erased_lines(one, texts), "")]
    return text_view(
        texts.say("erased.title"), lines or (texts.say("erased.none"),), "/receipts", texts
    )


def _erased_lines(one: Erased, texts: Texts) -> Iterator[str]:
    kind, _, about = one.wish.partition(" ")
    yield f"{one.time}  {texts.find(f'erased.wish.{kind}', kind)} {about[:12]}".rstrip()
    if one.requests > one.waiting:
        yield texts.say("erased.confirmed", batches=one.batches, left=one.left)
    if one.waiting:
        yield texts.say("erased.waiting", n=one.waiting, all=one.requests)
    for told in one.receipts:
        figures = {"batches": told.batches, "rows": told.rows, "left": told.left}
        yield texts.say("erased.receipt", id=told.request[:12], time=told.time, **figures)


def receipt_view(receipt: Receipt, texts: Texts) -> ReceiptView:
    """Return one receipt."""
    event = texts.find(f"receipt.event.{receipt.event}", receipt.event)
    delivered = [texts.say("receipt.delivered", status=status) for status in receipt.delivered]
    return ReceiptView(
        title=texts.say("receipt.title"),
        lines=(
            texts.say("receipt.entry", n=receipt.number, event=event),
            receipt.time,
            cut(f"{texts.notice(receipt.purpose).title}: {receipt.recipient}"),
            *(delivered or [texts.say("receipt.none")]),
        ),
        what=texts.say("receipt.what"),
        qr=receipt.qr,
    )
