"""The screen's server on a real socket: port taken, foreign address, big heads, a quick end."""

import asyncio
import http.client

import pytest

from agent.hmi.guard import Guard, cookie_name
from agent.hmi.server import MAX_HEADER_BYTES, ScreenError, bind_loopback
from sim.played_agent import PlayedAgent
from sim.screens import STATES
from tests.support.browser import TOKEN, running_screen

pytestmark = pytest.mark.system
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def ask(address: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    def request() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=5)
        connection.request("GET", path, headers=BEARER if headers is None else headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content

    return await asyncio.to_thread(request)


async def test_the_state_is_served_on_the_port_that_is_reported() -> None:
    async with running_screen(PlayedAgent(STATES["trip"])) as address:
        status, content = await ask(address, "/api/state")
    assert status == 200
    assert b'"card":"trip"' in content


async def test_the_cookie_of_enter_opens_the_screen() -> None:
    async with running_screen(PlayedAgent(STATES["trip"])) as address:
        host = address.removeprefix("http://")
        cookie = f"{cookie_name(host)}={Guard(TOKEN).session()}"
        assert (await ask(address, "/", {"Cookie": cookie}))[0] == 200
        assert (await ask(address, "/", {}))[0] == 401


async def test_stop_ends_a_screen_that_still_listens_for_events(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with asyncio.timeout(8), running_screen(PlayedAgent(STATES["trip"])) as address:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"GET /api/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"data: 1")
    assert (await reader.read()).endswith(b"0\r\n\r\n")  # an orderly end, not a cut
    assert caplog.records == []  # nothing had to be cancelled
    writer.close()


async def test_heads_past_the_limit_are_refused() -> None:
    async with running_screen(PlayedAgent(STATES["trip"])) as address:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /api/state HTTP/1.1\r\nX-Long: " + b"x" * (MAX_HEADER_BYTES + 1))
        assert await reader.readline() == b"HTTP/1.1 400 Bad Request\r\n"
        writer.close()


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with bind_loopback("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ScreenError, match=f"port {port} on 127.0.0.1 to be free") as caught:
            bind_loopback("127.0.0.1", port)
    assert caught.value.code == "screen.port_taken"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "car.example", ""])
def test_an_address_that_others_can_reach_is_refused(host: str) -> None:
    with pytest.raises(ScreenError, match="expected a loopback address") as caught:
        bind_loopback(host, 0)
    assert caught.value.code == "screen.not_loopback"


def test_localhost_is_an_address_of_this_machine() -> None:
    with bind_loopback("localhost", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_port_that_may_not_be_opened_is_said() -> None:
    with pytest.raises(ScreenError, match="nothing is lost and recording goes on") as caught:
        bind_loopback("127.0.0.1", 70_000)
    assert caught.value.code == "screen.no_address"
