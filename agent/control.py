"""How a command reaches the running daemon: a UNIX socket, one word in, one sentence out.

The socket lies in the state folder, which only the agent's user may enter. Words carry no data:
what a command changes, it changes in the state file; the word only says that something changed. A
few name what they are about, such as an update: those are answered with one line of JSON.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

log = logging.getLogger(__name__)

_MAX_WORD_BYTES = 128  # a word, and a hash
_PATIENCE_S = 5.0

Words = Mapping[str, Callable[[], Awaitable[str]]]
Questions = Mapping[str, Callable[[str], Awaitable[str]]]


class Control:
    """The daemon's end: a closed list of words, and of those that name what they are about."""

    def __init__(self, path: Path, words: Words, questions: Questions | None = None) -> None:
        self._path = path
        self._words = words
        self._questions = questions or {}

    async def run(self, stop: asyncio.Event) -> None:
        """Answer until ``stop``; where no socket can be, commands see what is stored."""
        try:
            server = await asyncio.start_unix_server(self._serve, self._path, limit=_MAX_WORD_BYTES)
        except OSError as error:  # a path of more than 107 bytes, a disk without sockets
            log.warning("control_unavailable", extra={"reason": str(error)})
            await stop.wait()
            return
        async with server:
            await asyncio.to_thread(self._path.chmod, 0o600)
            await stop.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                line = (await reader.readline()).decode(errors="replace").strip()
                writer.write((await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, ConnectionError) as error:  # too long, or gone
            log.info("control_dropped", extra={"reason": str(error)})
        finally:
            writer.close()

    async def _answer(self, line: str) -> str:
        if answer := self._words.get(line):
            return await answer()
        word, _, about = line.partition(" ")
        if question := self._questions.get(word):
            return await question(about)
        return f"unknown word, expected {sorted([*self._words, *self._questions])}"


def ask(path: Path, word: str, *, timeout_s: float = _PATIENCE_S) -> str | None:
    """Say ``word`` to the daemon and return its sentence; None if none listens. Blocks."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(word.encode() + b"\n")
            with connection.makefile() as answer:
                return answer.readline().strip() or None
        except OSError:
            return None
