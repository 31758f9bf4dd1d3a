import pytest

from telemetry.codec.batch import batch_id
from telemetry.codec.cbor import dump
from telemetry.codec.errors import CodecError
from telemetry.codec.part import ENVELOPE_BYTES, MAX_PARTS, decode_part, join, split
from tests.support.batches import batch_payload

LIMIT = 1 << 20
ID = bytes(32)


def part_bytes(**changes: object) -> bytes:
    names = ("version", "sealed_id", "part", "parts", "size", "chunk")
    fields = dict(zip(names, (1, ID, 1, 2, 100, b"chunk"), strict=True)) | changes
    return dump({number: fields[name] for number, name in enumerate(names)})


@pytest.mark.parametrize("max_bytes", [100, 101, 128, 200])
def test_what_is_split_is_joined_to_the_same_bytes(max_bytes: int) -> None:
    payload = batch_payload(rows=500)
    cut = split(payload, max_bytes=max_bytes)
    assert all(len(data) <= max_bytes for data in cut)
    parts = [decode_part(data, max_bytes=LIMIT) for data in cut]
    assert [part.part for part in parts] == list(range(1, len(parts) + 1))
    assert {(part.parts, part.sealed_id) for part in parts} == {(len(parts), batch_id(payload))}
    assert join(parts) == payload


def test_the_head_of_a_part_is_within_what_is_kept_for_it() -> None:
    payload = bytes(MAX_PARTS * 1000)
    chunk_bytes = 1000
    longest = max(map(len, split(payload, max_bytes=chunk_bytes + ENVELOPE_BYTES)))
    assert longest <= chunk_bytes + ENVELOPE_BYTES


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at most 1024 parts of 74 bytes"):
        split(bytes(MAX_PARTS * 10 + 1), max_bytes=ENVELOPE_BYTES + 10)


def test_no_room_for_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at most 1024 parts"):
        split(bytes(100), max_bytes=ENVELOPE_BYTES)


def test_what_fits_is_not_split() -> None:
    with pytest.raises(ValueError, match="expected more than 136 bytes, got 136"):
        split(bytes(136), max_bytes=200)


def test_parts_of_other_bytes_are_not_joined() -> None:
    parts = [
        decode_part(data, max_bytes=LIMIT) for data in split(batch_payload(rows=99), max_bytes=100)
    ]
    with pytest.raises(CodecError, match="do not make sealed batch"):
        join(parts[1:])


BAD = {
    "empty": (b"", "codec.shape"),
    "breaks": (b"\xff" * 40, "codec.shape"),
    "a-batch": (batch_payload(), "codec.shape"),
    "version-2": (part_bytes(version=2), "codec.version"),
    "version-true": (part_bytes(version=True), "codec.version"),
    "short-id": (part_bytes(sealed_id=b"short"), "codec.shape"),
    "part-0": (part_bytes(part=0), "codec.range"),
    "part-negative": (part_bytes(part=-1), "codec.range"),
    "part-beyond": (part_bytes(part=3), "codec.range"),
    "one-part": (part_bytes(parts=1), "codec.range"),
    "too-many-parts": (part_bytes(parts=MAX_PARTS + 1), "codec.range"),
    "part-float": (part_bytes(part=1.0), "codec.shape"),
    "part-nan": (part_bytes(part=float("nan")), "codec.shape"),
    "size-true": (part_bytes(size=True), "codec.shape"),
    "size-too-large": (part_bytes(size=LIMIT + 1), "codec.too_large"),
    "size-astronomic": (part_bytes(size=10**30), "codec.shape"),
    "size-negative": (part_bytes(size=-5), "codec.shape"),
    "chunk-empty": (part_bytes(chunk=b""), "codec.shape"),
    "chunk-text": (part_bytes(chunk="text"), "codec.shape"),
    "chunk-larger-than-batch": (part_bytes(chunk=bytes(101)), "codec.shape"),
    "chunk-too-large": (part_bytes(chunk=bytes(LIMIT + 100)), "codec.too_large"),
    "something-behind": (part_bytes() + b"\x00", "codec.not_deterministic"),
}


@pytest.mark.parametrize(("data", "code"), BAD.values(), ids=BAD)
def test_a_part_that_cannot_be_is_refused_with_a_code(data: bytes, code: str) -> None:
    with pytest.raises(CodecError, match="part") as caught:
        decode_part(data, max_bytes=LIMIT)
    assert caught.value.code == code
