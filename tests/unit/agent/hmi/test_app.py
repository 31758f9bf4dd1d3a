"""Routes, the driving-state gate in the server, and what a stranger gets."""

import asyncio
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette

import agent.hmi.app
from agent.hmi.answers import MAX_BODY_BYTES
from agent.hmi.app import create_app
from agent.hmi.door import NewPlace, WorkshopWish
from agent.hmi.events import MAX_STREAMS
from agent.hmi.guard import Guard, cookie_name
from agent.hmi.texts import load_texts
from agent.hmi.views import Decision, DrivingState, ScreenState, TripStatus, UpdatePhase
from sim.played_agent import PlayedAgent
from sim.screens import BATCH_ID, CONTENT_HASH, PAGES, PARKED, PROFILE, STATES
from telemetry.purposes import Purpose
from tests.support.asgi import HOST, Client

TOKEN = "token-of-this-boot-0123456789"
NOTICE = load_texts()["en"].notice(Purpose.BATTERY).sha256
GERMAN_NOTICE = load_texts()["de"].notice(Purpose.BATTERY).sha256
SHARE = {"share": True, "batch_ids": [BATCH_ID]}
TRIP_URL, UPDATE_URL = "/api/trips/trip-0007/answer", f"/api/updates/{CONTENT_HASH}/answer"


async def app_of(played: PlayedAgent, **settings: str) -> Starlette:
    return await asyncio.to_thread(create_app, played.door(), token=TOKEN, **settings)


async def agent_and_client(state: ScreenState) -> tuple[PlayedAgent, Client]:
    played = PlayedAgent(state)
    headers = {"host": HOST, "authorization": f"Bearer {TOKEN}"}
    return played, Client(await app_of(played), headers)


async def browser(played: PlayedAgent) -> Client:
    cookie = f"{cookie_name(HOST)}={Guard(TOKEN).session()}"
    headers = {"host": HOST, "cookie": cookie, "origin": f"http://{HOST}"}
    return Client(await app_of(played), headers)


# -- pages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATES)
async def test_every_state_is_a_page(name: str) -> None:
    _, client = await agent_and_client(STATES[name])
    answer = await client.get("/")
    assert answer.status == 200
    assert answer.text.count("<h1>") + answer.text.count("charge-line") == 1


@pytest.mark.parametrize("name", PAGES)
async def test_every_further_page_opens(name: str) -> None:
    state, path = PAGES[name]
    _, client = await agent_and_client(STATES[state])
    assert (await client.get(path)).status == 200


async def test_an_update_on_its_way_says_how_far_how_fast_and_how_long() -> None:
    _, client = await agent_and_client(STATES["update-fetching"])
    for path in ("/", "/update"):
        page = (await client.get(path)).text
        assert "3.2 MB of 12.4 MB · 52.0 kB/s · about 3 min left" in page
    assert '<progress max="100" value="25"' in page


async def test_a_download_that_waits_says_why() -> None:
    _, client = await agent_and_client(STATES["update-fetching-waits"])
    for path in ("/", "/update"):
        page = (await client.get(path)).text
        assert "It waits for a network that costs less." in page
        assert "<progress" not in page


@pytest.mark.parametrize("path", ["/", "/purposes", f"/preview/{BATCH_ID}", f"/exact/{BATCH_ID}"])
async def test_while_moving_every_page_is_the_ambient_tile(path: str) -> None:
    played, client = await agent_and_client(replace(STATES["trip"], driving=DrivingState.MOVING))
    answer = await client.get(path)
    assert 'data-card="ambient"' in answer.text
    assert not re.search("<button|<form|<a ", answer.text)
    assert played.asked == []


async def test_an_open_page_fetches_only_the_part_that_changes() -> None:
    _, client = await agent_and_client(STATES["trip"])
    answer = await client.get("/", x_okdrive_fragment="1")
    assert answer.text.lstrip().startswith('<div id="screen"')
    assert "<html" not in answer.text


