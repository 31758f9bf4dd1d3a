"""How every answer of the screen is made: words, pages, refusals; what all routes share."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from agent.hmi.answers import MAX_BODY_BYTES, AnswerError, AnswerT, decode
from agent.hmi.door import Door, DoorRefusedError
from agent.hmi.events import Events
from agent.hmi.guard import Guard, Refusal
from agent.hmi.pages.home import refusal_view
from agent.hmi.pages.screen import Screen, frame, home_screen
from agent.hmi.render import Renderer, load_static
from agent.hmi.texts import Texts, choose_language, load_texts
from agent.hmi.views import Action, DrivingState, ScreenState, effective_driving, is_allowed

LANGUAGE_COOKIE = "okdrive_language"
_MAX_DIGITS = 18  # of a number in an address or header


class Endpoints:
    """What every endpoint needs: the door, the guard, the words and the pages."""

    def __init__(self, door: Door, guard: Guard, *, language: str, driver_side: str) -> None:
        self.door, self.guard, self.events = door, guard, Events(door.wait_change)
        self.texts, self._language, self._driver_side = load_texts(), language, driver_side
        self.files = load_static()
        self._renderer = Renderer(self.files)

    def words(self, request: Request) -> Texts:
        """Return the words in the language of this screen or client."""
        chosen = request.cookies.get(LANGUAGE_COOKIE, "")
        if chosen in self.texts:
            return self.texts[chosen]
        wishes = request.headers.get("accept-language", self._language)
        return self.texts[choose_language(wishes, self.texts)]

    def show(
        self,
        request: Request,
        build: Callable[[ScreenState, Texts], Screen],
        *,
        status: int = HTTPStatus.OK,
    ) -> Response:
        """Return a page; while not parked it is the card of the moment."""
        state, texts = self.door.state(), self.words(request)
        if status in _FOR_STRANGERS:
            state = _NOTHING
        elif effective_driving(state) is not DrivingState.PARKED and status == HTTPStatus.OK:
            build = home_screen  # nothing but the card of the moment
        framed = frame(state, build(state, texts), texts, driver_side=self._driver_side)
        is_fragment = "x-okdrive-fragment" in request.headers
        render = self._renderer.fragment if is_fragment else self._renderer.page
        return HTMLResponse(render(framed, texts), status_code=status)

    def require(self, request: Request, action: Action) -> None:
        """Refuse what the driving state does not allow; raise DoorRefusedError."""
        if not is_allowed(action, self.door.state()):
            sentence = self.words(request).say(f"refused.{action}")
            raise DoorRefusedError(f"screen.not_now.{action}", sentence)

    async def do(
        self,
        request: Request,
        action: Action,
        call: Callable[[], Awaitable[None]],
        *,
        then: str = "/",
    ) -> Response:
        """Do it if the driving state allows, and say where a screen goes then."""
        self.require(request, action)
        await call()
        if wants_json(request):
            return as_json({"ok": True, "next": then})
        return RedirectResponse(then, status_code=HTTPStatus.SEE_OTHER)

    def refuse(self, request: Request, refusal: Refusal) -> Response:
        """Answer with why not: JSON for clients, a page for people who have shown the token."""
        if wants_json(request):
            error = {"code": refusal.code, "message": refusal.sentence}
            return as_json({"error": error}, status=refusal.status)
        sentence, code = refusal.sentence, refusal.code
        if refusal.status in _FOR_STRANGERS:
            sentence = self.words(request).say("refused.token")
        return self.show(
            request,
            lambda _, texts: Screen("message.html", refusal_view(sentence, code, texts)),
            status=refusal.status,
        )

    async def on_door_refused(self, request: Request, error: Exception) -> Response:
        """Answer what the agent or the driving state refuses."""
        refused = error if isinstance(error, DoorRefusedError) else _OTHER
        return self.refuse(request, Refusal(refused.status, refused.code, refused.sentence))

    async def on_answer_error(self, request: Request, error: Exception) -> Response:
        """Answer a body that is too long or not understood."""
        status = error.status if isinstance(error, AnswerError) else HTTPStatus.BAD_REQUEST
        return self.refuse(request, Refusal(status, AnswerError.code, str(error)))

    async def on_http_exception(self, request: Request, error: Exception) -> Response:
        """Answer an address or method that does not exist, or a server that is full."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        sentence = self.words(request).say("refused.not_found")
        return self.refuse(request, Refusal(status, f"screen.http_{status}", sentence))


_FOR_STRANGERS = frozenset({401, 403, 421})  # they get a page that shows nothing of the state
_NOTHING = ScreenState(driving=DrivingState.MOVING, vehicle_fresh=False)
_OTHER = DoorRefusedError("screen.refused", "refused; nothing changed")


def as_json(content: object, *, status: int = HTTPStatus.OK) -> Response:
    """Return ``content`` as JSON."""
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")


def wants_json(request: Request) -> bool:
    """Tell whether a client asks, not a page."""
    if "text/html" in request.headers.get("accept", ""):
        return False
    return request.url.path.startswith("/api/")


def number(text: str, *, otherwise: int) -> int:
    """Return ``text`` as a number, or ``otherwise``."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    return int(text) if is_number else otherwise


async def answer_of(request: Request, kind: type[AnswerT]) -> AnswerT:
    """Return the body as a ``kind``; raise AnswerError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            sentence = f"expected at most {MAX_BODY_BYTES} bytes, got more; nothing was done"
            raise AnswerError(sentence, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return decode(bytes(body), request.headers.get("content-type", ""), kind)
