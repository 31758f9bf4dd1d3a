"""A real Chromium and a real screen on loopback; a missing browser is a failure, not a skip."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from agent.hmi.app import create_app
from agent.hmi.server import serve
from sim.played_agent import PlayedAgent
from sim.screenshots import CHROMIUM_ARGS

CHROMIUM = Path("/usr/bin/chromium")
TOKEN = "token-of-this-boot-0123456789"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, without a window and without any traffic of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def running_screen(played: PlayedAgent, *, port: int = 0) -> AsyncIterator[str]:
    """The screen of ``played`` on loopback; yields its address."""
    stop, bound = asyncio.Event(), asyncio.get_running_loop().create_future()
    app = await asyncio.to_thread(create_app, played.door(), token=TOKEN)
    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        group.create_task(
            serve(app, host="127.0.0.1", port=port, stop=stop, on_bound=bound.set_result)
        )
        try:
            yield f"http://127.0.0.1:{await bound}"
        finally:
            stop.set()


@asynccontextmanager
async def open_screen(
    played: PlayedAgent, *, width: int = 800, height: int = 480, language: str = "en"
) -> AsyncIterator[Page]:
    """The screen of ``played``, entered with its token, in a browser of the car's size."""
    async with running_screen(played) as address, chromium() as browser:
        page = await browser.new_page(
            viewport={"width": width, "height": height}, locale=language, base_url=address
        )
        await page.goto(f"/enter?token={TOKEN}")
        yield page