async def test_words_from_outside_are_escaped() -> None:
    trip = STATES["trip"].trips[0]
    batch = replace(trip.batches[0], recipient="<script>alert(1)</script>")
    _, client = await agent_and_client(replace(PARKED, trips=(replace(trip, batches=(batch,)),)))
    assert "<script>alert" not in (await client.get("/")).text


async def test_the_page_speaks_the_language_it_is_asked_for() -> None:
    _, client = await agent_and_client(STATES["trip"])
    assert "Diese Fahrt teilen?" in (await client.get("/", accept_language="de")).text
    cookie = (await client.get("/", accept_language="de", cookie="okdrive_language=en")).text
    assert "Share this trip?" in cookie


async def test_the_language_can_be_changed_on_the_screen() -> None:
    _, client = await agent_and_client(PARKED)
    answer = await client.post_form("/language", [("language", "de")])
    assert (answer.status, answer.headers["location"]) == (303, "/more")
    assert answer.headers["set-cookie"].startswith("okdrive_language=de;")
    assert (await client.post_form("/language", [("language", "xx")])).status == 400


@pytest.mark.parametrize("page", ["0", "-1", "99999999999999999999", "²", "x"])
async def test_a_strange_page_number_of_exact_data_is_harmless(page: str) -> None:
    _, client = await agent_and_client(STATES["trip"])
    assert (await client.get(f"/exact/{BATCH_ID}?page={page}")).status == 200


@pytest.mark.parametrize("path", ["/nowhere", "/purposes/none", "/preview/none", "/api/batches/x"])
async def test_what_does_not_exist_is_404(path: str) -> None:
    _, client = await agent_and_client(STATES["trip"])
    assert (await client.get(path)).status == 404


async def test_the_driver_can_sit_on_the_right() -> None:
    app = await app_of(PlayedAgent(PARKED), driver_side="right")
    client = Client(app, {"host": HOST, "authorization": f"Bearer {TOKEN}"})
    assert 'class="parked right"' in (await client.get("/")).text


def test_the_whole_screen_weighs_less_than_sixty_kilobytes() -> None:
    folder = Path(agent.hmi.app.__file__).parent
    files = [*folder.glob("static/*"), *folder.glob("templates/*"), *folder.glob("texts/*")]
    assert len(files) > 15
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) <= 60_000


# -- answers -----------------------------------------------------------------------------------


async def test_ok_hands_over_exactly_the_batches_that_were_shown() -> None:
    played, client = await agent_and_client(STATES["trip"])
    answer = await client.post_json(TRIP_URL, SHARE)
    assert (answer.status, answer.json()) == (200, {"ok": True, "next": "/"})
    assert played.asked == [("answer_trip", "trip-0007", (BATCH_ID,), True)]
    assert played.state.trips[0].status is TripStatus.HELD


async def test_the_buttons_work_without_javascript() -> None:
    played, _ = await agent_and_client(STATES["trip"])
    page = await (await browser(played)).get("/")
    forms = re.findall(r'<form method="post" action="([^"]+)">(.*?)</form>', page.text, re.DOTALL)
    for action, inside in forms:
        fields = re.findall(r'name="([^"]+)" value="([^"]+)"', inside)
        answer = await (await browser(played)).post_form(action, fields)
        assert (answer.status, answer.headers["location"]) == (303, "/")
    assert [asked[3] for asked in played.asked] == [True, False]


async def test_a_shared_trip_can_be_taken_back() -> None:
    played, client = await agent_and_client(STATES["shared-held"])
    assert (await client.post_json("/api/trips/trip-0007/take-back", {})).status == 200
    assert played.state.trips[0].status is TripStatus.TAKEN_BACK


async def test_a_purpose_is_granted_with_the_notice_that_was_read() -> None:
    played, client = await agent_and_client(STATES["home-first"])
    answer = await client.post_json(
        "/api/purposes/battery", {"granted": True, "notice_hash": NOTICE}
    )
    assert answer.json() == {"ok": True, "next": "/purposes"}
    assert played.asked == [("set_purpose", Purpose.BATTERY, True, NOTICE)]


