"""`make bench`: every budget that is built, peers in the same run; a table and build/bench.json."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.agent_memory import measure as measure_memory
from benchmarks.decode import measure as measure_decode
from benchmarks.download import measure as measure_download
from benchmarks.ingest_rate import measure as measure_ingest_rate
from benchmarks.ingest_workers import measure as measure_ingest_workers
from benchmarks.live_path import measure as measure_live_path
from benchmarks.recording import measure as measure_recording
from benchmarks.wire_size import measure as measure_wire_size

MEASURES: Mapping[str, Callable[[], Sequence[Mapping[str, Any]]]] = {
    "wire_size": measure_wire_size,
    "decode": measure_decode,
    "live_path": measure_live_path,
    "recording": measure_recording,
    "download": measure_download,
    "ingest_rate": measure_ingest_rate,
    "ingest_workers": measure_ingest_workers,
    "agent_memory": measure_memory,
}
OUT = Path("build/bench.json")


def _row(result: Mapping[str, Any]) -> str:
    ratio = "" if result["ratio"] is None else f"{result['ratio']:.3f}"
    must = "" if result["must"] is None else str(result["must"])
    aim = "" if result["aim"] is None else str(result["aim"])
    verdict = {True: "ok", False: "MISSED", None: ""}[result["ok"]]
    value = f"{result['value']:,.4g} {result['unit']}"
    return f"{result['name']:<52} {value:>16}  {ratio:>8}  {must:>8}  {aim:>8}  {verdict}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; return 1 if a "must" is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MEASURES)}; default: all")
    names = parser.parse_args(arguments).names or list(MEASURES)
    results: list[Mapping[str, Any]] = []
    print(f"{'figure':<52} {'value':>16}  {'ratio':>8}  {'must':>8}  {'aim':>8}")
    for name in names:
        for result in MEASURES[name]():
            results.append(result)
            print(_row(result), flush=True)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written to {OUT}")
    return 1 if any(result["ok"] is False for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
