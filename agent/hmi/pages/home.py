"""Ambient tile, quiet home screen, and messages: results, notices, refusals; pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.hmi.pages.trip import shared_view
from agent.hmi.pages.update import scheduled_text
from agent.hmi.pages.words import (
    Button,
    Fact,
    battery_text,
    cut,
    percent,
    recording_icon,
    recording_text,
)
from agent.hmi.texts import Texts
from agent.hmi.views import (
    Card,
    Level,
    Notice,
    Outcome,
    ResultCard,
    ScreenState,
    TripCard,
    UpdatePhase,
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


def home_view(state: ScreenState, last: TripCard | None, texts: Texts) -> HomeView:
    """Return the quiet home screen with what became of the ``last`` trip."""
    is_on = any(toggle.granted for toggle in state.purposes)
    panels = [_sharing(is_on=is_on, texts=texts)]
    if state.update is not None and state.update.phase is UpdatePhase.SCHEDULED:
        planned = scheduled_text(state.update, texts)
        panels.append(Fact(icon="moon", label=texts.say("scheduled.title"), lines=(planned,)))
    if last is not None:
        said = shared_view(last, texts)
        panels.append(Fact(icon=said.icon, label=said.title, lines=(said.text,)))
    return HomeView(
        panels=tuple(panels),
        battery_label=texts.say("home.battery"),
        battery=battery_text(state, texts),
        percent=percent(state),
        link="" if is_on else texts.say("home.choose"),
        link_url="/purposes",
    )


def _sharing(*, is_on: bool, texts: Texts) -> Fact:
    title = texts.say("home.title_on" if is_on else "home.title_off")
    text = texts.say("home.sharing" if is_on else "home.nothing_shared")
    return Fact(icon="shield", label=title, lines=(text,))