@pytest.mark.parametrize("notice", ["", "0" * 64])
async def test_a_purpose_is_not_granted_on_a_text_nobody_has_read(notice: str) -> None:
    played, client = await agent_and_client(STATES["home-first"])
    answer = await client.post_json(
        "/api/purposes/battery", {"granted": True, "notice_hash": notice}
    )
    assert (answer.status, answer.json()["error"]["code"]) == (409, "screen.notice_changed")
    assert played.asked == []


@pytest.mark.parametrize("driving", DrivingState)
async def test_a_purpose_is_withdrawn_at_any_moment(driving: DrivingState) -> None:
    played, client = await agent_and_client(replace(PARKED, driving=driving))
    answer = await client.post_json("/api/purposes/battery", {"granted": False})
    assert answer.status == 200
    assert played.asked == [("set_purpose", Purpose.BATTERY, False, NOTICE)]


@pytest.mark.parametrize("decision", Decision)
async def test_an_update_is_answered_now_tonight_or_later(decision: Decision) -> None:
    played, client = await agent_and_client(STATES["update-ready"])
    assert (await client.post_json(UPDATE_URL, {"decision": decision})).status == 200
    assert played.asked == [("answer_update", CONTENT_HASH, decision)]


async def test_a_countdown_can_be_cancelled_even_when_the_car_moves() -> None:
    state = replace(STATES["update-countdown"], driving=DrivingState.MOVING)
    played, client = await agent_and_client(state)
    assert (await client.post_json(f"/api/updates/{CONTENT_HASH}/cancel", {})).status == 200
    assert played.state.update is not None
    assert played.state.update.phase is UpdatePhase.READY


async def test_a_result_is_acknowledged() -> None:
    played, client = await agent_and_client(STATES["result-installed"])
    assert (await client.post_json("/api/result/acknowledge", {})).status == 200
    assert played.state.result is None


async def test_a_battery_alert_is_put_away_and_its_page_stays() -> None:
    played, client = await agent_and_client(STATES["battery-alert"])
    assert (await client.post_json("/api/battery/weak_cell/acknowledge", {})).status == 200
    assert played.asked == [("acknowledge_alert", "weak_cell")]
    page = (await client.get("/battery")).text
    assert "Holds about 91 % of new" in page
    assert "Cell voltages drift apart" in page


async def test_do_not_drive_has_no_button_in_any_driving_state() -> None:
    for driving in DrivingState:
        state = replace(STATES["battery-danger"], driving=driving)
        _, client = await agent_and_client(state)
        page = (await client.get("/")).text
        assert "The battery asks to be cut off" in page
        assert "battery-acknowledge" not in page


GATED = [
    (TRIP_URL, SHARE, "answer_trip"),
    ("/api/purposes/battery", {"granted": True, "notice_hash": NOTICE}, "grant"),
    (UPDATE_URL, {"decision": "now"}, "answer_update"),
    ("/api/trips/trip-0007/take-back", {}, "take_back"),
    ("/api/result/acknowledge", {}, "acknowledge"),
    ("/api/battery/weak_cell/acknowledge", {}, "acknowledge"),
]


@pytest.mark.parametrize(("url", "content", "action"), GATED)
@pytest.mark.parametrize(
    "change", [{"driving": DrivingState.MOVING}, {"vehicle_fresh": False}], ids=["moving", "stale"]
)
async def test_the_server_refuses_an_answer_while_the_car_moves(
    url: str, content: object, action: str, change: dict[str, object]
) -> None:
    played, client = await agent_and_client(replace(STATES["trip"], **change))
    answer = await client.post_json(url, content)
    assert answer.status == 409
    assert answer.json()["error"]["code"] == f"screen.not_now.{action}"
    assert played.asked == []


