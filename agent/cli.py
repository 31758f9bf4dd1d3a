"""okdrive-agent: parse, call, print, exit code; no logic."""

import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from agent.config import AgentConfig, load_config
from agent.folders import Folders

if TYPE_CHECKING:
    from agent.signals.decode import Decoder
    from agent.signals.explain import SignalsNow
    from agent.signals.model import Frame

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FILE = click.Path(path_type=Path, dir_okay=False)

as_json = click.option("--json", "is_json", is_flag=True, help="One JSON document on stdout.")


class RunningError(Exception):
    """Another daemon holds the state folder; it goes on and nothing was started."""

    code: ClassVar[str] = "agent.running"


class Caller:
    """What every command is called with: the configuration file and whether to debug."""

    def __init__(self, config: Path, *, debug: bool) -> None:
        self.path = config
        self.debug = debug

    def config(self) -> AgentConfig:
        """Return the configuration; raise ConfigError."""
        return load_config(self.path)

    def folders(self) -> Folders:
        """Return where the configured agent keeps what; raise ConfigError."""
        return Folders(root=self.config().state_dir)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Turn any error into four lines and its exit code, or leave it alone with --debug."""
        try:
            yield
        except (click.ClickException, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if self.debug:
                raise
            from agent.exits import explain, family  # noqa: PLC0415 (only errors need it)

            click.echo(explain(what, error), err=True)
            sys.exit(family(error).exit_code)


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
      okdrive-agent trips list       what was driven and charged, and what became of it
      okdrive-agent battery show     how the battery is; needs no consent and no network
      okdrive-agent queue list       what was confirmed and has not left yet, and why
      okdrive-agent vehicle decode LOG --vehicle NAME --json

    Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 verification failed, 4 not allowed
    now, 6 not found, 7 conflict, 8 temporary, 130/143 interrupted with everything intact.
    """  # noqa: D301 (\\b keeps click from re-wrapping the block)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
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
        with _only_one(Folders(root=config.state_dir)):
            sys.exit(asyncio.run(_serve(config)))


async def _serve(config: AgentConfig) -> int:
    from agent.app import Agent  # noqa: PLC0415 (loads everything)
    from agent.clock import SystemClock  # noqa: PLC0415

    stop, caught = asyncio.Event(), [0]
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, _catch(number, stop, caught))
    agent = await asyncio.to_thread(Agent, config, SystemClock())
    await agent.run(stop)
    return caught[0]


def _catch(number: int, stop: asyncio.Event, caught: list[int]) -> Callable[[], None]:
    def act() -> None:
        caught[0] = 128 + number  # what a shell expects of an interrupted program
        stop.set()

    return act


@contextmanager
def _only_one(folders: Folders) -> Iterator[None]:
    folders.root.mkdir(parents=True, exist_ok=True)
    with folders.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunningError(
                f"{folders.root}: expected no other agent on this folder, found one running"
            ) from None
        yield


@main.command()
@as_json
@click.pass_obj
def status(caller: Caller, *, is_json: bool) -> None:
    """Show one page: is it running, what is switched on, what waits, what is installed."""
    with caller.doing("status"):
        from agent import inspect  # noqa: PLC0415 (the daemon does not need it)

        found = inspect.status(caller.folders())
        _print("status", found, is_json=is_json, lines=_status_lines)


def _status_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"agent     {'running' if found['is_running'] else 'not running'}"
    if found["screen"]:
        yield f"screen    {found['screen']}"
    on = [name for name, is_on in found["consents"].items() if is_on]
    yield f"sharing   {', '.join(on) or 'nothing is switched on'}"
    yield f"trips     {found['trips_waiting_for_an_answer']} wait for an answer"
    queue = found["queue"]
    size = f"{queue['bytes']:,} bytes"
    yield f"queue     {queue['batches']} batches, {size}, {queue['stopped']} stopped"
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
        _print("doctor", document, is_json=is_json, lines=_doctor_lines)
        if any(finding.level is Level.FAIL for _, finding in found):
            sys.exit(1)


