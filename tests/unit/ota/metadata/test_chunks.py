"""The list of an image's pieces holds exactly its bytes."""

import io

import pytest

from ota.errors import HashMismatchError, LengthMismatchError
from ota.metadata.chunks import describe, list_chunks, open_list

IMAGE = bytes(range(256)) * 40 + b"end"
DIGESTS = list_chunks(io.BytesIO(IMAGE), size_bytes=4_096)
SIGNED = describe(DIGESTS, size_bytes=4_096)


def test_every_piece_is_held_and_no_other() -> None:
    chunks = open_list(DIGESTS, SIGNED, length=len(IMAGE))
    assert [chunks.span(index) for index in chunks.indexes()] == [
        (0, 4_096),
        (4_096, 8_192),
        (8_192, 10_243),
    ]
    for index in chunks.indexes():
        first, stop = chunks.span(index)
        assert chunks.holds(index, IMAGE[first:stop])
        assert not chunks.holds(index, IMAGE[first : stop - 1])
        assert not chunks.holds(index, bytes(stop - first))


def test_a_list_of_another_image_is_refused() -> None:
    with pytest.raises(LengthMismatchError, match="expected 64 bytes"):
        open_list(DIGESTS, SIGNED, length=8_192)
    with pytest.raises(LengthMismatchError, match="expected 96 bytes, signed 96, got 64"):
        open_list(DIGESTS[:-32], SIGNED, length=len(IMAGE))
    with pytest.raises(HashMismatchError, match="dropped"):
        open_list(DIGESTS[::-1], SIGNED, length=len(IMAGE))
