"""The list of purposes, and the notice that is read before one is switched; pure."""

from dataclasses import dataclass

from agent.hmi.pages.words import Button, sentence
from agent.hmi.texts import Texts
from agent.hmi.views import PurposeToggle, ScreenState


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeLine:
    """One purpose in the list."""

    title: str
    what: str
    state: str
    is_on: bool
    link: str
    link_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposesView:
    """The list of purposes."""

    title: str
    text: str
    purposes: tuple[PurposeLine, ...]
    buttons: tuple[Button, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeView:
    """The notice of one purpose with OK and No."""

    title: str
    what: str
    lines: tuple[str, ...]
    buttons: tuple[Button, ...]
    no: str
    no_url: str


def purposes_view(state: ScreenState, texts: Texts) -> PurposesView:
    """Return the list of purposes and the way to the other language."""
    other = texts.say("language.other.code")
    return PurposesView(
        title=texts.say("data.title"),
        text=texts.say("data.none"),
        purposes=tuple(_purpose_line(toggle, texts) for toggle in state.purposes),
        buttons=(
            Button(
                label=texts.say("language.other"),
                url="/language",
                action="language",
                icon="globe",
                fields=(("language", other),),
            ),
        ),
    )


def _purpose_line(toggle: PurposeToggle, texts: Texts) -> PurposeLine:
    notice = texts.notice(toggle.purpose)
    return PurposeLine(
        title=sentence([notice.title]),
        what=notice.what,
        state=texts.say("data.on" if toggle.granted else "data.off"),
        is_on=toggle.granted,
        link=texts.say("data.switch_off" if toggle.granted else "data.switch_on"),
        link_url=f"/purposes/{toggle.purpose}",
    )


def purpose_view(toggle: PurposeToggle, texts: Texts) -> PurposeView:
    """Return the notice to give or withdraw one purpose; both take the same two answers."""
    notice = texts.notice(toggle.purpose)
    wished = "false" if toggle.granted else "true"
    key = "purpose.title_on" if toggle.granted else "purpose.title"
    return PurposeView(
        title=texts.say(key, title=notice.title),
        what="" if toggle.granted else notice.what,
        lines=(texts.say("purpose.stop"),) if toggle.granted else notice.lines,
        buttons=(
            Button(
                label=texts.say("purpose.ok"),
                url=f"/api/purposes/{toggle.purpose}",
                action="purpose-withdraw" if toggle.granted else "purpose-grant",
                icon="check",
                fields=(("granted", wished), ("notice_hash", notice.sha256)),
            ),
        ),
        no=texts.say("purpose.no"),
        no_url="/purposes",
    )
