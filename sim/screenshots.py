"""Every screen of the driver's page as a picture: ``python -m sim.screenshots -o DIR``."""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
from playwright.async_api import Browser, async_playwright

from agent.hmi.app import create_app
from agent.hmi.server import serve
from sim.played_agent import PlayedAgent
from sim.screens import PAGES, STATES

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SIZES = ((800, 480), (1024, 600))  # source: the reference 7-inch screens
_TOKEN = "pictures-of-the-screen"  # noqa: S105 (a server on loopback for as long as the pictures take)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture to take."""

    name: str
    state: str
    path: str
    width: int
    height: int
    night: bool
    language: str

    @property
    def file_name(self) -> str:
        """Name, size, light and language."""
        light = "night" if self.night else "day"
        return f"{self.name}-{self.width}x{self.height}-{light}-{self.language}.png"


def pictures(languages: tuple[str, ...], only: str) -> Iterator[Picture]:
    """Yield every page in both sizes, by day and at night; ``only`` is part of a name."""
    pages = {name: (name, "/") for name in STATES} | dict(PAGES)
    for name, (state, path) in pages.items():
        if only not in name:
            continue
        for width, height in SIZES:
            for night in (False, True):
                for language in languages:
                    yield Picture(name, state, path, width, height, night, language)


async def take(wanted: Iterable[Picture], folder: Path) -> None:
    """Write every picture of ``wanted`` to ``folder``, in turn."""
    agent, stop = PlayedAgent(STATES["home-first"]), asyncio.Event()
    app = await asyncio.to_thread(create_app, agent.door(), token=_TOKEN)
    bound: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(app, host="127.0.0.1", port=0, stop=stop, on_bound=bound.set_result)
        )
        try:
            base = f"http://127.0.0.1:{await bound}"
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=CHROMIUM, args=list(CHROMIUM_ARGS)
                )
                for picture in wanted:
                    await _take_one(browser, agent, picture, base, folder)
                await browser.close()
        finally:
            stop.set()


async def _take_one(
    browser: Browser, agent: PlayedAgent, picture: Picture, base: str, folder: Path
) -> None:
    await agent.show(replace(STATES[picture.state], night=picture.night))
    page = await browser.new_page(
        viewport={"width": picture.width, "height": picture.height}, locale=picture.language
    )
    await page.goto(f"{base}/enter?token={_TOKEN}")
    await page.goto(f"{base}{picture.path}")
    await page.screenshot(path=folder / picture.file_name)
    await page.close()


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
@click.option("--language", "languages", multiple=True, default=("en", "de"), help="en, de.")
@click.option("--only", default="", help="Part of the names to take.")
def main(output: Path, languages: tuple[str, ...], only: str) -> None:
    """Write every screen of the driver's page as PNG."""
    output.mkdir(parents=True, exist_ok=True)
    wanted = list(pictures(languages, only))
    with click.progressbar(wanted, file=sys.stderr, label="pictures") as counting:
        asyncio.run(take(counting, output))
    click.echo(f"{len(wanted)} pictures in {output}")


if __name__ == "__main__":
    main()
