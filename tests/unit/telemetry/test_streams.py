"""Streams: any length, any cut, bounded memory."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.codec.errors import CodecError
from telemetry.codec.streams import StreamLimits, decode_stream, encode_stream

LIMITS = StreamLimits(max_columns=3, max_rows=64, max_block_bytes=2_000)
Row = tuple[int | None, ...]


def drive(seconds: int) -> Iterator[Row]:
    for second in range(seconds):
        yield second * 1000, 700 - second % 13, None if second % 7 == 0 else second * second % 101


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@given(
    st.lists(st.tuples(*[st.none() | st.integers(-(2**63) + 1, 2**63 - 1)] * 3), max_size=40),
    st.integers(1, 50),
    st.integers(1, 20),
)
def test_any_rows_come_back_in_any_chunks(rows: list[Row], size: int, block_rows: int) -> None:
    data = b"".join(encode_stream(rows, block_rows=block_rows))
    assert list(decode_stream(chunks(data, size), limits=LIMITS)) == rows


def peak_bytes(seconds: int) -> int:
    tracemalloc.start()
    stream = encode_stream(drive(seconds), block_rows=64)
    count = sum(1 for _ in decode_stream(stream, limits=LIMITS))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == seconds
    return peak


@pytest.mark.slow
def test_memory_does_not_grow_with_the_stream() -> None:
    peak_bytes(6_400)  # fills the caches
    assert peak_bytes(6_400) < 1.5 * peak_bytes(640) + 20_000


def test_a_cut_stream_gives_everything_before_the_cut() -> None:
    data = b"".join(encode_stream(drive(200), block_rows=64))
    rows = decode_stream([data[:-1]], limits=LIMITS)
    assert [next(rows) for _ in range(192)] == list(drive(192))
    with pytest.raises(CodecError, match="ends within a block") as caught:
        next(rows)
    assert caught.value.code == "codec.truncated"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xff\xff\xff\x0f", "a length without end"),
        (b"\x00", "expected blocks of 1 to 2000 bytes, got 0"),
        (b"\xd1\x0f", "expected blocks of 1 to 2000 bytes, got 2001"),
    ],
)
def test_a_length_beyond_the_limit_is_refused_before_it_is_waited_for(
    data: bytes, message: str
) -> None:
    with pytest.raises(CodecError, match=message) as caught:
        list(decode_stream([data], limits=LIMITS))
    assert caught.value.code == "codec.too_large"


def test_a_huge_chunk_is_not_copied_whole() -> None:
    block = next(encode_stream(drive(64), block_rows=64))
    rows = decode_stream([block * 50], limits=LIMITS)
    assert sum(1 for _ in rows) == 64 * 50
