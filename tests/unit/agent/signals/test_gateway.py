import asyncio
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.signals.gateway import GatewaySource, pack_frames, unpack_frames
from agent.signals.model import Frame
from tests.support.wait import wait_until

BUSES = ("can0", "can1")
FRAME = Frame(12.5, "can1", 0x292, bytes(8))

frames = st.lists(
    st.builds(
        Frame,
        st.floats(0, 1e9),
        st.sampled_from(BUSES),
        st.integers(0, 0x1FFF_FFFF),
        st.binary(max_size=8),
    ),
    max_size=64,
)


@given(frames)
def test_what_is_unpacked_is_what_was_packed(batch: list[Frame]) -> None:
    assert unpack_frames(pack_frames(batch, BUSES), BUSES) == batch


@given(st.binary(max_size=200))
def test_random_bytes_are_frames_or_a_value_error(datagram: bytes) -> None:
    try:
        unpack_frames(datagram, BUSES)
    except ValueError as error:
        assert "expected" in str(error)  # noqa: PT017 (either outcome is right, nothing else is)


def test_a_bus_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="bus 1"):
        unpack_frames(pack_frames([FRAME], BUSES), BUSES[:1])


async def test_frames_arrive_and_malformed_datagrams_are_counted(tmp_path: Path) -> None:
    source = GatewaySource(tmp_path / "can.sock", BUSES)
    batches = source.batches()
    first = asyncio.ensure_future(anext(batches))
    await wait_until((tmp_path / "can.sock").exists)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(tmp_path / "can.sock"))
        sender.send(b"nonsense")
        sender.send(pack_frames([FRAME], BUSES))
    assert await first == [FRAME]
    assert source.malformed == 1
    await batches.aclose()
    assert not (tmp_path / "can.sock").exists()


async def test_a_full_queue_drops_the_oldest_and_counts_it(tmp_path: Path) -> None:
    source = GatewaySource(tmp_path / "can.sock", BUSES, max_datagrams=1)
    source._put(b"old")
    source._put(pack_frames([FRAME], BUSES))
    assert (source.dropped, source._take()) == (1, [FRAME])


async def test_what_comes_while_a_batch_gathers_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "can.sock"

    async def send_another(_seconds: float) -> None:
        await asyncio.to_thread(sender.sendto, pack_frames([FRAME], BUSES), str(path))
        await wait_until(lambda: len(source._queue) == 2)

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        source = GatewaySource(path, BUSES, sleep=send_another)
        batches = source.batches()
        first = asyncio.ensure_future(anext(batches))
        await wait_until(path.exists)
        sender.sendto(pack_frames([FRAME], BUSES), str(path))
        assert await first == [FRAME, FRAME]
        await batches.aclose()
