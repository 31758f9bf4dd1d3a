"""Plays parts one after the other, each in its share of the time, until Ctrl-C."""

import asyncio
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.soak.book import Book
from tests.soak.children import Children, Ended, Limits, Line, Slice
from tests.soak.parts import PARTS
from tests.soak.patience import Patience, say
from tests.soak.report import Progress


class Play:
    """What is missing of one part, with a page of the book for each slice."""

    def __init__(self, name: str, amount: int, seed: int, book: Book, patience: Patience) -> None:
        self._name, self._part, self._book, self._patience = name, PARTS[name], book, patience
        plan = self._part.plan(amount, seed)
        command = f"python -m tests.soak {name} --{self._part.unit} {amount} --seed {seed}"
        self._slices = book.still_to_play(name, plan)
        self._pages = {one.name: book.page(name, one, command) for one in self._slices}
        self._plan = plan

    async def run(self, folder: Path, *, jobs: int) -> None:
        """Play the slices, ``jobs`` at once, below ``folder``."""
        progress = Progress(self._name, self._book, self._patience, self._plan)
        children = Children(
            folder,
            self._patience,
            self._on_line,
            self._on_end,
            progress.line,
            Limits(silence_s=self._part.silence_s),
        )
        await children.run(self._slices, jobs=jobs)

    def _on_line(self, one: Slice, line: Line) -> None:
        said = self._part.read(one, line)
        self._pages[one.name].take(said)
        if said.ill:
            say(f"{self._name}, {one.name}: {said.ill}")

    def _on_end(self, one: Slice, ended: Ended) -> None:
        self._pages[one.name].end(ended)
        if ended.complaint:
            say(f"{self._name}, {one.name}: {ended.complaint}")
        self._book.save()


def listen(patience: Patience) -> None:
    """End in good order when asked, and at once when asked again."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def end() -> None:
        if patience.is_interrupted and not task.cancelling():
            task.cancel()
        patience.interrupt()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)


async def soak(
    plays: Sequence[Play], patience: Patience, *, jobs: int, folder: Path | None
) -> None:
    """Play ``plays`` one after the other; a Ctrl-C ends it in good order, a second one at once."""
    listen(patience)
    for number, play in enumerate(plays):
        patience.share(len(plays) - number)
        if not patience.is_over:
            with tempfile.TemporaryDirectory(prefix="okdrive-soak-", dir=folder) as place:
                await play.run(Path(place), jobs=jobs)