def _doctor_lines(document: dict[str, Any]) -> Iterator[str]:
    for check in document["checks"]:
        yield f"{check['level']:<5} {check['name']:<12} {check['text']}"
        if check["todo"]:
            yield f"{'':<19}→ {check['todo']}"
    levels = [check["level"] for check in document["checks"]]
    well, warned, failed = (levels.count(level) for level in ("ok", "warn", "fail"))
    yield f"{well} ok, {warned} warnings, {failed} failures"


@main.group()
def trips() -> None:
    """Trips that were recorded; local only."""


@trips.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1))
@as_json
@click.pass_obj
def trips_list(caller: Caller, *, limit: int, is_json: bool) -> None:
    """List trips and charges, newest first, and what became of their data."""
    with caller.doing("trips list"):
        from agent import inspect  # noqa: PLC0415

        found = inspect.trips(caller.folders(), limit=limit)
        document = {"trips": [line.document() for line in found]}
        _print("trips.list", document, is_json=is_json, lines=_trip_lines)


def _trip_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'TRIP':<18}{'KIND':<8}{'ENDED (UTC)':<18}{'KM':>7}{'MIN':>7}{'KWH':>8}  DATA"
    for trip in document["trips"]:
        is_charge = trip["kind"] == "charge"
        kwh = (trip["energy_out_wh"] - trip["energy_in_wh"]) / 1_000
        used = f"{-kwh:+.2f}" if is_charge else f"{kwh:.2f}"  # + went into the battery
        far = "-" if is_charge else f"{trip['distance_m'] / 1_000:.2f}"
        ended = trip["ended_utc"][:16].replace("T", " ")
        yield (
            f"{trip['trip_id']:<18}{trip['kind']:<8}{ended:<18}{far:>7}"
            f"{trip['duration_s'] / 60:>7.1f}{used:>8}  {trip['outcome']}"
        )


@trips.command("show")
@click.argument("trip_id")
@as_json
@click.pass_obj
def trips_show(caller: Caller, trip_id: str, *, is_json: bool) -> None:
    """Show everything that is known of one trip; the first digits of its id are enough."""
    with caller.doing("trips show"):
        from agent import inspect  # noqa: PLC0415

        line, summary = inspect.trip(caller.folders(), trip_id)
        document = {"trip": summary, "kind": line.kind}
        _print("trips.show", document, is_json=is_json, lines=_figure_lines)


def _figure_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'kind':<22}{document['kind']}"
    for key, value in document["trip"].items():
        yield f"{key:<22}{_figure(key, value)}"


def _figure(key: str, value: object) -> str:
    if isinstance(value, list):
        return " ".join(f"{one:.0f}" for one in value[:12]) + (" …" if len(value) > 12 else "")  # noqa: PLR2004 (a line has 80 columns)
    if isinstance(value, float):
        return f"{value:.2f}" if key.endswith("_share") else f"{value:.1f}"
    return "not known" if value is None else str(value)


@main.group()
def battery() -> None:
    """The battery watch: works without consent and network, and stays in the vehicle."""


@battery.command("show")
@as_json
@click.pass_obj
def battery_show(caller: Caller, *, is_json: bool) -> None:
    """Show the latest figures and every alert that is raised."""
    with caller.doing("battery show"):
        from agent import inspect  # noqa: PLC0415

        document = inspect.battery(caller.folders())
        _print("battery.show", document, is_json=is_json, lines=_battery_lines)


def _battery_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'FIGURE':<36}{'DAY':<12}{'MEAN':>9}{'LOWEST':>9}{'HIGHEST':>9}"
    for name, figure in document["figures"].items():
        yield (
            f"{name:<36}{figure['day']:<12}{figure['mean']:>9.3f}"
            f"{figure['low']:>9.3f}{figure['high']:>9.3f}"
        )
    if not document["figures"]:
        yield "nothing measured yet"
    yield from _alert_lines(document["alerts"])
    if document["damaged_rows"]:
        yield f"{document['damaged_rows']} damaged rows were left out"


def _alert_lines(alerts: list[dict[str, Any]]) -> Iterator[str]:
    for alert in alerts:
        ended = f" to {alert['cleared_utc'][:16]}" if alert["cleared_utc"] else ""
        figure = f"{alert['value']:.3g} {alert['unit']}".strip()
        yield (
            f"{alert['severity']:<10}{alert['code']:<20}since {alert['raised_utc'][:16]}{ended}"
            f"  {figure}"
        )
    if not alerts:
        yield "no alerts"


