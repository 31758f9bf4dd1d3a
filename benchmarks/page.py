"""The driver's page with all it needs: bytes on the wire if each file were sent gzipped.

Every page and every state that the screen can show is asked for from its real server; what a page
names (style, script, icon) counts with it. The largest one is the figure.
"""

import asyncio
import gzip
import http.client
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from agent.hmi.app import create_app
from agent.hmi.server import serve
from benchmarks.result import Result
from sim.played_agent import PlayedAgent
from sim.screens import PAGES, STATES

_TOKEN = "token-of-the-benchmark"  # noqa: S105 (a server on loopback for a moment)
_NAMED = re.compile(r'(?:href|src)="(/static/[^"]+)"')
_KB = 1_000


def measure(*, quick: bool = False) -> list[Result]:
    """Return KB of the largest page, gzipped, everything included."""
    shown = list(_shown())[: 3 if quick else None]
    sizes = {name: asyncio.run(_size(state, path)) for name, state, path in shown}
    largest = max(sizes, key=lambda name: sizes[name])
    value = sizes[largest] / _KB
    return [
        Result(
            name=f"driver's page, all included, the largest of {len(sizes)} ({largest}), gzipped",
            value=round(value, 2),
            unit="KB",
            peer=None,
            ratio=None,
            must=100,
            aim=60,
            ok=value <= 100,  # noqa: PLR2004 (the design's budget)
        )
    ]


def _shown() -> Iterator[tuple[str, str, str]]:
    """Yield name, state and path of all that the screen can show."""
    yield from ((name, name, "/") for name in STATES)
    yield from ((name, state, path) for name, (state, path) in PAGES.items())


async def _size(state: str, path: str) -> int:
    async with _screen(PlayedAgent(STATES[state])) as port:
        html = await asyncio.to_thread(_get, port, path)
        named = sorted(set(_NAMED.findall(html.decode())))
        files = [await asyncio.to_thread(_get, port, name) for name in named]
    return sum(len(gzip.compress(content, 9)) for content in (html, *files))


@asynccontextmanager
async def _screen(played: PlayedAgent) -> AsyncIterator[int]:
    stop, bound = asyncio.Event(), asyncio.get_running_loop().create_future()
    app = await asyncio.to_thread(create_app, played.door(), token=_TOKEN)
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(app, host="127.0.0.1", port=0, stop=stop, on_bound=bound.set_result)
        )
        try:
            yield await bound
        finally:
            stop.set()


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Authorization": f"Bearer {_TOKEN}", "Accept": "text/html"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise RuntimeError(f"{path}: expected 200, got {answer.status}")
    return content
