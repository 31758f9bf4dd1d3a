"""A driver who answers: through the real page in Debian's Chromium, or through the local API.

Both press what a person would press; which one it was is part of what the demo says.
"""

import asyncio
import http.client
import json
import logging
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol, Self

from playwright.async_api import Page, async_playwright

log = logging.getLogger(__name__)

_CHROMIUM = ("chromium", "chromium-browser")
_ARGUMENTS = (
    "--no-sandbox",  # as root there is no other way; the page is ours and on loopback
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_POLL_S = 0.1
_PRESS_TIMEOUT_MS = 15_000


class DriverError(Exception):
    """The driver could not do what the story needs; names what was on the screen instead."""

    code = "sim.driver"


class Screen:
    """The local API of one agent. The file is read again at every call: an agent may restart."""

    def __init__(self, screen_file: Path) -> None:
        self._file = screen_file

    def enter_url(self) -> str:
        """Return the address, with the token of this boot, that opens the page."""
        return str(json.loads(self._file.read_bytes())["enter"])

    async def get(self, path: str) -> dict[str, Any]:
        """Return the JSON at ``path``."""
        return await asyncio.to_thread(self._call, "GET", path, None)

    async def post(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        """Post ``body``; raise DriverError if the agent refuses."""
        return await asyncio.to_thread(self._call, "POST", path, body)

    async def until(
        self, what: str, found: Callable[[dict[str, Any]], object], *, timeout_s: float
    ) -> dict[str, Any]:
        """Return the screen's state as soon as ``found(state)``; raise DriverError after a while.

        An agent that is down for a moment is waited for.
        """
        state: dict[str, Any] = {}
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        state = await self.get("/api/state")
                        if found(state["state"]):
                            return state
                    except (OSError, ValueError, http.client.HTTPException):
                        pass
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            card = state.get("card", "nothing")
            raise DriverError(
                f"waited {timeout_s:.0f} s for {what}; the screen shows {card}: "
                f"{json.dumps(state.get('state'))[:600]}"
            ) from None

    def _call(self, method: str, path: str, body: dict[str, object] | None) -> dict[str, Any]:
        found = json.loads(self._file.read_bytes())
        connection = http.client.HTTPConnection(found["address"].removeprefix("http://"), timeout=5)
        headers = {"Authorization": f"Bearer {found['token']}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(
                method, path, json.dumps(body) if body is not None else None, headers
            )
            answer = connection.getresponse()
            content: dict[str, Any] = json.loads(answer.read() or b"{}")
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise DriverError(f"{method} {path}: {answer.status} {content}")
        return content


class Driver(Protocol):
    """Somebody in front of the screen."""

    name: str

    async def grant(self, purpose: str) -> None:
        """Read the notice of a purpose and switch it on."""

    async def share(self, trip: dict[str, Any]) -> None:
        """Press OK on the card of this trip."""

    async def install(self, update: dict[str, Any]) -> None:
        """Press Now on the card of this update."""

    async def acknowledge(self) -> None:
        """Put the result away."""


class ApiDriver:
    """Presses through the local HTTP API."""

    def __init__(self, screen: Screen, why: str = "no Chromium on this machine") -> None:
        self.name = f"the local HTTP API ({why})"
        self._screen = screen

    async def grant(self, purpose: str) -> None:
        """Switch a purpose on, naming the notice that was read."""
        listed = await self._screen.get("/api/purposes")
        notice = next(one for one in listed["purposes"] if one["purpose"] == purpose)
        body: dict[str, object] = {"granted": True, "notice_hash": notice["notice"]["sha256"]}
        await self._screen.post(f"/api/purposes/{purpose}", body)

    async def share(self, trip: dict[str, Any]) -> None:
        """Say OK to exactly the batches on the card."""
        ids = [batch["batch_id"] for batch in trip["batches"]]
        await self._screen.post(
            f"/api/trips/{trip['trip_id']}/answer", {"share": True, "batch_ids": ids}
        )

    async def install(self, update: dict[str, Any]) -> None:
        """Say Now."""
        path = f"/api/updates/{update['content_hash']}/answer"
        await self._screen.post(path, {"decision": "now"})

    async def acknowledge(self) -> None:
        """Put the result away."""
        await self._screen.post("/api/result/acknowledge", {})


class BrowserDriver:
    """Presses the real page's buttons in Chromium."""

    def __init__(self, screen: Screen, page: Page, version: str, pictures: Path) -> None:
        self.name = f"Chromium {version}, headless, pressing the page's buttons"
        self._screen = screen
        self._page = page
        self._pictures = pictures

    async def grant(self, purpose: str) -> None:
        """Open the purposes, read the notice, press OK."""
        await self._enter()
        await self._page.goto(f"{self._base()}/purposes/{purpose}")
        await self._press("purpose-grant")

    async def share(self, trip: dict[str, Any]) -> None:
        """Press OK on the trip card; the page shows the newest trip that waits."""
        await self._enter()
        shown = await self._page.locator("input[name=batch_ids]").evaluate_all(
            "inputs => [...new Set(inputs.map(input => input.value))]"
        )
        wanted = {batch["batch_id"] for batch in trip["batches"]}
        if set(shown) != wanted:
            raise DriverError(f"expected the card of batches {wanted}, the page shows {shown}")
        await self._press("trip-share")

    async def install(self, update: dict[str, Any]) -> None:
        """Press Now on the update card."""
        await self._enter()
        if not await self._page.locator('[data-action="update-now"]').count():
            await self._page.goto(f"{self._base()}/update")
        await self._press("update-now")
        log.info("pressed", extra={"update": update["content_hash"]})

    async def acknowledge(self) -> None:
        """Press OK on the result card."""
        await self._enter()
        await self._press("result-acknowledge")

    async def _enter(self) -> None:
        await self._page.goto(self._screen.enter_url())

    async def _press(self, action: str) -> None:
        button = self._page.locator(f'[data-action="{action}"]').first
        await button.wait_for(timeout=_PRESS_TIMEOUT_MS)
        self._pictures.mkdir(exist_ok=True)
        await self._page.screenshot(path=self._pictures / f"{action}.png")
        await button.click(timeout=_PRESS_TIMEOUT_MS)
        await self._page.wait_for_load_state("load")

    def _base(self) -> str:
        return self._screen.enter_url().partition("/enter")[0]


class RobotDriver(AsyncExitStack):
    """Opens Chromium if it is there; ``driver`` is who presses."""

    def __init__(self, screen: Screen, pictures: Path) -> None:
        super().__init__()
        self._screen = screen
        self._pictures = pictures
        self.driver: Driver = ApiDriver(screen)

    async def __aenter__(self) -> Self:
        program = next((found for name in _CHROMIUM if (found := shutil.which(name))), None)
        if program is None:
            return self
        try:
            playwright = await self.enter_async_context(async_playwright())
            browser = await playwright.chromium.launch(
                executable_path=program, args=list(_ARGUMENTS), headless=True
            )
        except Exception as error:  # noqa: BLE001 (whatever it is, the story goes on without)
            log.warning("chromium_not_started", extra={"reason": str(error)})
            self.driver = ApiDriver(self._screen, why="Chromium could not be started")
            return self
        self.push_async_callback(browser.close)
        page = await browser.new_page(viewport={"width": 1024, "height": 600})
        self.driver = BrowserDriver(self._screen, page, browser.version, self._pictures)
        return self
