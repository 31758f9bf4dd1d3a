"""A zstd frame that holds its content as it is, so that anybody can write the same bytes again.

What a compressor makes of a content depends on its version; a frame of raw blocks does not. A
package in such a frame can be rebuilt from what is installed and a difference, and then has the
very hash that was signed. Every zstd reader reads it. Source of the layout: RFC 8878, 3.1.1.
"""

from collections.abc import Iterator
from typing import Protocol

from ota.errors import UnsafePackageError

BLOCK_BYTES = 131_072  # the most a block may hold
# Magic number; no content size, no checksum, no dictionary; a window of 128 KiB.
HEADER = b"\x28\xb5\x2f\xfd\x00\x38"
MARK_BYTES = 3  # before every block
_LAST = 1


class Writer(Protocol):
    """Where the frame goes."""

    def write(self, content: bytes, /) -> int:
        """Write ``content``; return its length."""


class StoredWriter:
    """Writes one frame of raw blocks to ``out``; every block but the last is full."""

    def __init__(self, out: Writer) -> None:
        self._out = out
        self._waiting = bytearray()
        self.written = out.write(HEADER)

    def write(self, content: bytes) -> int:
        """Write ``content``; return its length."""
        self._waiting += content
        while len(self._waiting) > BLOCK_BYTES:
            self._block(bytes(self._waiting[:BLOCK_BYTES]), 0)
            del self._waiting[:BLOCK_BYTES]
        return len(content)

    def close(self) -> None:
        """End the frame; ``out`` stays open."""
        self._block(bytes(self._waiting), _LAST)
        self._waiting.clear()

    def _block(self, content: bytes, last: int) -> None:
        self.written += self._out.write(_mark(len(content), last))
        self.written += self._out.write(content)


def is_stored(beginning: bytes) -> bool:
    """Return whether a package that begins so was written by ``StoredWriter``."""
    return beginning.startswith(HEADER)


def unframed(beginning: bytes) -> bytes:
    """Return the content in ``beginning``, the first bytes of a frame; it may end anywhere.

    Raises:
        UnsafePackageError: It is not a frame of raw blocks, all but the last of them full.
    """
    if not is_stored(beginning):
        raise _unsafe("a stored package")
    content, at = bytearray(), len(HEADER)
    while at + MARK_BYTES <= len(beginning):
        mark = beginning[at : at + MARK_BYTES]
        size = int.from_bytes(mark, "little") >> 3
        if mark not in {_mark(size, 0), _mark(size, _LAST)} or size > BLOCK_BYTES:
            raise _unsafe("a raw block")
        is_last = mark == _mark(size, _LAST)
        if not is_last and size != BLOCK_BYTES:
            raise _unsafe(f"a block of {BLOCK_BYTES} bytes")
        at += MARK_BYTES
        content += beginning[at : at + size]
        if is_last:
            break
        at += size
    return bytes(content)


def framed_length(length: int) -> int:
    """Return how long the frame of ``length`` bytes is; they are at least one."""
    return len(HEADER) + -(-length // BLOCK_BYTES) * MARK_BYTES + length


def spans(first: int, stop: int, *, length: int) -> Iterator[bytes | tuple[int, int]]:
    """Yield what the frame of ``length`` bytes holds from ``first`` to before ``stop``.

    Bytes are the frame's own; a pair is a span of the content, from the one to before the other.
    """
    yield from _own(HEADER, 0, first, stop)
    full = BLOCK_BYTES + MARK_BYTES
    blocks = -(-length // BLOCK_BYTES)
    for block in range(max(0, first - len(HEADER)) // full, blocks):
        at = len(HEADER) + block * full
        if at >= stop:
            return
        begin = block * BLOCK_BYTES
        size = min(BLOCK_BYTES, length - begin)
        yield from _own(_mark(size, block == blocks - 1), at, first, stop)
        at += MARK_BYTES
        low, high = max(first, at), min(stop, at + size)
        if low < high:
            yield begin + low - at, begin + high - at


def places(first: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield where in a frame its content is from ``first`` to before ``stop``: (offset, size)."""
    while first < stop:
        size = min(stop - first, BLOCK_BYTES - first % BLOCK_BYTES)
        yield len(HEADER) + (first // BLOCK_BYTES + 1) * MARK_BYTES + first, size
        first += size


def _own(mark: bytes, at: int, first: int, stop: int) -> Iterator[bytes]:
    found = mark[max(0, first - at) : max(0, stop - at)]
    if found:
        yield found


def _mark(size: int, last: int) -> bytes:
    return (size << 3 | last).to_bytes(MARK_BYTES, "little")


def _unsafe(expected: str) -> UnsafePackageError:
    return UnsafePackageError("package", expected=expected, got="other bytes")
