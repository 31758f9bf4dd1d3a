"""The screen's token: new with every boot of the board, the same over a restart of the agent."""

import contextlib
import secrets
from pathlib import Path

from ota.client.durable import replace_file


def boot_token(path: Path, boot_id: str) -> str:
    """Return the screen's token of this boot, so that an open page survives a restart. Blocks."""
    with contextlib.suppress(OSError, ValueError):
        known_boot, token = path.read_text().split()
        if known_boot == boot_id:
            return token
    token = secrets.token_urlsafe(24)
    replace_file(path, f"{boot_id} {token}\n".encode())
    return token
