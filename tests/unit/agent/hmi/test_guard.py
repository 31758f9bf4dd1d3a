"""Who may talk to the screen."""

import pytest

from agent.hmi.guard import Guard, cookie_name

TOKEN = "token-of-this-boot-0123456789"
GUARD = Guard(TOKEN)
HOST = "127.0.0.1:8088"
BEARER = f"Bearer {TOKEN}"


def refused(method: str = "GET", *, cookie: str = "", **headers: str) -> str | None:
    every = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = GUARD.check(method, every, cookie)
    return None if refusal is None else refusal.code


def test_the_browser_of_the_screen_may_read_and_press() -> None:
    cookie = GUARD.session()
    assert refused(cookie=cookie) is None
    assert refused("POST", cookie=cookie, origin=f"http://{HOST}") is None


def test_a_client_with_the_token_needs_no_origin() -> None:
    assert refused("POST", authorization=BEARER) is None


@pytest.mark.parametrize("host", ["localhost:8088", "LOCALHOST", "[::1]:8088", "127.0.0.1"])
def test_every_loopback_name_is_us(host: str) -> None:
    assert refused(host=host, authorization=BEARER) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "127.0.0.1.evil.example", "evil.example:8088", "[::2]", "127.0.0.1@evil"],
)
def test_a_foreign_host_name_is_refused_even_with_the_token(host: str) -> None:
    assert refused(host=host, authorization=BEARER) == "screen.wrong_host"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://{HOST}", "http://127.0.0.1:9999", ""]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_foreign_origin_is_refused_even_with_the_token(method: str, origin: str) -> None:
    assert refused(method, origin=origin, authorization=BEARER) == "screen.foreign_origin"


def test_a_post_with_the_cookie_alone_is_refused() -> None:
    assert refused("POST", cookie=GUARD.session()) == "screen.foreign_origin"


@pytest.mark.parametrize("site", ["cross-site", "same-site", ""])
def test_a_post_that_a_browser_calls_cross_site_is_refused(site: str) -> None:
    assert refused("POST", sec_fetch_site=site, authorization=BEARER) == "screen.foreign_origin"


@pytest.mark.parametrize("cookie", ["", TOKEN, "ümlaut", "0" * 64])
def test_a_wrong_cookie_is_no_token(cookie: str) -> None:
    assert refused(cookie=cookie) == "screen.no_token"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"]
)
def test_a_wrong_bearer_is_no_token(header: str) -> None:
    assert refused(authorization=header) == "screen.no_token"


def test_a_wrong_bearer_is_not_saved_by_a_right_cookie() -> None:
    assert refused(authorization="Bearer x", cookie=GUARD.session()) == "screen.no_token"


def test_the_cookie_does_not_hold_the_token() -> None:
    assert TOKEN not in GUARD.session()


def test_two_agents_on_one_machine_have_two_cookies() -> None:
    assert cookie_name("127.0.0.1:8088") != cookie_name("127.0.0.1:8089")
    assert cookie_name("[::1]:8088") == cookie_name("127.0.0.1:8088")
    assert cookie_name("localhost") == "okdrive_screen_80"
