"""The routes of the driver's screen and the local API: they call what they were given.

Nothing is decided here: the guard says who may talk, ``views`` what is allowed while driving, the
door whether the agent does it. The reference is ``docs/reference/local-api.md``.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request, cookie_parser
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.hmi.answers import (
    AnswerError,
    LanguageAnswer,
    PurposeAnswer,
    TripAnswer,
    UpdateAnswer,
)
from agent.hmi.door import Door, DoorRefusedError
from agent.hmi.endpoints import LANGUAGE_COOKIE, Endpoints, answer_of, as_json, number
from agent.hmi.guard import LOOPBACK_HOSTS, NO_TOKEN, Guard, Refusal, cookie_name
from agent.hmi.owner import OwnerDoor, OwnerError, owner_routes, refuse
from agent.hmi.pages.purposes import purpose_view, purposes_view
from agent.hmi.pages.screen import (
    Screen,
    battery_screen,
    home_screen,
    update_screen,
)
from agent.hmi.pages.trip import exact_view, preview_view
from agent.hmi.people import PeoplePages, find_purpose
from agent.hmi.places import PlacePages
from agent.hmi.texts import DEFAULT_LANGUAGE
from agent.hmi.views import (
    Action,
    BatchPreview,
    Decision,
    ScreenState,
    choose_card,
    effective_driving,
    is_allowed,
)

MIN_TOKEN = 16  # characters
_YEAR_S = 31_536_000
_SECURITY = {
    "content-security-policy": "default-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; object-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    # not no-referrer: with that a browser sends "Origin: null" with our own forms
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def create_app(  # noqa: PLR0913 (each with its meaning below)
    door: Door,
    *,
    token: str,
    allowed_hosts: AbstractSet[str] = LOOPBACK_HOSTS,
    language: str = DEFAULT_LANGUAGE,
    driver_side: str = "left",
    owner: OwnerDoor | None = None,
) -> Starlette:
    """Return the screen and local API over ``door``. Call it before the event loop is busy.

    Reads its templates, texts and static files once, here. ``state.events`` of the result is what
    ``serve`` closes.

    Args:
        door: The callables of the agent.
        token: Of this boot, at least 16 characters; ``/enter?token=…`` turns it into a cookie.
        allowed_hosts: Host names that are us, without port.
        language: Used when a browser or client does not ask for one that is there.
        driver_side: ``left`` or ``right``: where the driver sits.
        owner: What the owner's read API reads; None: only the screen's own addresses.

    Raises:
        ValueError: The token is too short to keep anyone out.
    """
    if len(token) < MIN_TOKEN:
        raise ValueError(f"token: expected at least {MIN_TOKEN} characters, got {len(token)}")
    desk = _Desk(door, Guard(token, allowed_hosts), language=language, driver_side=driver_side)
    app = Starlette(
        routes=[*desk.routes(), *(owner_routes(owner) if owner else ())],
        middleware=[Middleware(_Gate, guard=desk.guard, refuse=desk.refuse)],
        exception_handlers={
            DoorRefusedError: desk.on_door_refused,
            AnswerError: desk.on_answer_error,
            HTTPException: desk.on_http_exception,
            OwnerError: refuse,
        },
    )
    app.state.events = desk.events
    return app


class _Gate:
    """Turn away whom the guard refuses; put the security headers on every answer."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        guard: Guard,
        refuse: Callable[[Request, Refusal], Response],
    ) -> None:
        self._app, self._guard, self._refuse = app, guard, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_SECURITY)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._check(scope)
        answer = self._app if refusal is None else self._refuse(Request(scope), refusal)
        await answer(scope, receive, send_guarded)

    def _check(self, scope: Scope) -> Refusal | None:
        headers = {name.lower(): value for name, value in Headers(scope=scope).items()}
        method, path = scope["method"], scope["path"]
        method = "GET" if method == "HEAD" else method
        if method == "GET" and (path == "/enter" or path.startswith("/static/")):
            return self._guard.check_origin(method, headers)
        cookies = cookie_parser(headers.get("cookie", ""))
        cookie = cookies.get(cookie_name(headers.get("host", "")), "")
        return self._guard.check(method, headers, cookie)


