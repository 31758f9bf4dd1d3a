"""The journal is the old or the new entry, or it says that it is damaged."""

import zlib
from pathlib import Path

import pytest

from ota.client.journal import Journal, JournalDamagedError, JournalEntry
from ota.client.states import UpdateState
from ota.errors import StorageError

ENTRY = JournalEntry(state=UpdateState.CHECKING, attempt=2, approved="a" * 64, attack="ota.x")


def test_nothing_stored_is_an_idle_entry(tmp_path: Path) -> None:
    assert Journal(tmp_path / "journal").read() == JournalEntry()


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "update" / "journal")
    journal.write(JournalEntry())
    journal.write(ENTRY)
    assert Journal(tmp_path / "update" / "journal").read() == ENTRY
    assert [path.name for path in (tmp_path / "update").iterdir()] == ["journal"]


def test_a_journal_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).write(ENTRY)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(JournalDamagedError, match="the installed software is untouched"):
            Journal(path).read()


def test_a_journal_with_any_byte_flipped_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).write(ENTRY)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        with pytest.raises(JournalDamagedError, match="expected an entry with its checksum"):
            Journal(path).read()


def test_a_whole_journal_of_another_version_is_damaged_for_this_one(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    body = b'{"state": "teleporting"}'
    path.write_bytes(f"{zlib.crc32(body):08x}\n".encode() + body)
    with pytest.raises(JournalDamagedError, match="cannot read"):
        Journal(path).read()


def test_a_disk_that_refuses_keeps_the_old_entry(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.write(ENTRY)
    (tmp_path / "journal.new").mkdir()  # nothing can be written there now
    with pytest.raises(StorageError, match="the update stands where it stood"):
        journal.write(JournalEntry())
    assert journal.read() == ENTRY


def test_the_code_of_a_damaged_journal_is_stable() -> None:
    assert JournalDamagedError.code == "ota.journal.damaged"
