"""One key for each thing, and what was opened by a destroyed one stays closed for ever."""

import os
from pathlib import Path

import pytest

from agent.store.vault import OVERHEAD_BYTES, SEGMENT, KeyLostError, Vault

PLAIN = b"a summary of a trip that ended at home"


class FakeToken:
    """Keeps a key that never leaves it."""

    def __init__(self) -> None:
        self._pad = os.urandom(32)

    def wrap(self, key: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(key, self._pad, strict=True)) + b"token"

    def unwrap(self, wrapped: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(wrapped[:-5], self._pad, strict=True))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "keys")


def test_what_is_sealed_is_opened_again_and_only_under_its_name(vault: Vault) -> None:
    sealed = vault.seal("trip 1", "trip", PLAIN)
    assert len(sealed) == len(PLAIN) + OVERHEAD_BYTES
    assert PLAIN not in sealed
    assert vault.open("trip 1", sealed) == PLAIN
    vault.seal("trip 2", "trip", b"")
    with pytest.raises(KeyLostError, match="expected what its key sealed"):
        vault.open("trip 2", sealed)


def test_another_process_opens_it_too_and_sees_new_keys(vault: Vault, tmp_path: Path) -> None:
    other = Vault(tmp_path / "keys")
    for number in range(50):
        sealed = vault.seal(f"trip {number}", "trip", PLAIN)
        assert other.open(f"trip {number}", sealed) == PLAIN


def test_every_thing_has_a_key_of_its_own(vault: Vault) -> None:
    first, second = (vault.seal(f"batch {number}", "battery", PLAIN) for number in (1, 2))
    assert vault.destroy(["batch 1"]) == 1
    with pytest.raises(KeyLostError, match="batch 1: expected its key, found none"):
        vault.open("batch 1", first)
    assert vault.open("batch 2", second) == PLAIN


def test_a_destroyed_key_is_overwritten_in_place(vault: Vault, tmp_path: Path) -> None:
    vault.seal("trip 1", "trip", PLAIN)
    before = (tmp_path / "keys" / "slots").read_bytes()
    inode = (tmp_path / "keys" / "slots").stat().st_ino
    vault.destroy(["trip 1"])
    after = (tmp_path / "keys" / "slots").read_bytes()
    assert (len(after), (tmp_path / "keys" / "slots").stat().st_ino) == (len(before), inode)
    assert after == bytes(len(before))
    vault.seal("trip 2", "trip", PLAIN)
    assert (tmp_path / "keys" / "slots").stat().st_size == len(before)


def test_only_what_is_still_named_keeps_its_key(vault: Vault) -> None:
    kept, gone = vault.seal("trip 1", "trip", PLAIN), vault.seal("batch 1", "battery", PLAIN)
    segment = vault.seal("segment 1", SEGMENT, PLAIN)
    assert vault.keep_only(["trip 1"]) == 1
    assert vault.open("trip 1", kept) == vault.open("segment 1", segment) == PLAIN
    with pytest.raises(KeyLostError, match="batch 1"):
        vault.open("batch 1", gone)
    assert vault.keep_only_files(SEGMENT, []) == 1


def test_destroying_all_leaves_no_key_behind(vault: Vault, tmp_path: Path) -> None:
    sealed = vault.seal("trip 1", "trip", PLAIN)
    key = (tmp_path / "keys" / "trip.key").read_bytes()
    vault.destroy_all()
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["slots"]
    assert key not in (tmp_path / "keys" / "slots").read_bytes()
    with pytest.raises(KeyLostError, match="trip 1"):
        vault.open("trip 1", sealed)
    assert vault.open("trip 1", vault.seal("trip 1", "trip", PLAIN)) == PLAIN


def test_a_lost_wrapping_key_is_said_and_nothing_is_mixed_with_a_new_one(
    vault: Vault, tmp_path: Path
) -> None:
    sealed = vault.seal("batch 1", "battery", PLAIN)
    assert not vault.is_lost("battery")
    (tmp_path / "keys" / "battery.key").unlink()
    assert vault.is_lost("battery")
    assert not vault.is_lost("charging")
    with pytest.raises(KeyLostError, match="a wrapping key is gone"):
        vault.open("batch 1", sealed)
    with pytest.raises(KeyLostError, match="withdraw the purpose"):
        vault.seal("batch 2", "battery", PLAIN)
    vault.keep_only([])
    assert vault.open("batch 2", vault.seal("batch 2", "battery", PLAIN)) == PLAIN


def test_a_wrapping_key_that_others_can_read_is_not_used(vault: Vault, tmp_path: Path) -> None:
    sealed = vault.seal("trip 1", "trip", PLAIN)
    (tmp_path / "keys" / "trip.key").chmod(0o644)
    with pytest.raises(KeyLostError, match="found 32 of 0644"):
        vault.open("trip 1", sealed)


def test_with_a_token_no_key_lies_in_a_file(tmp_path: Path) -> None:
    token = FakeToken()
    vault = Vault(tmp_path, wrapper=token)
    sealed = vault.seal("trip 1", "trip", PLAIN)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slots", "trip.wrapped"]
    assert Vault(tmp_path, wrapper=token).open("trip 1", sealed) == PLAIN
    with pytest.raises(KeyLostError, match="the token that wrapped it is not configured"):
        Vault(tmp_path).open("trip 1", sealed)
    with pytest.raises(KeyLostError, match="wrapped by another"):
        Vault(tmp_path, wrapper=FakeToken()).open("trip 1", sealed)


def test_what_was_stored_before_there_were_keys_is_still_read(vault: Vault) -> None:
    assert vault.open("trip 1", b"{}") == b"{}"


def test_a_torn_or_flipped_slot_is_no_key(vault: Vault, tmp_path: Path) -> None:
    sealed = vault.seal("trip 1", "trip", PLAIN)
    path = tmp_path / "keys" / "slots"
    flipped = bytearray(path.read_bytes())
    flipped[30] ^= 1
    path.write_bytes(bytes(flipped) + b"half a slot")
    with pytest.raises(KeyLostError, match="trip 1"):
        vault.open("trip 1", sealed)


def test_keys_are_readable_by_their_owner_only(vault: Vault, tmp_path: Path) -> None:
    vault.seal("trip 1", "trip", PLAIN)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
