"""What a soak found, slice by slice, in a file that survives its end: ``build/soak.json``.

::

    {"format": 1, "is_well": true,
     "parts": {"power-cuts": {"unit": "cuts", "asked": 3000, "counts": {"cuts": 3000, "ill": 0, …},
                              "is_well": true, "is_whole": true, "seconds": 1830, "ill": [],
                              "commands": ["python -m tests.soak power-cuts --seed 7 …"]}, …},
     "results": [], "tables": [{"title": "All parts", "note": "…", "head": […], "rows": […]}, …],
     "slices": [{"part": "power-cuts", "name": "seed 7000", "asked": 100, "is_whole": true,
                 "seconds": 61.2, "counts": {…}, "ill": [], "table": "", "command": "…"}, …]}

``results`` and ``tables`` are those of a ``benchmarks.result.Part``, for the page of figures.
``seconds`` are those of all processes, which may run side by side. Counts that begin with "edges"
are how far fuzzing got, the most of all slices; all others are sums.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.soak.children import Ended, Slice
from tests.soak.parts import PARTS, Said
from tests.soak.tables import tables

FORMAT = 1
MOST_ILL = 20  # complaints that are kept of one slice


@dataclass
class Played:
    """What one slice found."""

    part: str
    name: str
    asked: int
    command: str
    is_whole: bool = False
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    ill: list[str] = field(default_factory=list)
    table: str = ""

    def take(self, said: Said) -> None:
        self.counts.update(said.counts)
        self.table += said.table
        if said.ill:
            self.complain(said.ill)

    def complain(self, text: str) -> None:
        if len(self.ill) < MOST_ILL:
            self.ill.append(text)

    def end(self, ended: Ended) -> None:
        self.is_whole, self.seconds = ended.is_whole, round(ended.seconds, 1)
        if ended.complaint is not None:
            self.complain(ended.complaint)


class Book:
    """All slices that were played, of this run and of those that it resumes."""

    def __init__(self, file: Path | None, *, resume: bool = False) -> None:
        self._file = file
        self._played: dict[tuple[str, str], Played] = {}
        if resume and file is not None and file.exists():
            self.read(file)

    def read(self, file: Path) -> None:
        """Add what an earlier run has written."""
        for told in json.loads(file.read_bytes())["slices"]:
            played = Played(**{**told, "counts": Counter(told["counts"])})
            self._played[played.part, played.name] = played

    def still_to_play(self, part: str, slices: Iterable[Slice]) -> list[Slice]:
        """Return those of ``slices`` that nobody has played to their end."""
        return [one for one in slices if not self._is_played(part, one)]

    def _is_played(self, part: str, one: Slice) -> bool:
        played = self._played.get((part, one.name))
        return played is not None and played.is_whole and played.asked == one.amount

    def page(self, part: str, one: Slice, command: str) -> Played:
        """Return an empty page for a slice, in place of what a run before had found."""
        played = self._played[part, one.name] = Played(part, one.name, one.amount, command)
        return played

    def of(self, part: str) -> list[Played]:
        return [played for played in self._played.values() if played.part == part]

    @property
    def parts(self) -> list[str]:
        """The parts of which something was played, in the order of the table."""
        return [part for part in PARTS if self.of(part)]

    def counts(self, part: str) -> Counter[str]:
        """Return what all slices of ``part`` counted."""
        total: Counter[str] = Counter()
        for played in self.of(part):
            for name, count in played.counts.items():
                is_reach = name.startswith("edges")
                total[name] = max(total[name], count) if is_reach else total[name] + count
        return total

    def ill(self, part: str) -> list[str]:
        """Return every complaint of ``part`` in words."""
        said = [f"{one.name}: {text}" for one in self.of(part) for text in one.ill]
        counts = self.counts(part)
        said += [f"{name}: {counts[name]}, not 0" for name in PARTS[part].zero if counts[name]]
        for name in counts:
            if name.startswith("without ") and not counts[name.replace("without", "noticed", 1)]:
                said.append(f"{counts[name]} {name}, and the bench noticed nothing")
        return said

    @property
    def is_well(self) -> bool:
        return not any(self.ill(part) for part in self.parts)

    def summary(self) -> dict[str, Any]:
        """Return the sums and their tables, without the slices."""
        parts = {part: self._summary(part) for part in self.parts}
        return {
            "format": FORMAT,
            "is_well": self.is_well,
            "parts": parts,
            "results": [],
            "tables": tables({"parts": parts}),
        }

    def _summary(self, part: str) -> dict[str, Any]:
        played = self.of(part)
        return {
            "unit": PARTS[part].unit,
            "asked": sum(one.asked for one in played),
            "counts": dict(sorted(self.counts(part).items())),
            "ill": self.ill(part),
            "is_well": not self.ill(part),
            "is_whole": all(one.is_whole for one in played),
            "seconds": round(sum(one.seconds for one in played)),
            "commands": sorted({one.command for one in played}),
        }

    def save(self) -> None:
        """Write the file anew, whole or not at all."""
        if self._file is None:
            return
        told = {**self.summary(), "slices": [vars(one) for one in self._played.values()]}
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_name(f"{self._file.name}.new")
        new.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        new.replace(self._file)
