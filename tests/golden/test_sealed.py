"""Sealed batches of every release: they still open, and only with their key."""

import pytest

from telemetry.codec.batch import batch_id, decode_batch
from telemetry.purposes import Purpose
from telemetry.seal import SealError, key_id_of, open_sealed, sealed_bytes
from tests.golden.sealed_examples import BATCH, FOLDER, KEYS

KEY_IDS = {"x25519.hex": "eedd883da0a94515", "mlkem768-x25519.hex": "60132e2348b2463f"}


@pytest.mark.parametrize("name", KEYS)
def test_a_golden_sealed_batch_opens_to_the_batch_it_was(name: str) -> None:
    sealed = bytes.fromhex((FOLDER / name).read_text())
    opened = open_sealed(sealed, purpose=Purpose.BATTERY, key=KEYS[name])
    assert opened == BATCH
    assert batch_id(opened) == batch_id(BATCH)
    assert decode_batch(opened).purpose is Purpose.BATTERY
    assert key_id_of(sealed).hex() == KEY_IDS[name]
    assert len(sealed) == sealed_bytes(len(BATCH), is_hybrid=name.startswith("mlkem"))


def test_the_golden_batches_do_not_open_with_each_other_s_key() -> None:
    plain, hybrid = (bytes.fromhex((FOLDER / name).read_text()) for name in KEYS)
    for sealed, key in ((plain, "mlkem768-x25519.hex"), (hybrid, "x25519.hex")):
        with pytest.raises(SealError, match="expected key"):
            open_sealed(sealed, purpose=Purpose.BATTERY, key=KEYS[key])
