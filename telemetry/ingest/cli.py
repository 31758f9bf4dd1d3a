"""okdrive-ingest: receive what drivers confirmed, and look at what was received."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from telemetry.ingest.config import load_config
from telemetry.ingest.errors import IngestError
from telemetry.ingest.keycommands import keys
from telemetry.ingest.looking import batch, batches, quarantine, reading, receipts, reports
from telemetry.ingest.printing import as_json, print_error, print_json
from telemetry.ingest.running import among_others, is_running, receive
from telemetry.logs import start_logging


def _default_config() -> Path:
    home = os.environ.get("OKDRIVE_HOME")
    return (Path(home) if home else Path("/etc/okdrive")) / "ingest.toml"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration; default $OKDRIVE_HOME/ingest.toml, else /etc/okdrive/ingest.toml.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what happens.")
@click.version_option(package_name="okdrive")
@click.pass_context
def cli(context: click.Context, *, config: Path | None, verbose: bool) -> None:
    """Receive the batches that drivers confirmed; each counts once.

    \b
    Start here:
      okdrive-ingest run               receive until Ctrl-C
      okdrive-ingest batches list      what has been stored
      okdrive-ingest status            how much, and is it well
      okdrive-ingest quarantine list   what was refused, and why
      okdrive-ingest reports list      what waits for the workshop
      okdrive-ingest metrics           the same for Prometheus
      okdrive-ingest doctor            every check, and what to do

    Every command takes --json. Exit codes: 0 done, 1 failed, 2 wrong usage, 4 not allowed now,
    6 not found, 7 conflict, 130/143 interrupted with everything intact.
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)
    start_logging("%(levelname)s %(name)s %(message)s", is_verbose=verbose)
    context.obj = config or _default_config()


@cli.command()
@click.pass_obj
def run(config_path: Path) -> None:
    """Receive, store and answer batches until SIGINT or SIGTERM.

    A batch is answered only after it is on disk; stopping at any moment loses nothing. Start it
    several times to use more cores: the broker hands each batch to one of them.
    """
    config = load_config(config_path)
    with among_others(config):
        sys.exit(asyncio.run(receive(config)))


for _group in (batches, batch, quarantine, receipts, reports, keys):
    cli.add_command(_group)


@cli.command()
@as_json
@click.pass_obj
def status(config_path: Path, *, is_json: bool) -> None:
    """Say how much is stored and whether a receiver runs."""
    config = load_config(config_path)
    with reading(config_path) as store:
        counts = store.index.counts()
    running = is_running(config.folder)
    if is_json:
        print_json("status", {"running": running, **counts})
        return
    click.echo(f"receiver     {'running' if running else 'not running'}")
    click.echo(f"stored       {counts['batches']} batches, {counts['rows']} rows")
    click.echo(f"on the wire  {counts['bytes'] / 1024:.1f} KiB")
    click.echo(f"duplicates   {counts['duplicates']} answered, none stored twice")
    click.echo(f"quarantine   {counts['quarantined']} refused")
    click.echo(f"workshop     {counts['reports']} reports wait")


@cli.command()
@as_json
@click.pass_obj
def metrics(config_path: Path, *, is_json: bool) -> None:
    """Print what is stored, refused and waiting as Prometheus text.

    For node_exporter's textfile collector, or to look at. A running receiver also serves its own
    page on loopback, with what it is doing now (`metrics.port`).
    """
    from telemetry.ingest.metrics import store_text  # noqa: PLC0415 (loads pyarrow)

    with reading(config_path) as store:
        if is_json:
            index = store.index
            print_json(
                "metrics",
                {**index.counts(), "refusals": index.refusals(), "answers": index.answers()},
            )
            return
        click.echo(store_text(store.index), nl=False)


@cli.command()
@as_json
@click.pass_obj
def doctor(config_path: Path, *, is_json: bool) -> None:
    """Run every check; exit 0 if all is well, 4 on a warning, 1 on a failure."""
    from telemetry.ingest.doctor import check_all, exit_code  # noqa: PLC0415 (loads pyarrow)

    config = load_config(config_path)
    checks = check_all(config)
    if is_json:
        print_json(
            "doctor",
            {
                "checks": [
                    {"name": c.name, "verdict": c.verdict, "finding": c.finding, "next": c.advice}
                    for c in checks
                ]
            },
        )
    else:
        for check in checks:
            advice = f"   -> {check.advice}" if check.advice else ""
            click.echo(f"{check.verdict:5} {check.name:12} {check.finding}{advice}")
    sys.exit(exit_code(checks))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the exit codes are those of ``--help``."""
    try:
        cli.main(args=arguments, prog_name="okdrive-ingest", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except IngestError as error:
        print_error(error)
        sys.exit(error.exit_code)
