"""The Director's xfails are the cases that the public suite's last run refused for delegating.

``python -m tools.conformance SUITE`` wrote the page after it had taken the one check out of a copy
and seen every case pass: see docs/how-to/run-tuf-conformance.md.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "reference" / "conformance.md").read_text()
SCRIPTS = ROOT / "tests" / "conformance"


def test_the_xfails_are_exactly_what_was_refused_for_delegating() -> None:
    listed = (SCRIPTS / "tuf-client-director.xfails").read_text().splitlines()
    assert sorted(listed) == re.findall(r"^\* `(.+)`$", PAGE, re.MULTILINE)
    assert f"| 113 | {113 - len(listed)} | {len(listed)} |" in PAGE


def test_nothing_is_excused_on_the_image_path() -> None:
    assert (SCRIPTS / "tuf-client.xfails").read_text().strip() == ""
    assert "| Image (`tuf-client`) | 113 | 113 | 0 |" in PAGE