@battery.command("history")
@click.option("--kind", help="health, capacity, hx, resistance, imbalance, …; default: all.")
@as_json
@click.pass_obj
def battery_history(caller: Caller, *, kind: str | None, is_json: bool) -> None:
    """Show every figure by day, oldest first, and every alert there was."""
    with caller.doing("battery history"):
        from agent import inspect  # noqa: PLC0415

        document = inspect.battery_history(caller.folders(), kind)
        _print("battery.history", document, is_json=is_json, lines=_history_lines)


def _history_lines(document: dict[str, Any]) -> Iterator[str]:
    yield f"{'DAY':<12}{'FIGURE':<36}{'N':>5}{'MEAN':>9}{'LOWEST':>9}{'HIGHEST':>9}"
    for figure in document["days"]:
        name = f"{figure['kind']} {figure['where']}".strip()
        yield (
            f"{figure['day']:<12}{name:<36}{figure['count']:>5}{figure['mean']:>9.3f}"
            f"{figure['low']:>9.3f}{figure['high']:>9.3f}"
        )
    yield from _alert_lines(document["alerts"])


@battery.command("explain")
@click.argument("code")
@as_json
@click.pass_obj
def battery_explain(caller: Caller, code: str, *, is_json: bool) -> None:
    """Say what the alert CODE means: rule, source, evidence, what to do."""
    with caller.doing("battery explain"):
        from agent import inspect  # noqa: PLC0415

        document = inspect.battery_explain(caller.folders(), code)
        _print("battery.explain", document, is_json=is_json, lines=_alert_words)


def _alert_words(document: dict[str, Any]) -> Iterator[str]:
    rule, latest = document["rule"], document["latest"]
    yield f"{document['code']}: {document['title']}"
    yield from _wrapped("do", document["advice"])
    yield f"{'state':<10}{document['state']}"
    limit = f"{rule['raise_at']:g} {rule['unit']}".strip()
    yield (
        f"{'rule':<10}{rule['severity']}: {rule['bad_readings']} readings of {limit} or more, "
        f"{rule['apart_s']:g} s apart"
    )
    yield f"{'':<10}taken back after {rule['good_readings']} below {rule['clear_at']:g}"
    yield from _wrapped("source", rule["source"])
    if latest:
        yield f"{'since':<10}{latest['raised_utc']}, {latest['readings']} readings agree"
        for one in latest["evidence"]:
            yield f"{'':<10}{one['name']:<22}{one['value']} {one['unit']}".rstrip()
        yield f"{'':<10}{len(document['around'])} readings around it are in --json"


def _wrapped(name: str, text: str) -> Iterator[str]:
    for number, line in enumerate(textwrap.wrap(text, 68)):
        yield f"{name if number == 0 else '':<10}{line}"


@main.group()
def consent() -> None:
    """What the driver allowed, and the proof of it."""


@consent.command("show")
@as_json
@click.pass_obj
def consent_show(caller: Caller, *, is_json: bool) -> None:
    """Show every purpose: on or off, and since when."""
    with caller.doing("consent show"):
        from agent import consents as view  # noqa: PLC0415 (as above)

        found = view.show(caller.config(), caller.folders())
        _print("consent.show", found, is_json=is_json, lines=view.show_lines)


@consent.command("grant")
@click.argument("purpose")
@click.option("--language", default="en", show_default=True, type=click.Choice(["en", "de"]))
@click.option("--yes", is_flag=True, help="The notice was read; do not ask.")
@click.pass_obj
def consent_grant(caller: Caller, purpose: str, language: str, *, yes: bool) -> None:
    """Switch PURPOSE on, after its notice was shown."""
    with caller.doing("consent grant"):
        from agent import consents as view  # noqa: PLC0415

        known = _purpose(purpose)
        if not yes:
            click.echo(view.notice(known, language).text)
            click.confirm(f"Switch {known} on?", abort=True)
        click.echo(view.change(caller.config(), caller.folders(), known, is_granted=True))


@consent.command("withdraw")
@click.argument("purpose")
@click.pass_obj
def consent_withdraw(caller: Caller, purpose: str) -> None:
    """Switch PURPOSE off; what waits for it is deleted."""
    with caller.doing("consent withdraw"):
        from agent import consents as view  # noqa: PLC0415

        known = _purpose(purpose)
        click.echo(view.change(caller.config(), caller.folders(), known, is_granted=False))


