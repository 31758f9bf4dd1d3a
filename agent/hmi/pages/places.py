"""Places that nobody may see, as pages; pure."""

from collections.abc import Sequence

from agent.hmi.door import DrawnPlace
from agent.hmi.pages.purposes import PurposeView
from agent.hmi.pages.tiles import Tile, TilesView
from agent.hmi.pages.words import Button, cut
from agent.hmi.texts import Texts
from agent.privacy.zones import USUAL_RADIUS_M

ON_A_PAGE = 4  # beside the tile for this place and the one for more


def places_view(places: Sequence[DrawnPlace], page: int, texts: Texts) -> TilesView:
    """Return page ``page`` (from 1) of the drawn places, newest first."""
    pages = max(1, -(-len(places) // ON_A_PAGE))
    page = min(max(page, 1), pages)
    first = (page - 1) * ON_A_PAGE
    shown = list(reversed(places))[first : first + ON_A_PAGE]
    here = Tile(
        label=texts.say("zones.here"),
        sub=texts.say("zones.here_what"),
        icon="star",
        url="/zones/here",
        action="zone-here",
    )
    onward = 1 + page % pages
    more = Tile(
        label=texts.say("zones.more"),
        sub=texts.say("zones.more_what", page=onward, pages=pages),
        icon="next",
        url=f"/zones?page={onward}",
        action="zone-more",
    )
    return TilesView(
        title=texts.say("zones.title"),
        text="" if places else texts.say("zones.none"),
        tiles=(here, *(_tile(one, places, texts) for one in shown), *([more] if pages > 1 else [])),
    )


def _tile(place: DrawnPlace, places: Sequence[DrawnPlace], texts: Texts) -> Tile:
    return Tile(
        label=cut(_name_of(place, places, texts)),
        sub=cut(_what("zones.what", place, texts)),
        icon="shield",
        url=f"/zones/{place.zone_id}",
        action="zone-open",
    )


def _name_of(place: DrawnPlace, places: Sequence[DrawnPlace], texts: Texts) -> str:
    return place.name or texts.say("zones.nameless", n=1 + list(places).index(place))


def _what(key: str, place: DrawnPlace, texts: Texts) -> str:
    return texts.say(key, radius=texts.number(place.radius_m), date=texts.day(place.drawn))


def here_view(texts: Texts) -> PurposeView:
    """Return the question whether to keep the present place secret."""
    radius = texts.number(USUAL_RADIUS_M)
    button = Button(
        label=texts.say("purpose.ok"),
        url="/api/zones",
        action="zone-add",
        icon="check",
        fields=(("radius_m", f"{USUAL_RADIUS_M:.0f}"),),
    )
    return PurposeView(
        title=texts.say("zones.ask"),
        what=texts.say("zones.ask_what", radius=radius),
        lines=(texts.say("zones.ask_line"), texts.say("zones.ask_line2")),
        buttons=(button,),
        no=texts.say("purpose.no"),
        no_url="/zones",
    )


def place_view(zone_id: str, places: Sequence[DrawnPlace], texts: Texts) -> PurposeView | None:
    """Return the question whether to tell of one place again; None if there is no such place."""
    for place in places:
        if place.zone_id == zone_id:
            button = Button(
                label=texts.say("purpose.ok"),
                url=f"/api/zones/{zone_id}/remove",
                action="zone-remove",
                icon="check",
            )
            return PurposeView(
                title=cut(texts.say("zones.remove", name=_name_of(place, places, texts))),
                what=_what("zones.remove_what", place, texts),
                lines=(texts.say("zones.remove_line"),),
                buttons=(button,),
                no=texts.say("purpose.no"),
                no_url="/zones",
            )
    return None
