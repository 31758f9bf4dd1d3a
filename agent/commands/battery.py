"""okdrive-agent battery: figures, alerts, and what an alert means."""

import textwrap
from collections.abc import Iterator
from typing import Any

import click

from agent.commands.common import Caller, as_json, print_document


@click.group()
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
        print_document("battery.show", document, is_json=is_json, lines=_battery_lines)


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
        print_document("battery.history", document, is_json=is_json, lines=_history_lines)


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
        print_document("battery.explain", document, is_json=is_json, lines=_alert_words)


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
