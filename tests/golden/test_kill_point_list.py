"""docs/reference/kill-points.md lists where the agent is killed, and what the long soak found."""

import os
from pathlib import Path

import pytest

from tests.soak.page import read, section
from tests.support.far_end import FakeFarEnd
from tests.support.kill_points import Plug
from tests.support.trips import open_sharing, write_segment
from tests.unit.agent.test_kill_points import play

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "kill-points.md"
HEAD = """# Kill points

Written by `make golden`; a test compares. Every statement of the state file from opening it over
consent, offer, OK, attempt and receipt to the deleted row. The agent is killed before and after
each of them (`tests/unit/agent/test_kill_points.py`), started again, and must end with each
confirmed batch stored once. The kernel's own calls (every write and sync) are in
`tests/system/test_disk_errors.py`, the moments of a power cut in `tests/system/test_power_cuts.py`.
Updates, and all of it at random for hours, are at the end: what `make soak` found.

"""


def statements_of(folder: Path, max_payload_bytes: int | None) -> list[str]:
    folder.mkdir()
    write_segment(folder / "segments")
    plug = Plug(10**9, "before")
    far_end = FakeFarEnd(max_payload_bytes=max_payload_bytes)
    play(open_sharing(folder, connect=plug.connect), far_end, folder)
    plug.die()
    return plug.statements


def table(title: str, statements: list[str]) -> str:
    rows = "".join(f"{number:>4}  {text}\n" for number, text in enumerate(statements, 1))
    points = f"{len(statements)} statements, {2 * len(statements)} kill points"
    return f"## {title}: {points}\n\n```\n{rows}```\n"


@pytest.mark.timeout(30)
def test_the_list_of_kill_points_is_fresh(tmp_path: Path) -> None:
    whole = table("A batch that travels whole", statements_of(tmp_path / "whole", None))
    parts = table("A batch in parts", statements_of(tmp_path / "parts", 120))
    page = f"{HEAD}{whole}\n{parts}\n{section(read())}"
    if os.environ.get("OKDRIVE_GOLDEN") == "rewrite":
        PAGE.write_text(page)
    assert PAGE.read_text() == page
