"""Wait for something with a deadline, never with a bare sleep."""

import asyncio
import time
from collections.abc import Callable


async def wait_until(condition: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    """Return when ``condition()`` is true; raise TimeoutError naming it after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition} not true within {timeout_s} s")
        await asyncio.sleep(0.01)


def wait_until_sync(condition: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    """Return when ``condition()`` is true; raise TimeoutError naming it after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition} not true within {timeout_s} s")
        time.sleep(0.01)
