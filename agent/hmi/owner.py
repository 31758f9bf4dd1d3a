"""The owner's read API: what the vehicle measures and keeps, with VSS names, units and times.

Read-only, without a cloud and without a network: on loopback behind the token of this boot, and on
a UNIX socket that only the agent's user and group may open. The reference is
``docs/reference/local-api.md``. Source: Data Act 3(1), raw and pre-processed data by design.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

MAX_ROWS = 10_000  # of one answer; `next` tells where to go on
_MAX_DIGITS = 9

Document = dict[str, Any]


class OwnerError(Exception):
    """What was asked for is not there or cannot be meant; nothing was changed."""

    def __init__(self, code: str, message: str, *, status: HTTPStatus) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerDoor:
    """What the API reads; each call blocks and is made from a thread, except ``signals``.

    ``trip`` and ``samples`` raise OwnerError when there is no such trip.
    """

    signals: Callable[[], object]  # every signal now: path, value, unit, quality, age
    trips: Callable[[], Document]
    trip: Callable[[str], Document]
    samples: Callable[[str, int, int], Document]  # trip id, first row, at most so many
    battery: Callable[[], Document]


def owner_routes(door: OwnerDoor) -> list[Route]:
    """Return the addresses of the API."""
    api = _Api(door)
    return [
        Route("/api/signals", api.signals),
        Route("/api/trips", api.trips),
        Route("/api/trips/{trip_id}", api.trip),
        Route("/api/trips/{trip_id}/samples", api.samples),
        Route("/api/battery", api.battery),
    ]


def create_owner_app(door: OwnerDoor) -> Starlette:
    """Return the API alone, for a socket on which whoever may open it may read."""
    app = Starlette(routes=owner_routes(door), exception_handlers={OwnerError: refuse})
    app.state.events = _NoEvents()
    return app


def refuse(_request: Request, error: Exception) -> Response:
    """Return what an OwnerError says."""
    if not isinstance(error, OwnerError):
        raise error
    return _json({"error": {"code": error.code, "message": str(error)}}, error.status)


class _NoEvents:
    """This app streams nothing, so there is nothing to end."""

    def close(self) -> None:
        """End no stream."""


class _Api:
    def __init__(self, door: OwnerDoor) -> None:
        self._door = door

    async def signals(self, _request: Request) -> Response:
        """Return what the vehicle tells now; nothing of it is kept."""
        return _json(self._door.signals())

    async def trips(self, _request: Request) -> Response:
        """Return the figures of every trip and charge session that is kept, newest first."""
        return _json(
            _named("owner.trips", await asyncio.to_thread(self._door.trips)),
        )

    async def trip(self, request: Request) -> Response:
        """Return everything that is known of one trip."""
        found = await asyncio.to_thread(self._door.trip, request.path_params["trip_id"])
        return _json(_named("owner.trip", found))

    async def samples(self, request: Request) -> Response:
        """Return rows of a trip's samples, from ``?first=`` on."""
        first, limit = _number(request, "first", 0), _number(request, "limit", MAX_ROWS)
        found = await asyncio.to_thread(
            self._door.samples, request.path_params["trip_id"], first, min(limit, MAX_ROWS)
        )
        return _json(_named("owner.samples", found))

    async def battery(self, _request: Request) -> Response:
        """Return the battery's figures and alerts."""
        return _json(_named("owner.battery", await asyncio.to_thread(self._door.battery)))


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > _MAX_DIGITS:
        raise OwnerError(
            "owner.number",
            f"{name}: expected a number, got {text[:20]!r}; nothing was changed",
            status=HTTPStatus.BAD_REQUEST,
        )
    return int(text)


def _named(name: str, document: Document) -> Document:
    return {"schema": f"okdrive-agent.{name}/1", **document}


def _json(document: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(msgspec.json.encode(document), status, media_type="application/json")