@pytest.mark.parametrize(("url", "content", "action"), GATED[:3])
async def test_the_server_refuses_a_question_while_the_car_idles(
    url: str, content: object, action: str
) -> None:
    played, client = await agent_and_client(replace(STATES["trip"], driving=DrivingState.IDLING))
    answer = await client.post_json(url, content)
    assert answer.json()["error"]["message"].endswith("when the car is parked (P).")
    assert played.asked == []


async def test_a_form_that_is_refused_is_a_page_with_the_reason_and_a_way_back() -> None:
    played, client = await agent_and_client(replace(STATES["trip"], driving=DrivingState.IDLING))
    answer = await client.post_form(TRIP_URL, [("share", "true"), ("batch_ids", BATCH_ID)])
    assert answer.status == 409
    assert "Answer when the car is parked (P)." in answer.text
    assert 'href="/"' in answer.text
    assert played.asked == []


async def test_what_the_agent_refuses_keeps_its_code_and_sentence() -> None:
    _, client = await agent_and_client(STATES["trip"])
    answer = await client.post_json("/api/trips/other/answer", SHARE)
    assert answer.status == 404
    assert answer.json()["error"] == {
        "code": "trip.unknown",
        "message": "This trip does not exist any more.",
    }


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"share": "yes", "batch_ids": [BATCH_ID]},
        {"share": True, "batch_ids": []},
        {"share": True, "batch_ids": ["../../etc"]},
        {"share": True, "batch_ids": [BATCH_ID] * 65},
        {"share": True, "batch_ids": [BATCH_ID], "all": True},
    ],
)
async def test_an_answer_that_is_not_one_changes_nothing(content: object) -> None:
    played, client = await agent_and_client(STATES["trip"])
    answer = await client.post_json(TRIP_URL, content)
    assert (answer.status, answer.json()["error"]["code"]) in [
        (400, "screen.bad_answer"),
        (413, "screen.bad_answer"),
    ]
    assert played.asked == []


async def test_a_body_past_the_limit_is_refused() -> None:
    played, client = await agent_and_client(STATES["trip"])
    body = b" " * (MAX_BODY_BYTES + 1)
    kind = {"content-type": "application/json"}
    answer = await client.ask("POST", TRIP_URL, headers=kind, body=body)
    assert answer.status == 413
    assert played.asked == []


async def test_another_content_type_is_refused() -> None:
    _, client = await agent_and_client(STATES["trip"])
    kind = {"content-type": "text/plain"}
    answer = await client.ask("POST", TRIP_URL, headers=kind, body=b'{"share": true}')
    assert answer.status == 415


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 200, b"share=true&share=false"])
async def test_a_broken_form_is_refused(body: bytes) -> None:
    played, client = await agent_and_client(STATES["trip"])
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = await client.ask("POST", TRIP_URL, headers=kind, body=body)
    assert answer.status == 400
    assert played.asked == []


# -- local API ---------------------------------------------------------------------------------


async def test_the_state_is_json_with_the_card_that_is_shown() -> None:
    _, client = await agent_and_client(STATES["trip"])
    said = (await client.get("/api/state")).json()
    assert (said["schema"], said["card"]) == ("okdrive-agent.screen/1", "trip")
    assert said["effective_driving"] == "parked"
    assert said["state"]["trips"][0]["batches"][0]["batch_id"] == BATCH_ID


async def test_the_purposes_come_with_the_notice_and_its_hash() -> None:
    _, client = await agent_and_client(STATES["home-first"])
    (one,) = (await client.get("/api/purposes")).json()["purposes"]
    assert (one["purpose"], one["granted"], one["language"]) == ("battery", False, "en")
    assert one["notice"]["sha256"] == NOTICE


async def test_the_exact_data_of_a_batch_is_json() -> None:
    _, client = await agent_and_client(STATES["trip"])
    said = (await client.get(f"/api/batches/{BATCH_ID}")).json()
    assert said["preview"]["size_bytes"] == 4812
    assert len(said["content"]["samples"]) == 861


