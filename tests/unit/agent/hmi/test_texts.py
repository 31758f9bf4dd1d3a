"""The language files say the same things, in short blocks."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cards import gate_lines
from agent.hmi.pages.purposes import purpose_view
from agent.hmi.texts import MAX_BLOCK, Texts, TextsError, choose_language, load_texts
from agent.hmi.views import Action, Criticality, Decision, Level, Outcome, PurposeToggle, TripStatus
from agent.vehicle.battery.rules import Code
from ota.client.gates import GATES, Gate, Refusal
from ota.errors import InstallError, OtaError, RepositoryError, SlowRetrievalError
from telemetry.purposes import Purpose

LANGUAGES = load_texts()
ENGLISH, GERMAN = LANGUAGES["en"], LANGUAGES["de"]


def test_english_and_german_have_the_same_keys_in_the_same_order() -> None:
    assert list(ENGLISH.entries) == list(GERMAN.entries)


@pytest.mark.parametrize("key", ENGLISH.entries)
def test_a_text_and_its_translation_take_the_same_values(key: str) -> None:
    named = [sorted(re.findall(r"{(\w+)}", texts.entries[key])) for texts in (ENGLISH, GERMAN)]
    assert named[0] == named[1]


@pytest.mark.parametrize("texts", LANGUAGES.values(), ids=LANGUAGES)
def test_no_text_is_empty_or_longer_than_one_block(texts: Texts) -> None:
    assert [key for key, text in texts.entries.items() if not 0 < len(text) <= MAX_BLOCK] == []


@pytest.mark.parametrize(
    "key",
    [
        *[f"refused.{action}" for action in Action],
        *[f"result.title.{outcome}" for outcome in Outcome],
        *[f"result.{outcome}" for outcome in Outcome],
        *[f"update.kind.{kind}" for kind in Criticality],
        *[f"update.{decision}" for decision in Decision],
        *[f"notice.title.{level}" for level in Level],
        *[f"shared.{status}" for status in TripStatus if status is not TripStatus.WAITING],
        *[f"shared.title.{status}" for status in TripStatus if status is not TripStatus.WAITING],
        *[f"purpose.{purpose}.notice.1" for purpose in Purpose],
        *[f"battery.{code}.title" for code in Code],
        *[f"battery.{code}.advice" for code in Code],
    ],
)
def test_every_code_of_the_model_has_its_words(key: str) -> None:
    assert key in ENGLISH.entries


def refusals(kind: type[OtaError]) -> Iterator[str]:
    """Yield the codes with which an update can end that did not go well."""
    yield kind.code
    for leaf in kind.__subclasses__():
        if leaf.__module__ == OtaError.__module__:
            yield from refusals(leaf)


@pytest.mark.parametrize(
    "code", [*refusals(RepositoryError), *refusals(InstallError), SlowRetrievalError.code]
)
def test_every_code_with_which_an_update_can_end_has_its_words(code: str) -> None:
    assert f"reason.{code}" in ENGLISH.entries


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.code)
def test_every_gate_has_its_words(gate: Gate) -> None:
    (line,) = gate_lines([Refusal(gate.code, "")])[4:] or [None]
    if line is not None:
        assert {f"gate.{line.code}", f"gate.{line.code}.no"} <= ENGLISH.entries.keys()


def test_numbers_sizes_and_durations_are_written_as_people_write_them() -> None:
    assert ENGLISH.number(3180.5, 1) == "3,180.5"
    assert GERMAN.number(3180.5, 1) == "3.180,5"
    assert ENGLISH.size(999) == "999 bytes"
    assert GERMAN.size(4812) == "4,8 kB"
    assert ENGLISH.size(1_842_000) == "1.8 MB"
    assert ENGLISH.size(412_000) == "412 kB"
    assert ENGLISH.duration(119) == "119 s"
    assert ENGLISH.duration(121) == "3 min"


def test_the_hash_of_a_notice_changes_with_language_and_words() -> None:
    notice = ENGLISH.notice(Purpose.BATTERY)
    entries = dict(ENGLISH.entries) | {"purpose.battery.notice.2": "Sent: everything."}
    assert re.fullmatch("[0-9a-f]{64}", notice.sha256)
    assert len(notice.lines) == 3
    hashes = {
        notice.sha256,
        GERMAN.notice(Purpose.BATTERY).sha256,
        Texts("en", entries).notice(Purpose.BATTERY).sha256,
        Texts("xx", ENGLISH.entries).notice(Purpose.BATTERY).sha256,
    }
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("wishes", "language"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr, de;q=0.5", "de"),
        ("EN-gb", "en"),
        ("fr", "en"),
        ("", "en"),
        ("," * 100_000, "en"),
    ],
)
def test_the_first_wished_language_that_exists_is_used(wishes: str, language: str) -> None:
    assert choose_language(wishes, LANGUAGES) == language


def write_language(folder: Path, language: str, entries: dict[str, str]) -> None:
    (folder / f"{language}.json").write_text(json.dumps(entries))


def test_a_text_that_a_language_lacks_is_shown_in_english(tmp_path: Path) -> None:
    write_language(tmp_path, "en", dict(ENGLISH.entries))
    lacking = {key: text for key, text in GERMAN.entries.items() if key != "trip.ok"}
    write_language(tmp_path, "de", lacking)
    german = load_texts(tmp_path)["de"]
    assert german.missing() == ["trip.ok"]
    assert german.say("trip.ok") == ENGLISH.say("trip.ok")
    assert german.say("trip.no") == GERMAN.say("trip.no")


@pytest.mark.parametrize("part", ["title", "what", "notice.3"])
def test_a_notice_of_which_a_part_is_missing_is_english_as_a_whole_and_says_so(
    tmp_path: Path, part: str
) -> None:
    write_language(tmp_path, "en", dict(ENGLISH.entries))
    lacking = dict(GERMAN.entries)
    del lacking[f"purpose.battery.{part}"]
    write_language(tmp_path, "de", lacking)
    german = load_texts(tmp_path)["de"]
    assert german.notice(Purpose.BATTERY) == ENGLISH.notice(Purpose.BATTERY)
    assert german.notice(Purpose.TRAFFIC).language == "de"
    view = purpose_view(PurposeToggle(purpose=Purpose.BATTERY), german)
    assert view.lines[-1] == "Diesen Text gibt es nur auf Englisch."
    assert ("notice_hash", ENGLISH.notice(Purpose.BATTERY).sha256) in view.buttons[0].fields


def test_without_an_english_notice_nothing_starts(tmp_path: Path) -> None:
    lacking = dict(ENGLISH.entries)
    del lacking["purpose.traffic.notice.1"]
    write_language(tmp_path, "en", lacking)
    with pytest.raises(TextsError, match="without a text nobody can agree"):
        load_texts(tmp_path)
    (tmp_path / "en.json").write_text("{")
    with pytest.raises(TextsError, match="expected texts by key"):
        load_texts(tmp_path)
