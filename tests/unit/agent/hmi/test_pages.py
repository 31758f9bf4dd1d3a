"""State and language become words."""

import json
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from agent.hmi.pages.home import notice_view, result_view
from agent.hmi.pages.purposes import purpose_view
from agent.hmi.pages.screen import frame, home_screen, update_screen
from agent.hmi.pages.trip import exact_view, json_lines, preview_view, shared_view, trip_view
from agent.hmi.pages.update import facts_in, update_view
from agent.hmi.pages.words import cut
from agent.hmi.texts import MAX_BLOCK, Texts, load_texts
from agent.hmi.views import GateLine, Notice, PurposeToggle
from sim.screens import BATCH_ID, CONTENT_HASH, STATES
from telemetry.purposes import Purpose

LANGUAGES = load_texts()
EN, DE = LANGUAGES["en"], LANGUAGES["de"]
LONG = "Lorem ipsum dolor sit amet " * 20


def texts_in(view: Any) -> list[str]:
    """Return every string of a view, at any depth, but addresses and hidden fields."""
    if isinstance(view, str):
        return [view]
    if isinstance(view, tuple):
        return [text for item in view for text in texts_in(item)]
    if not is_dataclass(view):
        return []
    shown = [one.name for one in fields(view) if one.name not in {"fields", "url"}]
    return [text for name in shown for text in texts_in(getattr(view, name))]


def test_a_trip_says_what_goes_out_what_stays_and_what_silence_means() -> None:
    state = STATES["trip"]
    view = trip_view(state, state.trips[0], EN)
    assert view.facts == "11.3 km · 14 min · 18:10 · 2.1 kWh used"
    assert view.goes_out == (
        "Time, voltage, current, charge, temperature, health, month",
        "4,307 values · 4.8 kB",
        "to okdrive ingest",
    )
    assert view.stays == "Place and route, speed, date and time of day, names"
    assert view.unanswered == "No answer: not shared, deleted after 7 days."
    assert [button.action for button in view.buttons] == ["trip-share", "trip-decline"]


def test_both_answers_to_a_trip_name_exactly_the_batches_that_are_shown() -> None:
    state = STATES["trip"]
    for button in trip_view(state, state.trips[0], EN).buttons:
        assert ("batch_ids", BATCH_ID) in button.fields


def test_an_answered_trip_whose_batches_are_gone_names_no_size() -> None:
    for name in ("shared-held", "shared-queued", "home-quiet"):
        view = shared_view(replace(STATES[name].trips[0], batches=()), EN)
        assert "bytes" not in view.text
        assert "The data" in view.text


def test_german_writes_german_numbers() -> None:
    state = STATES["trip"]
    assert trip_view(state, state.trips[0], DE).goes_out[1] == "4.307 Werte · 4,8 kB"


def test_the_preview_shows_each_field_with_precision_count_and_range() -> None:
    view = preview_view(STATES["trip"].trips[0].batches[0], EN)
    assert view.rows[1] == ("Voltage", "0.5 V", "861", "348.5 \u2013 389.0")
    assert view.rows[4] == ("Temperature", "1 °C", "861", "19 \u2013 24")
    assert view.rows[5] == ("Health", "1 %", "1", "91")
    assert view.rows[6] == ("Month", "", "1", "2026-11")


def test_a_field_without_values_has_no_range() -> None:
    batch = STATES["trip"].trips[0].batches[0]
    empty = replace(batch.fields[0], count=0, lowest=None, highest=None)
    assert preview_view(replace(batch, fields=(empty,)), EN).rows[0][3] == "none"


def test_exact_data_has_a_record_per_line_and_pages_that_end() -> None:
    rows = {"month": "2026-11", "samples": [{"since_start_ms": n} for n in range(60)]}
    first, last = exact_view(rows, BATCH_ID, 1, EN), exact_view(rows, BATCH_ID, 99, EN)
    assert first.lines[:3] == ("{", '"month": "2026-11",', '"samples": [')
    assert first.lines[3] == '  {"since_start_ms": 0},'
    assert first.previous_url == f"/preview/{BATCH_ID}"
    assert first.next_url.endswith("?page=2")
    assert last.page == "Page 2 of 2"
    assert last.next_url == ""
    assert last.lines[-1] == "}"


@pytest.mark.parametrize(
    "rows", [{}, {"a": []}, {"a": [1]}, {"a": [{"b": None}, {}], "c": "é"}, [1], [], 7]
)
def test_exact_data_is_still_the_same_json(rows: object) -> None:
    assert json.loads("\n".join(json_lines(rows))) == rows


def test_an_update_whose_gates_are_met_offers_now_tonight_and_later() -> None:
    update = STATES["update-ready"].update
    assert update is not None
    view = update_view(update, EN)
    assert [button.label for button in view.buttons] == ["Now", "Tonight", "Later"]
    assert {button.url for button in view.buttons} == {f"/api/updates/{CONTENT_HASH}/answer"}
    assert [fact.label for fact in view.facts] == ["What changes", "At most 2 min", "What you do"]


