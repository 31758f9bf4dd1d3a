"""The driver's answers given on the command line: through the screen's own address and rules.

A command is held to the same driving state and the same content hash as a tap on the screen.
"""

import http.client
import json
from pathlib import Path
from typing import Any, ClassVar

_TIMEOUT_S = 10.0
_MAX_ANSWER_BYTES = 1_048_576
_OK = 200


class RemoteError(Exception):
    """The agent did not take the answer; nothing changed."""

    code: ClassVar[str] = "agent.answer_refused"


class NobodyServesError(RemoteError):
    """No agent serves this folder's screen; nothing changed."""

    code = "agent.not_running"


def post(found: Path, path: str, body: dict[str, Any]) -> None:
    """Post ``body`` to ``path`` of the screen whose address stands in the file ``found``. Blocks.

    Raises:
        NobodyServesError: No agent runs.
        RemoteError: It runs and says no; the message is its own, with its code.
    """
    try:
        known = json.loads(found.read_bytes())
        address, token = str(known["address"]).removeprefix("http://"), str(known["token"])
        status, answer = _post(address, token, path, body)
    except (OSError, ValueError, KeyError, http.client.HTTPException) as error:
        raise NobodyServesError(
            f"{found}: expected a running agent's screen, got {error}; nothing changed"
        ) from error
    if status != _OK:
        said = answer.get("error", {})
        raise RemoteError(f"{said.get('message', status)} ({said.get('code', 'unknown')})")


def _post(address: str, token: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", path, body=json.dumps(body), headers=headers)
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read(_MAX_ANSWER_BYTES))
        return response.status, answer
    finally:
        connection.close()