def _purpose(text: str) -> Any:  # noqa: ANN401 (the type is loaded by the commands that need it)
    from telemetry.purposes import Purpose  # noqa: PLC0415

    if text not in set(Purpose):
        raise click.BadParameter(f"{text}: expected one of {', '.join(Purpose)}")
    return Purpose(text)


@consent.command("history")
@click.option("--entry", type=click.IntRange(1), help="One entry as a receipt to keep.")
@click.option("-o", "--out", type=FILE, help="Write the signed ledger to this file.")
@as_json
@click.pass_obj
def consent_history(caller: Caller, entry: int | None, out: Path | None, *, is_json: bool) -> None:
    """Show the ledger: every yes and no, signed by the vehicle."""
    with caller.doing("consent history"):
        from agent import consents as view  # noqa: PLC0415

        found = view.history(caller.folders())
        if entry is not None:
            found["entries"] = [one for one in found["entries"] if one["sequence"] == entry]
        if out is not None:
            out.write_text(json.dumps(found, indent=1) + "\n")
        _print("consent.history", found, is_json=is_json, lines=view.history_lines)


@consent.command("verify")
@click.option("--file", "path", type=FILE, help="An exported ledger instead of the vehicle's own.")
@click.option("--key", type=FILE, help="With --file: the vehicle's public key, PEM.")
@as_json
@click.pass_obj
def consent_verify(caller: Caller, path: Path | None, key: Path | None, *, is_json: bool) -> None:
    """Check every hash and signature of the ledger; exit 3 if one does not hold."""
    with caller.doing("consent verify"):
        from agent import consents as view  # noqa: PLC0415
        from agent.consent.keys import load_verify_key  # noqa: PLC0415

        if (path is None) != (key is None):
            raise click.UsageError("--file and --key go together")
        found = (
            view.verify_file(path, load_verify_key(key))
            if path and key
            else view.verify(caller.config(), caller.folders())
        )
        _print("consent.verify", found, is_json=is_json, lines=view.verify_lines)
        if not found["is_whole"]:
            sys.exit(3)


@main.group()
def queue() -> None:
    """Batches the driver confirmed that have not been delivered yet."""


@queue.command("list")
@as_json
@click.pass_obj
def queue_list(caller: Caller, *, is_json: bool) -> None:
    """List what waits in the order of leaving, what was given up, and why nothing leaves now."""
    with caller.doing("queue list"):
        from agent import queue as view  # noqa: PLC0415 (the daemon does not need it)

        found = view.listing(caller.config(), caller.folders())
        _print("queue.list", found, is_json=is_json, lines=view.list_lines)


@queue.command("stats")
@as_json
@click.pass_obj
def queue_stats(caller: Caller, *, is_json: bool) -> None:
    """Show how much waits, what was dropped, and what sending has cost today."""
    with caller.doing("queue stats"):
        from agent import queue as view  # noqa: PLC0415

        found = view.stats(caller.config(), caller.folders())
        _print("queue.stats", found, is_json=is_json, lines=view.stats_lines)


@queue.command("pause")
@click.pass_obj
def queue_pause(caller: Caller) -> None:
    """Stop sending until `resume`, also after a restart; nothing is lost."""
    with caller.doing("queue pause"):
        from agent import queue as view  # noqa: PLC0415

        click.echo(view.pause(caller.folders()))


@queue.command("resume")
@click.pass_obj
def queue_resume(caller: Caller) -> None:
    """Send again after `pause`, or after the broker refused this vehicle for good."""
    with caller.doing("queue resume"):
        from agent import queue as view  # noqa: PLC0415

        click.echo(view.resume(caller.folders()))


@queue.command("flush")
@click.pass_obj
def queue_flush(caller: Caller) -> None:
    """Try now instead of waiting for the next attempt; what the driver can take back stays."""
    with caller.doing("queue flush"):
        from agent import queue as view  # noqa: PLC0415

        click.echo(view.flush(caller.folders()))


@main.group()
def update() -> None:
    """Signed updates: where they stand."""


