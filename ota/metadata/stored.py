"""A zstd frame that holds its content as it is, so that anybody can write the same bytes again.

What a compressor makes of a content depends on its version; a frame of raw blocks does not. A
package in such a frame can be rebuilt from what is installed and a difference, and then has the
very hash that was signed. Every zstd reader reads it. Source of the layout: RFC 8878, 3.1.1.
"""

from typing import Protocol

BLOCK_BYTES = 131_072  # the most a block may hold
# Magic number; no content size, no checksum, no dictionary; a window of 128 KiB.
HEADER = b"\x28\xb5\x2f\xfd\x00\x38"
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
        self.written += self._out.write((len(content) << 3 | last).to_bytes(3, "little"))
        self.written += self._out.write(content)


def is_stored(beginning: bytes) -> bool:
    """Return whether a package that begins so was written by ``StoredWriter``."""
    return beginning.startswith(HEADER)
