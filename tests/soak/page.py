"""What a long soak found, for the reference: ``docs/reference/soak.json``, and sections of pages.

Run as ``python -m tests.soak.page build/soak.json …``: puts the slices of these files together,
writes the sums and the section of ``docs/reference/figures.md``; ``make golden`` then writes the
one of ``docs/reference/kill-points.md``.
"""

import json
import sys
from pathlib import Path

from benchmarks.figures import soak_section
from tests.soak.book import Book
from tests.soak.patience import say
from tests.soak.tables import Figures, calls, kill_points

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
FIGURES, PAGE = REFERENCE / "soak.json", REFERENCE / "figures.md"

HEAD = """## Updates, ended for hours: {points:,} points, {pairs:,} of pairs

From `soak.json`, the sums of a `make soak`; the rest of it is in [figures](figures.md#soak).

| command | ill |
|---|---:|
"""


def section(figures: Figures) -> str:
    """Return the section on updates for the page of kill points."""
    parts = [figures["parts"][name] for name in ("kill-points", "kill-pairs")]
    points, pairs = (part["counts"] for part in parts)
    rows = [
        f"| `{command}` | {part['counts'].get('ill', 0)} |\n"
        for part in parts
        for command in part["commands"]
    ]
    tables = soak_section({"tables": [kill_points(points, pairs), calls(points)]})
    head = HEAD.format(points=points["points"], pairs=pairs["pairs"])
    return head + "".join(rows) + tables.removeprefix("## Soak\n")


def put(page: str, soak: str) -> str:
    """Return the page of figures with ``soak`` as its last section."""
    return page.partition("\n## Soak\n")[0] + "\n" + soak


def read() -> Figures:
    """Return the figures that are published."""
    figures: Figures = json.loads(FIGURES.read_bytes())
    return figures


def main(files: list[str]) -> int:
    """Write the sums; refuse a soak that was not well or did not come to its end."""
    book = Book(None)
    for file in files:
        book.read(Path(file))
    figures = book.summary()
    bad = [name for name, part in figures["parts"].items() if not part["is_whole"]]
    if bad or not book.is_well:
        say(f"expected whole parts that are well; not whole: {', '.join(bad) or 'none'}")
        return 1
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(put(page, soak_section(figures)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
