"""Parts of a sealed batch that is too large for one packet of the broker. Pure.

Shape (CDDL, RFC 8610; docs/reference/parts.md)::

    part = { 0: 1, 1: id, 2: part: 1..1024, 3: parts: 2..1024, 4: size: uint, 5: chunk: bstr }
    id = bstr .size 32                 ; sealed id: SHA-256 of the whole sealed batch
    size = uint                        ; bytes of the whole sealed batch

Deterministic CBOR. Parts count from 1, because receipts use part 0 for the batch as a whole: a
receipt for part 3 names the sealed id and says that this part is kept; only one for part 0, which
names the batch id, says that the batch is stored. Sealed again, a batch has another sealed id, so
that parts of two ciphertexts are never mixed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from telemetry.codec.batch import batch_id
from telemetry.codec.cbor import dump, load
from telemetry.codec.errors import CodecError
from telemetry.records import BATCH_ID_BYTES

CONTENT_TYPE = "application/vnd.okdrive.part+cbor"
VERSION = 1
MAX_PARTS = 1024
ENVELOPE_BYTES = 64  # map, id, three numbers and the head of the chunk have at most 59
_KEYS = {0, 1, 2, 3, 4, 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part; ``chunk`` is not believed before all parts are joined."""

    sealed_id: bytes  # of the whole sealed batch, 32 bytes
    part: int  # from 1
    parts: int
    size_bytes: int  # of the whole sealed batch
    chunk: bytes


def split(payload: bytes, *, max_bytes: int) -> list[bytes]:
    """Return ``payload`` as encoded parts of at most ``max_bytes`` each, all chunks alike.

    Raises:
        ValueError: That would be more than ``MAX_PARTS`` parts, or fewer than two.
    """
    chunk_bytes = max_bytes - ENVELOPE_BYTES
    if chunk_bytes <= 0 or len(payload) > chunk_bytes * MAX_PARTS:
        raise ValueError(
            f"payload: expected at most {MAX_PARTS} parts of {max_bytes} bytes, "
            f"got {len(payload)} bytes"
        )
    identity = batch_id(payload)
    chunks = [payload[at : at + chunk_bytes] for at in range(0, len(payload), chunk_bytes)]
    if len(chunks) < 2:  # noqa: PLR2004 (what fits one part travels whole)
        raise ValueError(f"payload: expected more than {chunk_bytes} bytes, got {len(payload)}")
    return [
        dump({0: VERSION, 1: identity, 2: number, 3: len(chunks), 4: len(payload), 5: chunk})
        for number, chunk in enumerate(chunks, 1)
    ]


def decode_part(data: bytes, *, max_bytes: int) -> Part:
    """Return the part in ``data``; the sealed batch it is of may have ``max_bytes`` at most.

    Raises:
        CodecError: Not a part of version 1, or of a batch that is too large.
    """
    fields = load(data, max_bytes=max_bytes + ENVELOPE_BYTES, what="part")
    if not isinstance(fields, dict) or set(fields) != _KEYS:
        raise CodecError("part: expected the fields 0 to 5", code="codec.shape")
    return _checked(cast("dict[int, Any]", fields), max_bytes)


def join(parts: Sequence[Part]) -> bytes:
    """Return the sealed batch that ``parts``, complete and in order, belong to.

    Raises:
        CodecError: Their bytes are not those of the sealed id.
    """
    payload = b"".join(part.chunk for part in parts)
    if batch_id(payload) != parts[0].sealed_id:
        raise CodecError(
            f"part: {len(parts)} parts do not make sealed batch {parts[0].sealed_id.hex()[:16]}",
            code="codec.parts_differ",
        )
    return payload


def _checked(fields: dict[int, Any], max_bytes: int) -> Part:
    version, identity, part, parts, size_bytes, chunk = (fields[key] for key in sorted(_KEYS))
    if type(version) is not int or version != VERSION:
        raise CodecError("part: expected version 1", code="codec.version")
    if not isinstance(identity, bytes) or len(identity) != BATCH_ID_BYTES:
        raise CodecError("part: expected a sealed id of 32 bytes", code="codec.shape")
    if [type(number) for number in (part, parts, size_bytes)] != [int] * 3:
        raise CodecError("part: expected whole numbers", code="codec.shape")
    if not 2 <= parts <= MAX_PARTS or not 1 <= part <= parts:  # noqa: PLR2004 (as in the shape)
        raise CodecError(f"part: expected 1 to {MAX_PARTS}, got {part}/{parts}", code="codec.range")
    if size_bytes > max_bytes:
        raise CodecError(
            f"part: expected a batch of at most {max_bytes} bytes, got one of {size_bytes}",
            code="codec.too_large",
        )
    if not isinstance(chunk, bytes) or not 0 < len(chunk) <= size_bytes:
        raise CodecError("part: expected a chunk that is part of the batch", code="codec.shape")
    return Part(sealed_id=identity, part=part, parts=parts, size_bytes=size_bytes, chunk=chunk)
