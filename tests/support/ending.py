"""A bench that is asked to end (SIGTERM) ends where nothing is half done."""

import mmap
import signal


class Ending:
    """Whether somebody has asked this process or one that it forked from; made once, early."""

    def __init__(self) -> None:
        self._asked = mmap.mmap(-1, 1)  # shared with the children
        signal.signal(signal.SIGTERM, self._ask)

    @property
    def is_asked(self) -> bool:
        return self._asked[0] != 0

    def _ask(self, *_: object) -> None:
        self._asked[0] = 1
