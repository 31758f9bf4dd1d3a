"""The data map is what the code's tables say; `make golden` rewrites it."""

import os
from pathlib import Path

import pytest

from agent.consent.notices import load_notices
from agent.privacy import datamap
from agent.privacy.datamap import BODIES, data_map
from telemetry.purposes import Purpose

PAGE = Path(__file__).parent.parent.parent / "docs/reference/data-map.md"


def test_the_data_map_is_what_the_code_says() -> None:
    page = data_map(load_notices())
    if os.environ.get("OKDRIVE_GOLDEN") == "rewrite":
        PAGE.write_text(page)
    assert PAGE.read_text() == page


def test_every_purpose_is_on_the_map() -> None:
    assert set(BODIES) == set(Purpose)


def test_a_field_without_a_line_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = dict(datamap._MAP)
    lines.pop("TrafficBatch.cell")
    monkeypatch.setattr(datamap, "_MAP", lines)
    with pytest.raises(ValueError, match=r"TrafficBatch\.cell"):
        data_map(load_notices())
