"""Any bytes are cut and joined; any bytes that are no part are refused and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.codec.errors import CodecError
from telemetry.codec.part import ENVELOPE_BYTES, decode_part, join, split

LIMIT = 1 << 20


@given(st.binary(min_size=2, max_size=5_000), st.data())
def test_what_is_cut_is_joined(payload: bytes, data: st.DataObject) -> None:
    smallest = ENVELOPE_BYTES + max(1, len(payload) // 1_000)
    max_bytes = data.draw(st.integers(smallest + 1, ENVELOPE_BYTES + max(len(payload) - 1, 7)))
    if len(payload) <= max_bytes - ENVELOPE_BYTES:
        return
    parts = split(payload, max_bytes=max_bytes)
    assert max(map(len, parts)) <= max_bytes
    assert join([decode_part(part, max_bytes=LIMIT) for part in parts]) == payload


@given(st.binary(max_size=200))
def test_noise_is_refused_with_a_code(noise: bytes) -> None:
    with pytest.raises(CodecError, match="part"):
        decode_part(noise, max_bytes=LIMIT)


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_makes_no_batch(at: int, flip: int) -> None:
    payload = bytes(range(250))
    parts = split(payload, max_bytes=190)
    changed = bytearray(parts[0])
    changed[at % len(changed)] ^= flip
    try:
        first = decode_part(bytes(changed), max_bytes=LIMIT)
        rest = [decode_part(part, max_bytes=LIMIT) for part in parts[1:]]
        joined = join([first, *rest])
    except CodecError:
        return
    assert joined == payload  # the byte was one of the numbers, which joining does not need
