"""okdrive-agent export: everything the vehicle keeps of its driver, as files."""

from datetime import datetime
from pathlib import Path

import click

from agent.commands.common import Caller


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "csv", "parquet"]),
    default="json",
    show_default=True,
    help="One JSON file, or a folder of CSV or Parquet files.",
)
@click.option(
    "-o",
    "--out",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    help="Where to; must not be there yet.",
)
@click.option("--trip", help="Only this trip or charge; the first digits of its id are enough.")
@click.option(
    "--since",
    "since_utc",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Only trips and charges since this day (UTC).",
)
@click.pass_obj
def export(
    caller: Caller, form: str, target: Path, trip: str | None, since_utc: datetime | None
) -> None:
    """Write what the vehicle keeps: trips with samples, charges, battery, consents, places.

    Needs no network and no consent; the files are for you alone. Signals carry their VSS name and
    unit, times are UTC.

    \b
      okdrive-agent export -o mydata.json
      okdrive-agent export --format csv --since 2026-11-01 -o november
      okdrive-agent export --format parquet --trip 3f9a -o trip
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)
    with caller.doing("export"):
        from agent import export as files  # noqa: PLC0415

        wanted = files.Wanted(trip=trip, since_utc=since_utc and files.as_utc(since_utc))
        tables = files.collect(caller.config(), wanted)
        for line in files.write(tables, files.Form(form), target):
            click.echo(line)
        click.echo(f"written to {target}")
