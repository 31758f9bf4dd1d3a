"""Which template shows which view, and the frame around it; pure."""

from dataclasses import dataclass

from agent.hmi.pages.home import (
    AmbientView,
    HomeView,
    MessageView,
    ambient_view,
    battery_alert_view,
    battery_view,
    home_view,
    idle_view,
    notice_view,
    result_view,
)
from agent.hmi.pages.people import ReceiptView, WorkshopView
from agent.hmi.pages.purposes import PurposeView
from agent.hmi.pages.tiles import TilesView
from agent.hmi.pages.trip import (
    ExactView,
    PreviewView,
    SharedView,
    TripView,
    shared_view,
    trip_view,
)
from agent.hmi.pages.update import UpdateView, fetching_view, update_view
from agent.hmi.pages.words import battery_text, percent, recording_icon
from agent.hmi.texts import Texts
from agent.hmi.views import (
    Card,
    DrivingState,
    Level,
    ScreenState,
    choose_card,
    effective_driving,
    shown_alert,
    shown_trip,
    waiting_trips,
)

View = (
    AmbientView
    | ExactView
    | HomeView
    | MessageView
    | PreviewView
    | PurposeView
    | ReceiptView
    | SharedView
    | TilesView
    | TripView
    | UpdateView
    | WorkshopView
)


@dataclass(frozen=True, slots=True)
class Screen:
    """One template and what it is given. ``place`` is the item of the rail it belongs to."""

    template: str
    view: View
    place: str = "home"


@dataclass(frozen=True, slots=True, kw_only=True)
class RailItem:
    """One way to another page; only while parked."""

    label: str
    url: str
    icon: str
    is_here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Everything around the card."""

    screen: Screen
    driving: DrivingState
    night: bool
    driver_side: str
    rail: tuple[RailItem, ...]
    rail_label: str
    battery: str
    percent: int | None
    recording: str
    recording_icon: str


def home_screen(state: ScreenState, texts: Texts) -> Screen:
    """Return the card of the home screen for ``state``."""
    card, driving = choose_card(state), effective_driving(state)
    if card in _ASKS and driving is DrivingState.IDLING:
        return Screen("message.html", idle_view(card, texts))
    if card is Card.AMBIENT or (card is Card.HOME and driving is not DrivingState.PARKED):
        return Screen("ambient.html", ambient_view(state, texts))
    return _message(state, card, texts) or _data(state, card, texts)


_ASKS = frozenset({Card.RECALL, Card.UPDATE, Card.TRIP})


def _message(state: ScreenState, card: Card, texts: Texts) -> Screen | None:
    alert = shown_alert(state)
    is_alert = alert is not None and (card is Card.BATTERY or alert.level is Level.DANGER)
    if card in {Card.DANGER, Card.BATTERY} and alert is not None and is_alert:
        return Screen("message.html", battery_alert_view(alert, texts))
    if card in {Card.DANGER, Card.DEGRADED}:
        return Screen("message.html", notice_view(state.notices, texts))
    if card is Card.RESULT and state.result is not None:
        return Screen("message.html", result_view(state.result, texts))
    return None


def _data(state: ScreenState, card: Card, texts: Texts) -> Screen:
    trip, waiting = shown_trip(state), waiting_trips(state)
    if card is Card.TRIP and waiting:
        return Screen("trip.html", trip_view(state, waiting[0], texts))
    if card is Card.SHARED and trip is not None:
        return Screen("shared.html", shared_view(trip, texts))
    if card in {Card.RUNNING_UPDATE, Card.RECALL, Card.UPDATE} and state.update is not None:
        return Screen("update.html", update_view(state.update, texts))
    return Screen("home.html", home_view(state, trip, texts))


def battery_screen(state: ScreenState, texts: Texts) -> Screen:
    """Return the battery page: what the watch knows, which never leaves the vehicle."""
    return Screen("home.html", battery_view(state, texts), "battery")


def update_screen(state: ScreenState, texts: Texts) -> Screen:
    """Return the update page, also for an update that was answered with Later."""
    if state.update is not None:
        return Screen("update.html", update_view(state.update, texts), "update")
    if state.fetching is not None:
        return Screen("update.html", fetching_view(state.fetching, texts), "update")
    view = MessageView(
        title=texts.say("update.none_title"),
        text=texts.say("update.none"),
        icon="check",
        level="ok",
    )
    return Screen("message.html", view, "update")


def frame(state: ScreenState, screen: Screen, texts: Texts, *, driver_side: str) -> Frame:
    """Return ``screen`` with its frame: the rail is there only while parked."""
    driving = effective_driving(state)
    key = "status.rec" if state.recording else "status.rec_off"
    return Frame(
        screen=screen,
        driving=driving,
        night=state.night,
        driver_side=driver_side,
        rail=_rail(state, screen.place, texts) if driving is DrivingState.PARKED else (),
        rail_label=texts.say("nav.label"),
        battery=battery_text(state, texts),
        percent=percent(state),
        recording=texts.say(key),
        recording_icon=recording_icon(state),
    )


def _rail(state: ScreenState, place: str, texts: Texts) -> tuple[RailItem, ...]:
    items = [("home", "/", "home"), ("data", "/purposes", "shield")]
    if state.update is not None or state.fetching is not None or place == "update":
        items.append(("update", "/update", "star"))
    return tuple(
        RailItem(label=texts.say(f"nav.{name}"), url=url, icon=icon, is_here=name == place)
        for name, url, icon in items
    )
