"""okdrive-agent: parse, call, print, exit code; no logic."""

import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from agent.commands.apps import apps
from agent.commands.battery import battery
from agent.commands.common import FILE, Caller, as_json, only_one, print_document
from agent.commands.consent import consent
from agent.commands.driver import driver, pause, preview, workshop
from agent.commands.erase import erase, erasures, wipe
from agent.commands.export import export
from agent.commands.queue import queue
from agent.commands.signals import signals
from agent.commands.token import token
from agent.commands.trips import trips
from agent.commands.update import update
from agent.commands.vehicle import vehicle
from agent.commands.zones import zones
from agent.config import AgentConfig
from agent.folders import Folders
from agent.wording import counted, labelled
from telemetry.logs import start_logging

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _default_config() -> Path:
    home = os.environ.get("OKDRIVE_HOME")
    return (Path(home) if home else Path("/etc/okdrive")) / "agent.toml"


@click.group(context_settings=CONTEXT)
@click.option("--config", type=FILE, help="agent.toml; default: in $OKDRIVE_HOME or /etc/okdrive.")
@click.option("--debug", is_flag=True, help="A traceback instead of four lines.")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what happens.")
@click.version_option(package_name="okdrive")
@click.pass_context
def main(context: click.Context, config: Path | None, *, debug: bool, verbose: bool) -> None:
    """Watch the vehicle, ask the driver, share only on OK, install only signed updates.

    \b
    Start here:
      okdrive-agent run              the daemon, until Ctrl-C
      okdrive-agent status           one page: consents, trips, queue, apps
      okdrive-agent doctor           every check: ok, warn or fail, and what to do
      okdrive-agent preview          exactly what would leave, before you say OK
      okdrive-agent trips list       what was driven and charged
      okdrive-agent battery show     how the battery is; needs no consent
      okdrive-agent queue list       what has not left yet, and why
      okdrive-agent export -o FILE   everything the vehicle keeps of you, as files
      okdrive-agent erase --trip ID  take a trip back, here and at ingest
      okdrive-agent vehicle decode LOG --vehicle NAME --json

    Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 verification failed, 4 not allowed
    now, 6 not found, 7 conflict, 8 temporary, 130/143 interrupted with everything intact.
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)
    start_logging("%(asctime)s %(levelname)s %(name)s %(message)s", is_verbose=verbose)
    context.obj = Caller(config or _default_config(), debug=debug)


@main.command()
@click.option("--check", is_flag=True, help="Validate the configuration and exit.")
@click.pass_obj
def run(caller: Caller, *, check: bool) -> None:
    """Run the daemon until SIGINT or SIGTERM; ending it at any moment loses nothing."""
    with caller.doing("starting"):
        config = caller.config()
        if check:
            click.echo(f"{caller.path}: valid")
            return
        folders = Folders(root=config.state_dir)
        with only_one(folders):
            if folders.wipe.exists():
                _finish_wipe(config)
            from agent.daemon import serve  # noqa: PLC0415 (loads everything)

            sys.exit(serve(config))


def _finish_wipe(config: AgentConfig) -> None:
    """The power went while the drivers' data were being wiped: that comes first."""
    from agent.erasures import finish_wipe  # noqa: PLC0415

    logging.getLogger(__name__).warning("wipe_finished", extra={"requests": finish_wipe(config)})


@main.command()
@as_json
@click.pass_obj
def status(caller: Caller, *, is_json: bool) -> None:
    """Show one page: is it running, what is switched on, what waits, what is installed."""
    with caller.doing("status"):
        from agent import standing  # noqa: PLC0415 (the daemon does not need it)

        found = standing.status(caller.folders())
        print_document("status", found, is_json=is_json, lines=_status_lines)


def _status_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"agent     {'running' if found['is_running'] else 'not running'}"
    if found["screen"]:
        yield f"screen    {found['screen']}"
    on = [name for name, is_on in found["consents"].items() if is_on]
    yield f"sharing   {', '.join(on) or 'nothing is switched on'}"
    waiting = found["trips_waiting_for_an_answer"]
    yield f"trips     {waiting} {'waits' if waiting == 1 else 'wait'} for an answer"
    queue = found["queue"]
    batches = counted(queue["batches"], "batch", "batches")
    yield f"queue     {batches}, {queue['bytes']:,} bytes, {queue['stopped']} stopped"
    receipt = found["last_receipt"]
    yield (
        f"receipt   {receipt['status']} {receipt['batch_id'][:16]}… {receipt['received_utc']}"
        if receipt
        else "receipt   none yet"
    )
    apps = ", ".join(f"{name} {version}" for name, version in found["apps"].items())
    yield f"apps      {apps or 'none'}"


@main.command()
@as_json
@click.pass_obj
def doctor(caller: Caller, *, is_json: bool) -> None:
    """Run every check; exit 0 if nothing failed, 1 otherwise."""
    with caller.doing("doctor"):
        from agent.clock import SystemClock  # noqa: PLC0415 (as above)
        from agent.doctor import checks  # noqa: PLC0415
        from agent.health import Level, examine  # noqa: PLC0415

        config = caller.config()
        found = examine(checks(config, caller.folders(), SystemClock().utc_now()))
        document = {"checks": [{"name": name, **asdict(finding)} for name, finding in found]}
        print_document("doctor", document, is_json=is_json, lines=_doctor_lines)
        if any(finding.level is Level.FAIL for _, finding in found):
            sys.exit(1)


def _doctor_lines(document: dict[str, Any]) -> Iterator[str]:
    for check in document["checks"]:
        yield from labelled(f"{check['level']:<5} {check['name']:<12} ", check["text"])
        if check["todo"]:
            yield from labelled(f"{'':<19}→ ", check["todo"])
    levels = [check["level"] for check in document["checks"]]
    well, warned, failed = (levels.count(level) for level in ("ok", "warn", "fail"))
    yield f"{well} ok, {counted(warned, 'warning')}, {counted(failed, 'failure')}"


@main.group()
def config() -> None:
    """The configuration file."""


@config.command("path")
@click.pass_obj
def config_path(caller: Caller) -> None:
    """Print which file is used."""
    click.echo(caller.path)


@config.command("validate")
@click.pass_obj
def config_validate(caller: Caller) -> None:
    """Check the file; exit 2 and name the key if it is wrong."""
    with caller.doing("config validate"):
        from agent.watch.events import event_rules  # noqa: PLC0415 (only this command needs it)
        from agent.watch.rules import battery_rules  # noqa: PLC0415

        config = caller.config()
        event_rules(config.events)
        battery_rules(config.battery)
        click.echo(f"{caller.path}: valid")


for group in (
    trips,
    battery,
    consent,
    queue,
    update,
    apps,
    signals,
    vehicle,
    export,
    driver,
    pause,
    preview,
    workshop,
    zones,
    erase,
    erasures,
    wipe,
    token,
):
    main.add_command(group)
