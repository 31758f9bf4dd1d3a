"""How updates ended is remembered once each, and never too much of it."""

from pathlib import Path

import pytest

from ota.client.history import MAX_ENTRIES, Ended, History
from ota.errors import StorageError


def ended(number: int, **fields: str) -> Ended:
    return Ended(at_utc=f"2026-11-22T12:{number:02d}:00Z", **({"outcome": "installed"} | fields))


def test_what_is_told_twice_is_remembered_once(tmp_path: Path) -> None:
    history = History(tmp_path / "update" / "history.json")
    for each in (ended(1), ended(1), ended(2)):
        history.add(each)
    assert history.read() == (ended(1), ended(2))


def test_the_same_refusal_every_day_is_one_line(tmp_path: Path) -> None:
    history = History(tmp_path / "history.json")
    for each in (
        ended(1, outcome="attack", code="a"),
        ended(2, outcome="attack", code="a"),
        ended(3, outcome="attack", code="b"),
    ):
        history.add(each)
    assert [each.code for each in history.read()] == ["a", "b"]


def test_the_oldest_make_way(tmp_path: Path) -> None:
    history = History(tmp_path / "history.json")
    lines = [ended(0, version=str(number)) for number in range(MAX_ENTRIES + 2)]
    for each in lines[: MAX_ENTRIES + 2]:
        history.add(each)
    assert [each.version for each in history.read()] == [each.version for each in lines[2:]]


def test_a_file_that_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_bytes(b"torn")
    history = History(tmp_path / "history.json")
    assert history.read() == ()
    history.add(ended(1))
    assert history.read() == (ended(1),)


def test_a_disk_that_does_not_take_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "update").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="room for the update's history"):
        History(tmp_path / "update" / "history.json").add(ended(1))
