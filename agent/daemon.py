"""The daemon's process: the agent in its event loop, until a signal asks it to end."""

import asyncio
import ctypes
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from agent.app import Agent
from agent.clock import SystemClock
from agent.config import AgentConfig
from agent.egress import allow_list, guard_process

_ARENA_MAX: Final = -8  # M_ARENA_MAX of malloc.h, see mallopt(3)


def serve(config: AgentConfig) -> int:
    """Run the agent until SIGINT or SIGTERM; return the exit code that a shell expects of it."""
    _share_one_arena()
    return asyncio.run(_serve(config))


def _share_one_arena() -> None:
    """Let all threads allocate from one place; 1.5 MiB less than one for each (ADR 0031).

    glibc gives each thread an arena of its own against contention, which the interpreter's lock
    leaves none of. Another C library has no such call, and nothing to be told.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


async def _serve(config: AgentConfig) -> int:
    guard_process(allow_list(config))
    stop, caught = asyncio.Event(), [0]
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _catch(number, stop, caught))
    agent = await asyncio.to_thread(Agent, config, SystemClock())
    await agent.run(stop)
    return caught[0]


def _catch(number: int, stop: asyncio.Event, caught: list[int]) -> Callable[[], None]:
    def act() -> None:
        caught[0] = 128 + number  # what a shell expects of an interrupted program
        stop.set()

    return act
