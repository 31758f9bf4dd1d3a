import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from agent.signals.bus import BusWatch, Trouble
from agent.signals.can import CanSource, filters_for
from agent.signals.decode import FrameKey
from agent.signals.errors import SourceError
from agent.signals.live import LiveSource
from agent.signals.model import Frame, SignalSource
from agent.signals.polls import Poller
from agent.signals.pythoncan import can
from agent.signals.table import load_table
from tests.support.clock import FakeClock
from tests.support.wait import wait_until

ZE1 = load_table("nissan-leaf-ze1")
NEEDED = {FrameKey("can0", 0x1DB), FrameKey("can0", 0x79B), FrameKey("can1", 0x292)}


def test_a_kernel_filter_stands_for_each_needed_id_of_a_bus() -> None:
    keys = {*NEEDED, FrameKey("can0", 0x18DA10F1)}
    assert [(f["can_id"], f["can_mask"], f["extended"]) for f in filters_for(keys, "can0")] == [
        (0x1DB, 0x7FF, False),
        (0x79B, 0x7FF, False),
        (0x18DA10F1, 0x1FFFFFFF, True),
    ]


class Wire:
    """Two virtual interfaces of python-can, and the vehicle's end of the first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.watch = BusWatch([name], periods_s={})
        self.far = can.Bus(channel=name, interface="virtual")
        self.source = CanSource(
            [name],
            {FrameKey(name, 0x1DB), FrameKey(name, 0x79B)},
            clock=FakeClock(),
            watch=self.watch,
            kind="virtual",
            again_s=0.01,
            sleep=lambda _seconds: asyncio.sleep(0),
        )

    def tell(self, can_id: int, data: bytes = bytes(8), **kinds: bool) -> None:
        message = can.Message(arbitration_id=can_id, data=data, is_extended_id=False, **kinds)
        self.far.send(message)

    async def until_open(self) -> None:
        await wait_until(lambda: self.name in self.source._buses)


@asynccontextmanager
async def reading(
    wire: Wire, source: SignalSource | None = None
) -> AsyncIterator[AsyncIterator[Sequence[Frame]]]:
    batches = (source or wire.source).batches()
    queue: asyncio.Queue[Sequence[Frame]] = asyncio.Queue()

    async def pump() -> None:
        async for batch in batches:
            await queue.put(batch)

    async def taken() -> AsyncIterator[Sequence[Frame]]:
        while True:
            yield await queue.get()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(pump())
        await wire.until_open()
        yield taken()
        task.cancel()
    await batches.aclose()  # type: ignore[attr-defined]
    wire.far.shutdown()


async def test_live_frames_arrive_and_unneeded_ids_do_not() -> None:
    wire = Wire("needed-only")
    async with reading(wire) as batches:
        wire.tell(0x123)
        wire.tell(0x1DB, b"\x01\x02")
        batch = await anext(batches)
        assert [(f.bus, f.can_id, f.data) for f in batch] == [("needed-only", 0x1DB, b"\x01\x02")]


async def test_remote_and_fd_frames_are_counted_and_left_out() -> None:
    wire = Wire("odd-frames")
    async with reading(wire) as batches:
        wire.tell(0x1DB, b"", is_remote_frame=True)
        wire.tell(0x1DB, bytes(16), is_fd=True)
        wire.tell(0x1DB)
        await anext(batches)
        assert wire.source.other_frames == 2


async def test_an_error_frame_is_a_state_and_no_frame() -> None:
    wire = Wire("errors")
    async with reading(wire) as batches:
        wire.source._read("errors", ErrorBus(), asyncio.get_running_loop())  # type: ignore[arg-type]
        wire.tell(0x1DB)
        await anext(batches)
        assert {t.trouble for t in wire.watch.troubles(0.0)} == {Trouble.BUS_OFF}


class ErrorBus:
    def recv(self, _timeout_s: float) -> can.Message:
        return can.Message(arbitration_id=0x040, is_error_frame=True, data=bytes(8), dlc=8)


async def test_an_interface_that_is_not_there_is_opened_again_and_said() -> None:
    watch = BusWatch(["can7"], periods_s={})
    tries: list[str] = []

    def refuse(name: str, _filters: object) -> can.BusABC:
        tries.append(name)
        raise OSError(19, "No such device")

    source = CanSource(
        ["can7"], NEEDED, clock=FakeClock(), watch=watch, open_bus=refuse, again_s=0.01
    )
    batches = source.batches()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(anext(batches))  # type: ignore[arg-type]
        await wait_until(lambda: len(tries) > 1)
        waiting.cancel()
    await batches.aclose()  # type: ignore[attr-defined]
    assert "No such device" in watch.troubles(0.0)[0].text


async def test_no_interface_at_all_is_one_sentence() -> None:
    source = CanSource([], NEEDED, clock=FakeClock(), watch=BusWatch([], periods_s={}))
    with pytest.raises(SourceError, match="expected an interface to read, got none"):
        await anext(source.batches())


async def test_a_poll_goes_out_on_the_bus_that_is_heard() -> None:
    wire = Wire("polled")
    poller = Poller(
        [poll for poll in ZE1.polls if poll.bus == "ev"],
        {"ev": "polled"},
        is_state=lambda _name: True,
        is_tester_there=wire.watch.is_tester_there,
    )
    live = LiveSource(wire.source, wire.watch, poller=poller, send=wire.source.send)
    async with reading(wire, live) as batches:
        wire.tell(0x1DB)
        await anext(batches)
        heard = await asyncio.to_thread(wire.far.recv, 2.0)
        assert heard is not None
        assert (heard.arbitration_id, bytes(heard.data[:3])) == (0x79B, b"\x02\x21\x04")


async def test_nothing_is_sent_to_an_interface_that_is_not_open() -> None:
    source = CanSource(["x"], NEEDED, clock=FakeClock(), watch=BusWatch(["x"], periods_s={}))
    assert not source.send(Frame(0.0, "x", 0x79B, bytes(8)))