@update.command("show")
@as_json
@click.pass_obj
def update_show(caller: Caller, *, is_json: bool) -> None:
    """Show the update under way, and how the last one ended and why."""
    with caller.doing("update show"):
        from agent import inspect  # noqa: PLC0415

        found = inspect.update(caller.folders())
        _print("update.show", found, is_json=is_json, lines=_update_lines)


@update.command("check")
@click.pass_obj
def update_check(caller: Caller) -> None:
    """Let the running agent look for an update now."""
    with caller.doing("update check"):
        click.echo(_ask_daemon(caller, "update-check"))


@update.command("why-not")
@click.pass_obj
def update_why_not(caller: Caller) -> None:
    """Say why the update is not installed now, each reason with its code."""
    with caller.doing("update why-not"):
        click.echo(_ask_daemon(caller, "update-why"))


@update.command("approve")
@click.argument("content_hash")
@click.pass_obj
def update_approve(caller: Caller, content_hash: str) -> None:
    """Say OK to exactly the image CONTENT_HASH (see `update show`)."""
    _answer_update(caller, content_hash, "approve", {"decision": "now"})


@update.command("schedule")
@click.argument("content_hash")
@click.pass_obj
def update_schedule(caller: Caller, content_hash: str) -> None:
    """Let the image CONTENT_HASH be installed tonight."""
    _answer_update(caller, content_hash, "schedule", {"decision": "tonight"})


@update.command("postpone")
@click.argument("content_hash")
@click.pass_obj
def update_postpone(caller: Caller, content_hash: str) -> None:
    """Leave the image CONTENT_HASH for later; it stays offered."""
    _answer_update(caller, content_hash, "postpone", {"decision": "later"})


@update.command("cancel")
@click.argument("content_hash")
@click.pass_obj
def update_cancel(caller: Caller, content_hash: str) -> None:
    """Take back an OK or a plan, as long as nothing is being installed."""
    _answer_update(caller, content_hash, "cancel", None)


def _answer_update(
    caller: Caller, content_hash: str, word: str, decision: dict[str, str] | None
) -> None:
    with caller.doing(f"update {word}"):
        from agent.hmi.remote import post  # noqa: PLC0415 (the daemon does not need it)

        verb = "cancel" if decision is None else "answer"
        path = f"/api/updates/{content_hash}/{verb}"
        post(caller.folders().run / "screen.json", path, decision or {})
        click.echo("done")


def _ask_daemon(caller: Caller, word: str) -> str:
    from agent.control import ask  # noqa: PLC0415 (only these commands need it)
    from agent.hmi.remote import NobodyServesError  # noqa: PLC0415

    control = caller.folders().control
    answer = ask(control, word)
    if answer is None:
        raise NobodyServesError(f"{control}: expected a running agent, got none; nothing changed")
    return answer


def _update_lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"state     {found['state']}"
    for name, version in found["installed"].items():
        yield f"runs      {name} {version}"
    if offer := found["offer"]:
        yield f"offered   {offer['custom']['name']} {offer['custom']['version']}"
        yield f"          {offer['content_hash']}"
    if last := found["outcome"]:
        yield f"last      {last['name']} {last['version']}: {last['result']['outcome']}"
        yield f"          {last['sentence']}"
        if last["detail"]:
            yield f"          {last['detail']} ({last['result']['code']})"
    if found["attack"]:
        yield f"refused   {found['attack']}"


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
        caller.config()
        click.echo(f"{caller.path}: valid")


@main.group()
def signals() -> None:
    """What the vehicle tells at the moment; nothing of it is kept by looking."""


@signals.command("watch")
@click.argument("pattern", default="*")
@click.option("--once", is_flag=True, help="Print once instead of every second.")
@click.option("--json", "is_json", is_flag=True, help="One JSON document on each line.")
@click.pass_obj
def signals_watch(caller: Caller, pattern: str, *, once: bool, is_json: bool) -> None:
    """Show the signals of the running agent whose path matches PATTERN, until Ctrl-C."""
    with caller.doing("signals watch"):
        import time  # noqa: PLC0415 (the only command that waits)

        from agent import inspect  # noqa: PLC0415

        folders = caller.folders()
        while True:
            _print_signals(inspect.live_signals(folders), pattern, is_json=is_json)
            if once:
                return
            time.sleep(1.0)