class _Desk(Endpoints):
    """The endpoints of trips, purposes, updates and the battery."""

    def routes(self) -> list[Route]:
        """Return the table of all addresses."""
        return [
            Route("/enter", self.enter),
            Route("/static/{name}", self.static),
            Route("/", self.home),
            Route("/purposes", self.purposes),
            Route("/purposes/{purpose}", self.purpose),
            *PeoplePages(self).routes(),
            *PlacePages(self).routes(),
            Route("/update", self.update),
            Route("/battery", self.battery),
            Route("/preview/{batch_id}", self.preview),
            Route("/exact/{batch_id}", self.exact),
            Route("/language", self.set_language, methods=["POST"]),
            Route("/api/state", self.api_state),
            Route("/api/purposes", self.api_purposes),
            Route("/api/batches/{batch_id}", self.api_batch),
            Route("/api/events", self.api_events),
            Route("/api/trips/{trip_id}/answer", self.answer_trip, methods=["POST"]),
            Route("/api/trips/{trip_id}/take-back", self.take_back, methods=["POST"]),
            Route("/api/purposes/{purpose}", self.set_purpose, methods=["POST"]),
            Route("/api/updates/{content_hash}/answer", self.answer_update, methods=["POST"]),
            Route("/api/updates/{content_hash}/cancel", self.cancel_update, methods=["POST"]),
            Route("/api/result/acknowledge", self.acknowledge, methods=["POST"]),
            Route("/api/battery/{code}/acknowledge", self.acknowledge_alert, methods=["POST"]),
        ]

    # -- pages ---------------------------------------------------------------------------------

    async def enter(self, request: Request) -> Response:
        """Turn the token of this boot into a cookie."""
        if not self.guard.is_token(request.query_params.get("token", "")):
            return self.refuse(request, NO_TOKEN)
        answer = RedirectResponse("/", status_code=HTTPStatus.SEE_OTHER)
        name = cookie_name(request.headers.get("host", ""))
        answer.set_cookie(name, self.guard.session(), httponly=True, samesite="strict")
        return answer

    async def static(self, request: Request) -> Response:
        """Return style, script or icon; the page names them with a version."""
        found = self.files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        headers = {"cache-control": f"max-age={_YEAR_S}, immutable"}
        return Response(found.content, media_type=found.media_type, headers=headers)

    async def home(self, request: Request) -> Response:
        """Show the one card of the moment."""
        return self.show(request, home_screen)

    async def purposes(self, request: Request) -> Response:
        """Show every purpose with its switch."""
        return self.show(
            request,
            lambda state, texts: Screen("tiles.html", purposes_view(state, texts), "data"),
        )

    async def purpose(self, request: Request) -> Response:
        """Show the notice of one purpose."""
        toggle = find_purpose(request, self.door.state())
        return self.show(
            request, lambda _, texts: Screen("purpose.html", purpose_view(toggle, texts), "data")
        )

    async def update(self, request: Request) -> Response:
        """Show the update, if there is one."""
        return self.show(request, update_screen)

    async def battery(self, request: Request) -> Response:
        """Show how the battery is."""
        return self.show(request, battery_screen)

    async def preview(self, request: Request) -> Response:
        """Show what one batch holds."""
        batch = _find_batch(request, self.door.state())
        return self.show(
            request, lambda _, texts: Screen("preview.html", preview_view(batch, texts))
        )

    async def exact(self, request: Request) -> Response:
        """Show the exact data of one batch, a page at a time."""
        batch = _find_batch(request, self.door.state())
        page = number(request.query_params.get("page", ""), otherwise=1)
        rows: object = None
        if is_allowed(Action.READ_PREVIEW, self.door.state()):
            rows = await self.door.preview_rows(batch.batch_id)
        return self.show(
            request,
            lambda _, texts: Screen("exact.html", exact_view(rows, batch.batch_id, page, texts)),
        )

    async def set_language(self, request: Request) -> Response:
        """Remember the language of this screen."""
        language = (await answer_of(request, LanguageAnswer)).language
        if language not in self.texts:
            raise AnswerError(f"language: expected one of {sorted(self.texts)}, nothing changed")
        answer = RedirectResponse("/more", status_code=HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            LANGUAGE_COOKIE, language, max_age=_YEAR_S, httponly=True, samesite="strict"
        )
        return answer

    # -- local API -----------------------------------------------------------------------------

    async def api_state(self, _request: Request) -> Response:
        """Return everything the screen knows."""
        state = self.door.state()
        return as_json(
            {
                "schema": "okdrive-agent.screen/1",
                "card": choose_card(state),
                "effective_driving": effective_driving(state),
                "state": state,
            }
        )

    async def api_purposes(self, request: Request) -> Response:
        """Return every purpose with the notice to read, and the hash that names it."""
        texts = self.words(request)
        lines = [
            {
                "purpose": toggle.purpose,
                "granted": toggle.granted,
                "language": texts.notice(toggle.purpose).language,
                "always_until": toggle.always_until,
                "always_waits": toggle.always_waits,
                "notice": texts.notice(toggle.purpose),
            }
            for toggle in self.door.state().purposes
        ]
        return as_json({"schema": "okdrive-agent.purposes/1", "purposes": lines})

    async def api_batch(self, request: Request) -> Response:
        """Return the exact data of one batch."""
        batch = _find_batch(request, self.door.state())
        self.require(request, Action.READ_PREVIEW)
        rows = await self.door.preview_rows(batch.batch_id)
        return as_json({"schema": "okdrive-agent.batch/1", "preview": batch, "content": rows})

    async def api_events(self, request: Request) -> Response:
        """Send a number whenever something has changed."""
        if self.events.is_full:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE)
        after = number(request.headers.get("last-event-id", ""), otherwise=0)
        return StreamingResponse(self.events.stream(after), media_type="text/event-stream")

    async def answer_trip(self, request: Request) -> Response:
        """Share or decline exactly the named batches of a trip."""
        answer = await answer_of(request, TripAnswer)
        trip_id, ids = str(request.path_params["trip_id"]), tuple(answer.batch_ids)
        call, language = self.door.answer_trip, self.words(request).language
        return await self.do(
            request,
            Action.ANSWER_TRIP,
            lambda: call(trip_id, ids, share=answer.share, language=language),
        )

    async def take_back(self, request: Request) -> Response:
        """Take a shared trip back while it is held."""
        trip_id = str(request.path_params["trip_id"])
        return await self.do(request, Action.TAKE_BACK, lambda: self.door.take_back(trip_id))

    async def set_purpose(self, request: Request) -> Response:
        """Grant or withdraw one purpose; granting needs the hash of the notice that was read."""
        toggle = find_purpose(request, self.door.state())
        answer = await answer_of(request, PurposeAnswer)
        current = {words.notice(toggle.purpose).sha256 for words in self.texts.values()}
        if answer.granted and answer.notice_hash not in current:
            sentence = self.words(request).say("refused.notice_changed")
            raise DoorRefusedError("screen.notice_changed", sentence)
        notices = [words.notice(toggle.purpose) for words in self.texts.values()]
        mine = self.words(request).notice(toggle.purpose)
        seen = next((one for one in notices if one.sha256 == answer.notice_hash), mine)
        call = self.door.set_purpose
        return await self.do(
            request,
            Action.GRANT if answer.granted else Action.WITHDRAW,
            lambda: call(
                toggle.purpose,
                granted=answer.granted,
                notice_hash=seen.sha256,
                language=seen.language,
            ),
            then="/purposes",
        )

    async def answer_update(self, request: Request) -> Response:
        """Take Now, Tonight or Later for one update."""
        answer = await answer_of(request, UpdateAnswer)
        content_hash, decision = _content_hash(request), Decision(answer.decision)
        return await self.do(
            request,
            Action.ANSWER_UPDATE,
            lambda: self.door.answer_update(content_hash, decision),
        )

    async def cancel_update(self, request: Request) -> Response:
        """Stop a countdown or a planned update."""
        content_hash = _content_hash(request)
        return await self.do(
            request, Action.CANCEL_UPDATE, lambda: self.door.cancel_update(content_hash)
        )

    async def acknowledge(self, request: Request) -> Response:
        """Put the result of the last update away."""
        return await self.do(request, Action.ACKNOWLEDGE, self.door.acknowledge)

    async def acknowledge_alert(self, request: Request) -> Response:
        """Put one battery alert away until it is told again."""
        code = str(request.path_params["code"])
        return await self.do(request, Action.ACKNOWLEDGE, lambda: self.door.acknowledge_alert(code))


def _find_batch(request: Request, state: ScreenState) -> BatchPreview:
    batch_id = request.path_params["batch_id"]
    for trip in state.trips:
        for batch in trip.batches:
            if batch.batch_id == batch_id:
                return batch
    raise HTTPException(HTTPStatus.NOT_FOUND)


def _content_hash(request: Request) -> str:
    """Return the hash in the address; the door compares it with the update it offers."""
    return str(request.path_params["content_hash"])
