"""Ask an ASGI application without a socket: one request in, one answer out."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

HOST = "127.0.0.1:8088"
Application = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Client:
    """``headers`` go with every request."""

    app: Application
    headers: dict[str, str] = field(default_factory=lambda: {"host": HOST})

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, headers=headers)

    async def post_json(self, path: str, content: object, **headers: str) -> Answer:
        kind = {"content-type": "application/json"}
        body = msgspec.json.encode(content)
        return await self.ask("POST", path, headers=kind | headers, body=body)

    async def post_form(
        self, path: str, fields: list[tuple[str, str]] | None = None, **headers: str
    ) -> Answer:
        kind = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
        body = urlencode(fields or []).encode()
        return await self.ask("POST", path, headers=kind | headers, body=body)

    async def ask(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        sent: list[Any] = []
        every = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in every.items()],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 8088),
        }
        incoming = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            return incoming.pop() if incoming else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = next(one for one in sent if one["type"] == "http.response.start")
        return Answer(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            b"".join(one.get("body", b"") for one in sent if one["type"] == "http.response.body"),
        )
