"""The driver's screen in a real browser: the rules for screens in cars, and a finger on OK."""

from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from agent.hmi.views import Decision, DrivingState, TripStatus
from sim.played_agent import PlayedAgent
from sim.screens import BATCH_ID, CONTENT_HASH, PAGES, PARKED, STATES
from telemetry.purposes import Purpose
from tests.support.browser import TOKEN, chromium, open_screen, running_screen

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

RULES = Path(__file__).with_name("screen_rules.js").read_text()
SCREENS = {name: (name, "/") for name in STATES} | dict(PAGES)


@pytest.mark.parametrize("night", [False, True], ids=["day", "night"])
@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("size", [(800, 480), (1024, 600)], ids=["800x480", "1024x600"])
async def test_every_screen_keeps_the_rules_for_cars(
    size: tuple[int, int], language: str, *, night: bool
) -> None:
    played, wrong = PlayedAgent(PARKED), {}
    async with open_screen(played, width=size[0], height=size[1], language=language) as page:
        for name, (state, path) in SCREENS.items():
            played.state = replace(STATES[state], night=night)
            await page.goto(path)
            if found := await page.evaluate(RULES):
                wrong[name] = found
    assert wrong == {}


async def test_nothing_is_asked_of_any_other_machine() -> None:
    played, asked = PlayedAgent(PARKED), set[str]()
    async with open_screen(played) as page:
        page.on("request", lambda request: asked.add(request.url))
        for state, path in SCREENS.values():
            played.state = STATES[state]
            await page.goto(path)
        origin = await page.evaluate("location.origin + '/'")
    assert len(asked) > len(PAGES)
    assert {url for url in asked if not url.startswith(origin)} == set()


async def test_a_finger_on_ok_shares_the_trip_and_the_card_changes_live() -> None:
    played = PlayedAgent(STATES["trip"])
    async with open_screen(played) as page:
        await mark(page)
        await page.click("[data-action=trip-share]")
        await expect(page.locator("h1")).to_have_text("You said OK")
        assert played.asked == [("answer_trip", "trip-0007", (BATCH_ID,), True)]
        delivered = replace(played.state.trips[0], status=TripStatus.DELIVERED)
        await played.show(replace(played.state, trips=(delivered,)))
        await expect(page.locator("main")).to_contain_text("4.8 kB arrived. Receipt 3f9a1c07.")
        assert await is_marked(page)


async def test_no_is_as_easy_as_ok() -> None:
    played = PlayedAgent(STATES["trip"])
    async with open_screen(played) as page:
        boxes = [
            await page.locator(f"[data-action={name}]").bounding_box()
            for name in ("trip-share", "trip-decline")
        ]
        await page.click("[data-action=trip-decline]")
        await expect(page.locator("main")).to_contain_text("Nothing of this trip left the car.")
    assert boxes[0] is not None
    assert boxes[1] is not None
    assert (boxes[0]["width"], boxes[0]["height"]) == (boxes[1]["width"], boxes[1]["height"])


async def test_the_present_place_becomes_secret_with_a_finger() -> None:
    played = PlayedAgent(STATES["home-all"])
    played.zones = ()
    async with open_screen(played) as page:
        await page.goto("/more")
        for action in ("zones", "zone-here", "zone-add"):
            await page.click(f"[data-action={action}]")
        await expect(page.locator("h1")).to_have_text("Places nobody may see")
        await page.click("[data-action=zone-open]")
        await page.click("[data-action=zone-remove]")
        await expect(page.locator("main")).to_contain_text("stay secret anyway")
    assert [asked[0] for asked in played.asked] == ["add_place", "remove_place"]


async def test_a_shared_trip_is_taken_back_with_one_tap() -> None:
    played = PlayedAgent(STATES["shared-held"])
    async with open_screen(played) as page:
        await page.click("[data-action=trip-take-back]")
        await expect(page.locator("main")).to_contain_text("Taken back")