async def test_the_exact_data_is_not_read_while_the_car_moves() -> None:
    _, client = await agent_and_client(replace(STATES["trip"], driving=DrivingState.MOVING))
    answer = await client.get(f"/api/batches/{BATCH_ID}")
    assert answer.json()["error"]["code"] == "screen.not_now.read_preview"


async def test_too_many_event_streams_are_refused() -> None:
    played = PlayedAgent(PARKED)
    app = await app_of(played)
    streams = [app.state.events.stream(0) for _ in range(MAX_STREAMS)]
    for stream in streams:
        await anext(stream)
    client = Client(app, {"host": HOST, "authorization": f"Bearer {TOKEN}"})
    assert (await client.get("/api/events")).status == 503
    for stream in streams:
        await stream.aclose()


# -- strangers ---------------------------------------------------------------------------------


async def stranger(played: PlayedAgent) -> Client:
    return Client(await app_of(played))


@pytest.mark.parametrize("path", ["/", "/api/state", "/api/events", "/purposes", "/nowhere"])
async def test_without_the_token_nothing_is_shown(path: str) -> None:
    answer = await (await stranger(PlayedAgent(STATES["trip"]))).get(path)
    assert answer.status == 401
    assert "71 %" not in answer.text
    assert "trip-0007" not in answer.text


async def test_a_stranger_with_a_browser_reads_a_sentence() -> None:
    answer = await (await stranger(PlayedAgent(STATES["trip"]))).get("/", accept="text/html")
    assert "only from the car&#39;s own screen" in answer.text


async def test_without_the_token_nothing_is_done() -> None:
    played = PlayedAgent(STATES["trip"])
    assert (await (await stranger(played)).post_json(TRIP_URL, SHARE)).status == 401
    assert played.asked == []


async def test_enter_turns_the_token_into_a_cookie_that_scripts_cannot_read() -> None:
    answer = await (await stranger(PlayedAgent(PARKED))).get(f"/enter?token={TOKEN}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", f"?token={TOKEN}x", "?token=ü"])
async def test_enter_with_a_wrong_token_sets_no_cookie(query: str) -> None:
    answer = await (await stranger(PlayedAgent(PARKED))).get(f"/enter{query}")
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/static/screen.css", f"/enter?token={TOKEN}"])
async def test_a_foreign_host_name_gets_nothing_at_all(path: str) -> None:
    client = await stranger(PlayedAgent(STATES["trip"]))
    answer = await client.get(path, host="evil.example", authorization=f"Bearer {TOKEN}")
    assert answer.status == 421


async def test_another_page_cannot_press_ok_through_the_drivers_browser() -> None:
    played = PlayedAgent(STATES["trip"])
    fields = [("share", "true"), ("batch_ids", BATCH_ID)]
    for origin in ("http://evil.example", "null"):
        answer = await (await browser(played)).post_form(TRIP_URL, fields, origin=origin)
        assert answer.status == 403
    assert played.asked == []


@pytest.mark.parametrize("path", ["/", "/static/screen.js", "/api/state", "/nowhere"])
async def test_every_answer_carries_the_security_headers(path: str) -> None:
    _, client = await agent_and_client(PARKED)
    headers = (await client.get(path)).headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert ("no-store" in headers["cache-control"]) == (not path.startswith("/static"))


async def test_the_page_names_nothing_outside_itself() -> None:
    _, client = await agent_and_client(STATES["update-ready"])
    page = (await client.get("/")).text
    assert re.findall(r' (?:src|href|action)="(?!/)[^"]*"', page) == []
    assert re.findall(r"<style| style=| on\w+=|<script>", page) == []


def test_a_token_that_keeps_nobody_out_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 characters, got 5"):
        create_app(PlayedAgent(PARKED).door(), token="short")


# -- people ------------------------------------------------------------------------------------


async def test_a_standing_ok_is_given_and_ended_on_the_page_of_its_purpose() -> None:
    played, client = await agent_and_client(STATES["home-all"])
    page = await client.get("/purposes/battery")
    assert "/purposes/battery/always" in page.text
    done = await client.post_form("/api/purposes/battery/always", [("always", "true")])
    assert (done.status, done.headers["location"]) == (303, "/purposes/battery")
    assert "2026-12-22" in (await client.get("/purposes/battery")).text
    await client.post_form("/api/purposes/battery/always", [("always", "false")])
    assert [asked[2] for asked in played.asked] == [True, False]