def _print_signals(now: "SignalsNow", pattern: str, *, is_json: bool) -> None:
    from msgspec import to_builtins  # noqa: PLC0415

    from agent.signals.explain import chosen, watch_row  # noqa: PLC0415

    lines = list(chosen(now, pattern))
    document = {"now_s": now.now_s, "signals": to_builtins(lines)}
    if not is_json and sys.stdout.isatty():
        click.clear()
    _print(
        "signals.watch",
        document,
        is_json=is_json,
        lines=lambda _: (watch_row(line, now.now_s) for line in lines),
    )


@main.group()
def vehicle() -> None:
    """Vehicle definitions: a DBC and one TOML each, compiled to a table."""


@vehicle.command("list")
@as_json
def vehicle_list(*, is_json: bool) -> None:
    """List the vehicles that are shipped."""
    from agent.signals.table import known_vehicles, load_table  # noqa: PLC0415

    known = {name: load_table(name).title for name in known_vehicles()}
    _print(
        "vehicle.list",
        {"vehicles": known},
        is_json=is_json,
        lines=lambda d: (f"{name:<20}{title}" for name, title in d["vehicles"].items()),
    )


@vehicle.command("compile")
@click.argument("definition", type=FILE)
@click.option("-o", "--out", type=FILE, required=True, help="The table, NAME.json.")
@click.pass_obj
def vehicle_compile(caller: Caller, definition: Path, out: Path) -> None:
    """Turn DEFINITION (TOML, beside its DBC) into the table that the agent loads."""
    with caller.doing("vehicle compile"):
        from agent.signals.compile import write_table  # noqa: PLC0415 (loads cantools)

        table = write_table(definition, out)
        click.echo(f"{out}: {len(table.frames)} frames, {len(table.paths())} signals")


@vehicle.command("check")
@click.argument("definition", type=FILE)
@as_json
@click.pass_obj
def vehicle_check(caller: Caller, definition: Path, *, is_json: bool) -> None:
    """Name every mistake in DEFINITION with file and line; exit 1 if there is one."""
    with caller.doing("vehicle check"):
        from agent.signals.compile import check_vehicle  # noqa: PLC0415 (loads cantools)

        found = [
            {"file": str(problem.file), "line": problem.line, "text": problem.text}
            for problem in check_vehicle(definition)
        ]
        _print("vehicle.check", {"problems": found}, is_json=is_json, lines=_problem_lines)
        if found:
            sys.exit(1)


def _problem_lines(document: dict[str, Any]) -> Iterator[str]:
    for problem in document["problems"]:
        line = "" if problem["line"] is None else f"{problem['line']}:"
        yield f"{problem['file']}:{line} {problem['text']}"
    yield f"{len(document['problems'])} problems"


@vehicle.command("decode")
@click.argument("log", type=FILE)
@click.option("--vehicle", "name", required=True, help="A shipped name or a compiled table.")
@click.option("--bus", "buses", multiple=True, metavar="ROLE=INTERFACE", help="As ev=can0.")
@click.option("--json", "is_json", is_flag=True, help="One JSON line per change.")
@click.pass_obj
def vehicle_decode(
    caller: Caller, log: Path, name: str, buses: tuple[str, ...], *, is_json: bool
) -> None:
    """Print every change of every signal in LOG, in any format python-can reads."""
    with caller.doing("vehicle decode"):
        from agent.signals.explain import decode_lines  # noqa: PLC0415 (loads the decoder)

        decoder, frames = _recording(log, name, buses)
        for line in decode_lines(decoder, frames):
            click.echo(line.json() if is_json else line.text())


def _recording(log: Path, name: str, buses: tuple[str, ...]) -> "tuple[Decoder, Iterator[Frame]]":
    from agent.clock import SystemClock  # noqa: PLC0415 (loads python-can)
    from agent.signals.decode import Decoder  # noqa: PLC0415
    from agent.signals.replay import open_recording  # noqa: PLC0415
    from agent.signals.table import load_table  # noqa: PLC0415

    table = load_table(name)
    given = dict(text.split("=", 1) for text in buses if "=" in text)
    if len(given) != len(buses) or not set(given) <= set(table.buses):
        roles = ", ".join(table.buses)
        raise click.UsageError(f"--bus: expected ROLE=INTERFACE, the role one of {roles}")
    found, frames = open_recording(log, table, clock=SystemClock())
    return Decoder(table, buses={**found, **given}), frames


