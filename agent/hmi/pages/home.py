"""Ambient tile, quiet home screen, and messages: results, notices, refusals; pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.hmi.pages.trip import shared_view
from agent.hmi.pages.update import fetching_text, scheduled_text
from agent.hmi.pages.words import (
    Button,
    Fact,
    battery_text,
    cut,
    percent,
    recording_icon,
    recording_text,
    sentence,
)
from agent.hmi.texts import Texts
from agent.hmi.views import (
    BatteryAlert,
    Card,
    DrivingState,
    Level,
    Notice,
    Outcome,
    ResultCard,
    ScreenState,
    TripCard,
    UpdatePhase,
    effective_driving,
)

_ICONS = {Level.INFO: "info", Level.WARNING: "warning", Level.DANGER: "danger"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageView:
    """One icon, one title, one sentence: results, notices, refusals."""

    title: str
    text: str
    icon: str
    level: str
    small: str = ""
    buttons: tuple[Button, ...] = ()
    link: str = ""
    link_url: str = ""
    link_icon: str = "previous"


@dataclass(frozen=True, slots=True, kw_only=True)
class AmbientView:
    """What is left while the car moves."""

    battery: str
    percent: int | None
    recording: str
    recording_icon: str
    trip: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeView:
    """Parked, and nothing is asked. At most three panels."""

    panels: tuple[Fact, ...]
    battery_label: str
    battery: str
    percent: int | None
    link: str
    link_url: str
    link_icon: str = "shield"
    is_battery: bool = False  # the battery's own page: its figure leads nowhere


def result_view(result: ResultCard, texts: Texts) -> MessageView:
    """Return how an update ended: what happened, is it safe to drive, why."""
    is_ok = result.outcome is Outcome.INSTALLED
    key = f"result.{result.outcome}"
    if result.outcome is Outcome.ROLLED_BACK and result.running_version is None:
        key = "result.rolled_back_new"
    name, running = cut(result.name)[:40], (result.running_version or "")[:20]
    text = texts.say(key, name=name, running=running)
    reason = texts.find(f"reason.{result.code}", result.reason)
    return MessageView(
        title=texts.say(f"result.title.{result.outcome}", version=result.version[:20]),
        text=cut(text if is_ok or not reason else f"{text} {reason}"),
        icon="check" if is_ok else "undo",
        level="ok" if is_ok else Level.WARNING,
        small="" if result.code is None else texts.say("result.code", code=cut(result.code)),
        buttons=(
            Button(
                label=texts.say("result.ok"),
                url="/api/result/acknowledge",
                action="result-acknowledge",
                icon="check",
            ),
        ),
    )


def battery_alert_view(alert: BatteryAlert, texts: Texts) -> MessageView:
    """Return what the battery watch found: what it is, is it safe to drive, what to do."""
    is_danger = alert.level is Level.DANGER
    button = Button(
        label=texts.say("battery.ok"),
        url=f"/api/battery/{alert.code}/acknowledge",
        action="battery-acknowledge",
        icon="check",
    )
    return MessageView(
        title=texts.say(f"battery.{alert.code}.title"),
        text=texts.say(f"battery.{alert.code}.advice"),
        icon=_ICONS[alert.level],
        level=alert.level,
        small=texts.say("result.code", code=f"battery.{alert.code}"),
        buttons=() if is_danger else (button,),
        link="" if is_danger else texts.say("battery.details"),
        link_url="/battery",
        link_icon="next",
    )


def battery_view(state: ScreenState, texts: Texts) -> HomeView:
    """Return how the battery is: health, its months, what the watch found."""
    health = state.health
    holds = texts.say("battery.holds_unknown")
    if health.percent is not None:
        holds = texts.say("battery.holds", n=texts.number(health.percent))
    panels = [Fact(icon="check", label=texts.say("battery.health.label"), lines=(holds,))]
    is_parked = effective_driving(state) is DrivingState.PARKED
    if len(health.months) > 1 and is_parked:
        months = sentence(
            f"{m}\u00a0{texts.number(percent)}\u00a0%" for m, percent in health.months[-4:]
        )
        label = texts.say("battery.trend.label")
        panels.append(Fact(icon="list", label=label, lines=(months,)))
    titles = [texts.say(f"battery.{alert.code}.title") for alert in state.alerts]
    found = cut(" · ".join(titles)) if titles else texts.say("battery.alerts.none")
    icon = "warning" if titles else "shield"
    panels.append(Fact(icon=icon, label=texts.say("battery.alerts.label"), lines=(found,)))
    return HomeView(
        panels=tuple(panels),
        battery_label=texts.say("battery.page"),
        battery=battery_text(state, texts),
        percent=percent(state),
        link="" if is_parked else texts.say("back"),  # parked, the rail leads home
        link_url="/",
        link_icon="previous",
        is_battery=True,
    )


def notice_view(notices: Iterable[Notice], texts: Texts) -> MessageView:
    """Return the most urgent of ``notices``; there is at least one."""
    notice = max(notices, key=lambda one: list(Level).index(one.level))
    return MessageView(
        title=texts.say(f"notice.title.{notice.level}"),
        text=notice_text(notice, texts),
        icon=_ICONS[notice.level],
        level=notice.level,
    )


def notice_text(notice: Notice, texts: Texts) -> str:
    """Return the sentence of ``notice``."""
    return cut(texts.find(f"notice.{notice.code}", notice.text or notice.code))


def refusal_view(sentence: str, code: str, texts: Texts, *, back_url: str = "/") -> MessageView:
    """Return why something was not done; ``code`` is small print."""
    return MessageView(
        title=texts.say("refused.title"),
        text=cut(sentence),
        icon="info",
        level=Level.INFO,
        small=texts.say("result.code", code=code),
        link=texts.say("back"),
        link_url=back_url,
    )


def ambient_view(state: ScreenState, texts: Texts) -> AmbientView:
    """Return the one tile shown while moving."""
    trip = ""
    if state.trip_km is not None:
        trip = texts.say("ambient.trip", km=texts.number(state.trip_km, 1))
    return AmbientView(
        battery=battery_text(state, texts),
        percent=percent(state),
        recording=recording_text(state, texts),
        recording_icon=recording_icon(state),
        trip=trip,
        note=texts.say("ambient.moving" if state.vehicle_fresh else "ambient.stale"),
    )


def idle_view(card: Card, texts: Texts) -> MessageView:
    """Return the short card of a car that stands but is not parked: nothing to decide."""
    key = {Card.RECALL: "recall", Card.UPDATE: "update"}.get(card, "trip")
    return MessageView(
        title=texts.say("idle.title"),
        text=texts.say(f"idle.{key}"),
        icon="clock",
        level=Level.INFO,
    )


def _next(state: ScreenState, *, is_on: bool) -> tuple[str, str]:
    if state.pause is not None:
        return "pause.end", "/pause"
    if state.is_guest or state.is_driver_unknown:
        return "driver.title", "/driver"
    return ("", "") if is_on else ("home.choose", "/purposes")


_SEATS = {
    "pause.on": "home.paused",
    "driver.guest": "home.guest",
    "driver.unknown": "driver.unknown_what",
}


def home_view(state: ScreenState, last: TripCard | None, texts: Texts) -> HomeView:
    """Return the quiet home screen with what became of the ``last`` trip."""
    is_on = any(toggle.granted for toggle in state.purposes)
    panels = [_sharing(state, is_on=is_on, texts=texts)]
    if state.update is not None and state.update.phase is UpdatePhase.SCHEDULED:
        planned = scheduled_text(state.update, texts)
        panels.append(Fact(icon="moon", label=texts.say("scheduled.title"), lines=(planned,)))
    elif state.fetching is not None:
        come = fetching_text(state.fetching, texts)
        panels.append(Fact(icon="clock", label=texts.say("fetching.title"), lines=(come,)))
    if last is not None:
        said = shared_view(last, texts)
        panels.append(Fact(icon=said.icon, label=said.title, lines=(said.text,)))
    link, url = _next(state, is_on=is_on)
    return HomeView(
        panels=tuple(panels),
        battery_label=texts.say("home.battery"),
        battery=battery_text(state, texts),
        percent=percent(state),
        link=link and texts.say(link),
        link_url=url,
    )


def _sharing(state: ScreenState, *, is_on: bool, texts: Texts) -> Fact:
    for name, holds in (
        ("pause.on", state.pause is not None),
        ("driver.guest", state.is_guest),
        ("driver.unknown", state.is_driver_unknown),
    ):
        if holds:
            return Fact(icon="shield", label=texts.say(name), lines=(texts.say(_SEATS[name]),))
    title = texts.say("home.title_on" if is_on else "home.title_off")
    text = texts.say("home.sharing" if is_on else "home.nothing_shared")
    return Fact(icon="shield", label=title, lines=(text,))
