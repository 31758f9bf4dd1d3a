"""`make bench`: every budget that is built, peers in the same run; a table and build/bench.json."""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from agent.clock import SystemClock
from benchmarks.book import Book, BookError, measured
from benchmarks.catalog import BENCHES, CATALOG, Bench, missing
from benchmarks.figures import PAGE, number, write_page
from benchmarks.result import Part
from benchmarks.runner import BenchError, Interrupted, interrupts, run

_HEAD = f"{'figure':<60} {'value':>18}  {'ratio':>7}  {'must':>6}  {'aim':>6}"
_EPILOG = "\n".join(
    f"  {bench.name:<15} {bench.about} (about {bench.about_s} s)" for bench in CATALOG
)


def _row(result: Mapping[str, Any]) -> str:
    ratio, must, aim = (
        "" if result[name] is None else f"{result[name]:.4g}" for name in ("ratio", "must", "aim")
    )
    verdict = {True: "ok", False: "MISSED", None: ""}[result["ok"]]
    value = f"{number(result['value'])} {result['unit']}"
    return f"{result['name']:<60} {value:>18}  {ratio:>7}  {must:>6}  {aim:>6}  {verdict}".rstrip()


def _measured(
    benches: Sequence[Bench], book: Book, *, quick: bool
) -> Iterator[tuple[Bench, Part | None]]:
    """Measure and keep; yield each bench with its part, None where it could not be measured."""
    for at, bench in enumerate(benches, start=1):
        sys.stderr.write(f"{at}/{len(benches)} {bench.name}: {bench.about}\n")
        lack = missing(bench)
        part: Part | None = None
        began_s = time.monotonic()
        try:
            part = None if lack else run(bench, quick=quick)
        except (BenchError, BookError) as error:
            lack = f"{error}\n{bench.name} has failed; what was kept of it before is kept"
        if lack:
            sys.stderr.write(f"{lack}\n")
        if part and not quick:
            where = measured(SystemClock().utc_now(), time.monotonic() - began_s)
            book.keep(bench.name, part, measured=where)
        yield bench, part


def _page(book: Book, page: Path) -> str:
    absent = [bench.name for bench in CATALOG if not book.has(bench.name)]
    if absent:
        return f"{page} stays as it is: nothing has been measured yet of {', '.join(absent)}"
    write_page(book, page)
    return f"{page} written"


@click.command(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nBenchmarks:\n{_EPILOG}",
)
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)), metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Smallest settings: does it run? Nothing is kept.")
@click.option("--json", "is_json", is_flag=True, help="Print the results as JSON; no table.")
@click.option(
    "--into",
    "folder",
    default="build",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where results are kept.",
)
def main(names: Sequence[str], *, quick: bool, is_json: bool, folder: Path) -> None:
    """Measure every budget, or those NAMEd; print a table and keep the results.

    A whole run takes about ten minutes on two quiet cores and writes docs/reference/figures.md. A
    benchmark run alone replaces its own figures in build/bench.json and leaves the others; the page
    then waits for `python -m benchmarks.figures`. Progress is on stderr. Ctrl-C ends the benchmark
    that runs with everything it started; all that was kept before stays whole.

    Exit code 1: a "must" was missed, or a benchmark failed; 130: interrupted.
    """
    benches, book = [BENCHES[name] for name in names] or list(CATALOG), Book(folder)
    results: list[Mapping[str, Any]] = []
    has_failed = False
    if not is_json:
        click.echo(_HEAD)
    try:
        with interrupts():
            for bench, part in _measured(benches, book, quick=quick):
                has_failed |= part is None and missing(bench) is None
                results += part["results"] if part else []
                if part and not is_json:
                    click.echo("\n".join(map(_row, part["results"])))
    except Interrupted as end:
        sys.stderr.write("interrupted; what was measured before is kept\n")
        sys.exit(end.exit_code)
    if is_json:
        click.echo(json.dumps(results, indent=2))
    if not quick:
        sys.stderr.write(f"kept in {book.summary}\n")
        sys.stderr.write("" if names else f"{_page(book, PAGE)}\n")
    sys.exit(int(has_failed or any(result["ok"] is False for result in results)))


if __name__ == "__main__":
    main()
