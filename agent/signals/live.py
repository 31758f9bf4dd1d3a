"""Any source, watched and, where it can send, polled: what the recorder reads on a vehicle."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from agent.signals.bus import BusWatch
from agent.signals.model import Frame, SignalSource
from agent.signals.polls import Poller


class LiveSource:
    """Hands on the batches of ``source``; met: ``SignalSource``.

    The bus watch sees every frame first, so a poll never goes out in the batch in which another
    tester was heard.
    """

    def __init__(
        self,
        source: SignalSource,
        watch: BusWatch,
        *,
        poller: Poller | None = None,
        send: Callable[[Frame], bool] | None = None,
    ) -> None:
        """Wire; ``send`` blocks for a moment at most and is called in a thread."""
        self.source = source
        self.watch = watch
        self.poller = poller
        self._send = send

    async def batches(self) -> AsyncIterator[Sequence[Frame]]:
        """Yield batches until the source ends; see ``SignalSource``."""
        async for frames in self.source.batches():
            self.watch.take(frames)
            await self._poll(frames)
            yield frames

    async def _poll(self, frames: Sequence[Frame]) -> None:
        if self.poller is None or self._send is None or not frames:
            return
        wanted = [answer for frame in frames if (answer := self.poller.heard(frame))]
        if request := self.poller.step(frames[-1].time_s):
            wanted.append(request)
        for frame in wanted:
            await asyncio.to_thread(self._send, frame)
