"""A difference: how to make one stored package from another one's files, piece by piece.

Shape: MAGIC, then records. A record is the length of its head (4 bytes, little endian), the head
(MessagePack, one of the Structs below) and ``packed`` bytes that belong to it. The first head is a
``Head``; the others together give the package's tar, in order. Each piece is at most PIECE_BYTES,
and is packed against at most SPAN_BYTES of one installed file: that bounds the memory.
"""

from collections.abc import Iterator
from typing import Annotated, BinaryIO

import msgspec
from msgspec import Meta, Struct

from ota.errors import PatchError

MAGIC = b"okdelta1\n"
PIECE_BYTES = 1_048_576
SPAN_BYTES = 5_242_880
WINDOW_LOG = 23  # 8 MiB: a piece and what it is packed against
_MAX_HEAD_BYTES = 4_096
_MAX_PACKED_BYTES = PIECE_BYTES + 65_536  # what cannot be packed grows a little

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Offset = Annotated[int, Meta(ge=0, le=2**40)]
Size = Annotated[int, Meta(ge=1, le=PIECE_BYTES)]
Packed = Annotated[int, Meta(ge=0, le=_MAX_PACKED_BYTES)]
FilePath = Annotated[str, Meta(min_length=1, max_length=240)]


class Head(Struct, frozen=True, kw_only=True, tag=0, array_like=True, forbid_unknown_fields=True):
    """Between which packages: ``from_sha256`` None makes the whole package from nothing."""

    from_sha256: Sha256 | None
    result_sha256: Sha256


class Copy(Struct, frozen=True, kw_only=True, tag=1, array_like=True, forbid_unknown_fields=True):
    """A whole installed file, as it is."""

    path: FilePath
    size: Offset


class Data(Struct, frozen=True, kw_only=True, tag=2, array_like=True, forbid_unknown_fields=True):
    """``size`` bytes that are in no installed file, packed with zstd."""

    size: Size
    packed: Packed


class Patch(Struct, frozen=True, kw_only=True, tag=3, array_like=True, forbid_unknown_fields=True):
    """``size`` bytes packed with zstd against ``span`` bytes of an installed file."""

    path: FilePath
    first: Offset
    span: Annotated[int, Meta(ge=1, le=SPAN_BYTES)]
    size: Size
    packed: Packed


Record = Head | Copy | Data | Patch
_decoder = msgspec.msgpack.Decoder(Record)


def write_record(out: BinaryIO, record: Record, packed: bytes = b"") -> None:
    """Write ``record`` and what belongs to it to ``out``."""
    head = msgspec.msgpack.encode(record)
    out.write(len(head).to_bytes(4, "little") + head + packed)


def read_records(stream: BinaryIO) -> Iterator[tuple[Record, bytes]]:
    """Yield every record of ``stream`` with its packed bytes.

    Raises:
        PatchError: It is no difference, or ends in the middle.
    """
    if stream.read(len(MAGIC)) != MAGIC:
        raise _unfit("a difference", "other bytes")
    while size := stream.read(4):
        length = int.from_bytes(size, "little")
        if len(size) != 4 or length > _MAX_HEAD_BYTES:  # noqa: PLR2004 (what was asked for)
            raise _unfit(f"a head of at most {_MAX_HEAD_BYTES} bytes", str(length))
        try:
            record = _decoder.decode(_exactly(stream, length))
        except msgspec.MsgspecError as error:
            raise _unfit("a record", str(error)[:200]) from error
        yield record, _exactly(stream, getattr(record, "packed", 0))


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) != size:
        raise _unfit(f"{size} more bytes", "the end")
    return content


def _unfit(expected: str, got: str) -> PatchError:
    return PatchError("difference", expected=expected, got=got)
