"""Where results are kept: ``build/bench/NAME.json`` each, and ``build/bench.json`` made of them.

A benchmark that is run alone replaces its own file only, so the others' figures stay. Files appear
whole or not at all: whoever interrupts a run finds what was there before.

Shapes: ``build/bench.json`` is a list of ``benchmarks.result.Result``; a benchmark's own file is a
``benchmarks.result.Part`` with where and when it was measured beside it (``measured``).
"""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.catalog import CATALOG
from benchmarks.result import Part

FOLDER = Path("build")
_RESULT_FIELDS = ("name", "value", "unit", "peer", "ratio", "must", "aim", "ok")
_TABLE_FIELDS = ("title", "note", "head", "rows")


class BookError(Exception):
    """Kept results cannot be read; the message says which file and what was expected."""


class Book:
    """The results under one folder."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder

    @property
    def summary(self) -> Path:
        """The list of all figures."""
        return self.folder / "bench.json"

    def keep(self, name: str, part: Part, *, measured: Mapping[str, object]) -> None:
        """Replace what is kept of the benchmark ``name``, and the list of all figures."""
        (self.folder / "bench").mkdir(parents=True, exist_ok=True)
        _write(self._path(name), {**part, "measured": measured})
        results = [result for _, part in self.parts() for result in part["results"]]
        _write(self.summary, results)

    def parts(self) -> list[tuple[str, dict[str, Any]]]:
        """Return name and part of all that is kept, in the catalogue's order; raise BookError."""
        names = [bench.name for bench in CATALOG]
        return [(name, read_part(self._path(name))) for name in names if self.has(name)]

    def has(self, name: str) -> bool:
        """Tell whether anything is kept of the benchmark ``name``."""
        return self._path(name).exists()

    def _path(self, name: str) -> Path:
        return self.folder / "bench" / f"{name}.json"


def read_part(path: Path) -> dict[str, Any]:
    """Return a part from its file; raise BookError."""
    try:
        part = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BookError(f"{path}: expected the results of a benchmark: {error}") from error
    if not isinstance(part, dict):
        raise BookError(f"{path}: expected one JSON object")
    _check(path, part.get("results"), _RESULT_FIELDS)
    _check(path, part.get("tables"), _TABLE_FIELDS)
    return part


def _check(path: Path, things: object, fields: Iterable[str]) -> None:
    if not isinstance(things, list):
        raise BookError(f"{path}: expected lists of results and tables")
    for thing in things:
        for field in fields:
            if not isinstance(thing, dict) or field not in thing:
                raise BookError(f"{path}: expected the field {field!r} in {thing!r:.200}")


def machine() -> str:
    """Return in a few words what measures: processor, cores, Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    model = models[0] if models else platform.machine()
    return f"{model}, {cores} cores, Python {platform.python_version()}"


def measured(now: datetime, seconds: float) -> dict[str, object]:
    """Return where and when a part was measured."""
    at = now.strftime("%Y-%m-%d %H:%M UTC")
    return {"at": at, "seconds": round(seconds, 1), "machine": machine()}


def _write(path: Path, content: object) -> None:
    beside = path.with_suffix(".json.new")
    beside.write_text(json.dumps(content, indent=2) + "\n")
    beside.replace(path)
