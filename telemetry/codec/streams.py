"""Rows without end: a stream of column blocks, written and read with bounded memory.

Shape::

    stream = *( length:varint block )     ; length in bytes, LEB128; block: see columns.py

Each block stands alone, so a reader that has one can forget it before the next one comes, and a cut
stream gives everything before the cut. Neither side ever holds more than one block of rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from telemetry.codec.cells import Cell
from telemetry.codec.columns import decode_columns, encode_columns, varint
from telemetry.codec.errors import CodecError
from telemetry.codec.models import Model

BLOCK_ROWS = 4_096
MAX_BLOCK_BYTES = 4 << 20  # a block of 4,096 rows of 100 columns of 10 bytes
_LENGTH_BYTES = 4  # enough for MAX_BLOCK_BYTES

Row = Sequence[Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """How much of a stream is held at a time."""

    max_columns: int
    max_rows: int = BLOCK_ROWS  # in one block
    max_block_bytes: int = MAX_BLOCK_BYTES


def encode_stream(
    rows: Iterable[Row], *, model: Model | None = None, block_rows: int = BLOCK_ROWS
) -> Iterator[bytes]:
    """Yield the stream of ``rows`` block by block; rows are taken as they are needed.

    Raises:
        ValueError: Rows of different lengths, or values beyond 64 bits.
    """
    source = iter(rows)
    while block := list(islice(source, block_rows)):
        data = encode_columns(list(zip(*block, strict=True)), model=model)
        yield varint(len(data)) + data


def decode_stream(
    chunks: Iterable[bytes], *, limits: StreamLimits, model: Model | None = None
) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of a stream that arrives in ``chunks`` of any size.

    Raises:
        CodecError: A block that is none or beyond ``limits``, or an end in mid-block; the rows of
            the blocks before have been yielded.
    """
    waiting = bytearray()
    for chunk in chunks:
        for piece in _pieces(chunk, limits.max_block_bytes):
            waiting += piece
            while (block := _take_block(waiting, limits)) is not None:
                columns = decode_columns(
                    block, max_rows=limits.max_rows, max_columns=limits.max_columns, model=model
                )
                yield from zip(*columns, strict=True)
    if waiting:
        raise CodecError("stream: ends within a block", code="codec.truncated")


def _pieces(chunk: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(chunk), size):
        yield chunk[at : at + size]


def _take_block(waiting: bytearray, limits: StreamLimits) -> bytes | None:
    """Remove and return the first block; None if it is not whole yet."""
    length = 0
    for at, byte in enumerate(waiting[:_LENGTH_BYTES]):
        length |= (byte & 0x7F) << 7 * at
        if byte < 0x80:  # noqa: PLR2004 (LEB128: the last byte has no top bit)
            return _cut(waiting, at + 1, length, limits)
    if len(waiting) >= _LENGTH_BYTES:
        raise CodecError("stream: a length without end", code="codec.too_large")
    return None


def _cut(waiting: bytearray, start: int, length: int, limits: StreamLimits) -> bytes | None:
    if not 0 < length <= limits.max_block_bytes:
        raise CodecError(
            f"stream: expected blocks of 1 to {limits.max_block_bytes} bytes, got {length}",
            code="codec.too_large",
        )
    if len(waiting) < start + length:
        return None
    block = bytes(waiting[start : start + length])
    del waiting[: start + length]
    return block
