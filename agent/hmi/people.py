"""The routes about people: who drives, pauses, standing OKs, receipts, the workshop."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.hmi.answers import (
    DriverAnswer,
    NewDriverAnswer,
    PauseAnswer,
    StandingAnswer,
    WorkshopAnswer,
)
from agent.hmi.door import WorkshopWish
from agent.hmi.endpoints import Endpoints, answer_of, as_json
from agent.hmi.pages import people as pages
from agent.hmi.pages.purposes import always_view
from agent.hmi.pages.screen import Screen, View
from agent.hmi.pages.tiles import TilesView
from agent.hmi.pages.trip import text_view
from agent.hmi.texts import Texts
from agent.hmi.views import Action, PurposeToggle, ScreenState, is_allowed

Build = Callable[[ScreenState, Texts], View]


class PeoplePages:
    """The endpoints about people, on what all endpoints share."""

    def __init__(self, ends: Endpoints) -> None:
        self._ends = ends

    def routes(self) -> list[Route]:
        """Return the table of these addresses."""
        return [
            Route("/more", self.more),
            Route("/language", self.language),
            Route("/purposes/{purpose}/text", self.notice),
            Route("/purposes/{purpose}/always", self.always),
            Route("/driver", self.drivers),
            Route("/driver/{profile}", self.driver),
            Route("/pause", self.pauses),
            Route("/pause/{kind}", self.pause),
            Route("/workshop", self.workshop),
            Route("/workshop/{show}", self.workshop_form),
            Route("/receipts", self.receipts),
            Route("/receipts/{trip_id}", self.receipt),
            Route("/erasures", self.erasures),
            Route("/api/erasures", self.api_erasures),
            Route("/api/trips/{trip_id}/receipt", self.api_receipt),
            Route("/api/purposes/{purpose}/always", self.set_always, methods=["POST"]),
            Route("/api/driver", self.choose_driver, methods=["POST"]),
            Route("/api/drivers", self.add_driver, methods=["POST"]),
            Route("/api/pause", self.set_pause, methods=["POST"]),
            Route("/api/workshop", self.ask_workshop, methods=["POST"]),
        ]

    # -- pages ---------------------------------------------------------------------------------

    async def more(self, request: Request) -> Response:
        """Show the ways to everything about people."""
        return self._data(request, pages.more_view)

    async def language(self, request: Request) -> Response:
        """Show the way to the other language."""
        return self._data(request, lambda _, texts: pages.language_view(texts))

    async def notice(self, request: Request) -> Response:
        """Show the whole notice of a purpose."""
        toggle = find_purpose(request, self._ends.door.state())
        language = self._ends.words(request).notice(toggle.purpose).language
        lines = self._ends.door.people.notice(toggle.purpose, language)
        back = f"/purposes/{toggle.purpose}"
        return self._ends.show(
            request,
            lambda _, texts: Screen(
                "exact.html", text_view(texts.say("purpose.full"), lines, back, texts), "data"
            ),
        )

    async def always(self, request: Request) -> Response:
        """Ask about a standing OK."""
        toggle = find_purpose(request, self._ends.door.state())
        if not toggle.granted:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return self._data(request, lambda _, texts: always_view(toggle, texts))

    async def drivers(self, request: Request) -> Response:
        """Show who may drive."""
        return self._data(request, pages.drivers_view)

    async def driver(self, request: Request) -> Response:
        """Ask whether this one drives."""
        profile = str(request.path_params["profile"])
        state, texts = self._ends.door.state(), self._ends.words(request)
        view = pages.driver_view(state, profile, texts)
        if view is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return self._data(request, lambda _state, _texts: view)

    async def pauses(self, request: Request) -> Response:
        """Show how long to pause, or ask whether to go on."""
        return self._data(request, pages.pause_view)

    async def pause(self, request: Request) -> Response:
        """Ask whether to pause for so long."""
        kind = str(request.path_params["kind"])
        if kind not in pages.PAUSES:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return self._data(request, lambda _, texts: pages.pause_ask_view(kind, texts))

    async def workshop(self, request: Request) -> Response:
        """Show what can be shown to a workshop."""
        return self._data(request, lambda _, texts: pages.workshop_view(texts))

    async def workshop_form(self, request: Request) -> Response:
        """Ask how the workshop can answer."""
        show = str(request.path_params["show"])
        if show not in pages.SHOWS:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        contact = ("", "")
        if is_allowed(Action.ASK_WORKSHOP, self._ends.door.state()):
            contact = await self._ends.door.people.contact()
        return self._ends.show(
            request,
            lambda _, texts: Screen(
                "workshop.html", pages.workshop_form(show, contact, texts), "data"
            ),
        )

    async def receipts(self, request: Request) -> Response:
        """Show what was answered last."""
        erased = await self._ends.door.people.erasures()
        return self._data(request, lambda state, texts: pages.receipts_view(state, texts, erased))

    async def erasures(self, request: Request) -> Response:
        """Show what ingest was asked to erase, and what it has signed."""
        erased = await self._ends.door.people.erasures()
        return self._ends.show(
            request,
            lambda _, texts: Screen("exact.html", pages.erasures_view(erased, texts), "data"),
        )

    async def receipt(self, request: Request) -> Response:
        """Show one receipt with its code."""
        found = await self._ends.door.people.receipt(str(request.path_params["trip_id"]))
        return self._ends.show(
            request,
            lambda _, texts: Screen("receipt.html", pages.receipt_view(found, texts), "data"),
        )

    def _data(self, request: Request, build: Build) -> Response:
        def screen(state: ScreenState, texts: Texts) -> Screen:
            view = build(state, texts)
            template = "tiles.html" if isinstance(view, TilesView) else "purpose.html"
            return Screen(template, view, "data")

        return self._ends.show(request, screen)

    # -- local API -----------------------------------------------------------------------------

    async def api_receipt(self, request: Request) -> Response:
        """Return the receipt of what was last said about a trip."""
        found = await self._ends.door.people.receipt(str(request.path_params["trip_id"]))
        return as_json({"schema": "okdrive-agent.consent.receipt/1", "receipt": found.document})

    async def api_erasures(self, _request: Request) -> Response:
        """Return every wish to erase with what ingest has confirmed."""
        erased = await self._ends.door.people.erasures()
        return as_json({"schema": "okdrive-agent.erasures.screen/1", "wishes": erased})

    async def set_always(self, request: Request) -> Response:
        """Begin or end a standing OK."""
        toggle = find_purpose(request, self._ends.door.state())
        is_on = (await answer_of(request, StandingAnswer)).always
        call, language = self._ends.door.people.set_standing, self._ends.words(request).language
        return await self._ends.do(
            request,
            Action.STAND if is_on else Action.ASK_AGAIN,
            lambda: call(toggle.purpose, is_on=is_on, language=language),
            then=f"/purposes/{toggle.purpose}",
        )

    async def choose_driver(self, request: Request) -> Response:
        """Say who drives."""
        said = (await answer_of(request, DriverAnswer)).profile
        profile, call = None if said == "guest" else said, self._ends.door.people.choose_driver
        return await self._ends.do(
            request, Action.CHOOSE_DRIVER, lambda: call(profile), then="/driver"
        )

    async def add_driver(self, request: Request) -> Response:
        """Add another driver, who drives from now on."""
        name, call = (await answer_of(request, NewDriverAnswer)).name, self._ends.door.people
        return await self._ends.do(
            request, Action.CHOOSE_DRIVER, lambda: call.add_driver(name), then="/driver"
        )

    async def set_pause(self, request: Request) -> Response:
        """Begin or end a pause."""
        said, call = (await answer_of(request, PauseAnswer)).pause, self._ends.door.people
        kind = None if said == "off" else said
        action = Action.RESUME if kind is None else Action.PAUSE
        return await self._ends.do(request, action, lambda: call.set_pause(kind), then="/more")

    async def ask_workshop(self, request: Request) -> Response:
        """Make a report; it is asked about like a trip before anything is sent."""
        said = await answer_of(request, WorkshopAnswer)
        wish = WorkshopWish(
            show=said.show,
            contact=said.contact,
            name=said.name,
            message=said.message,
            keep=said.keep,
        )
        call = self._ends.door.people.ask_workshop
        return await self._ends.do(request, Action.ASK_WORKSHOP, lambda: call(wish))


def find_purpose(request: Request, state: ScreenState) -> PurposeToggle:
    """Return the purpose that an address names; raise HTTPException if there is none."""
    name = request.path_params["purpose"]
    for toggle in state.purposes:
        if toggle.purpose == name:
            return toggle
    raise HTTPException(HTTPStatus.NOT_FOUND)