async def test_a_purpose_is_on_after_three_taps_and_off_after_three() -> None:
    played = PlayedAgent(STATES["home-first"])
    async with open_screen(played) as page:
        await page.click("nav a[href='/purposes']")
        await page.click("[data-action=purpose-open]")
        await page.click("[data-action=purpose-grant]")
        await expect(page.locator(".switch")).to_have_text("On")
        await page.click("nav a[href='/']")
        await page.click("nav a[href='/purposes']")
        await page.click("[data-action=purpose-open]")
        await page.click("[data-action=purpose-withdraw]")
        await expect(page.locator(".switch")).to_have_text("Off")
    granted = [asked[2] for asked in played.asked]
    assert granted == [True, False]
    assert played.asked[0][:2] == ("set_purpose", Purpose.BATTERY)


async def test_an_update_starts_with_a_countdown_that_runs_and_can_be_cancelled() -> None:
    played = PlayedAgent(STATES["update-ready"])
    async with open_screen(played) as page:
        await page.click("[data-action=update-now]")
        await expect(page.locator("[data-countdown]")).to_have_text("1:58", timeout=10_000)
        await page.click("[data-action=update-cancel]")
        await expect(page.locator("[data-countdown]")).to_have_count(0)
    assert played.asked[0] == ("answer_update", CONTENT_HASH, Decision.NOW)


async def test_when_the_car_drives_off_the_question_goes_and_comes_back_at_the_next_stop() -> None:
    played = PlayedAgent(STATES["trip"])
    async with open_screen(played) as page:
        await expect(page.locator("[data-action=trip-share]")).to_be_visible()
        await played.show(replace(STATES["trip"], driving=DrivingState.MOVING))
        await expect(page.locator("[data-card=ambient]")).to_be_visible()
        await expect(page.locator("button, a")).to_have_count(0)
        await played.show(STATES["trip"])
        await expect(page.locator("[data-action=trip-share]")).to_be_visible()


async def test_a_tap_that_comes_too_late_says_why_and_does_nothing() -> None:
    played = PlayedAgent(STATES["trip"])

    async def drive_off(route: Route) -> None:
        played.state = replace(STATES["trip"], driving=DrivingState.MOVING)  # no event yet
        await route.continue_()

    async with open_screen(played) as page:
        await page.route("**/api/trips/**", drive_off)
        await page.click("[data-action=trip-share]")
        await expect(page.locator("#said")).to_have_text("Answer when the car is parked (P).")
    assert played.asked == []


async def test_the_screen_works_without_javascript() -> None:
    played = PlayedAgent(STATES["trip"])
    async with running_screen(played) as address, chromium() as browser:
        page = await browser.new_page(java_script_enabled=False, base_url=address)
        await page.goto(f"/enter?token={TOKEN}")
        await page.click("[data-action=trip-share]")
        await expect(page.locator("h1")).to_have_text("You said OK")


async def test_a_lost_agent_is_said_and_found_again() -> None:
    async with chromium() as browser:
        async with running_screen(PlayedAgent(PARKED)) as address:
            page = await browser.new_page(base_url=address)
            await page.goto(f"/enter?token={TOKEN}")
            await expect(page.locator("#lost")).to_be_hidden()
        await expect(page.locator("#lost")).to_be_visible(timeout=10_000)
        port = int(address.rsplit(":", 1)[1])
        async with running_screen(PlayedAgent(STATES["trip"]), port=port):
            await expect(page.locator("#lost")).to_be_hidden(timeout=10_000)
            await expect(page.locator("[data-action=trip-share]")).to_be_visible()


async def test_the_exact_data_is_two_taps_away() -> None:
    async with open_screen(PlayedAgent(STATES["trip"])) as page:
        await page.click("[data-action=trip-look]")
        await page.click("[data-action=preview-exact]")
        await expect(page.locator("pre")).to_contain_text('"soh_percent": 91')


async def mark(page: Page) -> None:
    await page.evaluate("window.sameDocument = true")


async def is_marked(page: Page) -> bool:
    return bool(await page.evaluate("window.sameDocument === true"))
