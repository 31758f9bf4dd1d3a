import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.control import Control, ask
from tests.support.wait import wait_until


@asynccontextmanager
async def running(path: Path, said: list[str]) -> AsyncIterator[None]:
    async def why() -> str:
        said.append("why")
        return "Nothing is waiting."

    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(Control(path, {"why": why}).run(stop))
        await wait_until(path.exists)
        yield
        stop.set()


async def test_a_word_is_answered_with_a_sentence(tmp_path: Path) -> None:
    said: list[str] = []
    async with running(tmp_path / "control.sock", said):
        answer = await asyncio.to_thread(ask, tmp_path / "control.sock", "why")
    assert (answer, said) == ("Nothing is waiting.", ["why"])


async def test_only_its_user_may_talk_to_it(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    async with running(path, []):
        await wait_until(lambda: stat.S_IMODE(path.stat().st_mode) == 0o600)


@pytest.mark.parametrize("word", ["stop", "", "why not", "x" * 1000])
async def test_other_words_do_nothing(tmp_path: Path, word: str) -> None:
    said: list[str] = []
    async with running(tmp_path / "control.sock", said):
        await asyncio.to_thread(ask, tmp_path / "control.sock", word, timeout_s=1.0)
        assert await asyncio.to_thread(ask, tmp_path / "control.sock", "why")
    assert said == ["why"]


def test_without_a_daemon_there_is_no_answer(tmp_path: Path) -> None:
    assert ask(tmp_path / "control.sock", "why") is None


def test_a_socket_nobody_serves_any_more_is_no_answer(tmp_path: Path) -> None:
    import socket  # noqa: PLC0415

    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "control.sock"))
    assert ask(tmp_path / "control.sock", "why") is None


async def test_where_no_socket_can_be_the_daemon_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, stop = tmp_path / ("x" * 200), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(Control(path, {}).run(stop))
        await wait_until(lambda: "control_unavailable" in caplog.messages)
        stop.set()
