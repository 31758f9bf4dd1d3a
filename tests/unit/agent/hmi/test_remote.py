"""A driver's answer on the command line goes through the screen, and is told as it is."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.hmi.remote import NobodyServesError, RemoteError, post

REFUSAL = {"error": {"code": "screen.not_now.answer_update", "message": "Not while moving."}}


class Screen(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, dict[str, Any]]]
    answer: tuple[int, dict[str, Any]] = (200, {"ok": True})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.path, self.headers["Authorization"], body))
        status, answer = self.answer
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        return


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[type[Screen]]:
    made = type("Made", (Screen,), {"seen": []})
    server = HTTPServer(("127.0.0.1", 0), made)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    (tmp_path / "screen.json").write_text(json.dumps({"address": address, "token": "t0ken"}))
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_answer_is_posted_with_the_token_of_this_boot(
    screen: type[Screen], tmp_path: Path
) -> None:
    post(tmp_path / "screen.json", "/api/updates/ab/answer", {"decision": "now"})
    assert screen.seen == [("/api/updates/ab/answer", "Bearer t0ken", {"decision": "now"})]


def test_a_refusal_is_told_in_the_words_and_with_the_code_of_the_screen(
    screen: type[Screen], tmp_path: Path
) -> None:
    screen.answer = (409, REFUSAL)
    with pytest.raises(RemoteError, match=r"Not while moving. \(screen.not_now.answer_update\)"):
        post(tmp_path / "screen.json", "/api/updates/ab/cancel", {})


def test_without_an_agent_nothing_is_answered(tmp_path: Path) -> None:
    with pytest.raises(NobodyServesError, match="expected a running agent's screen"):
        post(tmp_path / "screen.json", "/api/updates/ab/cancel", {})
    (tmp_path / "screen.json").write_text('{"address": "http://127.0.0.1:1", "token": "t"}')
    with pytest.raises(NobodyServesError, match="nothing changed"):
        post(tmp_path / "screen.json", "/api/updates/ab/cancel", {})


@pytest.mark.parametrize(
    "command", ["check", "why-not", "approve", "schedule", "postpone", "cancel"]
)
def test_every_answer_is_a_command(command: str) -> None:
    shown = CliRunner().invoke(main, ["update", command, "--help"])
    assert shown.exit_code == 0
    assert ("CONTENT_HASH" in shown.output) == (command not in {"check", "why-not"})
