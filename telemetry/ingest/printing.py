"""How okdrive-ingest speaks: a JSON document, a table that fits a terminal, four lines of error."""

import json
from collections.abc import Sequence
from typing import Any

import click

from telemetry.ingest.errors import IngestError

CELL = 32  # characters of a long text in a table; --json has all of it
_SEE = "docs/reference/ingest.md"

as_json = click.option("--json", "is_json", is_flag=True, help="One JSON document on stdout.")
limited = click.option(
    "--limit", default=50, show_default=True, help="At most this many.", type=click.IntRange(1)
)


def print_json(name: str, document: dict[str, Any]) -> None:
    """Print ``document`` under the schema of the command ``name``."""
    click.echo(json.dumps({"schema": f"okdrive-ingest.{name}/1"} | document, indent=2))


def print_table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]], *, empty: str) -> None:
    """Print ``rows`` in columns under ``head``, or the sentence ``empty``."""
    if not rows:
        click.echo(empty)
        return
    lines = [head, *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def print_error(error: IngestError) -> None:
    """Print what is wrong, what is intact, what to do and where to read more."""
    click.echo(f"okdrive-ingest: {error}", err=True)
    click.echo(f"  intact  {error.intact}", err=True)
    click.echo(f"  next    {error.advice}", err=True)
    click.echo(f"  see     {_SEE}   {error.code}  [exit {error.exit_code}]", err=True)
