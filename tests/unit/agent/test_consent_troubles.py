"""Rows that somebody, or a failing disk, changed under a consent; and two answers at once."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.consent.ledger import ConsentEvent, read_entry
from agent.consents import verify_lines
from agent.sharing import Answer, Sharing, SharingError
from agent.store.cover import UncoveredError
from telemetry.purposes import Purpose
from tests.support.trips import FakeTrip, open_sharing, write_segment


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Sharing]:
    opened = open_sharing(tmp_path)
    yield opened
    opened.state.close()


def offered(sharing: Sharing, folder: Path) -> list[bytes]:
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    previews = sharing.offer_trip(FakeTrip(), write_segment(folder / "segments"))
    return [bytes.fromhex(preview.batch_id) for preview in previews]


def change(sharing: Sharing, statement: str, *values: object) -> None:
    with sharing.state.database.transaction() as connection:
        assert connection.execute(statement, values).rowcount


FORGED = {
    "switched on after a withdrawal": "UPDATE consents SET granted=1",
    "resting on the grant before the withdrawal": (
        "UPDATE consents SET granted=1, entry_hash=(SELECT entry_hash FROM ledger WHERE sequence=1)"
    ),
    "neither on nor off": "UPDATE consents SET granted=3",
    "of another purpose": "UPDATE consents SET granted=1, purpose='traffic'",
}


@pytest.mark.parametrize("statement", FORGED.values(), ids=FORGED.keys())
def test_a_consent_that_the_ledger_does_not_know_stops_sharing(
    sharing: Sharing, tmp_path: Path, statement: str
) -> None:
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    sharing.set_consent(Purpose.BATTERY, is_granted=False)
    change(sharing, statement)
    sharing.state.close()
    again = open_sharing(tmp_path)
    assert [problem.code for problem in again.check_ledger()] == ["ledger.switch"]
    assert again.granted() == frozenset()
    assert again.state.granted_to_anyone() == frozenset()
    assert not again.may_record()
    with pytest.raises(SharingError, match="ledger is damaged"):
        again.set_consent(Purpose.BATTERY, is_granted=True)
    again.state.close()


def test_a_switch_as_the_ledger_has_it_is_no_problem(sharing: Sharing) -> None:
    for is_granted in (True, False, True):
        sharing.set_consent(Purpose.BATTERY, is_granted=is_granted)
        assert sharing.check_ledger() == []
    assert sharing.granted() == {Purpose.BATTERY}


def test_the_check_names_driver_and_purpose(sharing: Sharing) -> None:
    sharing.set_consent(Purpose.BATTERY, is_granted=True)
    change(sharing, "UPDATE consents SET granted=0")
    problem = sharing.check_ledger()[0]
    problems = [{"code": problem.code, "sentence": problem.sentence}]
    lines = verify_lines({"problems": problems, "entries": 1, "key_id": "0"})
    words = " ".join(" ".join(lines).split())  # however they are wrapped
    assert words.startswith("BROKEN battery of driver")
    assert "counts as off" in words


def test_under_a_forged_consent_nothing_is_released(sharing: Sharing, tmp_path: Path) -> None:
    batches = offered(sharing, tmp_path)
    change(sharing, "UPDATE consents SET purpose='traffic'")
    with pytest.raises(UncoveredError, match="not switched on"):
        sharing.answer("trip-1", batches, share=True)
    assert sharing.outbox.rows() == []


@pytest.mark.parametrize("kept", ["sealed", "plain, from before there were keys"])
def test_an_offer_with_a_flipped_byte_is_neither_shown_nor_released(
    sharing: Sharing, tmp_path: Path, kept: str
) -> None:
    batches = offered(sharing, tmp_path)
    plain = sharing.payload(batches[0])
    assert plain is not None
    flip(sharing, batches[0], None if kept == "sealed" else plain)
    assert [card.previews for card in sharing.cards()] == []
    assert sharing.payload(batches[0]) is None
    assert sharing.answer("trip-1", batches, share=True) == Answer(answered=(), gone=tuple(batches))
    assert sharing.outbox.rows() == []
    assert ConsentEvent.OK not in {read_entry(row.body).event for row in sharing.state.ledger()}


def flip(sharing: Sharing, batch: bytes, payload: bytes | None) -> None:
    """Flip the last bit of what is stored of an offer, or of ``payload`` put in its place."""
    with sharing.state.database.reading() as connection:
        [(stored,)] = connection.execute(
            "SELECT payload FROM offers WHERE batch_id=?", (batch,)
        ).fetchall()
    old = payload or stored
    new = old[:-1] + bytes([old[-1] ^ 1])
    change(sharing, "UPDATE offers SET payload=? WHERE batch_id=?", new, batch)


def test_an_ok_and_a_no_at_the_same_moment_are_one_answer(sharing: Sharing, tmp_path: Path) -> None:
    batches = offered(sharing, tmp_path)
    ready, answers = threading.Barrier(2), dict[bool, Answer]()

    def answer(*, share: bool) -> None:
        ready.wait()
        answers[share] = sharing.answer("trip-1", batches, share=share)

    screens = [threading.Thread(target=answer, kwargs={"share": share}) for share in (True, False)]
    for screen in screens:
        screen.start()
    for screen in screens:
        screen.join()
    said = [read_entry(row.body).event for row in sharing.state.ledger()][1:]
    won = bool(answers[True].answered)
    assert said == [ConsentEvent.OK if won else ConsentEvent.NO] * len(batches)
    assert answers[won].answered == tuple(batches)
    assert answers[not won].gone == tuple(batches)
    assert len(sharing.outbox.rows()) == (len(batches) if won else 0)
