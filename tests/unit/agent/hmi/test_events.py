"""Server-sent events: numbers, heartbeats, an end."""

import asyncio

from agent.hmi.events import MAX_STREAMS, Events
from sim.played_agent import PlayedAgent
from sim.screens import PARKED


async def test_a_browser_that_comes_back_gets_at_once_what_it_missed() -> None:
    events = Events(PlayedAgent(PARKED).wait_change)
    stream = events.stream(0)
    assert await anext(stream) == b"retry: 1000\n\n"
    assert await anext(stream) == b"id: 1\ndata: 1\n\n"


async def test_a_change_is_sent_with_its_number() -> None:
    agent = PlayedAgent(PARKED)
    stream = Events(agent.wait_change).stream(1)
    await anext(stream)
    await agent.show(PARKED)
    assert await anext(stream) == b"id: 2\ndata: 2\n\n"


async def test_without_change_a_heartbeat_finds_out_who_is_gone() -> None:
    stream = Events(PlayedAgent(PARKED).wait_change, heartbeat_s=0.0).stream(1)
    await anext(stream)
    assert await anext(stream) == b": still here\n\n"


async def test_close_ends_a_stream_that_waits() -> None:
    events = Events(PlayedAgent(PARKED).wait_change)
    received: list[bytes] = []

    async def listen() -> None:
        received.extend([chunk async for chunk in events.stream(1)])

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(listen())
        await asyncio.sleep(0)
        events.close()
    assert received[0] == b"retry: 1000\n\n"


async def test_a_number_that_went_back_after_a_restart_is_sent_too() -> None:
    stream = Events(PlayedAgent(PARKED).wait_change).stream(10**17)
    await anext(stream)
    assert await anext(stream) == b"id: 1\ndata: 1\n\n"


async def test_streams_are_bounded_and_an_ended_one_makes_room() -> None:
    events = Events(PlayedAgent(PARKED).wait_change)
    streams = [events.stream(0) for _ in range(MAX_STREAMS)]
    for stream in streams:
        await anext(stream)
    assert events.is_full
    await streams[0].aclose()
    assert not events.is_full
