import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from telemetry.codec.cbor import dump
from telemetry.purposes import Purpose
from telemetry.seal import (
    LARGEST_BATCH_BYTES,
    LARGEST_CLASS_BYTES,
    OpeningKey,
    SealError,
    key_id_of,
    largest_sealed,
    open_sealed,
    pad,
    seal,
    sealed_bytes,
    size_class,
    unpad,
)

KEYS = {
    "x25519": OpeningKey(X25519PrivateKey.generate()),
    "hybrid": OpeningKey(X25519PrivateKey.generate(), MLKEM768PrivateKey.generate()),
}
BATCH = b"a batch" * 30


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_only_the_recipient_opens_it(key: OpeningKey) -> None:
    sealed = seal(BATCH, purpose=Purpose.CHARGING, key=key.public)
    assert BATCH[:20] not in sealed
    assert open_sealed(sealed, purpose=Purpose.CHARGING, key=key) == BATCH


def test_a_stranger_s_key_is_told_apart_before_it_is_tried() -> None:
    sealed = seal(BATCH, purpose=Purpose.TRAFFIC, key=KEYS["x25519"].public)
    with pytest.raises(SealError, match="expected key") as caught:
        open_sealed(sealed, purpose=Purpose.TRAFFIC, key=OpeningKey(X25519PrivateKey.generate()))
    assert caught.value.code == "seal.key"


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_what_was_sealed_for_one_purpose_is_not_opened_for_another(key: OpeningKey) -> None:
    sealed = seal(BATCH, purpose=Purpose.CHARGING, key=key.public)
    with pytest.raises(SealError, match="changed or not for us") as caught:
        open_sealed(sealed, purpose=Purpose.BATTERY, key=key)
    assert caught.value.code == "seal.broken"


@pytest.mark.parametrize("at", [14, 46, 200, -1])
def test_one_changed_bit_is_found(at: int) -> None:
    key = KEYS["x25519"]
    changed = bytearray(seal(BATCH, purpose=Purpose.JOURNEYS, key=key.public))
    changed[at] ^= 1
    with pytest.raises(SealError, match="changed or not for us"):
        open_sealed(bytes(changed), purpose=Purpose.JOURNEYS, key=key)


@pytest.mark.parametrize("size", [0, 8, 9, 40])
def test_too_few_bytes_are_refused_not_fatal(size: int) -> None:
    key = KEYS["x25519"]
    sealed = seal(BATCH, purpose=Purpose.JOURNEYS, key=key.public)
    with pytest.raises(SealError, match="not opened") as caught:
        open_sealed(sealed[:size], purpose=Purpose.JOURNEYS, key=key)
    assert caught.value.code == "seal.shape"


@pytest.mark.parametrize(
    "fields", [[2, bytes(8), b"x"], [1, bytes(7), b"x"], [True, bytes(8), b"x"], [1, bytes(8)], 7]
)
def test_another_shape_or_version_is_refused_before_any_key_is_tried(fields: object) -> None:
    with pytest.raises(SealError, match="expected version") as caught:
        key_id_of(dump(fields))
    assert caught.value.code == "seal.shape"


def test_more_bytes_than_allowed_are_not_even_parsed() -> None:
    sealed = seal(bytes(10_000), purpose=Purpose.BATTERY, key=KEYS["x25519"].public)
    with pytest.raises(SealError, match="expected at most"):
        key_id_of(sealed, max_bytes=1_000)


@pytest.mark.parametrize("size", [0, 511, 60_000, 70_000, 900_000])
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_the_size_that_travels_is_known_before_anything_is_sealed(
    key: OpeningKey, size: int
) -> None:
    sealed = seal(bytes(size), purpose=Purpose.BATTERY, key=key.public)
    assert len(sealed) == sealed_bytes(size, is_hybrid=key.public.is_hybrid)
    assert len(sealed) <= largest_sealed(size)
    assert key_id_of(sealed) == key.public.key_id


@pytest.mark.parametrize("size", [0, 1, 100, 511])
def test_every_small_batch_looks_the_same_from_outside(size: int) -> None:
    key = KEYS["x25519"].public
    assert len(seal(bytes(size), purpose=Purpose.TRAFFIC, key=key)) == 14 + 32 + 512 + 16


def test_the_hybrid_costs_1088_bytes_more() -> None:
    sizes = [len(seal(BATCH, purpose=Purpose.BATTERY, key=key.public)) for key in KEYS.values()]
    assert sizes[1] - sizes[0] == 1_088


@given(st.binary(max_size=4_000))
def test_padding_comes_off_again_and_wastes_a_quarter_at_most(batch: bytes) -> None:
    padded = pad(batch)
    assert unpad(padded) == batch
    assert len(padded) == size_class(len(batch))
    assert len(padded) <= max(512, 1.25 * (len(batch) + 1) + 1)


@given(st.binary(max_size=700))
def test_other_bytes_are_not_taken_for_padded(data: bytes) -> None:
    try:
        batch = unpad(data)
    except SealError:
        return
    assert pad(batch) == data


def test_what_fits_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at most 16777216 bytes"):
        size_class(LARGEST_CLASS_BYTES)
    assert size_class(LARGEST_BATCH_BYTES) == LARGEST_CLASS_BYTES
