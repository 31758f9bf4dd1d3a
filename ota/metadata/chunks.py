"""The list of an image's chunks: the SHA-256 of each, so that one bad piece costs one piece.

Shape: the binary digests of all chunks, one after the other, 32 bytes each and nothing else. The
list is served beside the image, under the image's name with the list's own hash as prefix; its
hash and length are signed (``custom.Chunks``).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ota.errors import HashMismatchError, LengthMismatchError
from ota.metadata.custom import Chunks

CHUNK_BYTES = 262_144  # 0.012 % of the image for the list; what one bad piece costs again
STORED_CHUNK_BYTES = 65_536  # of a package whose chunks may be made of what is installed
_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkList:
    """The digests of an image of ``length`` bytes, cut into pieces of ``size_bytes``."""

    size_bytes: int
    length: int
    digests: bytes

    def __len__(self) -> int:
        return len(self.digests) // _DIGEST_BYTES

    def span(self, index: int) -> tuple[int, int]:
        """Return the first byte of chunk ``index`` and the one after its last."""
        first = index * self.size_bytes
        return first, min(first + self.size_bytes, self.length)

    def holds(self, index: int, content: bytes) -> bool:
        """Return whether ``content`` is chunk ``index``."""
        first, stop = self.span(index)
        at = index * _DIGEST_BYTES
        wanted = self.digests[at : at + _DIGEST_BYTES]
        return len(content) == stop - first and hashlib.sha256(content).digest() == wanted

    def indexes(self) -> Iterator[int]:
        """Yield the number of every chunk, in order."""
        return iter(range(len(self)))

    def first(self, length: int) -> range:
        """Return the numbers of the chunks that hold the first ``length`` bytes."""
        return range(min(len(self), -(-length // self.size_bytes)))


def list_chunks(image: BinaryIO, *, size_bytes: int = CHUNK_BYTES) -> bytes:
    """Return the list of the chunks of ``image``, read from where it stands to its end."""
    digests = bytearray()
    while chunk := image.read(size_bytes):
        digests += hashlib.sha256(chunk).digest()
    return bytes(digests)


def describe(digests: bytes, *, size_bytes: int = CHUNK_BYTES) -> Chunks:
    """Return what is signed of the list ``digests``."""
    found = hashlib.sha256(digests).hexdigest()
    return Chunks(size_bytes=size_bytes, sha256=found, length=len(digests))


def open_list(digests: bytes, signed: Chunks, *, length: int) -> ChunkList:
    """Return the list ``digests`` of an image of ``length`` bytes if it is the signed one.

    Raises:
        LengthMismatchError: The list does not have its signed length, or not one digest a chunk.
        HashMismatchError: It is not the signed list.
    """
    wanted = -(-length // signed.size_bytes) * _DIGEST_BYTES
    if not len(digests) == signed.length == wanted:
        raise LengthMismatchError(
            "chunk list", expected=f"{wanted} bytes, signed {signed.length}", got=str(len(digests))
        )
    found = hashlib.sha256(digests).hexdigest()
    if found != signed.sha256:
        raise HashMismatchError("chunk list", expected=signed.sha256, got=found, intact="dropped")
    return ChunkList(size_bytes=signed.size_bytes, length=length, digests=digests)
