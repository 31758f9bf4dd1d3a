"""A bench that is asked to end (SIGTERM) ends where nothing is half done."""

import signal


class Ending:
    """Whether somebody has asked; made once, by the main thread of a process of its own."""

    def __init__(self) -> None:
        self.is_asked = False
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self.is_asked = True
