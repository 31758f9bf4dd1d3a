"""`okdrive-agent status` answers quickly because it loads only what it reads."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.system
_NOT_NEEDED = ("asyncio", "http.client", "agent.watch", "agent.signals", "agent.app", "starlette")


def test_status_loads_neither_the_event_loop_nor_the_watch_nor_the_screen() -> None:
    script = "import sys, agent.cli, agent.standing; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    modules = loaded.stdout.decode().split()
    assert "agent.store.state" in modules
    assert [name for name in _NOT_NEEDED if name in modules] == []