def test_later_is_left_out_where_it_was_said_as_often_as_possible() -> None:
    update = STATES["update-ready"].update
    assert update is not None
    view = update_view(replace(update, can_defer=False), EN)
    assert [button.label for button in view.buttons] == ["Now", "Tonight"]


def test_an_update_with_an_unmet_gate_says_which_and_does_not_offer_now() -> None:
    update = STATES["update-recall"].update
    assert update is not None
    view = update_view(update, EN)
    assert [button.label for button in view.buttons] == ["Tonight", "Later"]
    assert [gate.lines[0] for gate in view.gates if gate.icon == "cross"] == [
        "12 V battery too weak"
    ]
    assert view.tag == "Recall 26V-123"


def test_a_gate_without_words_shows_what_it_was_given() -> None:
    update = STATES["update-ready"].update
    assert update is not None
    gate = GateLine(code="ota.gate.new_one", ok=False, text="The boot is open.")
    assert update_view(replace(update, gates=(gate,)), DE).gates[0].lines == ("The boot is open.",)


def test_facts_fall_back_to_english_and_then_to_any_language() -> None:
    update = STATES["update-ready"].update
    assert update is not None
    english, german = update.facts["en"], update.facts["de"]
    assert facts_in(update.facts, "de") is german
    assert facts_in(update.facts, "fr") is english
    assert facts_in({"de": german}, "fr") is german


def test_a_failed_update_says_what_runs_that_driving_is_safe_and_why() -> None:
    result = STATES["result-rolled-back"].result
    assert result is not None
    view = result_view(result, EN)
    assert view.title == "Not updated"
    assert view.text == (
        "Trip Light 1.1.0 runs again. Safe to drive. The new version did not pass its own check."
    )
    assert view.small == "For the workshop: ota.install.unhealthy"


def test_a_failed_first_installation_says_that_it_was_removed() -> None:
    result = STATES["result-rolled-back"].result
    assert result is not None
    assert "was removed again" in result_view(replace(result, running_version=None), EN).text


def test_the_most_urgent_notice_is_the_one_that_is_shown() -> None:
    notices = (*STATES["degraded"].notices, *STATES["danger"].notices)
    assert notice_view(notices, EN).title == "Do not drive"


def test_an_unknown_notice_shows_the_text_it_came_with() -> None:
    assert notice_view([Notice(code="x.y", text="Something new.")], DE).text == "Something new."


@pytest.mark.parametrize("granted", [True, False])
def test_giving_and_taking_back_a_purpose_is_equally_short(*, granted: bool) -> None:
    view = purpose_view(PurposeToggle(purpose=Purpose.BATTERY, granted=granted), EN)
    assert [button.label for button in view.buttons] == ["OK"]
    assert view.no == "No"
    wished = dict(view.buttons[0].fields)["granted"]
    assert wished == ("false" if granted else "true")


def test_the_rail_is_there_only_while_parked() -> None:
    for name, state in STATES.items():
        made = frame(state, home_screen(state, EN), EN, driver_side="left")
        assert bool(made.rail) == (not name.startswith(("moving", "idling")))


def test_while_moving_no_screen_has_a_button() -> None:
    view = home_screen(STATES["moving"], EN).view
    assert not hasattr(view, "buttons")


def test_idling_shows_that_something_waits_and_nothing_to_press() -> None:
    screen = home_screen(STATES["idling-trip"], EN)
    assert screen.template == "message.html"
    assert "Shift to P" in "".join(texts_in(screen.view))
    assert getattr(screen.view, "buttons", None) == ()


def test_the_update_page_without_an_update_says_so() -> None:
    assert "There is no update" in "".join(texts_in(update_screen(STATES["home-quiet"], EN).view))


@pytest.mark.parametrize("texts", LANGUAGES.values(), ids=LANGUAGES)
@pytest.mark.parametrize("name", STATES)
def test_no_block_of_any_screen_is_longer_than_the_limit(name: str, texts: Texts) -> None:
    view = home_screen(STATES[name], texts).view
    assert [text for text in texts_in(view) if len(text) > MAX_BLOCK] == []


def test_overlong_words_from_outside_are_cut() -> None:
    update = STATES["update-recall"].update
    assert update is not None
    facts = replace(
        update.facts["en"], purpose=LONG, changes=(LONG,) * 9, unavailable=LONG, instructions=LONG
    )
    wild = replace(update, name=LONG, to_version=LONG, recall_number=LONG, facts={"en": facts})
    view = update_view(replace(wild, from_version=LONG), EN)
    assert max(map(len, texts_in(view))) <= MAX_BLOCK
    assert len(view.facts[0].lines) == 3
    assert cut(LONG).endswith("…")
