"""Pulls plugs while a story runs: SIGKILL at random moments, then a start as after a power cut."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from sim.stack import Stack

VICTIMS = ("agent", "ingest", "broker")


@dataclass(frozen=True, slots=True)
class Kill:
    """Who is killed, when (s after the start of the story), and how long it stays away (s)."""

    at_s: float
    victim: str
    down_s: float


class Killer:
    """Kills parts of a stack by a plan that a seed makes; the same seed, the same plan."""

    def __init__(self, seed: int, *, kills: int, within_s: float) -> None:
        chance = random.Random(seed)  # noqa: S311 (a plan, no secret)
        plan = [
            Kill(chance.uniform(1.0, within_s), chance.choice(VICTIMS), chance.uniform(0.2, 2.0))
            for _ in range(kills)
        ]
        self.plan = tuple(sorted(plan, key=lambda kill: kill.at_s))

    async def run(self, stack: Stack, say: Callable[[str], None]) -> None:
        """Follow the plan on ``stack``."""
        now_s = 0.0
        for kill in self.plan:
            await asyncio.sleep(max(0.0, kill.at_s - now_s))
            now_s = max(now_s, kill.at_s) + kill.down_s
            say(f"Killed     {kill.victim} by SIGKILL, away for {kill.down_s:.1f} s")
            await _kill(stack, kill.victim)
            await asyncio.sleep(kill.down_s)
            await _start(stack, kill.victim)


async def _kill(stack: Stack, victim: str) -> None:
    if victim == "broker":
        await asyncio.to_thread(stack.broker.kill)
    else:
        await (stack.agent if victim == "agent" else stack.ingest).kill()


async def _start(stack: Stack, victim: str) -> None:
    starts = {
        "agent": stack.start_agent,
        "ingest": stack.start_ingest,
        "broker": stack.start_broker,
    }
    await starts[victim]()
