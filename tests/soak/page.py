"""What a long soak found, for the reference: ``docs/reference/soak.json`` and a section of a page.

Run as ``python -m tests.soak.page build/soak.json …``: puts the slices of these files together,
writes the sums, and afterwards ``make golden`` writes ``docs/reference/kill-points.md``.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.soak.book import Book
from tests.soak.parts import PARTS, SYNCS
from tests.soak.patience import say

FIGURES = Path(__file__).parents[2] / "docs" / "reference" / "soak.json"

Figures = Mapping[str, Any]  # as ``Book.summary`` says

HEAD = """## The long soak

Written from `soak.json`, the sums of a whole `make soak`; a test compares. The same command plays
the same faults; only the moment of a power cut depends on how fast the machine is.

| command | cases | what was found |
|---|---:|---|
"""
BATCHES = """
Faults while batches were on their way:

| fault | times |
|---|---:|
"""
STORIES = """
Updates ended before a change to the disk (`tests/support/update_kill_points.py`), then restarted;
the old or the new version runs, health-checked, the floor is not lowered, the report was sent:

| story | points |
|---|---:|
"""
CALLS = """
| before this call | points |
|---|---:|
"""
PAIRS = """
Ended again while they recovered (`tests/support/update_kill_pairs.py`):

| story | pairs of points |
|---|---:|
"""
BROKEN = """
The bench would notice: with a sync left out on purpose, the power cut when the update was done
(`tests/support/update_power_cuts.py`):

| what is not synced | cuts | noticed |
|---|---:|---:|
"""


def section(figures: Figures) -> str:
    """Return the section of ``figures``."""
    parts = figures["parts"]
    text = HEAD + "".join(row(name, part) for name, part in parts.items())
    if "batches" in parts:
        text += BATCHES + rows(faults(parts["batches"]["counts"]))
    if "kill-points" in parts:
        counts = parts["kill-points"]["counts"]
        text += STORIES + rows(beginning("story ", counts))
        text += CALLS + rows(beginning("call ", counts))
    if "kill-pairs" in parts:
        text += PAIRS + rows(beginning("story ", parts["kill-pairs"]["counts"]))
    if "power-cuts" in parts:
        counts = parts["power-cuts"]["counts"]
        text += BROKEN + "".join(
            f"| {SYNCS[name]} | {cuts:,} | {counts.get(f'noticed {name}', 0):,} |\n"
            for name, cuts in beginning("without ", counts).items()
        )
    return text


def row(name: str, part: Figures) -> str:
    commands = "<br>".join(f"`{command}`" for command in part["commands"])
    cases = f"{part['counts'][part['unit']]:,} {part['unit']}"
    return f"| {commands} | {cases} | {found(name, part)} |\n"


def found(name: str, part: Figures) -> str:
    """Return the counts that must be 0, with what they are compared with."""
    counts = part["counts"]
    return " / ".join(f"{each} {counts.get(each, 0):,}" for each in PARTS[name].shown)


def faults(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if " " in name}


def beginning(with_: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {name.removeprefix(with_): counts[name] for name in counts if name.startswith(with_)}


def rows(table: Mapping[str, int]) -> str:
    return "".join(f"| {name} | {count:,} |\n" for name, count in table.items())


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
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
