"""When a soak ends early, and what it says while it goes on."""

import math
import sys
import time
from collections.abc import Callable

TELL_S = 5.0  # a little more than this passes between two lines


class Patience:
    """How long a soak may take: so many minutes, shared by its parts, or until a Ctrl-C."""

    def __init__(self, minutes: float = math.inf) -> None:
        self._began_s = self._told_s = time.monotonic()
        self._whole_until_s = self._until_s = self._began_s + 60 * minutes
        self._is_interrupted = False

    @property
    def is_over(self) -> bool:
        """Whether the part that runs must end."""
        return self._is_interrupted or time.monotonic() >= self._until_s

    @property
    def is_interrupted(self) -> bool:
        return self._is_interrupted

    @property
    def left_s(self) -> float:
        """How long the part that runs may still go on; infinite without a limit."""
        return max(0.0, self._until_s - time.monotonic())

    @property
    def took_s(self) -> float:
        return time.monotonic() - self._began_s

    def share(self, parts: int) -> None:
        """Give the next part its share of what is left, if so many ``parts`` are to come."""
        now_s = time.monotonic()
        self._until_s = now_s + max(0.0, self._whole_until_s - now_s) / parts

    def interrupt(self) -> None:
        """End where nothing is half done."""
        if self._is_interrupted:
            return
        self._is_interrupted = True
        say("ending where nothing is half done; Ctrl-C once more to end at once")

    def tell(self, line: Callable[[], str]) -> None:
        """Say ``line()`` now and then."""
        if time.monotonic() >= self._told_s + TELL_S:
            self._told_s = time.monotonic()
            say(line())


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def duration(seconds: float) -> str:
    """Return ``seconds`` for a person: 48 s, 3 min 20 s, 2 h 5 min."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