async def test_there_is_no_standing_ok_for_a_purpose_that_is_off() -> None:
    _, client = await agent_and_client(STATES["home-all"])
    assert (await client.get("/purposes/traffic/always")).status == 404


async def test_a_driver_a_guest_and_a_new_driver_are_chosen_with_one_answer_each() -> None:
    played, client = await agent_and_client(STATES["home-all"])
    for profile in (PROFILE, "guest"):
        assert "driver-choose" in (await client.get(f"/driver/{profile}")).text
        await client.post_form("/api/driver", [("profile", profile)])
    await client.post_form("/api/drivers", [("name", "Driver 3")])
    assert played.asked == [
        ("choose_driver", PROFILE),
        ("choose_driver", None),
        ("add_driver", "Driver 3"),
    ]
    assert (await client.get("/driver/ffffffffffffffff")).status == 404
    assert (await client.post_form("/api/driver", [("profile", "Anna")])).status == 400


async def test_a_pause_begins_in_any_driving_state_and_ends_only_when_parked() -> None:
    moving = replace(STATES["home-all"], driving=DrivingState.MOVING)
    played, client = await agent_and_client(moving)
    assert (await client.post_form("/api/pause", [("pause", "hour")])).status == 303
    assert (await client.post_form("/api/pause", [("pause", "off")])).status == 409
    assert played.asked == [("set_pause", "hour")]
    assert (await client.post_form("/api/pause", [("pause", "forever")])).status == 400


async def test_a_report_for_the_workshop_becomes_a_question_before_it_is_sent() -> None:
    played, client = await agent_and_client(STATES["home-all"])
    assert "0171 2345678" in (await client.get("/workshop/battery")).text
    fields = [("show", "battery"), ("contact", "0171"), ("message", "Noise"), ("keep", "true")]
    await client.post_form("/api/workshop", fields)
    ((_, wish),) = played.asked
    assert wish == WorkshopWish(show="battery", contact="0171", message="Noise", keep=True)
    assert "Send this to the workshop?" in (await client.get("/")).text
    assert (await client.post_form("/api/workshop", [("show", "battery")])).status == 400
    assert (await client.get("/workshop/everything")).status == 404


async def test_an_answered_trip_leads_to_its_receipt_with_a_code() -> None:
    _, client = await agent_and_client(STATES["shared-held"])
    assert "/receipts/trip-0007" in (await client.get("/")).text
    page = await client.get("/receipts/trip-0007")
    assert "<svg" in page.text
    assert "Entry 14: OK" in page.text
    assert (await client.get("/receipts/none")).status == 404
    document = json.loads((await client.get("/api/trips/trip-0007/receipt")).text)
    assert document["receipt"]["proof"]["sequence"] == 14


async def test_what_ingest_confirms_to_have_erased_is_on_a_page_and_in_the_api() -> None:
    played, client = await agent_and_client(STATES["home-all"])
    page = (await client.get("/receipts")).text
    assert "/erasures" in page
    assert "1 not confirmed yet" in page
    page = (await client.get("/erasures")).text
    assert "2026-11-22 18:03 UTC  trip 3f9a1c07d2e4" in page
    assert "ingest confirms: 2 batches, 0 rows left" in page
    assert "1 of 3 requests wait for an answer" in page
    assert "signed 2026-11-22 18:05 UTC (9d0c6f1be2a4): 2 batches, 31 rows, 0 left" in page
    german = (await client.get("/erasures", accept_language="de")).text
    assert "Empfänger bestätigt: 2 Pakete, 0 Zeilen übrig" in german
    document = (await client.get("/api/erasures")).json()
    assert document["schema"] == "okdrive-agent.erasures.screen/1"
    assert [one["waiting"] for one in document["wishes"]] == [1, 0]
    played.erased = ()
    assert "/erasures" not in (await client.get("/receipts")).text
    assert "Nothing was taken back yet." in (await client.get("/erasures")).text


