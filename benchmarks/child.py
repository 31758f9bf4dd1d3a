"""The process of one benchmark: ``python -m benchmarks.child NAME FILE [--quick]``.

Each benchmark has a process of its own, so that no memory, cache or imported module of another is
in its figures. It writes one ``benchmarks.result.Part`` to FILE.
"""

import importlib
import json
import signal
import sys
from pathlib import Path

from benchmarks.result import Part

INTERRUPTED = 130


def part_of(name: str, *, quick: bool) -> Part:
    """Measure ``name`` in this process; ``quick``: the smallest settings, figures of no worth."""
    found = importlib.import_module(f"benchmarks.{name}").measure(quick=quick)
    if isinstance(found, list):
        return Part(results=found, tables=[])
    part: Part = found
    return part


def main(arguments: list[str]) -> int:
    """Measure and write; an interrupt ends what the benchmark started and returns 130."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    name, file = arguments[:2]
    try:
        part = part_of(name, quick="--quick" in arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    Path(file).write_text(json.dumps(part))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
