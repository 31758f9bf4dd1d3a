"""The routes about places that nobody may see."""

from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.hmi.answers import AnswerError, PlaceAnswer
from agent.hmi.door import NewPlace
from agent.hmi.endpoints import Endpoints, answer_of, as_json, number, wants_json
from agent.hmi.pages import places as pages
from agent.hmi.pages.screen import Screen
from agent.hmi.views import Action, DrivingState, effective_driving


class PlacePages:
    """The endpoints about drawn places, on what all endpoints share."""

    def __init__(self, ends: Endpoints) -> None:
        self._ends = ends

    def routes(self) -> list[Route]:
        """Return the table of these addresses."""
        return [
            Route("/zones", self.places),
            Route("/zones/here", self.here),
            Route("/zones/{zone_id}", self.place),
            Route("/api/zones", self.api_places),
            Route("/api/zones", self.add, methods=["POST"]),
            Route("/api/zones/{zone_id}/remove", self.remove, methods=["POST"]),
        ]

    # -- pages ---------------------------------------------------------------------------------

    async def places(self, request: Request) -> Response:
        """Show what was drawn, a few places at a time."""
        drawn = await self._ends.door.places.drawn() if self._is_parked() else ()
        page = number(request.query_params.get("page", ""), otherwise=1)
        return self._ends.show(
            request,
            lambda _, texts: Screen("tiles.html", pages.places_view(drawn, page, texts), "data"),
        )

    async def here(self, request: Request) -> Response:
        """Ask whether to keep the present place secret."""
        return self._ends.show(
            request, lambda _, texts: Screen("purpose.html", pages.here_view(texts), "data")
        )

    async def place(self, request: Request) -> Response:
        """Ask whether to tell of one place again."""
        drawn = await self._ends.door.places.drawn()
        zone_id, words = str(request.path_params["zone_id"]), self._ends.words(request)
        view = pages.place_view(zone_id, drawn, words)
        if view is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return self._ends.show(request, lambda _, __: Screen("purpose.html", view, "data"))

    def _is_parked(self) -> bool:
        return effective_driving(self._ends.door.state()) is DrivingState.PARKED

    # -- local API -----------------------------------------------------------------------------

    async def api_places(self, _request: Request) -> Response:
        """Return every drawn place."""
        drawn = await self._ends.door.places.drawn()
        return as_json({"schema": "okdrive-agent.zones/1", "zones": drawn})

    async def add(self, request: Request) -> Response:
        """Keep a place secret, and take back what touches it and has not left."""
        said = await answer_of(request, PlaceAnswer)
        if (said.latitude is None) != (said.longitude is None):
            raise AnswerError("expected latitude and longitude, or neither; nothing was done")
        position = None
        if said.latitude is not None and said.longitude is not None:
            position = said.latitude, said.longitude
        place = NewPlace(position=position, radius_m=said.radius_m, name=said.name)
        taken = []

        async def add() -> None:
            taken.append(await self._ends.door.places.add(place))

        answer = await self._ends.do(request, Action.HIDE_PLACE, add, then="/zones")
        if wants_json(request):
            document = {"ok": True, "next": "/zones"} | msgspec.to_builtins(taken[0])
            return as_json(document)
        return answer

    async def remove(self, request: Request) -> Response:
        """Tell of a place again."""
        zone_id, call = str(request.path_params["zone_id"]), self._ends.door.places.remove
        return await self._ends.do(request, Action.TELL_PLACE, lambda: call(zone_id), then="/zones")