@vehicle.command("explain")
@click.argument("path")
@click.argument("log", type=FILE, required=False)
@click.option("--vehicle", "name", help="A shipped name or a compiled table; with LOG.")
@click.option("--bus", "buses", multiple=True, metavar="ROLE=INTERFACE", help="As ev=can0.")
@as_json
@click.pass_obj
def vehicle_explain(  # noqa: PLR0913 (click hands over one argument for each option)
    caller: Caller,
    path: str,
    log: Path | None,
    name: str | None,
    buses: tuple[str, ...],
    *,
    is_json: bool,
) -> None:
    """Say where PATH comes from and why it is invalid: at the end of LOG, or in the running agent.

    With LOG, --vehicle names its definition. Without LOG the running agent is asked.
    """
    with caller.doing("vehicle explain"):
        if log is None:
            from agent.inspect import live_explanation  # noqa: PLC0415

            definition = caller.config().vehicle.definition
            found = live_explanation(caller.folders(), definition, path)
        elif name is None:
            raise click.UsageError("with LOG, --vehicle has to name its definition")
        else:
            found = _explained(path, log, name, buses)
        _print("vehicle.explain", found, is_json=is_json, lines=_why_lines)


def _explained(path: str, log: Path, name: str, buses: tuple[str, ...]) -> dict[str, Any]:
    from msgspec import to_builtins  # noqa: PLC0415

    from agent.signals.explain import explain, feed_with_ages  # noqa: PLC0415

    decoder, frames = _recording(log, name, buses)
    for _ in feed_with_ages(decoder, frames):
        pass
    found: dict[str, Any] = to_builtins(explain(decoder, path))
    return found


def _why_lines(found: dict[str, Any]) -> Iterator[str]:
    value = "no value" if found["value"] is None else f"{found['value']} {found['unit']}".rstrip()
    yield found["path"]
    yield f"now       {value}: {found['quality']} - {found['said']}"
    yield f"since     {found['t']:.3f} s"
    yield f"source    {found['source']}"
    for place, rule in enumerate(found["rules"]):
        yield f"{'valid if' if place == 0 else '     and':<10}{rule}"
    counts = ", ".join(f"{count} {reason}" for reason, count in found["rejections"].items())
    yield f"refused   {counts or 'nothing'} of its frame"


@vehicle.command("detect")
@click.argument("log", type=FILE)
@as_json
@click.pass_obj
def vehicle_detect(caller: Caller, log: Path, *, is_json: bool) -> None:
    """Say which vehicle LOG is of, from the ids and lengths seen; exit 1 if it cannot be told."""
    with caller.doing("vehicle detect"):
        from msgspec import to_builtins  # noqa: PLC0415

        from agent.clock import SystemClock  # noqa: PLC0415 (loads python-can)
        from agent.signals.detect import Census, detect, matches  # noqa: PLC0415
        from agent.signals.replay import ReplaySource  # noqa: PLC0415
        from agent.signals.table import known_vehicles, load_table  # noqa: PLC0415

        census = Census()
        census.take(ReplaySource(log, speed=None, clock=SystemClock()).read_all())
        verdicts = detect((load_table(name) for name in known_vehicles()), census)
        found = matches(verdicts)
        vehicle_name = found[0].vehicle if len(found) == 1 else None
        document = {"vehicle": vehicle_name, "verdicts": to_builtins(verdicts)}
        lines = [verdict.text() for verdict in verdicts]
        answer = vehicle_name or "none of the known vehicles, or more than one"
        _print("vehicle.detect", document, is_json=is_json, lines=lambda _: iter((answer, *lines)))
        if vehicle_name is None:
            sys.exit(1)


def _print(
    name: str,
    document: dict[str, Any],
    *,
    is_json: bool,
    lines: Callable[[dict[str, Any]], Iterator[str]],
) -> None:
    if is_json:
        click.echo(json.dumps({"schema": f"okdrive-agent.{name}/1", **document}, default=str))
    else:
        click.echo("\n".join(lines(document)))
