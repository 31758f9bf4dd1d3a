"""The pages that describe the code are the code's own words, and every promise has its test."""

import ast
import functools
import re
from pathlib import Path

import pytest

from tools.docs import PAGES, REFERENCE

ROOT = Path(__file__).parent.parent.parent
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)")
ROW = re.compile(r"^\| (?P<promise>[^|]+) \| `(?P<file>tests/[^:`]+)::(?P<test>\w+)` \|$")


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_fresh(page: str) -> None:
    assert (REFERENCE / page).read_text() == PAGES[page](), "run: make docs"


def rows() -> list[re.Match[str]]:
    lines = (REFERENCE / "behaviours.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("| ") and "::" in line]
    found = [ROW.match(line) for line in table]
    assert all(found), [line for line, match in zip(table, found, strict=True) if not match]
    return [match for match in found if match]


@functools.cache
def names_in(file: str) -> frozenset[str]:
    path = ROOT / file
    nodes = ast.walk(ast.parse(path.read_text())) if path.exists() else ()
    return frozenset(
        node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_every_promised_behaviour_names_a_test_that_exists() -> None:
    missing = [row[0] for row in rows() if row["test"] not in names_in(row["file"])]
    assert missing == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = NAMED.findall(page.read_text())
    assert [test for file, test in named if test not in names_in(file)] == []


def test_the_table_of_behaviours_is_not_empty() -> None:
    assert len(rows()) >= 20


def test_every_error_page_and_link_of_the_readme_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize(
    "rows", [[f"R{n:02}" for n in range(1, 24)], [f"P{n:02}" for n in range(1, 18)]]
)
def test_the_uptane_checklist_has_a_test_or_a_reason_for_every_row(rows: list[str]) -> None:
    page = (REFERENCE / "uptane-checklist.md").read_text().splitlines()
    lines = {row: [line for line in page if line.startswith(f"| {row} |")] for row in rows}
    assert [row for row, found in lines.items() if len(found) != 1] == []
    bare = [row for row, (line,) in lines.items() if not NAMED.search(line)]
    assert [row for row in bare if "not offered" not in lines[row][0] and row != "P10"] == []
