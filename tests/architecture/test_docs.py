"""The pages that describe the code are the code's own words, and every promise has its test."""

import ast
import re
from pathlib import Path

import pytest

from tools.docs import PAGES, REFERENCE

ROOT = Path(__file__).parent.parent.parent
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


def test_every_promised_behaviour_names_a_test_that_exists() -> None:
    missing = []
    for row in rows():
        path = ROOT / row["file"]
        names = (
            {
                node.name
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            if path.exists()
            else set()
        )
        if row["test"] not in names:
            missing.append(f"{row['file']}::{row['test']}")
    assert missing == []


def test_the_table_of_behaviours_is_not_empty() -> None:
    assert len(rows()) >= 20


def test_every_error_page_and_link_of_the_readme_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
