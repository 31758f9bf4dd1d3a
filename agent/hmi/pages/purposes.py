"""The purposes as tiles, and the notice that is read before one is switched; pure."""

from dataclasses import dataclass

from agent.hmi.pages.tiles import Tile, TilesView
from agent.hmi.pages.words import Button, cut, sentence
from agent.hmi.texts import Texts
from agent.hmi.views import PurposeToggle, ScreenState

STANDING_DAYS = 30  # what one press on the screen gives


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeView:
    """A question with OK and No: a notice, a driver, a pause."""

    title: str
    what: str
    lines: tuple[str, ...]
    buttons: tuple[Button, ...]
    no: str
    no_url: str
    tiles: tuple[Tile, ...] = ()
    more: str = ""  # the lines lead to more of them
    more_url: str = ""


def purposes_view(state: ScreenState, texts: Texts) -> TilesView:
    """Return every purpose with its switch, and the way to everything else about people."""
    more = Tile(
        label=texts.say("data.more"),
        sub=texts.say("data.more_what"),
        icon="list",
        url="/more",
        action="more-open",
    )
    return TilesView(
        title=texts.say("data.title"),
        text="",
        tiles=(*(_tile(toggle, texts) for toggle in state.purposes), more),
    )


def _tile(toggle: PurposeToggle, texts: Texts) -> Tile:
    return Tile(
        label=sentence([texts.notice(toggle.purpose).title]),
        sub=texts.say("data.on" if toggle.granted else "data.off"),
        icon="check" if toggle.granted else "cross",
        url=f"/purposes/{toggle.purpose}",
        action="purpose-open",
        switch="on" if toggle.granted else "off",
    )


def purpose_view(toggle: PurposeToggle, texts: Texts) -> PurposeView:
    """Return the notice to give or withdraw one purpose; both take the same two answers."""
    notice = texts.notice(toggle.purpose)
    wished = "false" if toggle.granted else "true"
    key = "purpose.title_on" if toggle.granted else "purpose.title"
    is_foreign = notice.language != texts.language
    lines = (texts.say("purpose.stop"),) if toggle.granted else notice.lines
    return PurposeView(
        title=texts.say(key, title=notice.title),
        what="" if toggle.granted else notice.what,
        lines=(*lines, *((texts.say("purpose.english"),) if is_foreign else ())),
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
        tiles=(_always(toggle, texts),) if toggle.granted else (),
        more=texts.say("purpose.full"),
        more_url=f"/purposes/{toggle.purpose}/text",
    )


def _always(toggle: PurposeToggle, texts: Texts) -> Tile:
    until = toggle.always_until
    sub = "purpose.always_off" if until is None else "purpose.always_on"
    sub = "purpose.always_waits" if toggle.always_waits else sub
    return Tile(
        label=texts.say("purpose.always"),
        sub=texts.say(sub, date="" if until is None else texts.day(until)),
        icon="check" if until else "clock",
        url=f"/purposes/{toggle.purpose}/always",
        action="purpose-always",
    )


def always_view(toggle: PurposeToggle, texts: Texts) -> PurposeView:
    """Return the question of a standing OK: to begin it, or to end it."""
    notice, is_on = (
        texts.notice(toggle.purpose),
        toggle.always_until is not None or toggle.always_waits,
    )
    what = texts.say("always.stop_what") if is_on else texts.say("always.what", days=STANDING_DAYS)
    title = texts.say("always.stop") if is_on else texts.say("always.title", title=notice.title)
    return PurposeView(
        title=cut(title),
        what=what,
        lines=() if is_on else (texts.say("always.line"),),
        buttons=(
            Button(
                label=texts.say("purpose.ok"),
                url=f"/api/purposes/{toggle.purpose}/always",
                action="standing-end" if is_on else "standing-begin",
                icon="check",
                fields=(("always", "false" if is_on else "true"),),
            ),
        ),
        no=texts.say("purpose.no"),
        no_url=f"/purposes/{toggle.purpose}",
    )