async def test_the_language_that_was_shown_goes_with_every_answer() -> None:
    played, client = await agent_and_client(STATES["trip"])
    await client.post_form(
        "/api/trips/trip-0007/answer",
        [("share", "true"), ("batch_ids", BATCH_ID)],
        accept_language="de",
    )
    await client.post_form(
        "/api/purposes/battery", [("granted", "true"), ("notice_hash", GERMAN_NOTICE)]
    )
    assert played.languages == ["de", "de"]


async def test_the_present_place_is_kept_secret_with_three_taps_and_told_again_with_as_many() -> (
    None
):
    played, client = await agent_and_client(STATES["home-all"])
    played.zones = ()
    assert "/zones" in (await client.get("/more")).text
    assert "stay secret anyway" in (await client.get("/zones")).text
    assert "Keep this place secret?" in (await client.get("/zones/here")).text
    done = await client.post_form("/api/zones", [("radius_m", "500")])
    assert (done.status, done.headers["location"]) == (303, "/zones")
    page = (await client.get("/zones")).text
    assert "Place 1" in page
    assert "500 m, 2026-11-22" in page
    assert "Tell of Place 1 again?" in (await client.get("/zones/00000000")).text
    await client.post_form("/api/zones/00000000/remove")
    assert played.asked == [
        ("add_place", NewPlace(position=None, radius_m=500.0)),
        ("remove_place", "00000000"),
    ]
    assert (await client.get("/zones/00000000")).status == 404


async def test_clients_draw_places_with_coordinates_and_learn_what_was_taken_back() -> None:
    _, client = await agent_and_client(STATES["home-all"])
    place = {"latitude": -33.9, "longitude": 151.2, "radius_m": 250, "name": "Harbour"}
    answer = await client.post_json("/api/zones", place)
    assert answer.json() == {
        "ok": True, "next": "/zones", "offered": 1, "queued": 0, "under_way": 0,
    }  # fmt: skip
    document = (await client.get("/api/zones")).json()
    assert document["schema"] == "okdrive-agent.zones/1"
    assert document["zones"][-1]["name"] == "Harbour"
    for wrong in (
        {"latitude": 1.0},
        {"latitude": 91.0, "longitude": 0.0},
        {"radius_m": 99},
        {"radius_m": 5_001},
        {"name": "x" * 25},
        {"else": 1},
    ):
        assert (await client.post_json("/api/zones", wrong)).status == 400


async def test_a_place_is_hidden_in_any_driving_state_and_told_again_only_when_parked() -> None:
    moving = replace(STATES["home-all"], driving=DrivingState.MOVING)
    played, client = await agent_and_client(moving)
    assert (await client.post_json("/api/zones", {})).status == 200
    assert (await client.post_json("/api/zones/00000000/remove", {})).status == 409
    assert len(played.asked) == 1


async def test_many_places_come_four_at_a_time_newest_first() -> None:
    _, client = await agent_and_client(STATES["home-all"])
    first, second = (await client.get("/zones")).text, (await client.get("/zones?page=2")).text
    assert first.count('data-action="zone-open"') == 4
    assert second.count('data-action="zone-open"') == 1
    assert "Place 5" in first
    assert "Home" in second
    assert "/zones?page=1" in second
    assert (await client.get("/zones?page=99")).text == second


@pytest.mark.parametrize(
    "path",
    ["/more", "/driver", "/pause", "/workshop", "/receipts", "/erasures", "/zones", "/zones/here"],
)
async def test_while_moving_no_page_about_people_asks_anything(path: str) -> None:
    _, client = await agent_and_client(replace(STATES["home-all"], driving=DrivingState.MOVING))
    answer = await client.get(path)
    assert 'data-card="ambient"' in answer.text
    assert not re.search("<button|<form|<a ", answer.text)
