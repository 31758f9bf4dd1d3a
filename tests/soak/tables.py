"""The tables of a soak, in the shape of ``benchmarks.result.Table``: for the page of figures."""

from collections.abc import Mapping
from typing import Any

from benchmarks.result import Table
from tests.soak.parts import PARTS, SYNCS

Figures = Mapping[str, Any]  # as ``Book.summary`` says
Counts = Mapping[str, int]
Row = list[str | float | None]

NOTE = (
    "The same command plays the same faults; only the moment of a power cut depends on how fast"
    " the machine is. Ill is what must not be: lost, doubled, a fault, a vehicle that is not well."
)
FAULTS = "What happened to agent, ingest and network while batches were on their way."
STORIES = (
    "Before each change to the disk an update is ended (`tests/support/update_kill_points.py`), and"
    " its recovery again before some of its own (`tests/support/update_kill_pairs.py`). Well means:"
    " restarted, the old or the new version runs, health-checked, the floor is not lowered, the"
    " report was sent."
)
BROKEN = (
    "The power is cut as soon as the update is done, and one sync is left out on purpose"
    " (`tests/support/update_power_cuts.py`)."
)


def tables(figures: Figures) -> list[Table]:
    """Return the tables of all parts that were played."""
    parts = figures["parts"]
    counts = {name: parts[name]["counts"] if name in parts else {} for name in PARTS}
    every = [
        Table(
            title="All parts",
            note=NOTE,
            head=["what", "cases", "found", "ill"],
            rows=[_part(name, part) for name, part in parts.items()],
        ),
        Table(
            title="Faults on the way",
            note=FAULTS,
            head=["what", "times"],
            rows=[[name, count] for name, count in counts["batches"].items() if " " in name],
        ),
        kill_points(counts["kill-points"], counts["kill-pairs"]),
        calls(counts["kill-points"]),
        Table(
            title="Syncs left out on purpose",
            note=BROKEN,
            head=["what", "cuts", "noticed"],
            rows=_broken(counts["power-cuts"]),
        ),
    ]
    return [table for table in every if table["rows"]]


def kill_points(points: Counts, pairs: Counts) -> Table:
    """Return how often each story was ended once, and twice."""
    once, twice = beginning("story ", points), beginning("story ", pairs)
    rows: list[Row] = [[story, count, twice.get(story, 0)] for story, count in once.items()]
    total: Row = ["all", sum(once.values()), sum(twice.values())]
    return Table(
        title="Updates ended, by story",
        note=STORIES,
        head=["what", "kill points", "and again"],
        rows=[*rows, total] if rows else [],
    )


def calls(points: Counts) -> Table:
    """Return before which system calls updates were ended."""
    return Table(
        title="Updates ended, by system call",
        note="The call that did not happen any more.",
        head=["what", "kill points"],
        rows=[[call, count] for call, count in beginning("call ", points).items()],
    )


def beginning(with_: str, counts: Counts) -> dict[str, int]:
    return {name.removeprefix(with_): counts[name] for name in counts if name.startswith(with_)}


def _part(name: str, part: Figures) -> Row:
    counts, table = part["counts"], PARTS[name]
    others = [each for each in table.shown if each not in table.zero]
    found = ", ".join(f"{each} {counts.get(each, 0):,}" for each in others)
    ill = ", ".join(f"{each} {counts.get(each, 0):,}" for each in table.zero)
    commands = "; ".join(f"`{command}`" for command in part["commands"])
    return [commands, f"{counts.get(table.unit, 0):,} {table.unit}", found, ill]


def _broken(counts: Counts) -> list[Row]:
    return [
        [SYNCS[name], cuts, counts.get(f"noticed {name}", 0)]
        for name, cuts in beginning("without ", counts).items()
    ]
